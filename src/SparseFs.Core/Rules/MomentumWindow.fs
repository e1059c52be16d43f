namespace SparseFs

open System

/// <summary>Window of momentum rules: how a running mean of gradients weighs steps that are over, and how many it has.</summary>
type MomentumWindow =
    {
        /// <summary>β: the factor by which the weight of a step's gradient falls with each later step, in [0, 1).</summary>
        Beta: float
        /// <summary>Optimizer steps that count, the current one among them; 1 or more.</summary>
        Steps: int
    }

    override w.ToString() =
        invariant $"β = {w.Beta} over {w.Steps} steps"

/// <summary>Windows of momentum rules.</summary>
[<RequireQualifiedAccess>]
module MomentumWindow =

    /// <summary>β = 0.9 over 32 steps, of which the oldest weighs 0.04.</summary>
    /// <remarks>SNFS's β; its code keeps the mean of all steps, which takes a dense matrix. Here the passes of the last
    /// steps are kept.</remarks>
    /// <example><code>
    /// let policy = Policy.snfs (Schedule.cosine 0.5 600L 60_000L)
    /// policy.Momentum = MomentumWindow.standard // = true
    /// </code></example>
    [<CompiledName "Standard">]
    let standard: MomentumWindow = { Beta = 0.9; Steps = 32 }

    /// The weight of a gradient of so many steps ago.
    let internal weight (window: MomentumWindow) (age: int64) : float = window.Beta ** float age

    /// <summary>Checks a window.</summary>
    /// <exception cref="T:System.ArgumentException">β is outside [0, 1), or there is no step.</exception>
    let internal check (window: MomentumWindow) : unit =
        if isNull (box window) then
            nullArg "momentum"

        if not (window.Beta >= 0.0 && window.Beta < 1.0) then
            raise (ArgumentException((invariant $"expected β in [0, 1), got {window.Beta}"), "beta"))

        if window.Steps < 1 then
            raise (ArgumentException((invariant $"expected 1 step or more, got {window.Steps}"), "steps"))
