namespace SparseFs

open System

/// <summary>Averaging rules of weights over training.</summary>
[<RequireQualifiedAccess>]
type AveragingRule =
    /// <summary>Exponential moving average (EMA): average = decay · average + (1 − decay) · weight; decay in [0, 1).</summary>
    | Exponential of decay: float
    /// <summary>The plain mean of all weights that were taken in: stochastic weight averaging (SWA), Izmailov et al., UAI
    /// 2018.</summary>
    | Mean

    override r.ToString() =
        match r with
        | Exponential decay -> invariant $"Exponential({decay})"
        | Mean -> "Mean"

/// <summary>Checking averaging rules.</summary>
[<RequireQualifiedAccess>]
module AveragingRule =

    /// <summary>Checks a rule and gives it back.</summary>
    /// <param name="rule">The rule.</param>
    /// <exception cref="T:System.ArgumentException">The decay is outside [0, 1).</exception>
    /// <example><code>
    /// let rule = AveragingRule.check (AveragingRule.Exponential 0.999)
    /// use average = new Averaging(model, rule, averagesBuffers = true)
    /// </code></example>
    [<CompiledName "Check">]
    let check (rule: AveragingRule) : AveragingRule =
        match rule with
        | AveragingRule.Exponential decay when not (decay >= 0.0 && decay < 1.0) ->
            raise (ArgumentException((invariant $"expected a decay in [0, 1), got {decay}"), nameof decay))
        | _ -> rule

    /// The weight of what was; below 0 for a mean.
    let internal decay (rule: AveragingRule) : float =
        match rule with
        | AveragingRule.Exponential decay -> decay
        | AveragingRule.Mean -> -1.0
