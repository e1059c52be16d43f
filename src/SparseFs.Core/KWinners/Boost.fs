namespace SparseFs

open System

/// <summary>How the past wins of a unit weigh on its score, so that all units get to win.</summary>
/// <remarks>target is k / n, the part of the samples in which a unit would win if all won alike; duty is the part in
/// which it did. The boosted score chooses; the value that passes is not boosted.</remarks>
[<RequireQualifiedAccess>]
type Boost =
    /// The scores are the inputs.
    | None
    /// <summary>x · exp(strength · (target − duty)): Ahmad and Scheinkman 2019, equation 6, and SparseLinear.</summary>
    /// <remarks>Meant for inputs that are not negative. A unit that wins too rarely has a factor above 1, which pushes a
    /// negative x further down, away from winning; where inputs are of both signs, Additive lifts every such unit.</remarks>
    | Exponential of strength: float
    /// <summary>x + strength · (target − duty), for inputs of either sign.</summary>
    /// <remarks>The strength has the unit of the inputs: with 1, a unit that never wins gains target over one that has just
    /// its share.</remarks>
    | Additive of strength: float

    override b.ToString() =
        match b with
        | None -> "None"
        | Exponential strength -> invariant $"Exponential({strength})"
        | Additive strength -> invariant $"Additive({strength})"

/// <summary>Boosted scores, as values.</summary>
[<RequireQualifiedAccess>]
module Boost =

    /// <summary>The strength; 0 where there is no boost.</summary>
    /// <example><code>Boost.strength (Boost.Exponential 1.5) // = 1.5</code></example>
    [<CompiledName "Strength">]
    let strength (boost: Boost) : float =
        match boost with
        | Boost.None -> 0.0
        | Boost.Exponential strength
        | Boost.Additive strength -> strength

    let internal withStrength (strength: float) (boost: Boost) : Boost =
        match boost with
        | Boost.None -> Boost.None
        | Boost.Exponential _ -> Boost.Exponential strength
        | Boost.Additive _ -> Boost.Additive strength

    let internal checkStrength (name: string) (strength: float) =
        if not (strength >= 0.0 && Double.IsFinite strength) then
            raise (
                ArgumentOutOfRangeException(
                    name,
                    strength,
                    (invariant $"expected a finite number, 0 or more, got {strength}")
                )
            )

    let internal checkDecay (name: string) (decay: float) =
        if not (decay >= 0.0 && decay <= 1.0) then
            raise (ArgumentOutOfRangeException(name, decay, (invariant $"expected a factor in [0, 1], got {decay}")))

    /// <summary>The boost itself, if its strength is one.</summary>
    /// <exception cref="T:System.ArgumentOutOfRangeException">The strength is negative, infinite or NaN.</exception>
    let internal check (boost: Boost) : Boost =
        if isNull (box boost) then
            nullArg (nameof boost)

        checkStrength (nameof boost) (strength boost)
        boost

    /// <summary>The boost after an epoch: its strength times a factor.</summary>
    /// <param name="decay">In [0, 1]; 1 keeps the strength.</param>
    /// <param name="boost">The boost of the epoch that ends.</param>
    /// <exception cref="T:System.ArgumentOutOfRangeException">decay is outside [0, 1], or the strength is none.</exception>
    /// <example><code>
    /// let afterTwoEpochs = Boost.Exponential 1.5 |> Boost.decayed 0.9 |> Boost.decayed 0.9
    /// Boost.strength afterTwoEpochs // = 1.215
    /// </code></example>
    [<CompiledName "Decayed">]
    let decayed (decay: float) (boost: Boost) : Boost =
        checkDecay (nameof decay) decay
        withStrength (decay * strength (check boost)) boost

    /// <summary>The scores that choose the winners.</summary>
    /// <param name="boost">Form and strength.</param>
    /// <param name="target">k / n, in (0, 1].</param>
    /// <param name="duty">The duty cycle of each unit, in [0, 1]; length n.</param>
    /// <param name="x">The inputs of one sample; length n.</param>
    /// <returns>Length n; x itself, copied, where there is no boost or its strength is 0.</returns>
    /// <exception cref="T:System.ArgumentException">The lengths differ, target is outside (0, 1], or the strength is
    /// none.</exception>
    /// <example><code>
    /// // The first unit has won more often than its share, the second less: so the second wins.
    /// let scores = Boost.scores (Boost.Additive 1.0) 0.5 [| 0.75; 0.25 |] [| 1.0; 0.75 |]
    /// scores // = [|0.75; 1.0|]
    /// </code></example>
    [<CompiledName "Scores">]
    let scores (boost: Boost) (target: float) (duty: float[]) (x: float[]) : float[] =
        let strength = strength (check boost)

        if not (target > 0.0 && target <= 1.0) then
            raise (
                ArgumentOutOfRangeException(
                    nameof target,
                    target,
                    (invariant $"expected k / n in (0, 1], got {target}")
                )
            )

        if duty.Length <> x.Length then
            raise (ArgumentException((invariant $"expected {x.Length} duty cycles, got {duty.Length}"), nameof duty))

        match boost with
        | Boost.None -> Array.copy x
        | Boost.Exponential _ -> Array.map2 (fun duty x -> x * exp (strength * (target - duty))) duty x
        | Boost.Additive _ -> Array.map2 (fun duty x -> x + strength * (target - duty)) duty x
