/// C#'s policies, schedules and rewirer are the core's.
module SparseFs.Tests.RewiringFacadeTests

open System
open Expecto
open SparseFs
open SparseFs.CSharp
open SparseFs.Tests.Refusals
open TorchSharp
open SparseFs.Tests.Outcomes

let private state () =
    let random = Random 4
    let c = Topology.uniform 12 9 40 (Seed.ofInt 2)
    let gradient = Array.init 108 (fun _ -> random.NextSingle() - 0.5f)

    let scores =
        RowScores(fun first count -> Array.sub gradient (first * 9) (count * 9))

    { PatternUpdates.State(c, Array.init 40 (fun _ -> random.NextSingle() - 0.5f), 10L, Seed.ofInt 6) with
        Gradient = scores
        Momentum = scores }

let private sameUpdate (name: string) (ofCSharp: Policy) (ofCore: Policy) =
    testCase $"{name} is the core's" (fun () ->
        let updated = PatternUpdates.Update(ofCSharp, [| state () |]) |> Array.exactlyOne
        let wanted = Rewire.step ofCore [| state () |] |> Array.exactlyOne
        Expect.isGreaterThan ((countsOf wanted.Outcome).Dropped + (countsOf wanted.Outcome).Grown) 0 "not vacuous"
        Expect.equal updated.Connectivity wanted.Connectivity "pattern"
        Expect.equal (updated.Remap.From.ToArray()) (wanted.Remap.From.ToArray()) "remap"
        Expect.equal updated.GrownWeights wanted.GrownWeights "grown weights")

