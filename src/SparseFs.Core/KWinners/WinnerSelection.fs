namespace SparseFs

open System

/// <summary>Who wins: exactly k units of a sample, as the specification of the module KWinners.</summary>
/// <remarks>Ahmad and Scheinkman 2019, arXiv:1903.11257, section 3.2. Two deviations: k is exact also where scores tie,
/// and a winner passes whatever its sign.</remarks>
[<RequireQualifiedAccess; CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module KWinners =

    let internal checkFeatures (name: string) (features: int) =
        if features < 1 then
            raise (ArgumentOutOfRangeException(name, features, (invariant $"expected 1 unit or more, got {features}")))

    let internal checkK (features: int) (k: int) =
        if k < 1 || k > features then
            raise (ArgumentOutOfRangeException("k", k, (invariant $"expected 1..{features} winners, got {k}")))

    let internal checkFactor (name: string) (factor: float) =
        if not (factor > 0.0 && Double.IsFinite factor) then
            raise (
                ArgumentOutOfRangeException(name, factor, (invariant $"expected a finite factor above 0, got {factor}"))
            )

    /// <summary>The number of winners among so many units at a sparsity.</summary>
    /// <param name="features">n, 1 or more.</param>
    /// <param name="sparsity">The part of the units that do not win, in [0, 1), read as a decimal of 15 digits.</param>
    /// <returns>(1 − sparsity) · n, rounded half to even, and at least 1.</returns>
    /// <exception cref="T:System.ArgumentOutOfRangeException">features is less than 1, or sparsity is outside [0, 1).</exception>
    /// <example><code>KWinners.count 2000 0.65 // = 700</code></example>
    [<CompiledName "Count">]
    let count (features: int) (sparsity: float) : int =
        checkFeatures (nameof features) features
        max 1 (Sparsity.nnz 1 features sparsity)

    /// <summary>The number of winners at inference.</summary>
    /// <param name="features">n, 1 or more.</param>
    /// <param name="factor">Above 0; 1 for as many as in training, Numenta uses 1.5.</param>
    /// <param name="k">The winners in training, 1..n.</param>
    /// <returns>factor · k, rounded half to even, within 1..n.</returns>
    /// <exception cref="T:System.ArgumentOutOfRangeException">A number is out of its range.</exception>
    /// <example><code>KWinners.atInference 2000 1.5 700 // = 1050</code></example>
    [<CompiledName "AtInference">]
    let atInference (features: int) (factor: float) (k: int) : int =
        checkFeatures (nameof features) features
        checkK features k
        checkFactor (nameof factor) factor
        // A factor beyond n makes all win, and would overflow a decimal.
        let scaled = Rounding.part (decimal (min factor (float features))) (bigint k)

        int (bigint.Max(1I, bigint.Min(bigint features, scaled)))

    /// <summary>The winners: the k units of the highest scores.</summary>
    /// <param name="k">1..n.</param>
    /// <param name="scores">The boosted scores of one sample, length n; none is NaN.</param>
    /// <returns>Exactly k indices, ascending. Of equal scores (0 and −0 are equal), the lower index wins.</returns>
    /// <exception cref="T:System.ArgumentException">k is outside 1..n, or a score is NaN.</exception>
    /// <example><code>KWinners.winners 2 [| 0.1; 0.7; 0.3; 0.7 |] // = [|1; 3|]</code></example>
    [<CompiledName "Winners">]
    let winners (k: int) (scores: float[]) : int[] =
        checkK scores.Length k

        match Array.tryFindIndex Double.IsNaN scores with
        | Some at -> raise (ArgumentException((invariant $"expected numbers, got NaN at {at}"), nameof scores))
        | Option.None -> ()

        let order = Array.init scores.Length id

        order
        |> Array.sortInPlaceWith (fun a b ->
            if scores[a] > scores[b] then -1
            elif scores[a] < scores[b] then 1
            else compare a b)

        let chosen = Array.truncate k order
        Array.sortInPlace chosen
        chosen

    /// <summary>What leaves the layer: the inputs of the winners, and 0 elsewhere.</summary>
    /// <param name="k">1..n.</param>
    /// <param name="scores">What chooses, length n; none is NaN.</param>
    /// <param name="x">What passes, length n.</param>
    /// <exception cref="T:System.ArgumentException">k is outside 1..n, a score is NaN, or the lengths differ.</exception>
    /// <example><code>
    /// let x = [| 1.0; 0.75; -2.0 |]
    /// let scores = Boost.scores (Boost.Additive 1.0) (1.0 / 3.0) [| 0.75; 0.25; 0.0 |] x
    /// KWinners.activate 1 scores x // = [|0.0; 0.75; 0.0|]
    /// </code></example>
    [<CompiledName "Activate">]
    let activate (k: int) (scores: float[]) (x: float[]) : float[] =
        if x.Length <> scores.Length then
            raise (ArgumentException((invariant $"expected {scores.Length} inputs, got {x.Length}"), nameof x))

        let y: float[] = Array.zeroCreate x.Length

        for winner in winners k scores do
            y[winner] <- x[winner]

        y
