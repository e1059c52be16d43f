namespace SparseFs

open System

/// <summary>How a duty cycle forgets: it is the part of the samples in which a unit won, most recent ones first.</summary>
[<RequireQualifiedAccess>]
type DutyCycle =
    /// <summary>Each batch counts with the weight alpha, in (0, 1], whatever its size: SparseLinear's form, as a mean.</summary>
    | Alpha of alpha: float
    /// <summary>A moving average over so many samples, 1 or more; over all samples while they are fewer.</summary>
    /// <remarks>Ahmad and Scheinkman 2019, algorithm 1, where the period is 1000.</remarks>
    | Period of samples: int

    override d.ToString() =
        match d with
        | Alpha alpha -> invariant $"Alpha({alpha})"
        | Period samples -> invariant $"Period({samples})"

/// <summary>Duty cycles and their entropy, as values.</summary>
[<RequireQualifiedAccess>]
module DutyCycle =

    /// <summary>The rule itself, if its number is in its range.</summary>
    /// <exception cref="T:System.ArgumentOutOfRangeException">alpha is outside (0, 1], or the period is less than 1.</exception>
    let internal check (rule: DutyCycle) : DutyCycle =
        if isNull (box rule) then
            nullArg (nameof rule)

        match rule with
        | DutyCycle.Alpha alpha when not (alpha > 0.0 && alpha <= 1.0) ->
            raise (ArgumentOutOfRangeException("alpha", alpha, (invariant $"expected a weight in (0, 1], got {alpha}")))
        | DutyCycle.Period period when period < 1 ->
            raise (
                ArgumentOutOfRangeException("period", period, (invariant $"expected 1 sample or more, got {period}"))
            )
        | rule -> rule

    /// <summary>The weight of a batch in the duty cycle.</summary>
    /// <param name="rule">How the duty cycle forgets.</param>
    /// <param name="seen">The samples so far, those of this batch among them.</param>
    /// <param name="samples">The samples of this batch, 1 or more.</param>
    /// <returns>alpha; or samples / min(period, seen), at most 1: a batch beyond the period is all that is remembered.</returns>
    /// <exception cref="T:System.ArgumentException">The rule's number is out of its range, samples is less than 1, or seen
    /// is less than samples.</exception>
    /// <example><code>
    /// let rule = DutyCycle.Period 1000
    /// [ 32L; 64L; 2048L ] |> List.map (fun seen -> DutyCycle.weight rule seen 32) // = [1.0; 0.5; 0.032]
    /// </code></example>
    [<CompiledName "Weight">]
    let weight (rule: DutyCycle) (seen: int64) (samples: int) : float =
        if samples < 1 then
            raise (
                ArgumentOutOfRangeException(
                    nameof samples,
                    samples,
                    (invariant $"expected 1 sample or more, got {samples}")
                )
            )

        if seen < int64 samples then
            raise (
                ArgumentOutOfRangeException(
                    nameof seen,
                    seen,
                    (invariant $"expected at least the {samples} of this batch")
                )
            )

        match check rule with
        | DutyCycle.Alpha alpha -> alpha
        | DutyCycle.Period period -> min 1.0 (float samples / float (min (int64 period) seen))

    /// <summary>The duty cycle after a batch: a running mean over samples.</summary>
    /// <param name="weight">The batch's weight, in [0, 1].</param>
    /// <param name="samples">The samples of the batch, 1 or more.</param>
    /// <param name="wins">In how many of them each unit won, 0..samples; length n.</param>
    /// <param name="duty">The duty cycle before; length n.</param>
    /// <returns>(1 − weight) · duty + weight · wins / samples: in [0, 1] if duty is.</returns>
    /// <exception cref="T:System.ArgumentException">A number is out of its range, or the lengths differ.</exception>
    /// <example><code>
    /// let duty = [| 0.5; 0.5; 0.0 |]
    /// duty |> DutyCycle.update 0.5 4 [| 4; 0; 1 |] // = [|0.75; 0.25; 0.125|]
    /// </code></example>
    [<CompiledName "Update">]
    let update (weight: float) (samples: int) (wins: int[]) (duty: float[]) : float[] =
        if not (weight >= 0.0 && weight <= 1.0) then
            raise (
                ArgumentOutOfRangeException(
                    nameof weight,
                    weight,
                    (invariant $"expected a weight in [0, 1], got {weight}")
                )
            )

        if samples < 1 then
            raise (
                ArgumentOutOfRangeException(
                    nameof samples,
                    samples,
                    (invariant $"expected 1 sample or more, got {samples}")
                )
            )

        if wins.Length <> duty.Length then
            raise (ArgumentException((invariant $"expected {duty.Length} counts, got {wins.Length}"), nameof wins))

        for won in wins do
            if won < 0 || won > samples then
                raise (ArgumentException((invariant $"expected 0..{samples} wins, got {won}"), nameof wins))

        Array.map2 (fun won duty -> (1.0 - weight) * duty + weight * float won / float samples) wins duty

    /// The entropy of a coin, in bits; 0 at both ends.
    let private ofCoin (p: float) : float =
        if p <= 0.0 || p >= 1.0 then
            0.0
        else
            -p * Math.Log2 p - (1.0 - p) * Math.Log2(1.0 - p)

    /// <summary>The entropy of a layer, in bits: the sum over its units of that of winning or not.</summary>
    /// <param name="duty">The duty cycle of each unit, in [0, 1]; length n.</param>
    /// <returns>0 where the same units always win, up to <c>maxEntropy</c> where all win alike.</returns>
    /// <remarks>Ahmad and Scheinkman 2019, equation 7. Units are taken as independent, as there.</remarks>
    /// <example><code>
    /// DutyCycle.entropy [| 0.5; 0.5; 0.5; 0.5 |] // = 4.0
    /// DutyCycle.entropy [| 1.0; 1.0; 0.0; 0.0 |] // = 0.0
    /// </code></example>
    [<CompiledName "Entropy">]
    let entropy (duty: float[]) : float = Array.sumBy ofCoin duty

    /// <summary>The entropy where all units win alike.</summary>
    /// <param name="features">n, 1 or more.</param>
    /// <param name="k">The winners of a sample, 1..n.</param>
    /// <returns>n times the entropy of a coin that shows heads with the chance k / n, in bits.</returns>
    /// <exception cref="T:System.ArgumentException">A number is out of its range.</exception>
    /// <example><code>
    /// let duty = [| 0.9; 0.5; 0.4; 0.2 |]
    /// let used = DutyCycle.entropy duty / DutyCycle.maxEntropy 4 2
    /// printfn $"{100.0 * used} %% of what four units could say"
    /// </code></example>
    [<CompiledName "MaxEntropy">]
    let maxEntropy (features: int) (k: int) : float =
        if features < 1 then
            raise (
                ArgumentOutOfRangeException(
                    nameof features,
                    features,
                    (invariant $"expected 1 unit or more, got {features}")
                )
            )

        if k < 1 || k > features then
            raise (ArgumentOutOfRangeException(nameof k, k, (invariant $"expected 1..{features} winners, got {k}")))

        float features * ofCoin (float k / float features)
