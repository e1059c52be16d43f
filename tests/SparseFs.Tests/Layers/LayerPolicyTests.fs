/// Policies that layers carry, and a rewirer that follows them: SparseLinear's dynamic, deltaT, tEnd and alpha.
module SparseFs.Tests.LayerPolicyTests

open System
open System.Collections.Generic
open System.IO
open Expecto
open SparseFs
open SparseFs.CSharp
open SparseFs.Tests.Refusals
open TorchSharp

let private start: TrainingProgress =
    { Step = 0L
      Seed = Seed.ofInt 0
      Notes = Dictionary() }

let private hidden () =
    new SparseLinear(30, 20, sparsity = 0.5, seed = Seed.ofInt 1, policy = Policy.rigL (Schedule.cosine 0.3 2L 100L))

let private output () =
    new SparseLinear(20, 10, sparsity = 0.5, seed = Seed.ofInt 2, policy = Policy.rigL (Schedule.cosine 0.5 3L 100L))

let private train (model: torch.nn.Module<torch.Tensor, torch.Tensor>) (optimizer: torch.optim.Optimizer) =
    use _ = torch.NewDisposeScope()
    optimizer.zero_grad ()
    let x = torch.linspace(-1.0, 1.0, 240L).reshape(8L, 30L)
    (model.call x).square().mean().backward()

/// The same numbers each time, whatever other tests draw.
let private setWeight (layer: SparseLinear) =
    use _ = torch.no_grad ()
    use _ = torch.NewDisposeScope()
    let nnz = int64 layer.Connectivity.Nnz

    layer.weight.copy_ (torch.arange(nnz, dtype = torch.float32).mul(torch.tensor 0.7f).sin())
    |> ignore

    layer.PresentBias.zero_ () |> ignore

let private sgd (model: torch.nn.Module) =
    torch.optim.SGD(model.parameters (), 0.05, momentum = 0.9)

