namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open SparseFs

/// <summary>Logistic sigmoid and tanh of numbers beside each other, in place, whole vectors at a time.</summary>
/// <remarks>What lies behind the last number, up to a whole vector, is changed too. Oracle: as Activations.</remarks>
[<RequireQualifiedAccess>]
module internal ActivationRuns =

    [<AggressiveOptimization>]
    let private sigmoidOf<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        (x: nativeptr<float32>)
        (count: int64)
        =
        let mutable i = 0L

        while i < count do
            let own = Pointer.at x i
            'L.Store(own, Activations.sigmoid<'L, 'A, 'V>('L.Load own))
            i <- i + int64 'L.Count

    [<AggressiveOptimization>]
    let private tanhOf<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        (x: nativeptr<float32>)
        (count: int64)
        =
        let mutable i = 0L

        while i < count do
            let own = Pointer.at x i
            'L.Store(own, Activations.tanh<'L, 'A, 'V>('L.Load own))
            i <- i + int64 'L.Count

    let sigmoid (width: Width) (x: nativeptr<float32>) (count: int64) : unit =
        match width with
        | Width.V512 -> sigmoidOf<Simd512, Exponents512, _> x count
        | Width.V256 -> sigmoidOf<Simd256, Exponents256, _> x count
        | Width.V128 -> sigmoidOf<Simd128, Exponents128, _> x count
        | _ -> sigmoidOf<SimdScalar, ExponentsScalar, _> x count

    let tanh (width: Width) (x: nativeptr<float32>) (count: int64) : unit =
        match width with
        | Width.V512 -> tanhOf<Simd512, Exponents512, _> x count
        | Width.V256 -> tanhOf<Simd256, Exponents256, _> x count
        | Width.V128 -> tanhOf<Simd128, Exponents128, _> x count
        | _ -> tanhOf<SimdScalar, ExponentsScalar, _> x count
