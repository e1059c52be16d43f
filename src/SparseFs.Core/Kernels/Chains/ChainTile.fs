namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>What stands between products over a tile [rows, W], where W is the tile's samples made up to whole vectors.</summary>
/// <remarks>Tiles overlap nothing unless it is said.</remarks>
module internal ChainTile =

    /// slopes [times · count] become gradients: each times that of its value, g [count].
    [<AggressiveOptimization>]
    let scale<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (g: nativeptr<float32>)
        (count: int64)
        (times: int)
        (slopes: nativeptr<float32>)
        =
        let lanes = int64 'L.Count

        for part in 0 .. times - 1 do
            let slopes = Pointer.at slopes (int64 part * count)
            let mutable i = 0L

            while i < count do
                let place = Pointer.at slopes i
                'L.Store(place, 'L.Multiply('L.Load place, 'L.Load(Pointer.at g i)))
                i <- i + lanes

    /// <summary>Layer normalization of the samples of x [rows, W], in place; x becomes (x − mean) / √(variance + ε), and y, which may be x, that
    /// times a scale plus a shift [rows], each of which may be null for 1 and 0. deviations [W] gets 1 / √(variance + ε).</summary>
    /// <remarks>Ba et al. 2016, arXiv 1607.06450. Mean first, then the squares of what is left: the rows in turn.</remarks>
    [<AggressiveOptimization>]
    let normalize<'L, 'R, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'R: struct and 'R :> IVectorRoots<'V> and 'V: struct>
        (x: nativeptr<float32>)
        (rows: int)
        (vectors: int)
        (epsilon: float32)
        (scale: nativeptr<float32>)
        (shift: nativeptr<float32>)
        (y: nativeptr<float32>)
        (deviations: nativeptr<float32>)
        =
        let lanes = int64 'L.Count
        let wide = int64 vectors * lanes
        let part = 'L.Broadcast(1.0f / float32 rows)
        let hasScale, hasShift = not (Pointer.isNull scale), not (Pointer.isNull shift)

        for v in 0 .. vectors - 1 do
            let column = Pointer.at x (int64 v * lanes)
            let into = Pointer.at y (int64 v * lanes)
            let mutable sum = 'L.Zero
            let mutable r = 0

            while r < rows do
                sum <- 'L.Add(sum, 'L.Load(Pointer.at column (int64 r * wide)))
                r <- r + 1

            let minusMean = 'L.Multiply('L.Multiply(sum, part), 'L.Broadcast -1.0f)
            let mutable squares = 'L.Zero
            r <- 0

            while r < rows do
                let place = Pointer.at column (int64 r * wide)
                let d = 'L.Add('L.Load place, minusMean)
                'L.Store(place, d)
                squares <- 'L.MultiplyAdd(d, d, squares)
                r <- r + 1

            let variance = 'L.MultiplyAdd(squares, part, 'L.Broadcast epsilon)
            let deviation = 'R.Divide('L.Broadcast 1.0f, 'R.Sqrt variance)
            'L.Store(Pointer.at deviations (int64 v * lanes), deviation)
            r <- 0

            while r < rows do
                let place = Pointer.at column (int64 r * wide)
                let normal = 'L.Multiply('L.Load place, deviation)
                'L.Store(place, normal)
                let mutable out = normal

                if hasScale then
                    out <- 'L.Multiply(out, 'L.Broadcast(Pointer.get scale r))

                if hasShift then
                    out <- 'L.Add(out, 'L.Broadcast(Pointer.get shift r))

                'L.Store(Pointer.at into (int64 r * wide), out)
                r <- r + 1

    /// <summary>The derivative of normalize: g [rows, W], the gradient of y, becomes that of x, from the normal x and its deviations. The sums over
    /// samples for scale and shift, [rows], are added to where they are not null.</summary>
    [<AggressiveOptimization>]
    let normalizeBackward<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (normal: nativeptr<float32>)
        (rows: int)
        (vectors: int)
        (scale: nativeptr<float32>)
        (deviations: nativeptr<float32>)
        (g: nativeptr<float32>)
        (ofScale: nativeptr<float32>)
        (ofShift: nativeptr<float32>)
        =
        let lanes = int64 'L.Count
        let wide = int64 vectors * lanes
        let minusPart = 'L.Broadcast(-1.0f / float32 rows)
        let hasScale = not (Pointer.isNull scale)

        let wantsScale, wantsShift =
            not (Pointer.isNull ofScale), not (Pointer.isNull ofShift)

        if wantsScale || wantsShift then
            for r in 0 .. rows - 1 do
                let mutable scales = 'L.Zero
                let mutable shifts = 'L.Zero
                let mutable v = 0

                while v < vectors do
                    let at = int64 r * wide + int64 v * lanes
                    let up = 'L.Load(Pointer.at g at)
                    scales <- 'L.MultiplyAdd(up, 'L.Load(Pointer.at normal at), scales)
                    shifts <- 'L.Add(shifts, up)
                    v <- v + 1

                let sums = 'L.Sum4(scales, shifts, 'L.Zero, 'L.Zero)

                if wantsScale then
                    Pointer.set ofScale r (Pointer.get ofScale r + sums[0])

                if wantsShift then
                    Pointer.set ofShift r (Pointer.get ofShift r + sums[1])

        for v in 0 .. vectors - 1 do
            let column, up = Pointer.at normal (int64 v * lanes), Pointer.at g (int64 v * lanes)
            let mutable sum = 'L.Zero
            let mutable products = 'L.Zero
            let mutable r = 0

            while r < rows do
                let place = Pointer.at up (int64 r * wide)
                let mutable d = 'L.Load place

                if hasScale then
                    d <- 'L.Multiply(d, 'L.Broadcast(Pointer.get scale r))
                    'L.Store(place, d)

                sum <- 'L.Add(sum, d)
                products <- 'L.MultiplyAdd(d, 'L.Load(Pointer.at column (int64 r * wide)), products)
                r <- r + 1

            let minusMean = 'L.Multiply(sum, minusPart)
            let minusSlope = 'L.Multiply(products, minusPart)
            let deviation = 'L.Load(Pointer.at deviations (int64 v * lanes))
            r <- 0

            while r < rows do
                let place = Pointer.at up (int64 r * wide)

                let d =
                    'L
                        .MultiplyAdd(
                            'L.Load(Pointer.at column (int64 r * wide)),
                            minusSlope,
                            'L.Add('L.Load place, minusMean)
                        )

                'L.Store(place, 'L.Multiply(d, deviation))
                r <- r + 1

    /// y [samples, features] += x, rows of so many floats from each other.
    [<AggressiveOptimization>]
    let addRows<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (samples: int)
        (features: int)
        (x: nativeptr<float32>)
        (ofX: int64)
        (y: nativeptr<float32>)
        (ofY: int64)
        =
        let lanes = 'L.Count

        for i in 0 .. samples - 1 do
            let from, into = Pointer.at x (int64 i * ofX), Pointer.at y (int64 i * ofY)
            let mutable j = 0

            while j + lanes <= features do
                let place = Pointer.at into (int64 j)
                'L.Store(place, 'L.Add('L.Load place, 'L.Load(Pointer.at from (int64 j))))
                j <- j + lanes

            while j < features do
                Pointer.set into j (Pointer.get into j + Pointer.get from j)
                j <- j + 1
