namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open System
open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>Rows of scores: one query's, of the keys that it sees. A row is whole vectors wide, and 0 behind the keys that are seen.</summary>
module internal ScoreRows =

    /// What lies behind the keys that are seen, to the row's end.
    let inline private clearBehind (row: nativeptr<float32>) (seen: int) (wide: int) =
        for j in seen .. wide - 1 do
            Pointer.set row j 0.0f

    /// The last vector's numbers behind the keys that are seen become −∞.
    let inline private hideInLast (row: nativeptr<float32>) (seen: int) (lanes: int) =
        for j in seen .. (seen + lanes - 1) / lanes * lanes - 1 do
            Pointer.set row j Single.NegativeInfinity

    /// <summary>row becomes e^(scale · (score − the largest)); the logarithm of the sum of all e^(scale · score), and 1 / the sum of the row.</summary>
    /// <remarks>The weights of the softmax are the row times the second result.</remarks>
    [<AggressiveOptimization>]
    let exponentials<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        (row: nativeptr<float32>)
        (seen: int)
        (wide: int)
        (scale: float32)
        : struct (float32 * float32) =
        let lanes = 'L.Count
        hideInLast row seen lanes
        let room = NativePtr.stackalloc<float32> lanes
        let all = 'L.Broadcast Single.PositiveInfinity
        let mutable most = 'L.Load row
        let mutable j = lanes

        // NaN is of no account here: its exponential is NaN whatever is taken off.
        while j < seen do
            most <- 'A.Clamp('L.Load(Pointer.at row (int64 j)), most, all)
            j <- j + lanes

        'L.Store(room, most)
        let mutable largest = Pointer.get room 0

        for i in 1 .. lanes - 1 do
            let other = Pointer.get room i

            if other > largest then
                largest <- other

        let scales, minus = 'L.Broadcast scale, 'L.Broadcast(-largest * scale)
        let mutable sums = 'L.Zero
        j <- 0

        while j < seen do
            let place = Pointer.at row (int64 j)

            let e =
                ActivationSlopes.exp<'L, 'A, 'V>('L.MultiplyAdd('L.Load place, scales, minus))

            'L.Store(place, e)
            sums <- 'L.Add(sums, e)
            j <- j + lanes

        clearBehind row seen wide
        let sum = ('L.Sum4(sums, 'L.Zero, 'L.Zero, 'L.Zero))[0]
        struct (scale * largest + MathF.Log sum, 1.0f / sum)

    /// row becomes e^(scale · score − logarithm): the weights of the softmax.
    [<AggressiveOptimization>]
    let weights<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        (row: nativeptr<float32>)
        (seen: int)
        (wide: int)
        (scale: float32)
        (logarithm: float32)
        =
        let scales, minus = 'L.Broadcast scale, 'L.Broadcast -logarithm
        let mutable j = 0

        while j < seen do
            let place = Pointer.at row (int64 j)
            'L.Store(place, ActivationSlopes.exp<'L, 'A, 'V>('L.MultiplyAdd('L.Load place, scales, minus)))
            j <- j + 'L.Count

        clearBehind row seen wide

    /// gradients becomes that of the scores: scale · weight · (gradient of the weight − mean).
    [<AggressiveOptimization>]
    let backward<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (weights: nativeptr<float32>)
        (wide: int)
        (scale: float32)
        (mean: float32)
        (gradients: nativeptr<float32>)
        =
        let scales, minus = 'L.Broadcast scale, 'L.Broadcast -mean
        let mutable j = 0

        while j < wide do
            let place = Pointer.at gradients (int64 j)
            let weight = 'L.Multiply('L.Load(Pointer.at weights (int64 j)), scales)
            'L.Store(place, 'L.Multiply('L.Add('L.Load place, minus), weight))
            j <- j + 'L.Count

    /// to' [count] = from · factor
    [<AggressiveOptimization>]
    let scaled<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (from: nativeptr<float32>)
        (count: int)
        (factor: float32)
        (to': nativeptr<float32>)
        =
        let lanes = 'L.Count
        let factors = 'L.Broadcast factor
        let mutable i = 0

        while i + lanes <= count do
            'L.Store(Pointer.at to' (int64 i), 'L.Multiply('L.Load(Pointer.at from (int64 i)), factors))
            i <- i + lanes

        while i < count do
            Pointer.set to' i (Pointer.get from i * factor)
            i <- i + 1

    /// Σ x · y
    [<AggressiveOptimization>]
    let dot<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (x: nativeptr<float32>)
        (y: nativeptr<float32>)
        (count: int)
        : float32 =
        let lanes = 'L.Count
        let mutable sums = 'L.Zero
        let mutable i = 0

        while i + lanes <= count do
            sums <- 'L.MultiplyAdd('L.Load(Pointer.at x (int64 i)), 'L.Load(Pointer.at y (int64 i)), sums)
            i <- i + lanes

        let mutable sum = ('L.Sum4(sums, 'L.Zero, 'L.Zero, 'L.Zero))[0]

        while i < count do
            sum <- sum + Pointer.get x i * Pointer.get y i
            i <- i + 1

        sum
