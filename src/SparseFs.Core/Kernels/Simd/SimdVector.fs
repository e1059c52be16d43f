namespace SparseFs.Kernels

#nowarn "9" // pointers: a kernel does not check bounds, its caller has
#nowarn "3535" // an interface with static members: the one way to hand a vector width to the JIT as a type

open System.Runtime.CompilerServices
open System.Runtime.Intrinsics
open System.Runtime.Intrinsics.X86
open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>What a kernel asks of a vector of Count floats. Each width is a struct that the JIT specialises the kernels for.</summary>
/// <remarks>What is called for each vector says that it is inlined: one that were called would run as .NET compiles it first,
/// unoptimised, where the JIT finds it too large.</remarks>
type internal ISimdVector<'V when 'V: struct> =
    static abstract Count: int
    static abstract Zero: 'V
    static abstract Broadcast: float32 -> 'V
    static abstract Load: nativeptr<float32> -> 'V
    static abstract Store: nativeptr<float32> * 'V -> unit
    static abstract Add: 'V * 'V -> 'V
    static abstract Multiply: 'V * 'V -> 'V
    /// a · b + c, in one rounding where the machine has it.
    static abstract MultiplyAdd: a: 'V * b: 'V * c: 'V -> 'V
    static abstract Abs: 'V -> 'V
    /// Bit i is set where a[i] >= b[i]; never where one is NaN.
    static abstract AtLeast: a: 'V * b: 'V -> uint32
    /// Bit i is set where x[i] is not 0; −0 is, NaN is not.
    static abstract NonZeros: x: 'V -> uint32
    /// The sums over the lanes of four vectors, as the four lanes of one.
    static abstract Sum4: 'V * 'V * 'V * 'V -> Vector128<float32>
    /// dst[j · ldd + i] = src[i · lds + j] for i, j < Count. No overlap.
    static abstract Transpose: src: nativeptr<float32> * lds: int64 * dst: nativeptr<float32> * ldd: int64 -> unit

[<Struct>]
type internal SimdScalar =
    interface ISimdVector<float32> with
        static member Count = 1
        static member Zero = 0.0f
        static member Broadcast x = x
        static member Load p = NativePtr.read p
        static member Store(p, v) = NativePtr.write p v
        static member Add(a, b) = a + b
        static member Multiply(a, b) = a * b
        static member MultiplyAdd(a, b, c) = a * b + c

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Abs x = System.MathF.Abs x

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member AtLeast(a, b) = if a >= b then 1u else 0u

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member NonZeros x = if x <> 0.0f then 1u else 0u

        static member Sum4(a, b, c, d) = Vector128.Create(a, b, c, d)

        static member Transpose(src, _, dst, _) =
            NativePtr.write dst (NativePtr.read src)

/// What 128 bits do across lanes, by SSE and by any machine: the same bits, so that tests on one speak for the other.
module internal Shuffles128 =

    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    let sum4OfSse (a: Vector128<float32>) b c d : Vector128<float32> =
        let ab = Sse.UnpackLow(a, b) + Sse.UnpackHigh(a, b)
        let cd = Sse.UnpackLow(c, d) + Sse.UnpackHigh(c, d)
        Sse.MoveLowToHigh(ab, cd) + Sse.MoveHighToLow(cd, ab)

    let inline private sum (x: Vector128<float32>) : float32 =
        (x.GetElement 0 + x.GetElement 2) + (x.GetElement 1 + x.GetElement 3)

    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    let sum4 (a: Vector128<float32>) b c d : Vector128<float32> =
        Vector128.Create(sum a, sum b, sum c, sum d)

    let inline private rows (src: nativeptr<float32>) (lds: int64) =
        struct (Vector128.Load src,
                Vector128.Load(Pointer.at src lds),
                Vector128.Load(Pointer.at src (2L * lds)),
                Vector128.Load(Pointer.at src (3L * lds)))

    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    let transposeOfSse (src: nativeptr<float32>) (lds: int64) (dst: nativeptr<float32>) (ldd: int64) =
        let struct (a, b, c, d) = rows src lds
        let abLow, abHigh = Sse.UnpackLow(a, b), Sse.UnpackHigh(a, b)
        let cdLow, cdHigh = Sse.UnpackLow(c, d), Sse.UnpackHigh(c, d)
        Vector128.Store(Sse.MoveLowToHigh(abLow, cdLow), dst)
        Vector128.Store(Sse.MoveHighToLow(cdLow, abLow), Pointer.at dst ldd)
        Vector128.Store(Sse.MoveLowToHigh(abHigh, cdHigh), Pointer.at dst (2L * ldd))
        Vector128.Store(Sse.MoveHighToLow(cdHigh, abHigh), Pointer.at dst (3L * ldd))

    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    let transpose (src: nativeptr<float32>) (lds: int64) (dst: nativeptr<float32>) (ldd: int64) =
        let struct (a, b, c, d) = rows src lds

        for j in 0..3 do
            let column =
                Vector128.Create(a.GetElement j, b.GetElement j, c.GetElement j, d.GetElement j)

            Vector128.Store(column, Pointer.at dst (int64 j * ldd))

