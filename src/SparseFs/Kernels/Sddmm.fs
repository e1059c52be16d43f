namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open System.Runtime.CompilerServices
open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop

/// <summary>d[s] = Σ g[r, i] · x[ColIdx[s], i] over the samples i of one tile, for the slots s of each row r.</summary>
/// <remarks>
/// g is [rows, width] and x is [cols, width], both feature-major; d [nnz] is overwritten or, with accumulate, added to,
/// and overlaps nothing. The row's g stays in registers; the products of four slots are reduced together, which costs
/// a third of a horizontal sum for each. Order of summation: vectors of a slot in turn, then over the lanes.
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
    let inline private overSlots<'L, 'V when 'L: struct and 'L :> ILanes<'V> and 'V: struct>
        (slotFrom: int)
        (slotTo: int)
        (accumulate: bool)
        (d: nativeptr<float32>)
        ([<InlineIfLambda>] product: int -> 'V)
        =
        let mutable s = slotFrom

        while s + 3 < slotTo do
            let sums = 'L.Sum4(product s, product (s + 1), product (s + 2), product (s + 3))
            put accumulate (Pointer.at d (int64 s)) sums
            s <- s + 4

        while s < slotTo do
            putFirst accumulate (Pointer.at d (int64 s)) ('L.Sum4(product s, 'L.Zero, 'L.Zero, 'L.Zero))
            s <- s + 1

    /// Four vectors of samples.
    [<MethodImpl(MethodImplOptions.AggressiveOptimization)>]
    let private row4<'L, 'V when 'L: struct and 'L :> ILanes<'V> and 'V: struct>
        (slotFrom: int)
        (slotTo: int)
        (colIdx: nativeptr<int>)
        (g: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (width: int)
        (accumulate: bool)
        (d: nativeptr<float32>)
        =
        let lanes = int64 'L.Count
        let g0 = 'L.Load g
        let g1 = 'L.Load(Pointer.at g lanes)
        let g2 = 'L.Load(Pointer.at g (2L * lanes))
        let g3 = 'L.Load(Pointer.at g (3L * lanes))

        let inline product (s: int) =
            let x = Pointer.at tile (int64 (Pointer.get colIdx s) * int64 width)
            let p = 'L.MultiplyAdd(g0, 'L.Load x, 'L.Zero)
            let p = 'L.MultiplyAdd(g1, 'L.Load(Pointer.at x lanes), p)
            let p = 'L.MultiplyAdd(g2, 'L.Load(Pointer.at x (2L * lanes)), p)
            'L.MultiplyAdd(g3, 'L.Load(Pointer.at x (3L * lanes)), p)

        overSlots<'L, 'V> slotFrom slotTo accumulate d product

    /// Two vectors of samples.
    [<MethodImpl(MethodImplOptions.AggressiveOptimization)>]
    let private row2<'L, 'V when 'L: struct and 'L :> ILanes<'V> and 'V: struct>
        (slotFrom: int)
        (slotTo: int)
        (colIdx: nativeptr<int>)
        (g: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (width: int)
        (accumulate: bool)
        (d: nativeptr<float32>)
        =
        let lanes = int64 'L.Count
        let g0 = 'L.Load g
        let g1 = 'L.Load(Pointer.at g lanes)

        let inline product (s: int) =
            let x = Pointer.at tile (int64 (Pointer.get colIdx s) * int64 width)
            let p = 'L.MultiplyAdd(g0, 'L.Load x, 'L.Zero)
            'L.MultiplyAdd(g1, 'L.Load(Pointer.at x lanes), p)

        overSlots<'L, 'V> slotFrom slotTo accumulate d product

    /// One vector of samples.
    [<MethodImpl(MethodImplOptions.AggressiveOptimization)>]
    let private row1<'L, 'V when 'L: struct and 'L :> ILanes<'V> and 'V: struct>
        (slotFrom: int)
        (slotTo: int)
        (colIdx: nativeptr<int>)
        (g: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (width: int)
        (accumulate: bool)
        (d: nativeptr<float32>)
        =
        let g0 = 'L.Load g

        let inline product (s: int) =
            'L.MultiplyAdd(g0, 'L.Load(Pointer.at tile (int64 (Pointer.get colIdx s) * int64 width)), 'L.Zero)

        overSlots<'L, 'V> slotFrom slotTo accumulate d product

    /// <summary>Rows rowFrom .. rowTo − 1; width is a multiple of the lanes.</summary>
    [<MethodImpl(MethodImplOptions.AggressiveOptimization)>]
    let rows<'L, 'V when 'L: struct and 'L :> ILanes<'V> and 'V: struct>
        (p: Pattern)
        (g: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (width: int)
        (rowFrom: int)
        (rowTo: int)
        (accumulate: bool)
        (d: nativeptr<float32>)
        =
        let lanes = 'L.Count
        let mutable r = rowFrom

        while r < rowTo do
            let slotFrom = Pointer.get p.RowPtr r
            let slotTo = Pointer.get p.RowPtr (r + 1)
            let gRow = Pointer.at g (int64 r * int64 width)
            let mutable i = 0

            while i + 4 * lanes <= width do
                let add = accumulate || i > 0

                row4<'L, 'V>
                    slotFrom
                    slotTo
                    p.ColIdx
                    (Pointer.at gRow (int64 i))
                    (Pointer.at tile (int64 i))
                    width
                    add
                    d

                i <- i + 4 * lanes

            if i + 2 * lanes <= width then
                let add = accumulate || i > 0

                row2<'L, 'V>
                    slotFrom
                    slotTo
                    p.ColIdx
                    (Pointer.at gRow (int64 i))
                    (Pointer.at tile (int64 i))
                    width
                    add
                    d

                i <- i + 2 * lanes

            if i < width then
                let add = accumulate || i > 0

                row1<'L, 'V>
                    slotFrom
                    slotTo
                    p.ColIdx
                    (Pointer.at gRow (int64 i))
                    (Pointer.at tile (int64 i))
                    width
                    add
                    d


            r <- r + 1
