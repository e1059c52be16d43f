namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>y[r − rows.From, i] = bias[r] + Σ values[s] · tile[ColIdx[s], i] over the slots s of row r, for one tile of samples.</summary>
/// <remarks>
/// tile is [cols, W], y is [rows, W], both feature-major, where W is 'K vectors, at most five; or 'I says otherwise where inputs
/// lie, and apart how far the rows of y. bias [rows] may be null. y is overwritten and overlaps nothing. Order of summation: the slots of a row are dealt to 2 (three vectors wide or more)
/// or 4 (narrower) accumulators in turn, so that no multiply-add waits for the one before it; these are added at the end.
/// Oracle: the dense product in float64, Wanted.spmm of the tests.
/// </remarks>
module internal Spmm =

    let inline private weight<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (values: nativeptr<float32>)
        (slot: int64)
        : 'V =
        'L.Broadcast(NativePtr.read (Pointer.at values slot))

    let inline private next<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (w: 'V)
        (x: nativeptr<float32>)
        (distance: int64)
        (sum: 'V)
        : 'V =
        'L.MultiplyAdd(w, 'L.Load(Pointer.at x distance), sum)

    /// A whole tile's vectors, of some rows.
    [<AggressiveOptimization>]
    let rows<'L, 'V, 'K, 'I
        when 'L: struct
        and 'L :> ISimdVector<'V>
        and 'V: struct
        and 'K: struct
        and 'K :> ICount
        and 'I: struct
        and 'I :> IInputs>
        (p: CsrView)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (rows: RowRange)
        (y: nativeptr<float32>)
        (apart: int64)
        (tiles: PixelTiles)
        =
        let lanes = 'L.Count
        let in4 = int64 (4 * lanes)
        let width = 'I.Apart(int64 ('K.Count * lanes))
        let rowFrom = rows.From

        p.ForRows(
            rows,
            fun r slotFrom slotTo ->
                let rowOfY = Pointer.at y (int64 (r - rowFrom) * apart)
                let mutable t = 0

                while t < tiles.Count do
                    let place =
                        if 'I.AreTiles then
                            PixelTiles.behindEachOther lanes
                        else
                            NativePtr.read (Pointer.at tiles.First (int64 t))

                    let tile, yRow = Pointer.at tile place.In0, Pointer.at rowOfY place.Out0

                    let in1, in2, in3 =
                        place.In1 - place.In0, place.In2 - place.In0, place.In3 - place.In0

                    let out1, out2, out3 =
                        place.Out1 - place.Out0, place.Out2 - place.Out0, place.Out3 - place.Out0

                    let mutable a0 = 'L.Zero
                    let mutable a1 = 'L.Zero
                    let mutable a2 = 'L.Zero
                    let mutable a3 = 'L.Zero
                    let mutable a4 = 'L.Zero
                    let mutable b0 = 'L.Zero
                    let mutable b1 = 'L.Zero
                    let mutable b2 = 'L.Zero
                    let mutable b3 = 'L.Zero
                    let mutable b4 = 'L.Zero
                    let mutable c0 = 'L.Zero
                    let mutable c1 = 'L.Zero
                    let mutable d0 = 'L.Zero
                    let mutable d1 = 'L.Zero

                    if not (Pointer.isNull bias) then
                        let start = 'L.Broadcast(Pointer.get bias r)
                        a0 <- start

                        if 'K.Count > 1 then
                            a1 <- start

                        if 'K.Count > 2 then
                            a2 <- start

                        if 'K.Count > 3 then
                            a3 <- start

                        if 'K.Count > 4 then
                            a4 <- start

                    let mutable s = slotFrom

                    if 'K.Count <= 2 then
                        while s + 3L < slotTo do
                            let w = weight<'L, 'V> values s
                            let x = p.Input(tile, width, s)
                            a0 <- next<'L, 'V> w x 0L a0

                            if 'K.Count > 1 then
                                a1 <- next<'L, 'V> w x in1 a1

                            let w = weight<'L, 'V> values (s + 1L)
                            let x = p.Input(tile, width, (s + 1L))
                            b0 <- next<'L, 'V> w x 0L b0

                            if 'K.Count > 1 then
                                b1 <- next<'L, 'V> w x in1 b1

                            let w = weight<'L, 'V> values (s + 2L)
                            let x = p.Input(tile, width, (s + 2L))
                            c0 <- next<'L, 'V> w x 0L c0

                            if 'K.Count > 1 then
                                c1 <- next<'L, 'V> w x in1 c1

                            let w = weight<'L, 'V> values (s + 3L)
                            let x = p.Input(tile, width, (s + 3L))
                            d0 <- next<'L, 'V> w x 0L d0

                            if 'K.Count > 1 then
                                d1 <- next<'L, 'V> w x in1 d1

                            s <- s + 4L
                    else
                        while s + 1L < slotTo do
                            p.Fetch<'L, 'V, 'K>(tile, s)
                            p.Fetch<'L, 'V, 'K>(tile, s + 1L)
                            let w = weight<'L, 'V> values s
                            let x = p.Input(tile, width, s)
                            a0 <- next<'L, 'V> w x 0L a0
                            a1 <- next<'L, 'V> w x in1 a1
                            a2 <- next<'L, 'V> w x in2 a2

                            if 'K.Count > 3 then
                                a3 <- next<'L, 'V> w x in3 a3

                            if 'K.Count > 4 then
                                a4 <- next<'L, 'V> w x in4 a4

                            let w = weight<'L, 'V> values (s + 1L)
                            let x = p.Input(tile, width, (s + 1L))
                            b0 <- next<'L, 'V> w x 0L b0
                            b1 <- next<'L, 'V> w x in1 b1
                            b2 <- next<'L, 'V> w x in2 b2

                            if 'K.Count > 3 then
                                b3 <- next<'L, 'V> w x in3 b3

                            if 'K.Count > 4 then
                                b4 <- next<'L, 'V> w x in4 b4

                            s <- s + 2L

                    while s < slotTo do
                        let w = weight<'L, 'V> values s
                        let x = p.Input(tile, width, s)
                        a0 <- next<'L, 'V> w x 0L a0

                        if 'K.Count > 1 then
                            a1 <- next<'L, 'V> w x in1 a1

                        if 'K.Count > 2 then
                            a2 <- next<'L, 'V> w x in2 a2

                        if 'K.Count > 3 then
                            a3 <- next<'L, 'V> w x in3 a3

                        if 'K.Count > 4 then
                            a4 <- next<'L, 'V> w x in4 a4

                        s <- s + 1L

                    if 'K.Count <= 2 then
                        'L.Store(yRow, 'L.Add('L.Add(a0, b0), 'L.Add(c0, d0)))

                        if 'K.Count > 1 then
                            'L.Store(Pointer.at yRow out1, 'L.Add('L.Add(a1, b1), 'L.Add(c1, d1)))
                    else
                        'L.Store(yRow, 'L.Add(a0, b0))
                        'L.Store(Pointer.at yRow out1, 'L.Add(a1, b1))
                        'L.Store(Pointer.at yRow out2, 'L.Add(a2, b2))

                        if 'K.Count > 3 then
                            'L.Store(Pointer.at yRow out3, 'L.Add(a3, b3))

                        if 'K.Count > 4 then
                            'L.Store(Pointer.at yRow in4, 'L.Add(a4, b4))

                    t <- t + 1
        )
