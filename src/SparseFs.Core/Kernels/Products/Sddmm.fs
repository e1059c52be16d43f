namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>d[s] = Σ g[r − rows.From, i] · tile[ColIdx[s], i] over the samples i of one tile, for the slots s of row r.</summary>
/// <remarks>
/// g is [rows, W] and tile is [cols, W], both feature-major, where W is 'K vectors, at most five; d [nnz] is
/// overwritten or, with accumulate, added to, and overlaps nothing. The row's g stays in registers; the products of four
/// slots are reduced together, which costs a third of a horizontal sum for each. Order of summation: the vectors of a
/// slot in turn, then over the lanes. Oracle: the dense product in float64, Wanted.sddmm of the tests.
/// </remarks>
module internal Sddmm =

    let inline private put (accumulate: bool) (d: nativeptr<float32>) (sums: Vector128<float32>) =
        if accumulate then
            Vector128.Store(Vector128.Load d + sums, d)
        else
            Vector128.Store(sums, d)

    let inline private putFirst (accumulate: bool) (d: nativeptr<float32>) (sums: Vector128<float32>) =
        if accumulate then
            NativePtr.write d (NativePtr.read d + sums.ToScalar())
        else
            NativePtr.write d (sums.ToScalar())

    /// Four slots at a time, then the rest one by one; product gives the vector of a slot's products.
    let inline private overSlots<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (slotFrom: int64)
        (slotTo: int64)
        (accumulate: bool)
        (d: nativeptr<float32>)
        ([<InlineIfLambda>] product: int64 -> 'V)
        =
        let mutable s = slotFrom

        while s + 3L < slotTo do
            let sums = 'L.Sum4(product s, product (s + 1L), product (s + 2L), product (s + 3L))

            put accumulate (Pointer.at d s) sums
            s <- s + 4L

        while s < slotTo do
            putFirst accumulate (Pointer.at d s) ('L.Sum4(product s, 'L.Zero, 'L.Zero, 'L.Zero))
            s <- s + 1L

    /// A vector of a row of a tile; zeros where the tile has not so many.
    let inline private vector<'L, 'V, 'K
        when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct and 'K: struct and 'K :> ICount>
        (row: nativeptr<float32>)
        (index: int)
        : 'V =
        if 'K.Count > index then
            'L.Load(Pointer.at row (int64 (index * 'L.Count)))
        else
            'L.Zero

    /// A whole tile's vectors, of some rows.
    [<AggressiveOptimization>]
    let rows<'L, 'V, 'K when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct and 'K: struct and 'K :> ICount>
        (p: CsrView)
        (g: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (rows: RowRange)
        (accumulate: bool)
        (d: nativeptr<float32>)
        =
        let lanes = 'L.Count
        let width = int64 ('K.Count * lanes)
        let rowFrom = rows.From

        p.ForRows(
            rows,
            fun r slotFrom slotTo ->
                let gRow = Pointer.at g (int64 (r - rowFrom) * width)
                let g0 = 'L.Load gRow
                let g1 = vector<'L, 'V, 'K> gRow 1
                let g2 = vector<'L, 'V, 'K> gRow 2
                let g3 = vector<'L, 'V, 'K> gRow 3
                let g4 = vector<'L, 'V, 'K> gRow 4

                overSlots<'L, 'V> slotFrom slotTo accumulate d (fun s ->
                    p.Fetch<'L, 'V, 'K>(tile, s)
                    let x = p.Input(tile, width, s)
                    let mutable sum = 'L.Multiply(g0, 'L.Load x)

                    if 'K.Count > 1 then
                        sum <- 'L.MultiplyAdd(g1, vector<'L, 'V, 'K> x 1, sum)

                    if 'K.Count > 2 then
                        sum <- 'L.MultiplyAdd(g2, vector<'L, 'V, 'K> x 2, sum)

                    if 'K.Count > 3 then
                        sum <- 'L.MultiplyAdd(g3, vector<'L, 'V, 'K> x 3, sum)

                    if 'K.Count > 4 then
                        sum <- 'L.MultiplyAdd(g4, vector<'L, 'V, 'K> x 4, sum)

                    sum)
        )
