namespace SparseFs

/// <summary>From a number of slots to whole cells of row groups, each of which is a slot in every row of its group.</summary>
module internal RowGroupCounts =

    /// <summary>Columns that all whole groups have together, and those of a last group of fewer rows, for so many slots.</summary>
    /// <remarks>Each by the one rounding rule, as the groups' part of all cells: so the slots of whole groups are a little more
    /// or fewer than were asked for.</remarks>
    let cells (size: int) (rows: int) (nnz: int) : struct (int * int) =
        let whole, left = rows / size, rows % size

        /// The part of the slots of this many rows.
        let share (groups: int) =
            if rows = 0 then
                0
            else
                int (Rounding.halfToEven (bigint nnz * bigint groups) (bigint rows))

        struct (share whole, (if left = 0 then 0 else share 1))

    /// The slots of whole groups, nearest to so many: half a cell of each kind of group away at most.
    let nnz (size: int) (rows: int) (nnz: int) : int64 =
        let struct (whole, last) = cells size rows nnz
        int64 whole * int64 size + int64 last * int64 (rows % size)

    /// <summary>As nnz, and a number that stays what it is when it is asked for again.</summary>
    /// <remarks>Most do. But where both parts are halves that were rounded away from each other, the sum is another's: in 10
    /// rows in groups of 3, 15 slots become 14 and 14 become 13. The cells of whole groups stay all the while, and the last
    /// group's move by one, back to the other side of the half: no further from what was asked for.</remarks>
    let rec settled (size: int) (rows: int) (slots: int) : int =
        let next = int (nnz size rows slots)
        if next = slots then slots else settled size rows next
