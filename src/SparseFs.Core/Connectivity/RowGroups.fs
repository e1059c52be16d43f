namespace SparseFs

open System

/// <summary>Groups of neighbouring rows that share their columns: blocks of so many rows by one column.</summary>
module internal RowGroups =

    let rec private commonDivisor (a: int) (b: int) : int =
        if b = 0 then a else commonDivisor b (a % b)

    /// <summary>The largest group size of a CSR pattern: rows 0 to size − 1 have the same columns, so have the next ones, and
    /// so on; the last group may be smaller.</summary>
    /// <remarks>A size fits if it divides the number of every row that differs from the row before it: so the largest is their
    /// greatest common divisor, or all rows where none differs. Slots are compared until it is 1.</remarks>
    let size (rowPtr: int[]) (colIdx: int[]) : int =
        let rows = rowPtr.Length - 1
        let mutable size = 0
        let mutable row = 1

        while size <> 1 && row < rows do
            let before, first = rowPtr[row - 1], rowPtr[row]
            let fanIn = rowPtr[row + 1] - first

            if
                first - before <> fanIn
                || not (colIdx.AsSpan(first, fanIn).SequenceEqual(ReadOnlySpan(colIdx, before, fanIn)))
            then
                size <- commonDivisor size row

            row <- row + 1

        if size = 0 then max 1 rows else size

    /// Whether the rows come in groups of this size, or of a multiple of it.
    let has (wanted: int) (rowPtr: int[]) (colIdx: int[]) : bool =
        let size = size rowPtr colIdx
        size % wanted = 0 || size >= rowPtr.Length - 1

    /// <summary>Rows that are rewired together where so many are wanted: in channel groups of other rows' number the most that
    /// divide both, as no row group has rows of two channel groups.</summary>
    let within (channelGroups: int) (rows: int) (wanted: int) : int =
        if channelGroups = 1 then
            wanted
        else
            commonDivisor wanted (rows / channelGroups)

    /// Why a pattern of groups of another size is not rewired in groups of this one.
    let refusal (wanted: int) (pattern: string) (size: int) : string =
        invariant
            $"expected a pattern whose rows share their columns in groups of {wanted}, got {pattern} in groups of {size}: draw it with Topology.rowGroups {wanted} (C#: Topologies.RowGroups), or leave the policy's RowGroup at 1"

    /// <summary>How many rows of a group the kernels take together: 4, 2 or 1.</summary>
    /// <remarks>A last group of fewer rows goes row by row; where all rows are one group, it is the only one.</remarks>
    let ofKernels (rowPtr: int[]) (colIdx: int[]) : int =
        let size = size rowPtr colIdx

        if size % 4 = 0 || size = rowPtr.Length - 1 && size > 4 then
            4
        elif size % 2 = 0 then
            2
        else
            1