[<Tests>]
let rewiringFacade =
    let soon = Schedules.Cosine(0.4, 5L, 50L)
    let core = Schedule.cosine 0.4 5L 50L

    testList
        "Facade rewiring"
        [ testCase "schedules are the core's" (fun () ->
              let s = Schedules.InversePower(3.0, 0.3, 5L, 60L, start = 10L)
              Expect.equal s (Schedule.from 10L (Schedule.inversePower 3.0 0.3 5L 60L)) "schedule"
              Expect.equal (s.FractionAt 25L) (Schedule.fraction 25L s) "fraction"
              Expect.equal (s.IsUpdate 25L, s.IsUpdate 26L) (true, false) "updates"
              Expect.equal (s.CubicSparsity(0.5, 0.9, 25L)) (Schedule.cubicSparsity 0.5 0.9 25L s) "cubic")

          sameUpdate "RigL" (Policies.RigL soon) (Policy.rigL core)
          sameUpdate "SET" (Policies.Set soon) (Policy.set core)
          sameUpdate "SNFS" (Policies.Snfs soon) (Policy.snfs core)
          sameUpdate "SRigL" (Policies.SRigL(soon, 0.3)) (Policy.srigL (ValueSome 0.3) core)
          sameUpdate "gradual" (Policies.Gradual(0.6, 0.9, soon)) (Policy.gradual 0.6 0.9 core)
          sameUpdate
              "one's own"
              (Policies.Custom(
                  soon,
                  dropScore = (fun s -> Array.map (fun w -> -w) s.Weight),
                  growScore = (fun s -> s.Gradient),
                  growthInputs = GrowthInputs.Gradient,
                  grownBound = 0.1
              ))
              { Policy.staticSparse with
                  Schedule = core
                  Drop = Drop.Score(fun s -> Array.map (fun w -> -w) s.Weight)
                  Grow = Grow.Score(GrowthInputs.Gradient, (fun s -> s.Gradient))
                  GrownWeight = GrownWeight.Uniform 0.1 }

          sameUpdate
              "one's own, by names,"
              (Policies.Custom(
                  soon,
                  dropScore = (fun s -> Array.map (fun w -> -w) s.Weight),
                  dropName = "largest",
                  growScore = (fun s -> s.Gradient),
                  growName = "uphill",
                  growthInputs = GrowthInputs.Gradient
              ))
              { Policy.staticSparse with
                  Schedule = core
                  Drop = Drop.Score(fun s -> Array.map (fun w -> -w) s.Weight)
                  Grow = Grow.Score(GrowthInputs.Gradient, (fun s -> s.Gradient)) }

          testCase "names of one's own rules are the policy's" (fun () ->
              let policy =
                  Policies.Custom(
                      soon,
                      dropScore = (fun s -> s.Weight),
                      dropName = "smallest",
                      growScore = (fun s -> s.Gradient),
                      growName = "uphill",
                      growthInputs = GrowthInputs.Gradient
                  )

              match policy.Drop, policy.Grow with
              | Drop.NamedScore("smallest", _), Grow.NamedScore("uphill", GrowthInputs.Gradient, _) -> ()
              | other -> failtest $"expected the names, got {other}"

              Expect.equal (policy.GetGrowthInputs()) GrowthInputs.Gradient "needs")

          testCase "one's own policy is the static one where nothing is said, and what is said" (fun () ->
              let own = Policies.Custom soon

              Expect.equal
                  (string own)
                  (string
                      { Policy.staticSparse with
                          Schedule = core })
                  "defaults"

              Expect.isFalse own.SkipGradientsAtUpdates "steps at updates"
              Expect.equal own.Momentum MomentumWindow.standard "window"

              let other =
                  Policies.Custom(soon, skipGradientsAtUpdates = true, momentumBeta = 0.5, momentumSteps = 4)

              Expect.isTrue other.SkipGradientsAtUpdates "as RigL"
              Expect.equal other.Momentum { Beta = 0.5; Steps = 4 } "window"

              Expect.throwsT<ArgumentException>
                  (fun () -> Policies.Custom(soon, momentumBeta = 1.0) |> ignore)
                  "β of 1")

          testCase "an outcome has its counts or its reason" (fun () ->
              let rewired = PatternUpdates.LayerBy(Policies.RigL soon, 0.3, state ())

              match rewired.Outcome.TryGetCounts(), rewired.Outcome.TryGetReason() with
              | (true, counts), (false, _) -> Expect.isGreaterThan counts.Grown 0 "counts"
              | other -> failtest $"expected counts, got {other}"

              let spoiled =
                  { state () with
                      Weight = Array.create 40 nanf }

              let refused = (PatternUpdates.LayerBy(Policies.RigL soon, 0.3, spoiled)).Outcome

              match refused.TryGetCounts(), refused.TryGetReason() with
              | (false, _), (true, reason) -> Expect.stringContains reason "finite" "reason"
              | other -> failtest $"expected a reason, got {other}")

          testCase "a rewirer tells its handler" (fun () ->
              let layer = sparsenn.SparseLinear(20L, 10L)
              let optimizer = torch.optim.SGD(layer.parameters (), 0.1)
              let seen = ResizeArray<RewireEvent>()

              let rewirer =
                  Rewiring.Rewire(
                      layer,
                      optimizer,
                      Policies.Set(Schedules.Constant(0.3, 1L, 9L)),
                      Seed.ofInt 1,
                      Action<RewireEvent> seen.Add
                  )

              layer.forward(torch.randn (4L, 20L)).square().mean().backward()
              Expect.equal (rewirer.Step()) (seen.ToArray()) "events"
              Expect.equal seen.Count 1 "one layer")

          refuses "a rule that does not exist" "drop" "expected a rule, got 9" (fun () ->
              Policies.Custom(soon, drop = enum<DropRule> 9))
          refuses "a name of no drop rule" "dropName" "got none" (fun () ->
              Policies.Custom(soon, dropName = "smallest"))
          refuses "a name of no grow rule" "growName" "got none" (fun () -> Policies.Custom(soon, growName = "uphill"))
          refuses "a drop rule of an empty name" "dropName" "own drop rule" (fun () ->
              Policies.Custom(soon, dropScore = (fun s -> s.Weight), dropName = ""))
          refuses "no schedule" "schedule" "" (fun () -> Policies.RigL Unchecked.defaultof<Schedule>) ]