[<Tests>]
let tests =
    testList
        "Layer policies"
        [ testCase
              "a layer carries RigL's policy with SparseLinear's numbers if it is dynamic, and none else"
              (fun () ->
                  use still = new SparseLinear(30, 20, seed = Seed.ofInt 0)
                  Expect.isTrue (isNull (box still.Policy)) "not dynamic"
                  use dynamic = FromSparseLinear.SparseLinear(30, 20, dynamic = true)
                  Expect.equal dynamic.PresentPolicy.Schedule (Schedule.cosine 0.1 6000L 150_000L) "defaults"

                  Expect.isTrue
                      (dynamic.PresentPolicy.Grow.IsGradient
                       && dynamic.PresentPolicy.Regrow = Regrow.Restore)
                      "RigL"

                  use own = hidden ()
                  Expect.equal own.PresentPolicy.Schedule (Schedule.cosine 0.3 2L 100L) "given")

          testCase "in C# too, with a pattern and without" (fun () ->
              let schedule (layer: SparseLinear) = layer.PresentPolicy.Schedule
              use defaults = sparsenn.SparseLinear(30L, 20L, dynamic = true)
              Expect.equal (schedule defaults) (Schedule.cosine 0.1 6000L 150_000L) "defaults"
              let c = Topology.uniform 20 30 50 (Seed.ofInt 1)

              use onPattern =
                  sparsenn.SparseLinear(
                      30L,
                      20L,
                      connectivity = c,
                      dynamic = true,
                      deltaT = 7L,
                      tEnd = 9L,
                      alpha = 0.2
                  )

              Expect.equal (schedule onPattern) (Schedule.cosine 0.2 7L 9L) "given"

              use seeded =
                  sparsenn.SparseLinear(
                      30L,
                      20L,
                      Seed.ofInt 3,
                      policy = Policies.RigL(Schedules.Cosine(0.1, 5L, 150_000L))
                  )

              Expect.equal (schedule seeded) (Schedule.cosine 0.1 5L 150_000L) "seeded"
              use still = sparsenn.SparseLinear(30L, 20L, connectivity = c)
              Expect.isTrue (isNull (box still.Policy)) "not dynamic"
              use optimizer = sgd onPattern
              let rewirer = Rewiring.Rewire(onPattern, optimizer)
              Expect.equal rewirer.Policies.Count 1 "followed")

          testCase "each layer is rewired when its own policy says so, and one without stays" (fun () ->
              use first = hidden ()
              use second = output ()
              use still = new SparseLinear(10, 10, sparsity = 0.5, seed = Seed.ofInt 3)
              use model = torch.nn.Sequential(first, second, still)
              use optimizer = sgd model
              let rewirer = new Rewirer(model, optimizer)
              let mutable moved = [ false; false; false ]

              for step in 1..12 do
                  train model optimizer
                  let before = [ first.Connectivity; second.Connectivity; still.Connectivity ]
                  let events = rewirer.Step()
                  let names = [ for e in events -> e.Layer ]

                  let due =
                      [ if step % 2 = 0 then
                            "0"
                        if step % 3 = 0 then
                            "1" ]

                  Expect.equal names due $"step {step}: events"
                  let after = [ first.Connectivity; second.Connectivity; still.Connectivity ]
                  let changed = List.map2 (fun (a: Connectivity) b -> a <> b) before after
                  let isDue = [ step % 2 = 0; step % 3 = 0; false ]

                  // One that is due may grow again what it dropped.
                  Expect.isTrue
                      (List.forall2 (fun changed due -> due || not changed) changed isDue)
                      $"step {step}: patterns"

                  Expect.equal (after |> List.map _.Nnz) (before |> List.map _.Nnz) "nnz"
                  moved <- List.map2 (||) moved changed

              Expect.equal moved [ true; true; false ] "not vacuous")

          testCase "following one layer's policy is rewiring it by that policy" (fun () ->
              let run (make: SparseLinear -> torch.optim.Optimizer -> Rewirer) =
                  use layer = hidden ()
                  setWeight layer
                  use optimizer = sgd layer
                  let rewirer = make layer optimizer

                  for _ in 1..9 do
                      train layer optimizer
                      rewirer.Step() |> ignore

                  layer.Connectivity, layer.weight.data<float32>().ToArray()

              let followed =
                  run (fun layer optimizer -> new Rewirer(layer, optimizer, Seed.ofInt 4))

              let given =
                  run (fun layer optimizer ->
                      new Rewirer(layer, optimizer, Policy.rigL (Schedule.cosine 0.3 2L 100L), Seed.ofInt 4))

              Expect.equal followed given "to the bit")

          testCase "a policy that is given goes before those that layers carry" (fun () ->
              use layer = hidden ()
              use optimizer = sgd layer
              let rewirer = new Rewirer(layer, optimizer, Policy.staticSparse)
              Expect.equal (rewirer.Policies[0]).Schedule Policy.staticSparse.Schedule "given")

          testCase "a policy can be given to a layer that has been made, and be taken away" (fun () ->
              use layer = new SparseLinear(Connectivity.full 3 4)
              layer.Policy <- Policy.set (Schedule.constant 0.1 5L 50L)
              Expect.equal layer.PresentPolicy.Schedule.Every 5L "given"
              layer.Policy <- null
              Expect.isTrue (isNull (box layer.Policy)) "taken")

          testCase "a run whose layers carry policies resumes only where they carry the same" (fun () ->
              let file = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid()}.safetensors")

              let run (deltaT: int64) (work: torch.nn.Module -> torch.optim.Optimizer -> Rewirer -> unit) =
                  use first = hidden ()

                  use second =
                      new SparseLinear(
                          20,
                          10,
                          sparsity = 0.5,
                          seed = Seed.ofInt 0,
                          policy = Policy.rigL (Schedule.cosine 0.5 deltaT 100L)
                      )

                  use model = torch.nn.Sequential(first, second)
                  use optimizer = sgd model
                  work model optimizer (new Rewirer(model, optimizer))

              try
                  run 3L (fun model optimizer rewirer ->
                      Checkpoint.saveTraining start file model optimizer (ValueSome rewirer))

                  run 3L (fun model optimizer rewirer ->
                      Checkpoint.resume file model optimizer (ValueSome rewirer) |> ignore)

                  run 4L (fun model optimizer rewirer ->
                      try
                          Checkpoint.resume file model optimizer (ValueSome rewirer) |> ignore
                          failtest "expected an exception"
                      with :? CheckpointException as e ->
                          Expect.stringContains e.Message "Every" "names the part that differs")
              finally
                  File.Delete file)

          refuses "no layer carries a policy" "model" "carry a policy" (fun () ->
              let layer = new SparseLinear(4, 3, seed = Seed.ofInt 0)
              new Rewirer(layer, sgd layer))

          refuses "α of more than 1, of a layer that is dynamic" "alpha" "got 1.5" (fun () ->
              FromSparseLinear.SparseLinear(4, 3, dynamic = true, alpha = 1.5))

          refuses "α of more than 1, of one that is not" "alpha" "got 1.5" (fun () ->
              FromSparseLinear.SparseLinear(4, 3, alpha = 1.5))

          refuses "α of more than 1, in C# with a pattern of one's own" "alpha" "got 1.5" (fun () ->
              sparsenn.SparseLinear(4L, 3L, connectivity = Connectivity.full 3 4, alpha = 1.5))

          refuses "ΔT of 0" "deltaT" "got 0" (fun () ->
              FromSparseLinear.SparseLinear(4, 3, dynamic = true, deltaT = 0L))

          refuses "a policy outside its range" "fraction" "got 2" (fun () ->
              let layer = new SparseLinear(4, 3, seed = Seed.ofInt 0)
              layer.Policy <- Policy.set { Schedule.never with Fraction = 2.0 }) ]
