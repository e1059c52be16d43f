namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>y[r − rows.From, i] = bias[r] + Σ values[s] · tile[ColIdx[s], i] over the slots s of row r, for one tile of samples.</summary>
/// <remarks>
/// tile is [cols, W], y is [rows, W], both feature-major, where W is 4, 2 or 1 vectors: a constant, so that
/// an address costs a shift. bias [rows] may be null. y is overwritten and overlaps nothing. Order of summation: the
/// slots of a row are dealt to 2 (four vectors wide) or 4 (narrower) accumulators in turn, so that no multiply-add waits
/// for the one before it; these are added at the end. Oracle: the dense product in float64, Wanted.spmm of the tests.
/// </remarks>
module internal Spmm =

    let inline private weight<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (values: nativeptr<float32>)
        (slot: int64)
        : 'V =
        'L.Broadcast(NativePtr.read (Pointer.at values slot))

    let inline private start<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (bias: nativeptr<float32>)
        (r: int)
        : 'V =
        if Pointer.isNull bias then
            'L.Zero
        else
            'L.Broadcast(Pointer.get bias r)

    /// Four vectors of samples, two slots at a time.
    [<AggressiveOptimization>]
    let rows4<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (p: CsrView)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (rows: RowRange)
        (y: nativeptr<float32>)
        =
        let lanes = int64 'L.Count
        let rowFrom = rows.From

        p.ForRows(
            rows,
            fun r slotFrom slotTo ->
                let start = start<'L, 'V> bias r
                let mutable a0 = start
                let mutable a1 = start
                let mutable a2 = start
                let mutable a3 = start
                let mutable b0 = 'L.Zero
                let mutable b1 = 'L.Zero
                let mutable b2 = 'L.Zero
                let mutable b3 = 'L.Zero
                let mutable s = slotFrom

                while s + 1L < slotTo do
                    p.Fetch<'L, 'V>(tile, s)
                    p.Fetch<'L, 'V>(tile, s + 1L)
                    let w = weight<'L, 'V> values s
                    let x = p.Input(tile, 4L * lanes, s)
                    a0 <- 'L.MultiplyAdd(w, 'L.Load x, a0)
                    a1 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x lanes), a1)
                    a2 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x (2L * lanes)), a2)
                    a3 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x (3L * lanes)), a3)
                    let w = weight<'L, 'V> values (s + 1L)
                    let x = p.Input(tile, 4L * lanes, s + 1L)
                    b0 <- 'L.MultiplyAdd(w, 'L.Load x, b0)
                    b1 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x lanes), b1)
                    b2 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x (2L * lanes)), b2)
                    b3 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x (3L * lanes)), b3)
                    s <- s + 2L

                if s < slotTo then
                    let w = weight<'L, 'V> values s
                    let x = p.Input(tile, 4L * lanes, s)
                    a0 <- 'L.MultiplyAdd(w, 'L.Load x, a0)
                    a1 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x lanes), a1)
                    a2 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x (2L * lanes)), a2)
                    a3 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x (3L * lanes)), a3)

                let yRow = Pointer.at y (int64 (r - rowFrom) * 4L * lanes)
                'L.Store(yRow, 'L.Add(a0, b0))
                'L.Store(Pointer.at yRow lanes, 'L.Add(a1, b1))
                'L.Store(Pointer.at yRow (2L * lanes), 'L.Add(a2, b2))
                'L.Store(Pointer.at yRow (3L * lanes), 'L.Add(a3, b3))
        )

    /// Two vectors of samples, four slots at a time.
    [<AggressiveOptimization>]
    let rows2<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (p: CsrView)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (rows: RowRange)
        (y: nativeptr<float32>)
        =
        let lanes = int64 'L.Count
        let rowFrom = rows.From

        p.ForRows(
            rows,
            fun r slotFrom slotTo ->
                let start = start<'L, 'V> bias r
                let mutable a0 = start
                let mutable a1 = start
                let mutable b0 = 'L.Zero
                let mutable b1 = 'L.Zero
                let mutable c0 = 'L.Zero
                let mutable c1 = 'L.Zero
                let mutable d0 = 'L.Zero
                let mutable d1 = 'L.Zero
                let mutable s = slotFrom

                while s + 3L < slotTo do
                    let w = weight<'L, 'V> values s
                    let x = p.Input(tile, 2L * lanes, s)
                    a0 <- 'L.MultiplyAdd(w, 'L.Load x, a0)
                    a1 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x lanes), a1)
                    let w = weight<'L, 'V> values (s + 1L)
                    let x = p.Input(tile, 2L * lanes, s + 1L)
                    b0 <- 'L.MultiplyAdd(w, 'L.Load x, b0)
                    b1 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x lanes), b1)
                    let w = weight<'L, 'V> values (s + 2L)
                    let x = p.Input(tile, 2L * lanes, s + 2L)
                    c0 <- 'L.MultiplyAdd(w, 'L.Load x, c0)
                    c1 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x lanes), c1)
                    let w = weight<'L, 'V> values (s + 3L)
                    let x = p.Input(tile, 2L * lanes, s + 3L)
                    d0 <- 'L.MultiplyAdd(w, 'L.Load x, d0)
                    d1 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x lanes), d1)
                    s <- s + 4L

                while s < slotTo do
                    let w = weight<'L, 'V> values s
                    let x = p.Input(tile, 2L * lanes, s)
                    a0 <- 'L.MultiplyAdd(w, 'L.Load x, a0)
                    a1 <- 'L.MultiplyAdd(w, 'L.Load(Pointer.at x lanes), a1)
                    s <- s + 1L

                let yRow = Pointer.at y (int64 (r - rowFrom) * 2L * lanes)
                'L.Store(yRow, 'L.Add('L.Add(a0, b0), 'L.Add(c0, d0)))
                'L.Store(Pointer.at yRow lanes, 'L.Add('L.Add(a1, b1), 'L.Add(c1, d1)))
        )

    /// One vector of samples, four slots at a time.
    [<AggressiveOptimization>]
    let rows1<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (p: CsrView)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (rows: RowRange)
        (y: nativeptr<float32>)
        =
        let lanes = int64 'L.Count
        let rowFrom = rows.From

        p.ForRows(
            rows,
            fun r slotFrom slotTo ->
                let mutable a = start<'L, 'V> bias r
                let mutable b = 'L.Zero
                let mutable c = 'L.Zero
                let mutable d = 'L.Zero
                let mutable s = slotFrom

                while s + 3L < slotTo do
                    a <- 'L.MultiplyAdd(weight<'L, 'V> values s, 'L.Load(p.Input(tile, lanes, s)), a)
                    b <- 'L.MultiplyAdd(weight<'L, 'V> values (s + 1L), 'L.Load(p.Input(tile, lanes, s + 1L)), b)
                    c <- 'L.MultiplyAdd(weight<'L, 'V> values (s + 2L), 'L.Load(p.Input(tile, lanes, s + 2L)), c)
                    d <- 'L.MultiplyAdd(weight<'L, 'V> values (s + 3L), 'L.Load(p.Input(tile, lanes, s + 3L)), d)
                    s <- s + 4L

                while s < slotTo do
                    a <- 'L.MultiplyAdd(weight<'L, 'V> values s, 'L.Load(p.Input(tile, lanes, s)), a)
                    s <- s + 1L

                'L.Store(Pointer.at y (int64 (r - rowFrom) * lanes), 'L.Add('L.Add(a, b), 'L.Add(c, d)))
        )