/// 128 bits: x86 and Arm64.
[<Struct>]
type internal Simd128 =
    interface ISimdVector<Vector128<float32>> with
        static member Count = 4
        static member Zero = Vector128<float32>.Zero
        static member Broadcast x = Vector128.Create x
        static member Load p = Vector128.Load p
        static member Store(p, v) = Vector128.Store(v, p)
        static member Add(a, b) = a + b
        static member Multiply(a, b) = a * b
        static member MultiplyAdd(a, b, c) = Vector128.MultiplyAddEstimate(a, b, c)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Abs x = Vector128.Abs x


        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member AtLeast(a, b) =
            Vector128.ExtractMostSignificantBits(Vector128.GreaterThanOrEqual(a, b))


        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member NonZeros x =
            ~~~(Vector128.ExtractMostSignificantBits(Vector128.Equals(x, Vector128<float32>.Zero)))
            &&& 0xFu

        static member Sum4(a, b, c, d) =
            if Sse.IsSupported then
                Shuffles128.sum4OfSse a b c d
            else
                Shuffles128.sum4 a b c d

        [<AggressiveOptimization>]
        static member Transpose(src, lds, dst, ldd) =
            if Sse.IsSupported then
                Shuffles128.transposeOfSse src lds dst ldd
            else
                Shuffles128.transpose src lds dst ldd

/// 256 bits: AVX2 with FMA.
[<Struct>]
type internal Simd256 =

    /// Four rows of eight: in half h of result j stand the four elements of column 4h + j.
    static member inline private Quad(src: nativeptr<float32>, lds: int64) =
        let a = Vector256.Load src
        let b = Vector256.Load(Pointer.at src lds)
        let c = Vector256.Load(Pointer.at src (2L * lds))
        let d = Vector256.Load(Pointer.at src (3L * lds))
        let abLow, abHigh = Avx.UnpackLow(a, b).AsDouble(), Avx.UnpackHigh(a, b).AsDouble()
        let cdLow, cdHigh = Avx.UnpackLow(c, d).AsDouble(), Avx.UnpackHigh(c, d).AsDouble()

        struct (Avx.UnpackLow(abLow, cdLow).AsSingle(),
                Avx.UnpackHigh(abLow, cdLow).AsSingle(),
                Avx.UnpackLow(abHigh, cdHigh).AsSingle(),
                Avx.UnpackHigh(abHigh, cdHigh).AsSingle())

    static member inline private Columns
        (top: Vector256<float32>, bottom: Vector256<float32>, dst: nativeptr<float32>, ldd: int64)
        =
        Vector256.Store(Avx.Permute2x128(top, bottom, 0x20uy), dst)
        Vector256.Store(Avx.Permute2x128(top, bottom, 0x31uy), Pointer.at dst (4L * ldd))

    interface ISimdVector<Vector256<float32>> with
        static member Count = 8
        static member Zero = Vector256<float32>.Zero
        static member Broadcast x = Vector256.Create x
        static member Load p = Vector256.Load p
        static member Store(p, v) = Vector256.Store(v, p)
        static member Add(a, b) = a + b
        static member Multiply(a, b) = a * b
        static member MultiplyAdd(a, b, c) = Vector256.MultiplyAddEstimate(a, b, c)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Abs x = Vector256.Abs x


        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member AtLeast(a, b) =
            Vector256.ExtractMostSignificantBits(Vector256.GreaterThanOrEqual(a, b))


        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member NonZeros x =
            ~~~(Vector256.ExtractMostSignificantBits(Vector256.Equals(x, Vector256<float32>.Zero)))
            &&& 0xFFu

        static member Sum4(a, b, c, d) =
            let ab = (Avx.UnpackLow(a, b) + Avx.UnpackHigh(a, b)).AsDouble()
            let cd = (Avx.UnpackLow(c, d) + Avx.UnpackHigh(c, d)).AsDouble()
            let sums = Avx.UnpackLow(ab, cd).AsSingle() + Avx.UnpackHigh(ab, cd).AsSingle()
            sums.GetLower() + sums.GetUpper()

        [<AggressiveOptimization>]
        static member Transpose(src, lds, dst, ldd) =
            let struct (top0, top1, top2, top3) = Simd256.Quad(src, lds)
            let struct (low0, low1, low2, low3) = Simd256.Quad(Pointer.at src (4L * lds), lds)
            Simd256.Columns(top0, low0, dst, ldd)
            Simd256.Columns(top1, low1, Pointer.at dst ldd, ldd)
            Simd256.Columns(top2, low2, Pointer.at dst (2L * ldd), ldd)
            Simd256.Columns(top3, low3, Pointer.at dst (3L * ldd), ldd)

