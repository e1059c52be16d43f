namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open System.Runtime.Intrinsics
open SparseFs

/// What attention is made of, at one width.
[<AbstractClass>]
type internal AttentionKernels() =
    abstract Product:
        a: StridedView *
        b: nativeptr<float32> *
        bRow: int64 *
        rows: int *
        depth: int *
        vectors: int *
        accumulate: bool *
        c: nativeptr<float32> *
        cRow: int64 ->
            unit

    /// Rows [n, features] become columns [features, wide], n made up to whole vectors by zeros.
    abstract Transpose: x: MatrixView * n: int * features: int * columns: nativeptr<float32> * wide: int -> unit

    abstract Exponentials:
        row: nativeptr<float32> * seen: int * wide: int * scale: float32 -> struct (float32 * float32)

    abstract Weights: row: nativeptr<float32> * seen: int * wide: int * scale: float32 * logarithm: float32 -> unit

    abstract Backward:
        weights: nativeptr<float32> * wide: int * scale: float32 * mean: float32 * gradients: nativeptr<float32> -> unit

    abstract Scaled: from: nativeptr<float32> * count: int * factor: float32 * to': nativeptr<float32> -> unit
    abstract Dot: x: nativeptr<float32> * y: nativeptr<float32> * count: int -> float32

[<Sealed>]
type internal AttentionKernels<'L, 'A, 'V
    when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>() =
    inherit AttentionKernels()

    override _.Product(a, b, bRow, rows, depth, vectors, accumulate, c, cRow) =
        SmallProducts.product<'L, 'V> a b bRow rows depth vectors accumulate c cRow

    override _.Transpose(x, n, features, columns, wide) =
        Pack.tile<'L, 'V> x.Data (int64 x.Stride) n features columns wide

    override _.Exponentials(row, seen, wide, scale) =
        ScoreRows.exponentials<'L, 'A, 'V> row seen wide scale

    override _.Weights(row, seen, wide, scale, logarithm) =
        ScoreRows.weights<'L, 'A, 'V> row seen wide scale logarithm

    override _.Backward(weights, wide, scale, mean, gradients) =
        ScoreRows.backward<'L, 'V> weights wide scale mean gradients

    override _.Scaled(from, count, factor, to') =
        ScoreRows.scaled<'L, 'V> from count factor to'

    override _.Dot(x, y, count) = ScoreRows.dot<'L, 'V> x y count

/// The same of each width.
[<RequireQualifiedAccess>]
module internal AttentionTable =

    let private scalar = AttentionKernels<SimdScalar, ExponentsScalar, float32>()
    let private v128 = AttentionKernels<Simd128, Exponents128, Vector128<float32>>()
    let private v256 = AttentionKernels<Simd256, Exponents256, Vector256<float32>>()
    let private v512 = AttentionKernels<Simd512, Exponents512, Vector512<float32>>()

    let ofWidth (width: Width) : AttentionKernels =
        match width with
        | Width.Scalar -> scalar
        | Width.V128 -> v128
        | Width.V256 -> v256
        | _ -> v512
