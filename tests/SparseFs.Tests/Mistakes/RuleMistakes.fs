/// Numbers of K-winners and policies: schedules, budgets, rules.
module SparseFs.Tests.Mistakes.RuleMistakes

open Expecto
open SparseFs
open SparseFs.Tests.Mistakes.Mistake
open TorchSharp

let private rigL = Policy.rigL (Schedule.cosine 0.3 10L 100L)

/// A policy is given to a layer.
let private given (policy: Policy) () : unit =
    new SparseLinear(6, 4, sparsity = 0.5, policy = policy) |> ignore

let private winners (options: KWinnersOptions) () : unit = new KWinners(10, options) |> ignore

[<Tests>]
let mistakes =
    testList
        "Mistakes of policies and K-winners"
        [ expect
              "α is a percentage"
              "expected a part of the slots, α in [0, 1], got 30: write 0.3 for 30 % (Parameter 'fraction')"
              (fun () -> Schedule.cosine 30.0 100L 75_000L |> ignore)

          expect "ΔT is 0" "expected ΔT of 1 or more, got 0 (Parameter 'every')" (fun () ->
              Schedule.constant 0.3 0L 75_000L |> ignore)

          expect
              "a schedule begins after its end"
              "expected an end at 200 or later, got 100 (Parameter 'end')"
              (fun () -> Schedule.cosine 0.3 10L 100L |> Schedule.from 200L |> ignore)

          expect
              "a schedule has no update"
              ("expected a schedule with at least one update, got ΔT = 1000 from step 0 to 500 for 'layer': make ΔT at most 500, "
               + "or the end later (Parameter 'policy')")
              (fun () ->
                  let layer = new SparseLinear(6, 4, sparsity = 0.5)
                  let sgd = torch.optim.SGD(layer.parameters (), 0.1)
                  let policy = Policy.set (Schedule.constant 0.3 1000L 500L)
                  new Rewirer([ struct ("layer", layer) ], sgd, policy, Seed.ofInt 1) |> ignore)

          expect
              "γ is above 1"
              "expected γ in [0, 1], got 1.5 (Parameter 'salient')"
              (given
                  { rigL with
                      Budget = Budget.RowWithAblation 1.5 })

          expect
              "a gradual policy wants weights back"
              "expected a sparsity of 0.9 or more, got 0.5 (Parameter 'final')"
              (given (Policy.gradual 0.9 0.5 (Schedule.constant 0.0 10L 100L)))

          expect
              "β is 1"
              "expected β in [0, 1), got 1 (Parameter 'beta')"
              (given
                  { rigL with
                      Momentum = { Beta = 1.0; Steps = 8 } })

          expect
              "grown weights of a negative bound"
              "expected a finite number of 0 or more, got -0.1 (Parameter 'bound')"
              (given
                  { rigL with
                      GrownWeight = GrownWeight.Uniform -0.1 })

          expect
              "a rule's name is blank"
              "expected a name for the policy's own drop rule, got '' (Parameter 'name')"
              (given
                  { rigL with
                      Drop = Drop.NamedScore("", (fun s -> s.Weight)) })

          expect
              "no unit wins"
              "expected 1 winner or more, got 0 (Parameter 'k')\nActual value was 0."
              (winners (KWinnersOptions.ofK 0))

          expect
              "more units win than there are"
              "expected 1..10 winners, got 11 (Parameter 'k')\nActual value was 11."
              (winners (KWinnersOptions.ofK 11))

          expect
              "a duty cycle's α is above 1"
              "expected a weight in (0, 1], got 10 (Parameter 'alpha')\nActual value was 10."
              (winners
                  { KWinnersOptions.defaults with
                      DutyCycle = DutyCycle.Alpha 10.0 })

          expect
              "a boost is negative"
              "expected a finite number, 0 or more, got -1.5 (Parameter 'boost')\nActual value was -1.5."
              (winners
                  { KWinnersOptions.defaults with
                      Boost = Boost.Exponential -1.5 }) ]
