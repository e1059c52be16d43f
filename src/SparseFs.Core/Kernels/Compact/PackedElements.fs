namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3535"
#nowarn "3536"

open System.Runtime.CompilerServices
open System.Runtime.Intrinsics
open System.Runtime.Intrinsics.X86
open Microsoft.FSharp.NativeInterop

/// Columns of packed slots, by their width in memory.
type internal IColumns =
    static abstract Bytes: int
    static abstract At: columns: nativeint * slot: int64 -> int

    /// The inputs of eight slots where a lane's bits are set, 0 where not, by AVX2.
    static abstract Gather:
        x: nativeptr<float32> * columns: nativeint * slot: int64 * lanes: Vector256<float32> -> Vector256<float32>

/// Which of eight inputs are gathered.
[<RequireQualifiedAccess>]
module internal EightInputs =

    let inline all () : Vector256<float32> = Vector256<float32>.AllBitsSet

    /// So many, all of eight or more, none of 0 or fewer.
    let inline first (count: int) : Vector256<float32> =
        Vector256.LessThan(Vector256<int>.Indices, Vector256.Create count).AsSingle()

    /// By AVX2's masked form, into zeros: without a mask, .NET gathers into whatever the register holds, so that each gather waits
    /// for the one before it, and takes up to twice as long.
    let inline gather (x: nativeptr<float32>) (index: Vector256<int>) (lanes: Vector256<float32>) : Vector256<float32> =
        Avx2.GatherMaskVector256(Vector256<float32>.Zero, x, index, lanes, 4uy)

/// Columns up to 65,535.
[<Struct>]
type internal Columns16 =
    interface IColumns with
        static member Bytes = 2

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member At(columns, slot) =
            int (NativePtr.read (Pointer.at (NativePtr.ofNativeInt<uint16> columns) slot))

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Gather(x, columns, slot, lanes) =
            let index =
                Avx2.ConvertToVector256Int32(Pointer.at (NativePtr.ofNativeInt<uint16> columns) slot)

            EightInputs.gather x index lanes

/// Any columns.
[<Struct>]
type internal Columns32 =
    interface IColumns with
        static member Bytes = 4

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member At(columns, slot) =
            NativePtr.read (Pointer.at (NativePtr.ofNativeInt<int> columns) slot)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Gather(x, columns, slot, lanes) =
            let index = Vector256.Load(Pointer.at (NativePtr.ofNativeInt<int> columns) slot)
            EightInputs.gather x index lanes

/// What the kernels of packed weights ask of a vector beside ISimdVector.
type internal IPackedVector<'V when 'V: struct> =
    /// Floats that lie beside each other.
    static abstract OfFloat32: nativeptr<float32> -> 'V
    /// The same of floats that are upper halves.
    static abstract OfBFloat16: nativeptr<uint16> -> 'V
    static abstract OfInt8: nativeptr<sbyte> -> 'V

    /// The inputs of as many slots as there are lanes.
    static abstract Gather<'I when 'I: struct and 'I :> IColumns> :
        x: nativeptr<float32> * columns: nativeint * slot: int64 -> 'V

    /// The same with 0 in the lanes from count on; columns are there for all lanes.
    static abstract GatherSome<'I when 'I: struct and 'I :> IColumns> :
        x: nativeptr<float32> * columns: nativeint * slot: int64 * count: int -> 'V

    /// Which of eight inputs each lane of Spread takes: lane i of a part the one of slot (part · lanes + i) / rows.
    static abstract SpreadIndex: rows: int * part: int -> 'V
    /// Inputs of eight slots, each in as many lanes as a group has rows.
    static abstract Spread: eight: Vector256<float32> * index: 'V -> 'V
    /// into[i] = the sum of lanes i, i + rows, i + 2 · rows and so on; rows is a power of 2.
    static abstract Fold: sums: 'V * rows: int * into: nativeptr<float32> -> unit

/// Values of packed slots, by their form in memory.
type internal IPackedValues =
    static abstract Bytes: int

    /// As many values as a vector has lanes.
    static abstract Load<'C, 'V when 'C: struct and 'C :> IPackedVector<'V> and 'V: struct> :
        values: nativeint * index: int64 -> 'V

[<Struct>]
type internal Float32Values =
    interface IPackedValues with
        static member Bytes = 4

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Load<'C, 'V when 'C: struct and 'C :> IPackedVector<'V> and 'V: struct>(values, index) : 'V =
            'C.OfFloat32(Pointer.at (NativePtr.ofNativeInt<float32> values) index)

[<Struct>]
type internal BFloat16Values =
    interface IPackedValues with
        static member Bytes = 2

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Load<'C, 'V when 'C: struct and 'C :> IPackedVector<'V> and 'V: struct>(values, index) : 'V =
            'C.OfBFloat16(Pointer.at (NativePtr.ofNativeInt<uint16> values) index)

[<Struct>]
type internal Int8Values =
    interface IPackedValues with
        static member Bytes = 1

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Load<'C, 'V when 'C: struct and 'C :> IPackedVector<'V> and 'V: struct>(values, index) : 'V =
            'C.OfInt8(Pointer.at (NativePtr.ofNativeInt<sbyte> values) index)
