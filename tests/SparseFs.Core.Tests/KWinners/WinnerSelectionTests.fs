/// The specification of k-winners: laws, and numbers worked out by hand.
module SparseFs.Tests.WinnerSelectionTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Testing
open SparseFs.Tests.Refusals

let private near (what: string) (wanted: float) (got: float) =
    Expect.floatClose { absolute = 1e-12; relative = 1e-12 } got wanted what

/// Which units win in a run of the specification alone: samples one by one, boosted, each of them drawn by a function of
/// its number.
let private run (boost: Boost) (rule: DutyCycle) (k: int) (n: int) (samples: int) (sample: int -> float[]) =
    let mutable duty: float[] = Array.zeroCreate n
    let won: int[] = Array.zeroCreate n

    for number in 1..samples do
        let scores = Boost.scores boost (float k / float n) duty (sample number)
        let wins: int[] = Array.zeroCreate n

        for winner in KWinners.winners k scores do
            wins[winner] <- 1
            won[winner] <- won[winner] + 1

        duty <- DutyCycle.update (DutyCycle.weight rule (int64 number) 1) 1 wins duty

    won, duty

[<Tests>]
let specification =
    testList
        "KWinners"
        [ testProperty "the laws of a choice hold" (KWinnersLaws.winners KWinners.winners)

          testProperty "the laws of an activation hold" (KWinnersLaws.activation (fun k x -> KWinners.activate k x x))

          testProperty "the laws of duty cycles hold" (KWinnersLaws.dutyCycle DutyCycle.update)

          testCase "the generator reaches ties at the border, zeros of both signs and all winning" (fun () ->
              let drawn = Gen.sample 500 (Arb.toGen KWinnersGenerators.selections)

              let isTied (k: int, scores: float[]) =
                  let sorted = Array.sortDescending scores
                  k < scores.Length && sorted[k - 1] = sorted[k]

              Expect.isGreaterThan (drawn |> Array.filter isTied |> Array.length) 100 "ties"
              Expect.exists drawn (fun (_, s) -> Array.exists (fun v -> v = 0.0 && Double.IsNegative v) s) "−0"
              Expect.exists drawn (fun (k, s) -> k = s.Length) "all")

          testList
              "the count is the density as a decimal, half to even, and at least 1"
              [ for features, sparsity, k in
                    [ 2000, 0.65, 700
                      10, 0.65, 4 // 3.5 to the even 4
                      10, 0.75, 2 // 2.5 to the even 2
                      5, 0.9, 1 // 0.5 would be 0
                      1000, 0.9, 100
                      1, 0.0, 1 ] do
                    testCase $"{features} at {sparsity}" (fun () ->
                        Expect.equal (KWinners.count features sparsity) k "k") ]

          testList
              "at inference a factor more win, within 1..n"
              [ for features, factor, k, wanted in
                    [ 1000, 1.5, 100, 150
                      10, 1.5, 3, 4 // 4.5 to the even 4
                      10, 1e300, 3, 10
                      10, 0.01, 3, 1
                      7, 1.0, 7, 7 ] do
                    testCase $"{factor} · {k} of {features}" (fun () ->
                        Expect.equal (KWinners.atInference features factor k) wanted "k") ]

          testCase "equal scores: the lower index wins, and −0 equals 0" (fun () ->
              Expect.equal (KWinners.winners 2 [| 0.0; -0.0; 0.0 |]) [| 0; 1 |] "zeros"
              Expect.equal (KWinners.winners 2 [| 1.0; 2.0; 1.0; 1.0 |]) [| 0; 1 |] "ones")

          testCase "a winner passes whatever its sign, by what chooses, not by what passes" (fun () ->
              Expect.equal (KWinners.activate 1 [| 1.0; 2.0 |] [| 5.0; -3.0 |]) [| 0.0; -3.0 |] "y")

          testCase "exponential boosting multiplies by exp(β (target − duty))" (fun () ->
              let scores =
                  Boost.scores (Boost.Exponential 1.5) 0.5 [| 0.25; 0.5; 1.0 |] [| 2.0; 2.0; -2.0 |]

              near "too rare" (2.0 * exp 0.375) scores[0]
              near "as often as all" 2.0 scores[1]
              near "too often, negative" (-2.0 * exp -0.75) scores[2])

          testCase "additive boosting lifts a rare unit of either sign" (fun () ->
              let scores =
                  Boost.scores (Boost.Additive 2.0) 0.5 [| 0.0; 0.5; 1.0 |] [| -2.0; 2.0; 2.0 |]

              Expect.equal scores [| -1.0; 2.0; 1.0 |] "scores")

          testCase "a multiplied boost pushes a negative input of a rare unit down; an added one lifts it" (fun () ->
              let rare boost =
                  (Boost.scores boost 0.5 [| 0.0 |] [| -1.0 |])[0]

              Expect.isLessThan (rare (Boost.Exponential 1.0)) -1.0 "multiplied"
              Expect.isGreaterThan (rare (Boost.Additive 1.0)) -1.0 "added")

          testCase "a strength decays by its factor each epoch, and its form stays" (fun () ->
              Expect.equal (Boost.decayed 0.5 (Boost.Exponential 2.0)) (Boost.Exponential 1.0) "exponential"
              Expect.equal (Boost.decayed 0.5 (Boost.Additive 2.0)) (Boost.Additive 1.0) "additive"
              Expect.equal (Boost.decayed 0.5 Boost.None) Boost.None "none")

          testCase "with a period, all samples count alike until it is full, and the last ones after" (fun () ->
              let weight = DutyCycle.weight (DutyCycle.Period 100)
              near "the first batch is all" 1.0 (weight 10L 10)
              near "half of what was seen" 0.5 (weight 20L 10)
              near "a tenth of the period" 0.1 (weight 1000L 10)
              near "larger than the period" 1.0 (weight 1000L 250)
              near "alpha, whatever was seen" 0.3 (DutyCycle.weight (DutyCycle.Alpha 0.3) 1000L 250))

          testCase "up to the period, the duty cycle is the plain mean over all samples" (fun () ->
              let random = Random 3

              let batches =
                  [ for samples in [ 3; 5; 1; 7 ] -> samples, Array.init 4 (fun _ -> random.Next(samples + 1)) ]

              let mutable seen = 0L
              let mutable duty: float[] = Array.zeroCreate 4

              for samples, wins in batches do
                  seen <- seen + int64 samples
                  duty <- DutyCycle.update (DutyCycle.weight (DutyCycle.Period 16) seen samples) samples wins duty

              for i in 0..3 do
                  let total = batches |> List.sumBy (fun (_, wins) -> wins[i])
                  near $"unit {i}" (float total / float seen) duty[i])

          testList
              "boosting spreads the wins"
              [ for name, boost in [ "exponential", Boost.Exponential 8.0; "additive", Boost.Additive 8.0 ] do
                    for ruleName, rule in [ "alpha", DutyCycle.Alpha 0.02; "period", DutyCycle.Period 50 ] do
                        testCase $"{name}, {ruleName}: a unit that never wins is boosted until it does" (fun () ->
                            // Unit i's input is always 1 + i / 10: without a boost the last two always win.
                            let sample _ =
                                Array.init 8 (fun i -> 1.0 + float i / 10.0)

                            let unboosted, _ = run Boost.None rule 2 8 500 sample
                            Expect.equal unboosted [| 0; 0; 0; 0; 0; 0; 500; 500 |] "not vacuous"
                            let won, duty = run boost rule 2 8 500 sample
                            Expect.all won (fun w -> w > 0) "each wins"
                            // What is left of the start, where alpha forgets it.
                            let left = 0.25 * 0.98 ** 500.0
                            Expect.isLessThan (abs (Array.average duty - 0.25)) (left + 1e-9) "its mean is k / n"

                            let _, flat = run Boost.None rule 2 8 500 sample

                            Expect.isGreaterThan
                                (DutyCycle.entropy duty)
                                (DutyCycle.entropy flat + 1.0)
                                "the entropy rises") ]

          testCase "the mean of the duty cycle tends to k / n from any start" (fun () ->
              let mutable duty = Array.init 10 (fun i -> if i < 9 then 1.0 else 0.3)
              let random = Random 1

              for _ in 1..400 do
                  let wins: int[] = Array.zeroCreate 10

                  for winner in KWinners.winners 3 (Array.init 10 (fun _ -> random.NextDouble())) do
                      wins[winner] <- 1

                  duty <- DutyCycle.update 0.05 1 wins duty

              // What is left of the start is 0.95^400 < 2e-9.
              Expect.isLessThan (abs (Array.average duty - 0.3)) 1e-8 "mean")

          testCase "entropy: 0 where the same units always win, the most where all win alike" (fun () ->
              near "always the same" 0.0 (DutyCycle.entropy [| 1.0; 0.0; 0.0 |])
              near "coins" 3.0 (DutyCycle.entropy [| 0.5; 0.5; 0.5 |])
              near "all alike" (DutyCycle.maxEntropy 4 1) (DutyCycle.entropy (Array.create 4 0.25))
              near "k = n" 0.0 (DutyCycle.maxEntropy 4 4))

          testProperty "no duty cycle of mean k / n has more than the maximal entropy" (fun (seed: int) ->
              let random = Random seed
              let duty = Array.init 12 (fun _ -> random.NextDouble())
              let scale = 3.0 / Array.sum duty
              let scaled = duty |> Array.map (fun d -> d * scale)

              if Array.forall (fun d -> d <= 1.0) scaled then
                  Expect.isLessThanOrEqual (DutyCycle.entropy scaled) (DutyCycle.maxEntropy 12 3 + 1e-9) "entropy") ]

