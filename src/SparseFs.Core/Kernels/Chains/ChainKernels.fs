namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open System.Runtime.Intrinsics
open SparseFs

/// What stands between the products of a chain, at one width.
[<AbstractClass>]
type internal ChainKernels() =
    abstract Activate:
        activation: ChainActivation *
        x: nativeptr<float32> *
        rows: int *
        wide: int *
        values: nativeptr<float32> *
        slopes: nativeptr<float32> ->
            unit

    abstract Scale: g: nativeptr<float32> * count: int64 * times: int * slopes: nativeptr<float32> -> unit

    abstract Normalize:
        x: nativeptr<float32> *
        rows: int *
        vectors: int *
        epsilon: float32 *
        scale: nativeptr<float32> *
        shift: nativeptr<float32> *
        y: nativeptr<float32> *
        deviations: nativeptr<float32> ->
            unit

    abstract NormalizeBackward:
        normal: nativeptr<float32> *
        rows: int *
        vectors: int *
        scale: nativeptr<float32> *
        deviations: nativeptr<float32> *
        g: nativeptr<float32> *
        ofScale: nativeptr<float32> *
        ofShift: nativeptr<float32> ->
            unit

    abstract AddRows: samples: int * features: int * x: MatrixView * y: MatrixView -> unit

[<Sealed>]
type internal ChainKernels<'L, 'A, 'R, 'V
    when 'L: struct
    and 'L :> ISimdVector<'V>
    and 'A: struct
    and 'A :> IVectorExponents<'V>
    and 'R: struct
    and 'R :> IVectorRoots<'V>
    and 'V: struct>() =
    inherit ChainKernels()

    override _.Activate(activation, x, rows, wide, values, slopes) =
        TileActivations.activate<'L, 'A, 'V> activation x rows wide values slopes

    override _.Scale(g, count, times, slopes) =
        ChainTile.scale<'L, 'V> g count times slopes

    override _.Normalize(x, rows, vectors, epsilon, scale, shift, y, deviations) =
        ChainTile.normalize<'L, 'R, 'V> x rows vectors epsilon scale shift y deviations

    override _.NormalizeBackward(normal, rows, vectors, scale, deviations, g, ofScale, ofShift) =
        ChainTile.normalizeBackward<'L, 'V> normal rows vectors scale deviations g ofScale ofShift

    override _.AddRows(samples, features, x, y) =
        ChainTile.addRows<'L, 'V> samples features x.Data (int64 x.Stride) y.Data (int64 y.Stride)

/// The same of each width.
[<RequireQualifiedAccess>]
module internal ChainTable =

    let private scalar =
        ChainKernels<SimdScalar, ExponentsScalar, RootsScalar, float32>()

    let private v128 =
        ChainKernels<Simd128, Exponents128, Roots128, Vector128<float32>>()

    let private v256 =
        ChainKernels<Simd256, Exponents256, Roots256, Vector256<float32>>()

    let private v512 =
        ChainKernels<Simd512, Exponents512, Roots512, Vector512<float32>>()

    let ofWidth (width: Width) : ChainKernels =
        match width with
        | Width.Scalar -> scalar
        | Width.V128 -> v128
        | Width.V256 -> v256
        | _ -> v512
