namespace SparseFs.Kernels

#nowarn "3535" // an interface with static members: the one way to hand a vector width to the JIT as a type

open System
open System.Runtime.CompilerServices
open System.Runtime.Intrinsics

/// <summary>What optimizers ask of a vector beside products: each operation rounds once, at any width.</summary>
type internal IVectorRoots<'V when 'V: struct> =
    /// a · b + c in one rounding.
    static abstract Fused: a: 'V * b: 'V * c: 'V -> 'V
    static abstract Divide: 'V * 'V -> 'V
    static abstract Sqrt: 'V -> 'V
    /// The larger one; NaN where one is.
    static abstract Max: 'V * 'V -> 'V

[<Struct>]
type internal RootsScalar =
    interface IVectorRoots<float32> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Fused(a, b, c) = MathF.FusedMultiplyAdd(a, b, c)

        static member Divide(a, b) = a / b

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Sqrt x = MathF.Sqrt x

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Max(a, b) = MathF.Max(a, b)

[<Struct>]
type internal Roots128 =
    interface IVectorRoots<Vector128<float32>> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Fused(a, b, c) = Vector128.FusedMultiplyAdd(a, b, c)

        static member Divide(a, b) = a / b

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Sqrt x = Vector128.Sqrt x

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Max(a, b) = Vector128.Max(a, b)

[<Struct>]
type internal Roots256 =
    interface IVectorRoots<Vector256<float32>> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Fused(a, b, c) = Vector256.FusedMultiplyAdd(a, b, c)

        static member Divide(a, b) = a / b

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Sqrt x = Vector256.Sqrt x

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Max(a, b) = Vector256.Max(a, b)

[<Struct>]
type internal Roots512 =
    interface IVectorRoots<Vector512<float32>> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Fused(a, b, c) = Vector512.FusedMultiplyAdd(a, b, c)

        static member Divide(a, b) = a / b

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Sqrt x = Vector512.Sqrt x

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Max(a, b) = Vector512.Max(a, b)
