namespace SparseFs

open System

/// Rows of a pattern in groups that share their columns, as they are stored.
[<RequireQualifiedAccess>]
module internal CompactGroups =

    /// The most rows of a group: a false number of rows must not take much more memory than there are bytes.
    [<Literal>]
    let Most = 16

    /// Groups of some rows.
    let count (group: int) (rows: int) : int = rows / group + sign (rows % group)

    /// The most rows, up to 16, that share their columns throughout a pattern.
    let sizeOf (pattern: Connectivity) : int =
        let size = Connectivity.rowGroupSize pattern

        if size >= pattern.Rows then
            min Most size
        else
            Seq.find (fun divisor -> size % divisor = 0) (seq { Most .. -1 .. 1 })

    /// Refuses a size that is none, and one that the pattern has not.
    let check (group: int) (pattern: Connectivity) =
        if group < 1 || group > Most then
            raise (ArgumentException((invariant $"expected 1..{Most} rows of a group, got {group}"), nameof group))

        if group > 1 && not (RowGroups.has group pattern.RowPtrArray pattern.ColIdxArray) then
            raise (
                ArgumentException(
                    RowGroups.refusal group (string pattern) (Connectivity.rowGroupSize pattern),
                    nameof group
                )
            )

    /// Slots of all rows, from those of a row of each group.
    let slots (rows: int) (group: int) (counts: int[]) : int64 =
        let mutable sum = 0L

        for index in 0 .. counts.Length - 1 do
            sum <- sum + int64 counts[index] * int64 (min group (rows - index * group))

        sum

    /// The first slot of each row, then nnz; slots has shown that they are no more than an int holds.
    let pointers (rows: int) (group: int) (counts: int[]) : int[] =
        let rowPtr: int[] = Array.zeroCreate (rows + 1)

        for row in 0 .. rows - 1 do
            rowPtr[row + 1] <- rowPtr[row] + counts[row / group]

        rowPtr

    /// Gives the columns of a group's first row to its other rows.
    let share (rowPtr: int[]) (colIdx: int[]) (group: int) (index: int) =
        let first = index * group
        let own = ReadOnlySpan(colIdx, rowPtr[first], rowPtr[first + 1] - rowPtr[first])

        for row in first + 1 .. min (rowPtr.Length - 1) (first + group) - 1 do
            own.CopyTo(colIdx.AsSpan rowPtr[row])
