namespace SparseFs.Kernels

#nowarn "3535" // an interface with static members: the one way to hand a vector width to the JIT as a type

open System
open System.Runtime.CompilerServices
open System.Runtime.Intrinsics

/// <summary>What exponentials ask of a vector beside products.</summary>
type internal IVectorExponents<'V when 'V: struct> =
    static abstract Divide: 'V * 'V -> 'V
    /// The number nearest to x between two bounds; NaN where x is: of two numbers, processors take the second where one is NaN.
    static abstract Clamp: x: 'V * low: 'V * high: 'V -> 'V
    /// The nearest whole number; of two, the even one.
    static abstract Round: 'V -> 'V
    /// 2^n, for whole numbers n from −126 to 127.
    static abstract PowerOf2: n: 'V -> 'V
    /// The larger one; NaN where one is.
    static abstract Max: 'V * 'V -> 'V
    /// The value where the other number is above 0, and 0 elsewhere.
    static abstract WherePositive: gate: 'V * value: 'V -> 'V

[<Struct>]
type internal ExponentsScalar =
    interface IVectorExponents<float32> with
        static member Divide(a, b) = a / b

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Clamp(x, low, high) = MathF.Min(MathF.Max(x, low), high)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Round x = MathF.Round x

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member PowerOf2 n =
            BitConverter.Int32BitsToSingle((int n + 127) <<< 23)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Max(a, b) = MathF.Max(a, b)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member WherePositive(gate, value) = if gate > 0.0f then value else 0.0f

[<Struct>]
type internal Exponents128 =
    interface IVectorExponents<Vector128<float32>> with
        static member Divide(a, b) = a / b

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Clamp(x, low, high) =
            Vector128.MinNative(high, Vector128.MaxNative(low, x))

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Round x = Vector128.Round x

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member PowerOf2 n =
            Vector128.ShiftLeft(Vector128.ConvertToInt32Native n + Vector128.Create 127, 23).AsSingle()

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Max(a, b) = Vector128.Max(a, b)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member WherePositive(gate, value) =
            Vector128.GreaterThan(gate, Vector128<float32>.Zero) &&& value

[<Struct>]
type internal Exponents256 =
    interface IVectorExponents<Vector256<float32>> with
        static member Divide(a, b) = a / b

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Clamp(x, low, high) =
            Vector256.MinNative(high, Vector256.MaxNative(low, x))

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Round x = Vector256.Round x

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member PowerOf2 n =
            Vector256.ShiftLeft(Vector256.ConvertToInt32Native n + Vector256.Create 127, 23).AsSingle()

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Max(a, b) = Vector256.Max(a, b)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member WherePositive(gate, value) =
            Vector256.GreaterThan(gate, Vector256<float32>.Zero) &&& value

[<Struct>]
type internal Exponents512 =
    interface IVectorExponents<Vector512<float32>> with
        static member Divide(a, b) = a / b

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Clamp(x, low, high) =
            Vector512.MinNative(high, Vector512.MaxNative(low, x))

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Round x = Vector512.Round x

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member PowerOf2 n =
            Vector512.ShiftLeft(Vector512.ConvertToInt32Native n + Vector512.Create 127, 23).AsSingle()

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Max(a, b) = Vector512.Max(a, b)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member WherePositive(gate, value) =
            Vector512.GreaterThan(gate, Vector512<float32>.Zero) &&& value
