namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3535"

open System.Runtime.CompilerServices
open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop
open SparseFs

/// One key: no vectors are asked for.
[<Struct>]
type internal SimdKeysScalar =
    interface ISimdKeys<int> with
        static member Count = 1

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Broadcast key = key

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Load p = NativePtr.read p

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Store(p, key) = NativePtr.write p key

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member KeysOf x = OrderedKey.signed (NativePtr.read x)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member KeysOfProducts(x, factors) =
            OrderedKey.signed (NativePtr.read x * NativePtr.read factors)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member KeysOfSums(x, addends) =
            OrderedKey.signed (NativePtr.read x + NativePtr.read addends)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Lower(a, b) = min a b

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Higher(a, b) = max a b

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Above(a, b) = if a > b then -1 else 0

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Equal(a, b) = if a = b then -1 else 0

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Subtract(a, b) = a - b

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Sum key = key

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Bits key = uint32 key >>> 31

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member OfBits bits = -(int (bits &&& 1u))

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Keep(mask, src, dst) =
            NativePtr.write dst (if mask < 0 then NativePtr.read src else 0.0f)

/// 128 bits: x86 and Arm64.
[<Struct>]
type internal SimdKeys128 =

    static member inline private Of(scores: Vector128<float32>) : Vector128<int> =
        let isZero = Vector128.Equals(scores, Vector128<float32>.Zero).AsInt32()
        let bits = Vector128.AndNot(scores.AsInt32(), isZero)

        let flip =
            Vector128.ShiftRightArithmetic(bits, 31)
            &&& Vector128.Create OrderedKey.Magnitude

        let isNumber = Vector128.Equals(scores, scores).AsInt32()
        Vector128.ConditionalSelect(isNumber, bits ^^^ flip, Vector128.Create OrderedKey.OfNaN)

    interface ISimdKeys<Vector128<int>> with
        static member Count = 4

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Broadcast key = Vector128.Create(key: int)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Load p = Vector128.Load p

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Store(p, keys) = Vector128.Store(keys, p)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member KeysOf x = SimdKeys128.Of(Vector128.Load x)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member KeysOfProducts(x, factors) =
            SimdKeys128.Of(Vector128.Load x * Vector128.Load factors)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member KeysOfSums(x, addends) =
            SimdKeys128.Of(Vector128.Load x + Vector128.Load addends)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Lower(a, b) = Vector128.Min(a, b)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Higher(a, b) = Vector128.Max(a, b)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Above(a, b) = Vector128.GreaterThan(a, b)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Equal(a, b) = Vector128.Equals(a, b)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Subtract(a, b) = a - b

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Sum keys = Vector128.Sum keys

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Bits keys =
            Vector128.ExtractMostSignificantBits keys

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member OfBits bits =
            let lanes = Vector128.Create(1, 2, 4, 8)
            Vector128.Equals(Vector128.Create(int bits) &&& lanes, lanes)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Keep(mask, src, dst) =
            Vector128.Store(((Vector128.Load src).AsInt32() &&& mask).AsSingle(), dst)

/// 256 bits: AVX2.
[<Struct>]
type internal SimdKeys256 =

    static member inline private Of(scores: Vector256<float32>) : Vector256<int> =
        let isZero = Vector256.Equals(scores, Vector256<float32>.Zero).AsInt32()
        let bits = Vector256.AndNot(scores.AsInt32(), isZero)

        let flip =
            Vector256.ShiftRightArithmetic(bits, 31)
            &&& Vector256.Create OrderedKey.Magnitude

        let isNumber = Vector256.Equals(scores, scores).AsInt32()
        Vector256.ConditionalSelect(isNumber, bits ^^^ flip, Vector256.Create OrderedKey.OfNaN)

    interface ISimdKeys<Vector256<int>> with
        static member Count = 8

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Broadcast key = Vector256.Create(key: int)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Load p = Vector256.Load p

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Store(p, keys) = Vector256.Store(keys, p)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member KeysOf x = SimdKeys256.Of(Vector256.Load x)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member KeysOfProducts(x, factors) =
            SimdKeys256.Of(Vector256.Load x * Vector256.Load factors)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member KeysOfSums(x, addends) =
            SimdKeys256.Of(Vector256.Load x + Vector256.Load addends)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Lower(a, b) = Vector256.Min(a, b)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Higher(a, b) = Vector256.Max(a, b)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Above(a, b) = Vector256.GreaterThan(a, b)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Equal(a, b) = Vector256.Equals(a, b)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Subtract(a, b) = a - b

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Sum keys = Vector256.Sum keys

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Bits keys =
            Vector256.ExtractMostSignificantBits keys

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member OfBits bits =
            let lanes = Vector256.Create(1, 2, 4, 8, 16, 32, 64, 128)
            Vector256.Equals(Vector256.Create(int bits) &&& lanes, lanes)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Keep(mask, src, dst) =
            Vector256.Store(((Vector256.Load src).AsInt32() &&& mask).AsSingle(), dst)

/// 512 bits: AVX-512.
[<Struct>]
type internal SimdKeys512 =

    static member inline private Of(scores: Vector512<float32>) : Vector512<int> =
        let isZero = Vector512.Equals(scores, Vector512<float32>.Zero).AsInt32()
        let bits = Vector512.AndNot(scores.AsInt32(), isZero)

        let flip =
            Vector512.ShiftRightArithmetic(bits, 31)
            &&& Vector512.Create OrderedKey.Magnitude

        let isNumber = Vector512.Equals(scores, scores).AsInt32()
        Vector512.ConditionalSelect(isNumber, bits ^^^ flip, Vector512.Create OrderedKey.OfNaN)

    interface ISimdKeys<Vector512<int>> with
        static member Count = 16

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Broadcast key = Vector512.Create(key: int)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Load p = Vector512.Load p

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Store(p, keys) = Vector512.Store(keys, p)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member KeysOf x = SimdKeys512.Of(Vector512.Load x)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member KeysOfProducts(x, factors) =
            SimdKeys512.Of(Vector512.Load x * Vector512.Load factors)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member KeysOfSums(x, addends) =
            SimdKeys512.Of(Vector512.Load x + Vector512.Load addends)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Lower(a, b) = Vector512.Min(a, b)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Higher(a, b) = Vector512.Max(a, b)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Above(a, b) = Vector512.GreaterThan(a, b)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Equal(a, b) = Vector512.Equals(a, b)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Subtract(a, b) = a - b

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Sum keys = Vector512.Sum keys

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Bits keys =
            uint32 (Vector512.ExtractMostSignificantBits keys)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member OfBits bits =
            let lanes =
                Vector512.Create(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)

            Vector512.Equals(Vector512.Create(int bits) &&& lanes, lanes)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Keep(mask, src, dst) =
            Vector512.Store(((Vector512.Load src).AsInt32() &&& mask).AsSingle(), dst)
