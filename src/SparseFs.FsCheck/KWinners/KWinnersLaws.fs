namespace SparseFs.Testing

open global.FsCheck
open global.FsCheck.FSharp

/// <summary>What holds for every way to choose winners and to keep duty cycles, as FsCheck properties: for yours too.</summary>
[<RequireQualifiedAccess>]
module KWinnersLaws =

    /// <summary>A choice of k winners.</summary>
    /// <param name="winners">Yours: k and the scores to the indices of the winners, in any order.</param>
    /// <returns>For any scores: exactly k different units win; no loser has a higher score than a winner; of equal
    /// scores the lower index wins; permuted scores give the same winning scores, and the same winners where no two
    /// scores are equal.</returns>
    /// <example><code>Check.QuickThrowOnFailure(KWinnersLaws.winners KWinners.winners)</code></example>
    [<CompiledName "Winners">]
    let winners (winners: int -> float[] -> int[]) : Property =
        let holds ((k: int, scores: float[]), seed: int) =
            let n = scores.Length
            let won = winners k scores |> Array.sort
            let isWinner = Array.init n (fun i -> Array.contains i won)

            let lost =
                [| for i in 0 .. n - 1 do
                       if not isWinner[i] then
                           i |]

            let order = Array.init n id
            System.Random(seed).Shuffle order
            let permuted = winners k (Array.map (fun i -> scores[i]) order)
            let scoresOf = Array.map (fun i -> scores[i] + 0.0) >> Array.sort // −0 becomes 0
            let permutedWinners = permuted |> Array.map (fun i -> order[i]) |> Array.sort

            let areDistinct =
                (scores |> Array.map (fun s -> s + 0.0) |> Array.distinct).Length = n

            LawConditions.all
                [ "exactly k win", won.Length = k && (Array.distinct won).Length = k
                  "winners are units", won |> Array.forall (fun i -> i >= 0 && i < n)
                  "no loser has a higher score than a winner",
                  Array.forall (fun w -> Array.forall (fun l -> scores[w] >= scores[l]) lost) won
                  "of equal scores the lower index wins",
                  Array.forall (fun w -> Array.forall (fun l -> scores[w] <> scores[l] || w < l) lost) won
                  "permuted scores give the same winning scores", scoresOf won = scoresOf permutedWinners
                  "permuted scores give the same winners where none are equal",
                  (not areDistinct || won = permutedWinners) ]

        Prop.forAll (Arb.zip (KWinnersGenerators.selections, ArbMap.defaults |> ArbMap.arbitrary<int>)) holds

    /// <summary>A layer of k-winners without boosting.</summary>
    /// <param name="activate">Yours: k and the inputs to what passes.</param>
    /// <returns>For any inputs: what is not 0 is an input in its place; at most k are not 0, and exactly k where no input
    /// is 0; applying it twice is applying it once where no winner is negative.</returns>
    /// <example><code>
    /// Check.QuickThrowOnFailure(KWinnersLaws.activation (fun k x -> KWinners.activate k x x))
    /// </code></example>
    [<CompiledName "Activation">]
    let activation (activate: int -> float[] -> float[]) : Property =
        let holds (k: int, x: float[]) =
            let y = activate k x
            let passed = y |> Array.filter (fun v -> v <> 0.0) |> Array.length
            let isNegative = Array.exists (fun v -> v < 0.0) y

            LawConditions.all
                [ "the shape stays", y.Length = x.Length
                  "what passes is unchanged", Array.forall2 (fun v x -> v = 0.0 || v = x) y x
                  "at most k pass", passed <= k
                  "k pass where no input is 0", (Array.contains 0.0 x || passed = k)
                  "twice is once where no winner is negative", (isNegative || activate k y = y) ]

        Prop.forAll KWinnersGenerators.selections holds

    /// <summary>An update of the duty cycle.</summary>
    /// <param name="update">Yours: the weight of the batch, its samples, the wins of each unit, and the duty cycle before,
    /// to the one after.</param>
    /// <returns>It stays in [0, 1] and between what it was and the batch's mean; with equal means, the mean stays.</returns>
    /// <example><code>Check.QuickThrowOnFailure(KWinnersLaws.dutyCycle DutyCycle.update)</code></example>
    [<CompiledName "DutyCycle">]
    let dutyCycle (update: float -> int -> int[] -> float[] -> float[]) : Property =
        let draw =
            gen {
                let! n = Gen.choose (1, 20)
                let! samples = Gen.choose (1, 50)
                let! wins = Gen.arrayOfLength n (Gen.choose (0, samples))

                let! duty =
                    Gen.arrayOfLength n (Gen.choose (0, 1000) |> Gen.map (fun d -> float d / 1000.0))

                let! weight = Gen.choose (0, 1000) |> Gen.map (fun w -> float w / 1000.0)
                return weight, samples, wins, duty
            }

        let holds (weight: float, samples: int, wins: int[], duty: float[]) =
            let after = update weight samples wins duty
            let batch = wins |> Array.map (fun won -> float won / float samples)
            // A few roundings of numbers up to 1.
            let near = 1e-6

            let mean = (1.0 - weight) * Array.average duty + weight * Array.average batch

            LawConditions.all
                [ "it stays in [0, 1]", after |> Array.forall (fun d -> d >= 0.0 && d <= 1.0)
                  "it is between what it was and the batch",
                  Array.forall2
                      (fun d (low, high) -> d >= low - near && d <= high + near)
                      after
                      (Array.map2 (fun a b -> min a b, max a b) duty batch)
                  "its mean is that of both", abs (Array.average after - mean) < near ]

        Prop.forAll (Arb.fromGen draw) holds
