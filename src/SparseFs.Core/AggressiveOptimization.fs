namespace SparseFs

open System

/// <summary>Compiled with all optimisations at the first call.</summary>
/// <remarks>For loops of which one call is much work: .NET compiles a method quickly at first, and well after many calls, for
/// which they have no time. F# drops MethodImplOptions.AggressiveOptimization, so the build sets that flag for what carries this attribute: see
/// eng/aggressive-optimization.fsx. A method that is called from such a one, and not inlined, needs it as well.</remarks>
[<AttributeUsage(AttributeTargets.Method)>]
type internal AggressiveOptimizationAttribute() =
    inherit Attribute()
