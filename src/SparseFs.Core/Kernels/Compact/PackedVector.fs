namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3535"
#nowarn "3536"

open System.Runtime.CompilerServices
open System.Runtime.Intrinsics
open System.Runtime.Intrinsics.X86
open Microsoft.FSharp.NativeInterop

[<Struct>]
type internal PackedScalar =
    interface IPackedVector<float32> with
        static member OfFloat32 p = NativePtr.read p

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member OfBFloat16 p =
            System.BitConverter.UInt32BitsToSingle(uint32 (NativePtr.read p) <<< 16)

        static member OfInt8 p = float32 (NativePtr.read p)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Gather<'I when 'I: struct and 'I :> IColumns>(x, columns, slot) =
            Pointer.get x ('I.At(columns, slot))

        // One lane is there or the loop has ended.
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member GatherSome<'I when 'I: struct and 'I :> IColumns>(x, columns, slot, _) =
            Pointer.get x ('I.At(columns, slot))

        static member SpreadIndex(rows, part) = float32 (part / rows)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Spread(eight, index) = eight.GetElement(int index)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Fold(sums, _, into) = NativePtr.write into sums

/// 128 bits: x86 and Arm64.
[<Struct>]
type internal Packed128 =
    interface IPackedVector<Vector128<float32>> with
        static member OfFloat32 p = Vector128.Load p

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member OfBFloat16 p =
            let four =
                Vector128.CreateScalar(NativePtr.read (NativePtr.ofNativeInt<uint64>(NativePtr.toNativeInt p)))

            (Vector128.WidenLower(four.AsUInt16()) <<< 16).AsSingle()

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member OfInt8 p =
            let four =
                Vector128.CreateScalar(NativePtr.read (NativePtr.ofNativeInt<int>(NativePtr.toNativeInt p)))

            Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(four.AsSByte())))

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Gather<'I when 'I: struct and 'I :> IColumns>(x, columns, slot) =
            Vector128.Create(
                Pointer.get x ('I.At(columns, slot)),
                Pointer.get x ('I.At(columns, slot + 1L)),
                Pointer.get x ('I.At(columns, slot + 2L)),
                Pointer.get x ('I.At(columns, slot + 3L))
            )

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member GatherSome<'I when 'I: struct and 'I :> IColumns>(x, columns, slot, count) =
            let inputs =
                Vector128.Create(
                    Pointer.get x ('I.At(columns, slot)),
                    Pointer.get x ('I.At(columns, slot + 1L)),
                    Pointer.get x ('I.At(columns, slot + 2L)),
                    Pointer.get x ('I.At(columns, slot + 3L))
                )

            inputs
            &&& Vector128.LessThan(Vector128<int>.Indices, Vector128.Create(count: int)).AsSingle()

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member SpreadIndex(rows, part) =
            Vector128.Create(4 * part / rows: int).AsSingle()

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Spread(eight, index) =
            Vector128.Create(eight.GetElement(index.AsInt32().ToScalar()))

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Fold(sums, rows, into) =
            if rows = 1 then
                NativePtr.write into (Vector128.Sum sums)
            else
                Vector128.Store(sums, into)

/// 256 bits: AVX2 with FMA.
[<Struct>]
type internal Packed256 =

    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member Sum(sums: Vector256<float32>, rows: int, into: nativeptr<float32>) =
        if rows >= 8 then
            Vector256.Store(sums, into)
        else
            let four = sums.GetLower() + sums.GetUpper()

            if rows = 1 then
                NativePtr.write into (Vector128.Sum four)
            else
                Vector128.Store(four, into)

    interface IPackedVector<Vector256<float32>> with
        static member OfFloat32 p = Vector256.Load p

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member OfBFloat16(p: nativeptr<uint16>) =
            (Avx2.ConvertToVector256Int32 p <<< 16).AsSingle()

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member OfInt8(p: nativeptr<sbyte>) =
            Avx.ConvertToVector256Single(Avx2.ConvertToVector256Int32 p)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Gather<'I when 'I: struct and 'I :> IColumns>(x, columns, slot) =
            'I.Gather(x, columns, slot, EightInputs.all ())

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member GatherSome<'I when 'I: struct and 'I :> IColumns>(x, columns, slot, count) =
            'I.Gather(x, columns, slot, EightInputs.first count)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member SpreadIndex(rows, part) =
            let lane =
                Vector256<int>.Indices >>> System.Numerics.BitOperations.Log2(uint32 rows)

            (lane + Vector256.Create(8 * part / rows: int)).AsSingle()

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Spread(eight, index) =
            Avx2.PermuteVar8x32(eight, index.AsInt32())

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Fold(sums, rows, into) = Packed256.Sum(sums, rows, into)

/// 512 bits: AVX-512F.
[<Struct>]
type internal Packed512 =
    interface IPackedVector<Vector512<float32>> with
        static member OfFloat32 p = Vector512.Load p

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member OfBFloat16(p: nativeptr<uint16>) =
            (Avx512F.ConvertToVector512Int32(Vector256.Load p) <<< 16).AsSingle()

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member OfInt8(p: nativeptr<sbyte>) =
            Avx512F.ConvertToVector512Single(Avx512F.ConvertToVector512Int32(Vector128.Load p))

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Gather<'I when 'I: struct and 'I :> IColumns>(x, columns, slot) =
            let upper = 'I.Gather(x, columns, slot + 8L, EightInputs.all ())
            Vector512.WithUpper('I.Gather(x, columns, slot, EightInputs.all ()).ToVector512Unsafe(), upper)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member GatherSome<'I when 'I: struct and 'I :> IColumns>(x, columns, slot, count) =
            let upper = 'I.Gather(x, columns, slot + 8L, EightInputs.first (count - 8))
            Vector512.WithUpper('I.Gather(x, columns, slot, EightInputs.first count).ToVector512Unsafe(), upper)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member SpreadIndex(rows, part) =
            let lane =
                Vector512<int>.Indices >>> System.Numerics.BitOperations.Log2(uint32 rows)

            (lane + Vector512.Create(16 * part / rows: int)).AsSingle()

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Spread(eight, index) =
            Avx512F.PermuteVar16x32(eight.ToVector512Unsafe(), index.AsInt32())

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Fold(sums, rows, into) =
            if rows >= 16 then
                Vector512.Store(sums, into)
            else
                Packed256.Sum(sums.GetLower() + sums.GetUpper(), rows, into)
