namespace SparseFs

open System

/// <summary>Cells of a layer that have ever been slots: an immutable set.</summary>
/// <remarks>A bit a cell where that is small beside the slots, else the cells themselves.</remarks>
[<Sealed>]
type ExploredCells private (rows: int, cols: int, bits: uint64[], union: Connectivity voption, count: int64) =

    let cells = Sparsity.cells rows cols

    /// Bytes of bits that a slot is worth; a slot of a union takes 4 bytes, and there may be many more than today's.
    static let worth = 16L

    /// Whether the cell is new: 1 or 0.
    static let setBit (bits: uint64[]) (cell: int64) : int64 =
        let word = int (cell >>> 6)
        let bit = 1UL <<< int (cell &&& 63L)
        let isNew = bits[word] &&& bit = 0UL
        bits[word] <- bits[word] ||| bit
        if isNew then 1L else 0L

    static let setBits (bits: uint64[]) (c: Connectivity) =
        for row in 0 .. c.Rows - 1 do
            for slot in c.RowPtrArray[row] .. c.RowPtrArray[row + 1] - 1 do
                setBit bits (int64 row * int64 c.Cols + int64 c.ColIdxArray[slot]) |> ignore

    /// <summary>The cells of one pattern.</summary>
    static member internal Of(c: Connectivity) : ExploredCells =
        if c.Cells / 8L <= worth * int64 c.Nnz then
            let bits: uint64[] = Array.zeroCreate (int ((c.Cells + 63L) / 64L))
            setBits bits c
            ExploredCells(c.Rows, c.Cols, bits, ValueNone, int64 c.Nnz)
        else
            ExploredCells(c.Rows, c.Cols, [||], ValueSome c, int64 c.Nnz)

    /// <summary>These cells and some others.</summary>
    /// <param name="grown">Distinct cells of the matrix, rising.</param>
    member internal _.With(grown: int64[]) : ExploredCells =
        match union with
        // As Of has it: equal sets are held in the same way, and bits in time take less than many cells.
        | ValueSome before -> ExploredCells.Of(Connectivity.union before (Connectivity.ofSortedCells rows cols grown))
        | ValueNone ->
            let bits = Array.copy bits
            let mutable fresh = 0L

            for cell in grown do
                fresh <- fresh + setBit bits cell

            ExploredCells(rows, cols, bits, ValueNone, count + fresh)

    /// Whether all slots of a pattern of the same shape are among them.
    member internal _.Covers(c: Connectivity) : bool =
        match union with
        | ValueSome known -> Connectivity.isSubset c known
        | ValueNone ->
            let bits = Array.copy bits
            let mutable fresh = 0L

            for row in 0 .. c.Rows - 1 do
                for slot in c.RowPtrArray[row] .. c.RowPtrArray[row + 1] - 1 do
                    fresh <- fresh + setBit bits (int64 row * int64 c.Cols + int64 c.ColIdxArray[slot])

            fresh = 0L

    /// <summary>Number of cells.</summary>
    member _.Count: int64 = count

    /// <summary>R_s: the part of all cells that have ever been slots; 0 where there is no cell.</summary>
    /// <remarks>Liu et al., "Do we actually need dense over-parameterization?", ICML 2021 (ITOP), section 3.</remarks>
    member _.Rate: float = if cells = 0L then 0.0 else float count / float cells

    /// <summary>Whether the set is one of cells of a [rows, cols] matrix.</summary>
    member internal _.Fits(c: Connectivity) : bool = (rows, cols) = (c.Rows, c.Cols)

    member private _.Held = struct (rows, cols, bits, union)

    /// A bit a cell, row-major from the lowest of each word, or empty where the cells themselves are held.
    member internal _.Bits: uint64[] = bits

    /// The cells, where they are held themselves.
    member internal _.Cells: Connectivity voption = union

    /// <summary>The set of such bits, or nothing where there are not as many words as the cells need, or a bit stands
    /// for no cell.</summary>
    static member internal TryOfBits(rows: int, cols: int, bits: uint64[]) : ExploredCells voption =
        let cells = Sparsity.cells rows cols
        let spare = int (bits.LongLength * 64L - cells)

        if bits.LongLength <> (cells + 63L) / 64L then
            ValueNone
        elif spare > 0 && bits[bits.Length - 1] >>> (64 - spare) <> 0UL then
            ValueNone
        else
            let count =
                bits |> Array.sumBy (fun word -> int64 (Numerics.BitOperations.PopCount word))

            ValueSome(ExploredCells(rows, cols, bits, ValueNone, count))

    interface IEquatable<ExploredCells> with
        member a.Equals(b) =
            match b with
            | null -> false
            | b ->
                let struct (rows, cols, bits, union) = a.Held
                let struct (rowsB, colsB, bitsB, unionB) = b.Held

                (rows, cols) = (rowsB, colsB)
                && union = unionB
                && ReadOnlySpan(bits).SequenceEqual(ReadOnlySpan bitsB)

    override a.Equals(other) =
        match other with
        | :? ExploredCells as b -> (a :> IEquatable<ExploredCells>).Equals b
        | _ -> false

    override _.GetHashCode() = hash count

    override e.ToString() =
        (invariant $"ExploredCells({count} of [{rows}, {cols}])")
