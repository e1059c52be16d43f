/// K-winners by the facade: the core's answers.
module SparseFs.Tests.KWinnersFacadeTests

open System.ComponentModel
open Expecto
open SparseFs
open SparseFs.CSharp
open SparseFs.Tests.Refusals
open TorchSharp

[<Tests>]
let kWinnersFacade =
    testList
        "KWinners facade"
        [ testCase "ActivationSparsity has SparseLinear's names and defaults" (fun () ->
              use layer = sparsenn.ActivationSparsity(2000L)

              use core =
                  new KWinners(
                      2000,
                      { KWinnersOptions.ofSparsity 0.65 with
                          DutyCycle = DutyCycle.Alpha 0.1
                          Boost = Boost.Exponential 1.5 }
                  )

              Expect.equal (string layer) (string core) "defaults"

              use layer =
                  sparsenn.ActivationSparsity(numFeatures = 10L, alpha = 0.2, beta = 2.0, actSparsity = 0.5)

              use core =
                  new KWinners(
                      10,
                      { KWinnersOptions.ofSparsity 0.5 with
                          DutyCycle = DutyCycle.Alpha 0.2
                          Boost = Boost.Exponential 2.0 }
                  )

              Expect.equal (string layer) (string core) "given")

          testCase "every argument of KWinners arrives" (fun () ->
              use layer =
                  sparsenn.KWinners(
                      10L,
                      KWinnersSettings.Create(
                          k = 3,
                          period = 500,
                          boosting = Boosting.Additive,
                          boostStrength = 2.0,
                          boostDecay = 0.9,
                          inferenceFactor = 1.5,
                          straightThrough = true,
                          checkInput = true
                      )
                  )

              use core =
                  new KWinners(
                      10,
                      { KWinnersOptions.ofK 3 with
                          DutyCycle = DutyCycle.Period 500
                          Boost = Boost.Additive 2.0
                          BoostDecay = 0.9
                          InferenceFactor = 1.5
                          StraightThrough = true }
                  )

              Expect.equal (string layer) (string core) "arguments"
              Expect.throws (fun () -> layer.call (torch.full ([| 10L |], nanf.ToScalar())) |> ignore) "checked")

          testCase "every argument of KWinners2d arrives" (fun () ->
              use layer =
                  sparsenn.KWinners2d(
                      10L,
                      KWinnersSettings.Create(sparsity = 0.5, alpha = 0.3, boosting = Boosting.None),
                      local = true
                  )

              use core =
                  new KWinners2d(
                      10,
                      { KWinnersOptions.ofSparsity 0.5 with
                          DutyCycle = DutyCycle.Alpha 0.3
                          Boost = Boost.None },
                      local = true
                  )

              Expect.equal (string layer) (string core) "arguments"
              use defaults = sparsenn.KWinners2d(10L)
              use coreDefaults = new KWinners2d(10)
              Expect.equal (string defaults) (string coreDefaults) "defaults"

              use layer =
                  sparsenn.KWinners2d(
                      10L,
                      KWinnersSettings.Create(k = 3, period = 9, checkInput = true, straightThrough = true)
                  )

              use core =
                  new KWinners2d(
                      10,
                      { KWinnersOptions.ofK 3 with
                          DutyCycle = DutyCycle.Period 9
                          StraightThrough = true }
                  )

              Expect.equal (string layer) (string core) "k and a period")

          testCase "options are one value for any number of layers" (fun () ->
              let options =
                  KWinnersSettings.Create(
                      k = 3,
                      period = 500,
                      boosting = Boosting.Additive,
                      boostStrength = 2.0,
                      boostDecay = 0.9,
                      inferenceFactor = 1.5,
                      straightThrough = true,
                      checkInput = true
                  )

              let core =
                  { Winners = WinnerCount.Exactly 3
                    DutyCycle = DutyCycle.Period 500
                    Boost = Boost.Additive 2.0
                    BoostDecay = 0.9
                    InferenceFactor = 1.5
                    StraightThrough = true
                    CheckInput = true }

              Expect.equal options core "each argument arrives"
              Expect.equal (KWinnersSettings.Create()) KWinnersOptions.defaults "defaults"
              Expect.equal (KWinnersSettings.Create(sparsity = 0.5)) (KWinnersOptions.ofSparsity 0.5) "a sparsity"
              use layer = sparsenn.KWinners(10L, options)
              use images = sparsenn.KWinners2d(10L, options, local = true)
              Expect.equal layer.Options options "KWinners"
              Expect.equal images.Options options "KWinners2d"
              Expect.isTrue images.IsLocal "local")

          refuses "a decay above 1" "boostDecay" "[0, 1], got 2" (fun () -> KWinnersSettings.Create(boostDecay = 2.0))

          testCase "no options are the defaults" (fun () ->
              use layer = sparsenn.KWinners 5L
              use images = sparsenn.KWinners2d 5L
              Expect.equal layer.Options KWinnersOptions.defaults "KWinners"
              Expect.equal images.Options KWinnersOptions.defaults "KWinners2d")

          testCase "the functions are the core's" (fun () ->
              let scores, x, duty = [| 1.0; 3.0; 2.0 |], [| 5.0; 6.0; 7.0 |], [| 0.1; 0.9; 0.5 |]
              Expect.equal (Winners.Count(10, 0.65)) (KWinners.count 10 0.65) "Count"
              Expect.equal (Winners.AtInference(10, 1.5, 3)) (KWinners.atInference 10 1.5 3) "AtInference"
              Expect.equal (Winners.Choose(2, scores)) (KWinners.winners 2 scores) "Choose"
              Expect.equal (Winners.Activate(2, scores, x)) (KWinners.activate 2 scores x) "Activate"

              for boosting, boost in
                  [ Boosting.None, Boost.None
                    Boosting.Exponential, Boost.Exponential 1.5
                    Boosting.Additive, Boost.Additive 1.5 ] do
                  Expect.equal
                      (Winners.Scores(boosting, 1.5, 0.5, duty, x))
                      (Boost.scores boost 0.5 duty x)
                      $"Scores, {boosting}"

              let rule = DutyCycle.Period 20
              Expect.equal (Winners.Weight(rule, 30L, 4)) (DutyCycle.weight rule 30L 4) "Weight"

              Expect.equal
                  (Winners.Update(0.3, 4, [| 1; 2; 4 |], duty))
                  (DutyCycle.update 0.3 4 [| 1; 2; 4 |] duty)
                  "Update"

              Expect.equal (Winners.Entropy duty) (DutyCycle.entropy duty) "Entropy"
              Expect.equal (Winners.MaxEntropy(10, 3)) (DutyCycle.maxEntropy 10 3) "MaxEntropy"
              use x = torch.randn (4L, 9L)

              use byFacade = sparsenn.functional.kwinners (x, 3)
              use byCore = KWinnersOps.winners 3 x
              Expect.equal (byFacade.data<float32>().ToArray()) (byCore.data<float32>().ToArray()) "kwinners")

          refuses "no unit" "numFeatures" "units, got 0" (fun () -> sparsenn.ActivationSparsity 0L)
          refuses "a negative beta" "beta" "0 or more, got -1" (fun () -> sparsenn.ActivationSparsity(5L, beta = -1.0))
          refuses "a sparsity of 1" "actSparsity" "[0, 1), got 1" (fun () ->
              sparsenn.ActivationSparsity(5L, actSparsity = 1.0))
          refuses "the alpha of SparseLinear's documented call" "alpha" "(0, 1], got 10" (fun () ->
              sparsenn.ActivationSparsity(5L, alpha = 10.0))
          refuses "a strength that is NaN" "boostStrength" "0 or more, got NaN" (fun () ->
              KWinnersSettings.Create(boostStrength = nan))
          refuses "no scores" "scores" "" (fun () -> Winners.Choose(1, Unchecked.defaultof<_>))
          refuses "no rule" "rule" "" (fun () -> Winners.Weight(Unchecked.defaultof<DutyCycle>, 1L, 1))

          testCase "a form that does not exist is refused" (fun () ->
              Expect.throwsT<InvalidEnumArgumentException>
                  (fun () -> KWinnersSettings.Create(boosting = enum<Boosting> 9) |> ignore)
                  "boosting") ]