/// 512 bits: AVX-512F.
[<Struct>]
type internal Simd512 =

    /// Four rows of sixteen: in quarter q of result j stand the four elements of column 4q + j.
    static member inline private Quad(src: nativeptr<float32>, lds: int64) =
        let a = Vector512.Load src
        let b = Vector512.Load(Pointer.at src lds)
        let c = Vector512.Load(Pointer.at src (2L * lds))
        let d = Vector512.Load(Pointer.at src (3L * lds))

        let abLow, abHigh =
            Avx512F.UnpackLow(a, b).AsDouble(), Avx512F.UnpackHigh(a, b).AsDouble()

        let cdLow, cdHigh =
            Avx512F.UnpackLow(c, d).AsDouble(), Avx512F.UnpackHigh(c, d).AsDouble()

        struct (Avx512F.UnpackLow(abLow, cdLow).AsSingle(),
                Avx512F.UnpackHigh(abLow, cdLow).AsSingle(),
                Avx512F.UnpackLow(abHigh, cdHigh).AsSingle(),
                Avx512F.UnpackHigh(abHigh, cdHigh).AsSingle())

    /// Columns j, 4 + j, 8 + j and 12 + j from result j of the four quads; dst points at column j.
    static member inline private Columns
        (
            a: Vector512<float32>,
            b: Vector512<float32>,
            c: Vector512<float32>,
            d: Vector512<float32>,
            dst: nativeptr<float32>,
            ldd: int64
        ) =
        let abEven, abOdd =
            Avx512F.Shuffle4x128(a, b, 0x88uy), Avx512F.Shuffle4x128(a, b, 0xDDuy)

        let cdEven, cdOdd =
            Avx512F.Shuffle4x128(c, d, 0x88uy), Avx512F.Shuffle4x128(c, d, 0xDDuy)

        Vector512.Store(Avx512F.Shuffle4x128(abEven, cdEven, 0x88uy), dst)
        Vector512.Store(Avx512F.Shuffle4x128(abOdd, cdOdd, 0x88uy), Pointer.at dst (4L * ldd))
        Vector512.Store(Avx512F.Shuffle4x128(abEven, cdEven, 0xDDuy), Pointer.at dst (8L * ldd))
        Vector512.Store(Avx512F.Shuffle4x128(abOdd, cdOdd, 0xDDuy), Pointer.at dst (12L * ldd))

    interface ISimdVector<Vector512<float32>> with
        static member Count = 16
        static member Zero = Vector512<float32>.Zero
        static member Broadcast x = Vector512.Create x
        static member Load p = Vector512.Load p
        static member Store(p, v) = Vector512.Store(v, p)
        static member Add(a, b) = a + b
        static member Multiply(a, b) = a * b
        static member MultiplyAdd(a, b, c) = Vector512.MultiplyAddEstimate(a, b, c)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Abs x = Vector512.Abs x


        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member AtLeast(a, b) =
            uint32 (Vector512.ExtractMostSignificantBits(Vector512.GreaterThanOrEqual(a, b)))


        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member NonZeros x =
            ~~~(uint32 (Vector512.ExtractMostSignificantBits(Vector512.Equals(x, Vector512<float32>.Zero))))
            &&& 0xFFFFu

        static member Sum4(a, b, c, d) =
            let ab = (Avx512F.UnpackLow(a, b) + Avx512F.UnpackHigh(a, b)).AsDouble()
            let cd = (Avx512F.UnpackLow(c, d) + Avx512F.UnpackHigh(c, d)).AsDouble()

            let sums =
                Avx512F.UnpackLow(ab, cd).AsSingle() + Avx512F.UnpackHigh(ab, cd).AsSingle()

            let halves = sums.GetLower() + sums.GetUpper()
            halves.GetLower() + halves.GetUpper()

        [<AggressiveOptimization>]
        static member Transpose(src, lds, dst, ldd) =
            let struct (a0, a1, a2, a3) = Simd512.Quad(src, lds)
            let struct (b0, b1, b2, b3) = Simd512.Quad(Pointer.at src (4L * lds), lds)
            let struct (c0, c1, c2, c3) = Simd512.Quad(Pointer.at src (8L * lds), lds)
            let struct (d0, d1, d2, d3) = Simd512.Quad(Pointer.at src (12L * lds), lds)
            Simd512.Columns(a0, b0, c0, d0, dst, ldd)
            Simd512.Columns(a1, b1, c1, d1, Pointer.at dst ldd, ldd)
            Simd512.Columns(a2, b2, c2, d2, Pointer.at dst (2L * ldd), ldd)
            Simd512.Columns(a3, b3, c3, d3, Pointer.at dst (3L * ldd), ldd)
