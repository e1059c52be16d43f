namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open System.Runtime.CompilerServices

/// A CSR pattern as addresses, for as long as its arrays are pinned.
[<Struct>]
type internal Pattern =
    { RowPtr: nativeptr<int>
      ColIdx: nativeptr<int> }

/// <summary>y[r, i] = bias[r] + Σ values[s] · tile[ColIdx[s], i] over the slots s of row r, for one tile of samples.</summary>
/// <remarks>
/// tile is [cols, width], y is [rowTo − rowFrom, width], both feature-major; y is overwritten and overlaps nothing. Order
/// of summation: the slots of a row are dealt to 2 (four vectors wide) or 4 (narrower) accumulators in turn, so that no
/// multiply-add waits for the one before it; these are added at the end. It depends on the position in the tile alone.
/// </remarks>
module internal Spmm =

    /// Four vectors of samples, two slots at a time.
    [<MethodImpl(MethodImplOptions.AggressiveOptimization)>]
    let private row4<'L, 'V when 'L: struct and 'L :> ILanes<'V> and 'V: struct>
        (slotFrom: int)
        (slotTo: int)
        (colIdx: nativeptr<int>)
        (values: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (width: int)
        (start: 'V)
        (y: nativeptr<float32>)
        =
        let lanes = int64 'L.Count
        let mutable a0 = start
        let mutable a1 = start
        let mutable a2 = start
        let mutable a3 = start
        let mutable b0 = 'L.Zero
        let mutable b1 = 'L.Zero
        let mutable b2 = 'L.Zero
        let mutable b3 = 'L.Zero
        let mutable s = slotFrom

        while s + 1 < slotTo do
            let w = 'L.Broadcast(Pointer.get values s)
            let x = Pointer.at tile (int64 (Pointer.get colIdx s) * int64 width)
            a0 <- 'L.MultiplyAdd(w, 'L.Load x, a0)
            a1 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x lanes), a1)
            a2 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x (2L * lanes)), a2)
            a3 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x (3L * lanes)), a3)
            let w = 'L.Broadcast(Pointer.get values (s + 1))
            let x = Pointer.at tile (int64 (Pointer.get colIdx (s + 1)) * int64 width)
            b0 <- 'L.MultiplyAdd(w, 'L.Load x, b0)
            b1 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x lanes), b1)
            b2 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x (2L * lanes)), b2)
            b3 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x (3L * lanes)), b3)
            s <- s + 2

        if s < slotTo then
            let w = 'L.Broadcast(Pointer.get values s)
            let x = Pointer.at tile (int64 (Pointer.get colIdx s) * int64 width)
            a0 <- 'L.MultiplyAdd(w, 'L.Load x, a0)
            a1 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x lanes), a1)
            a2 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x (2L * lanes)), a2)
            a3 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x (3L * lanes)), a3)

        'L.Store(y, 'L.Add(a0, b0))
        'L.Store(Pointer.at y lanes, 'L.Add(a1, b1))
        'L.Store(Pointer.at y (2L * lanes), 'L.Add(a2, b2))
        'L.Store(Pointer.at y (3L * lanes), 'L.Add(a3, b3))

    /// Two vectors of samples, four slots at a time.
    [<MethodImpl(MethodImplOptions.AggressiveOptimization)>]
    let private row2<'L, 'V when 'L: struct and 'L :> ILanes<'V> and 'V: struct>
        (slotFrom: int)
        (slotTo: int)
        (colIdx: nativeptr<int>)
        (values: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (width: int)
        (start: 'V)
        (y: nativeptr<float32>)
        =
        let lanes = int64 'L.Count
        let mutable a0 = start
        let mutable a1 = start
        let mutable b0 = 'L.Zero
        let mutable b1 = 'L.Zero
        let mutable c0 = 'L.Zero
        let mutable c1 = 'L.Zero
        let mutable d0 = 'L.Zero
        let mutable d1 = 'L.Zero
        let mutable s = slotFrom

        while s + 3 < slotTo do
            let w = 'L.Broadcast(Pointer.get values s)
            let x = Pointer.at tile (int64 (Pointer.get colIdx s) * int64 width)
            a0 <- 'L.MultiplyAdd(w, 'L.Load x, a0)
            a1 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x lanes), a1)
            let w = 'L.Broadcast(Pointer.get values (s + 1))
            let x = Pointer.at tile (int64 (Pointer.get colIdx (s + 1)) * int64 width)
            b0 <- 'L.MultiplyAdd(w, 'L.Load x, b0)
            b1 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x lanes), b1)
            let w = 'L.Broadcast(Pointer.get values (s + 2))
            let x = Pointer.at tile (int64 (Pointer.get colIdx (s + 2)) * int64 width)
            c0 <- 'L.MultiplyAdd(w, 'L.Load x, c0)
            c1 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x lanes), c1)
            let w = 'L.Broadcast(Pointer.get values (s + 3))
            let x = Pointer.at tile (int64 (Pointer.get colIdx (s + 3)) * int64 width)
            d0 <- 'L.MultiplyAdd(w, 'L.Load x, d0)
            d1 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x lanes), d1)
            s <- s + 4

        while s < slotTo do
            let w = 'L.Broadcast(Pointer.get values s)
            let x = Pointer.at tile (int64 (Pointer.get colIdx s) * int64 width)
            a0 <- 'L.MultiplyAdd(w, 'L.Load x, a0)
            a1 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x lanes), a1)
            s <- s + 1

        'L.Store(y, 'L.Add('L.Add(a0, b0), 'L.Add(c0, d0)))
        'L.Store(Pointer.at y lanes, 'L.Add('L.Add(a1, b1), 'L.Add(c1, d1)))

    /// One vector of samples, four slots at a time.
    [<MethodImpl(MethodImplOptions.AggressiveOptimization)>]
    let private row1<'L, 'V when 'L: struct and 'L :> ILanes<'V> and 'V: struct>
        (slotFrom: int)
        (slotTo: int)
        (colIdx: nativeptr<int>)
        (values: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (width: int)
        (start: 'V)
        (y: nativeptr<float32>)
        =
        let mutable a = start
        let mutable b = 'L.Zero
        let mutable c = 'L.Zero
        let mutable d = 'L.Zero
        let mutable s = slotFrom

        let inline load (s: int) =
            'L.Load(Pointer.at tile (int64 (Pointer.get colIdx s) * int64 width))

        while s + 3 < slotTo do
            a <- 'L.MultiplyAdd('L.Broadcast(Pointer.get values s), load s, a)
            b <- 'L.MultiplyAdd('L.Broadcast(Pointer.get values (s + 1)), load (s + 1), b)
            c <- 'L.MultiplyAdd('L.Broadcast(Pointer.get values (s + 2)), load (s + 2), c)
            d <- 'L.MultiplyAdd('L.Broadcast(Pointer.get values (s + 3)), load (s + 3), d)
            s <- s + 4

        while s < slotTo do
            a <- 'L.MultiplyAdd('L.Broadcast(Pointer.get values s), load s, a)
            s <- s + 1

        'L.Store(y, 'L.Add('L.Add(a, b), 'L.Add(c, d)))

    /// <summary>Rows rowFrom .. rowTo − 1; width is a multiple of the lanes; bias may be null.</summary>
    [<MethodImpl(MethodImplOptions.AggressiveOptimization)>]
    let rows<'L, 'V when 'L: struct and 'L :> ILanes<'V> and 'V: struct>
        (p: Pattern)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (width: int)
        (rowFrom: int)
        (rowTo: int)
        (y: nativeptr<float32>)
        =
        let lanes = 'L.Count
        let mutable r = rowFrom

        while r < rowTo do
            let slotFrom = Pointer.get p.RowPtr r
            let slotTo = Pointer.get p.RowPtr (r + 1)

            let start =
                if Pointer.isNull bias then
                    'L.Zero
                else
                    'L.Broadcast(Pointer.get bias r)

            let yRow = Pointer.at y (int64 (r - rowFrom) * int64 width)
            let mutable i = 0

            while i + 4 * lanes <= width do
                let x = Pointer.at tile (int64 i)
                row4<'L, 'V> slotFrom slotTo p.ColIdx values x width start (Pointer.at yRow (int64 i))
                i <- i + 4 * lanes

            if i + 2 * lanes <= width then
                let x = Pointer.at tile (int64 i)
                row2<'L, 'V> slotFrom slotTo p.ColIdx values x width start (Pointer.at yRow (int64 i))
                i <- i + 2 * lanes

            if i < width then
                let x = Pointer.at tile (int64 i)
                row1<'L, 'V> slotFrom slotTo p.ColIdx values x width start (Pointer.at yRow (int64 i))

            r <- r + 1
