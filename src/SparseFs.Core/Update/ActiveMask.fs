namespace SparseFs

open System

/// <summary>Cells that an update may not grow: the slots of a pattern, without those that were freed.</summary>
[<Struct>]
type internal ActiveMask =
    {
        Slots: Connectivity
        /// Length nnz, true where a slot may be grown again; null where none may.
        Freed: bool[] | null
    }

    /// Cells that may be grown.
    member t.Free: int64 =
        let slots = t.Slots.Cells - int64 t.Slots.Nnz

        match t.Freed with
        | null -> slots
        | freed -> slots + int64 (freed.AsSpan().Count true)

    /// <summary>A bit a cell of a row, set where it is taken.</summary>
    /// <param name="row">The row.</param>
    /// <param name="bits">(cols + 7) / 8 bytes or more; overwritten.</param>
    [<AggressiveOptimization>]
    member t.MarkRow(row: int, bits: byte[]) =
        let colIdx, freed = t.Slots.ColIdxArray, t.Freed
        let first, last = t.Slots.RowPtrArray[row], t.Slots.RowPtrArray[row + 1] - 1
        Array.Clear bits

        match freed with
        | null ->
            for slot in first..last do
                let col = colIdx[slot]
                bits[col >>> 3] <- bits[col >>> 3] ||| (1uy <<< (col &&& 7))
        | freed ->
            for slot in first..last do
                let col = colIdx[slot]
                let bit = if freed[slot] then 0uy else 1uy
                bits[col >>> 3] <- bits[col >>> 3] ||| (bit <<< (col &&& 7))

    /// The taken cells as a pattern.
    member t.ToConnectivity() : Connectivity =
        let c, freed = t.Slots, t.Freed

        match freed with
        | null -> c
        | freed ->
            let rowPtr: int[] = Array.zeroCreate (c.Rows + 1)
            let colIdx: int[] = Array.zeroCreate (c.Nnz - freed.AsSpan().Count true)
            let mutable kept = 0

            for row in 0 .. c.Rows - 1 do
                for slot in c.RowPtrArray[row] .. c.RowPtrArray[row + 1] - 1 do
                    if not freed[slot] then
                        colIdx[kept] <- c.ColIdxArray[slot]
                        kept <- kept + 1

                rowPtr[row + 1] <- kept

            Connectivity.ofTrusted c.Rows c.Cols rowPtr colIdx

module internal ActiveMask =

    /// All slots of a pattern.
    let slots (c: Connectivity) : ActiveMask = { Slots = c; Freed = null }