[<Tests>]
let refusals =
    testList
        "KWinners refuses"
        [ refuses "no unit" "features" "1 unit or more, got 0" (fun () -> KWinners.count 0 0.5)
          refuses "a sparsity of 1" "sparsity" "[0, 1), got 1" (fun () -> KWinners.count 5 1.0)
          refuses "a negative sparsity" "sparsity" "[0, 1), got -0.1" (fun () -> KWinners.count 5 -0.1)
          refuses "a sparsity that is NaN" "sparsity" "[0, 1), got NaN" (fun () -> KWinners.count 5 nan)
          refuses "no winner" "k" "1..2 winners, got 0" (fun () -> KWinners.winners 0 [| 1.0; 2.0 |])
          refuses "too many winners" "k" "1..2 winners, got 3" (fun () -> KWinners.winners 3 [| 1.0; 2.0 |])
          refuses "NaN" "scores" "got NaN at 1" (fun () -> KWinners.winners 1 [| 1.0; nan |])
          refuses "inputs of another length" "x" "2 inputs, got 1" (fun () ->
              KWinners.activate 1 [| 1.0; 2.0 |] [| 1.0 |])
          refuses "a factor of 0" "factor" "above 0, got 0" (fun () -> KWinners.atInference 5 0.0 1)
          refuses "a factor that is NaN" "factor" "above 0, got NaN" (fun () -> KWinners.atInference 5 nan 1)
          refuses "an infinite factor" "factor" "finite factor above 0" (fun () -> KWinners.atInference 5 infinity 1)
          refuses "a negative strength" "boost" "0 or more, got -1" (fun () ->
              Boost.scores (Boost.Exponential -1.0) 0.5 [| 0.0 |] [| 1.0 |])
          refuses "a strength that is NaN" "boost" "0 or more, got NaN" (fun () ->
              Boost.decayed 1.0 (Boost.Additive nan))
          refuses "a decay above 1" "decay" "[0, 1], got 1.5" (fun () -> Boost.decayed 1.5 Boost.None)
          refuses "a target of 0" "target" "(0, 1], got 0" (fun () -> Boost.scores Boost.None 0.0 [| 0.0 |] [| 1.0 |])
          refuses "duty cycles of another length" "duty" "1 duty cycles, got 2" (fun () ->
              Boost.scores Boost.None 0.5 [| 0.0; 0.0 |] [| 1.0 |])
          refuses "alpha 0" "alpha" "(0, 1], got 0" (fun () -> DutyCycle.weight (DutyCycle.Alpha 0.0) 1L 1)
          refuses "alpha above 1" "alpha" "(0, 1], got 10" (fun () -> DutyCycle.weight (DutyCycle.Alpha 10.0) 1L 1)
          refuses "alpha NaN" "alpha" "(0, 1], got NaN" (fun () -> DutyCycle.weight (DutyCycle.Alpha nan) 1L 1)
          refuses "a period of 0" "period" "1 sample or more, got 0" (fun () ->
              DutyCycle.weight (DutyCycle.Period 0) 1L 1)
          refuses "no sample" "samples" "1 sample or more, got 0" (fun () ->
              DutyCycle.weight (DutyCycle.Alpha 0.5) 1L 0)
          refuses "fewer seen than come" "seen" "at least the 5" (fun () -> DutyCycle.weight (DutyCycle.Period 9) 1L 5)
          refuses "more wins than samples" "wins" "0..2 wins, got 3" (fun () ->
              DutyCycle.update 0.5 2 [| 3 |] [| 0.0 |])
          refuses "wins of another length" "wins" "2 counts, got 1" (fun () ->
              DutyCycle.update 0.5 2 [| 1 |] [| 0.0; 0.0 |])
          refuses "a weight above 1" "weight" "[0, 1], got 2" (fun () -> DutyCycle.update 2.0 1 [| 1 |] [| 0.0 |])
          refuses "the entropy of more winners than units" "k" "1..3 winners, got 4" (fun () ->
              DutyCycle.maxEntropy 3 4) ]
