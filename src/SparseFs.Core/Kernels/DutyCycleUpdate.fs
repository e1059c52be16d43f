namespace SparseFs.Kernels

#nowarn "9"

open System
open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>The duty cycle's arithmetic, in float32: a layer's few thousand units cost less than torch's calls would.</summary>
/// <remarks>Oracles: Boost.scores and DutyCycle.update, in float64.</remarks>
module internal DutyCycleUpdate =

    /// <summary>deficit[i] = (target − duty[i]) · strength, for n units.</summary>
    /// <remarks>deficit is overwritten and overlaps nothing.</remarks>
    [<AggressiveOptimization>]
    let deficit
        (duty: nativeptr<float32>)
        (target: float32)
        (strength: float32)
        (n: int)
        (deficit: nativeptr<float32>)
        =
        for i in 0 .. n - 1 do
            Pointer.set deficit i ((target - Pointer.get duty i) * strength)

    /// <summary>duty[i] moves towards wins[i] / all by a weight, for n units: torch's lerp.</summary>
    /// <remarks>The weight is in [0, 1]. One rounding for the product and the sum, on every machine.</remarks>
    [<AggressiveOptimization>]
    let update (wins: nativeptr<int>) (all: float32) (weight: float32) (n: int) (duty: nativeptr<float32>) =
        for i in 0 .. n - 1 do
            let before = Pointer.get duty i
            let now = float32 (Pointer.get wins i) / all

            Pointer.set
                duty
                i
                (if weight < 0.5f then
                     MathF.FusedMultiplyAdd(weight, now - before, before)
                 else
                     MathF.FusedMultiplyAdd(weight - 1.0f, now - before, now))
