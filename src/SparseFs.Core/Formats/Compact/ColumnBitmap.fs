namespace SparseFs

open System.Numerics

/// <summary>Columns as a bit each: column c is bit c % 8, from the lowest, of byte c / 8 of its group.</summary>
/// <remarks>A group has whole bytes, one where there is no column; bits beyond the last column are 0.</remarks>
[<RequireQualifiedAccess>]
module internal ColumnBitmap =

    /// Bytes of a group: one at least, so that there are never more groups than bytes.
    let private stride (cols: int) : int = max 1 (cols / 8 + sign (cols % 8))

    /// Bytes of the counts and of the columns.
    let sizes (group: int) (pattern: Connectivity) : struct (int64 * int64) =
        struct (0L, int64 (CompactGroups.count group pattern.Rows) * int64 (stride pattern.Cols))

    /// Fills arrays of those sizes.
    let write (group: int) (pattern: Connectivity) (_: byte[]) (columns: byte[]) =
        let rowPtr, colIdx, stride =
            pattern.RowPtrArray, pattern.ColIdxArray, stride pattern.Cols

        for index in 0 .. CompactGroups.count group pattern.Rows - 1 do
            for slot in rowPtr[index * group] .. rowPtr[index * group + 1] - 1 do
                let place = index * stride + (colIdx[slot] >>> 3)
                columns[place] <- columns[place] ||| (1uy <<< (colIdx[slot] &&& 7))

    [<AggressiveOptimization>]
    let private countOf (bytes: byte[]) (at: int) (stride: int) : int =
        let mutable sum = 0

        for place in at .. at + stride - 1 do
            sum <- sum + BitOperations.PopCount(uint32 bytes[place])

        sum

    [<AggressiveOptimization>]
    let private take (bytes: byte[]) (at: int) (stride: int) (colIdx: int[]) (first: int) =
        let mutable slot = first

        for index in 0 .. stride - 1 do
            let mutable bits = uint32 bytes[at + index]

            while bits <> 0u do
                colIdx[slot] <- 8 * index + BitOperations.TrailingZeroCount bits
                slot <- slot + 1
                bits <- bits &&& (bits - 1u)

    let private columns (rows: int) (cols: int) (nnz: int) (group: int) (counts: int[]) (bytes: byte[]) =
        let rowPtr = CompactGroups.pointers rows group counts
        let colIdx: int[] = Array.zeroCreate nnz

        for index in 0 .. counts.Length - 1 do
            take bytes (index * stride cols) (stride cols) colIdx rowPtr[index * group]
            CompactGroups.share rowPtr colIdx group index

        Connectivity.ofTrusted rows cols rowPtr colIdx

    /// The last byte of the first group that has bits beyond the last column, or −1.
    let private badPadding (cols: int) (bytes: byte[]) : int =
        let stride = stride cols
        let used = cols - 8 * (stride - 1)
        let mutable place = stride - 1

        while place < bytes.Length && int bytes[place] >>> used = 0 do
            place <- place + stride

        if place < bytes.Length then place else -1

    /// The pattern, or what is wrong; group is in range.
    let read (rows: int) (cols: int) (nnz: int) (e: EncodedPattern) : Result<Connectivity, CompactError> =
        let groups, stride = CompactGroups.count e.Group rows, stride cols
        let wanted = int64 groups * int64 stride

        if e.Counts.Length > 0 then
            Error(CompactError.bytes "counts" "no" e.Counts)
        elif e.Columns.LongLength <> wanted then
            Error(CompactError.bytes "columns" (invariant $"{wanted}") e.Columns)
        else
            let bad = badPadding cols e.Columns

            if bad >= 0 then
                Error(
                    CompactError.at
                        "columns"
                        bad
                        "bits of 0 beyond the last column"
                        (invariant $"byte {e.Columns[bad]}")
                )
            else
                let counts =
                    Array.init groups (fun index -> countOf e.Columns (index * stride) stride)

                let slots = CompactGroups.slots rows e.Group counts

                if slots <> int64 nnz then
                    Error(CompactError.slots nnz slots)
                else
                    Ok(columns rows cols nnz e.Group counts e.Columns)
