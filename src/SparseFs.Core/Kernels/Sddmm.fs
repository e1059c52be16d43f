namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>d[s] = Σ g[r − rows.From, i] · tile[ColIdx[s], i] over the samples i of one tile, for the slots s of row r.</summary>
/// <remarks>
/// g is [rows, W] and tile is [cols, W], both feature-major, where W is 4, 2 or 1 vectors; d [nnz] is
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

    /// Four vectors of samples.
    [<AggressiveOptimization>]
    let rows4<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (p: CsrView)
        (g: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (rows: RowRange)
        (accumulate: bool)
        (d: nativeptr<float32>)
        =
        let lanes = int64 'L.Count
        let rowFrom = rows.From

        p.ForRows(
            rows,
            fun r slotFrom slotTo ->
                let gRow = Pointer.at g (int64 (r - rowFrom) * 4L * lanes)
                let g0 = 'L.Load gRow
                let g1 = 'L.Load(Pointer.at gRow lanes)
                let g2 = 'L.Load(Pointer.at gRow (2L * lanes))
                let g3 = 'L.Load(Pointer.at gRow (3L * lanes))

                overSlots<'L, 'V> slotFrom slotTo accumulate d (fun s ->
                    p.Fetch<'L, 'V>(tile, s)
                    let x = p.Input(tile, 4L * lanes, s)
                    let sum = 'L.Multiply(g0, 'L.Load x)
                    let sum = 'L.MultiplyAdd(g1, 'L.Load(Pointer.at x lanes), sum)
                    let sum = 'L.MultiplyAdd(g2, 'L.Load(Pointer.at x (2L * lanes)), sum)
                    'L.MultiplyAdd(g3, 'L.Load(Pointer.at x (3L * lanes)), sum))
        )

    /// Two vectors of samples.
    [<AggressiveOptimization>]
    let rows2<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (p: CsrView)
        (g: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (rows: RowRange)
        (accumulate: bool)
        (d: nativeptr<float32>)
        =
        let lanes = int64 'L.Count
        let rowFrom = rows.From

        p.ForRows(
            rows,
            fun r slotFrom slotTo ->
                let gRow = Pointer.at g (int64 (r - rowFrom) * 2L * lanes)
                let g0 = 'L.Load gRow
                let g1 = 'L.Load(Pointer.at gRow lanes)

                overSlots<'L, 'V> slotFrom slotTo accumulate d (fun s ->
                    let x = p.Input(tile, 2L * lanes, s)
                    'L.MultiplyAdd(g1, 'L.Load(Pointer.at x lanes), 'L.Multiply(g0, 'L.Load x)))
        )

    /// One vector of samples.
    [<AggressiveOptimization>]
    let rows1<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (p: CsrView)
        (g: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (rows: RowRange)
        (accumulate: bool)
        (d: nativeptr<float32>)
        =
        let lanes = int64 'L.Count
        let rowFrom = rows.From

        p.ForRows(
            rows,
            fun r slotFrom slotTo ->
                let g0 = 'L.Load(Pointer.at g (int64 (r - rowFrom) * lanes))

                overSlots<'L, 'V> slotFrom slotTo accumulate d (fun s ->
                    'L.Multiply(g0, 'L.Load(p.Input(tile, lanes, s))))
        )
