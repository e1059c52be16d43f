/// Calls of the C# facade for rewiring, sparsifying and checkpoints: errors have C#'s names of the arguments.
module SparseFs.Tests.Mistakes.CSharpMistakes

open System
open Expecto
open SparseFs
open SparseFs.CSharp
open SparseFs.Tests.CheckpointFiles
open SparseFs.Tests.Mistakes.Mistake
open TorchSharp

type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

let private dense () =
    torch.nn.Sequential(torch.nn.Linear(6L, 4L) :> Layer, torch.nn.ReLU() :> Layer)

let private sparse () =
    torch.nn.Sequential(new SparseLinear(6, 4, sparsity = 0.5, seed = Seed.ofInt 1) :> Layer)

let private soon = Schedules.Cosine(0.3, 10L, 100L)

[<Tests>]
let mistakes =
    testList
        "Mistakes in C#"
        [ expect
              "alpha is a percentage"
              "expected a part of the slots, in [0, 1], got 30: write 0.3 for 30 % (Parameter 'alpha')"
              (fun () -> Schedules.Cosine(30.0, 100L, 75_000L) |> ignore)

          expect "deltaT is 0" "expected 1 step or more, got 0 (Parameter 'deltaT')" (fun () ->
              Schedules.Constant(0.3, 0L, 75_000L) |> ignore)

          expect
              "tEnd is before the start"
              "expected step 5000, the start, or later, got 100 (Parameter 'tEnd')"
              (fun () -> Schedules.Linear(0.3, 100L, 100L, start = 5000L) |> ignore)

          expect "the start is negative" "expected step 0 or later, got -1 (Parameter 'start')" (fun () ->
              Schedules.InversePower(3.0, 0.3, 100L, 100L, start = -1L) |> ignore)

          expect
              "the power is no number"
              "expected a finite number of 0 or more, got NaN (Parameter 'power')"
              (fun () -> Schedules.InversePower(nan, 0.3, 100L, 100L) |> ignore)

          expect "γ is above 1" "expected a part in [0, 1], got 1.5 (Parameter 'salient')" (fun () ->
              Policies.SRigL(soon, 1.5) |> ignore)

          expect
              "a gradual policy wants weights back"
              "expected the initial sparsity 0.9 or more, got 0.5 (Parameter 'finalSparsity')"
              (fun () -> Policies.Gradual(0.9, 0.5, soon) |> ignore)

          expect
              "the window of momenta is empty"
              "expected 1 step or more, got 0 (Parameter 'momentumSteps')"
              (fun () -> Policies.Custom(soon, momentumSteps = 0) |> ignore)

          expect "β is 1" "expected a factor in [0, 1), got 1 (Parameter 'momentumBeta')" (fun () ->
              Policies.Custom(soon, momentumBeta = 1.0) |> ignore)

          expect
              "the bound of grown weights is negative"
              "expected a finite number of 0 or more, got -0.1 (Parameter 'grownBound')"
              (fun () -> Policies.Custom(soon, grownBound = -0.1) |> ignore)

          expect
              "a rule's name is blank"
              "expected a name for the policy's own drop rule, got ' '; leave it null for none (Parameter 'dropName')"
              (fun () -> Policies.Custom(soon, dropName = " ", dropScore = (fun s -> s.Weight)) |> ignore)

          expect
              "a name is given without its rule"
              "expected a growScore that the name is of, got none (Parameter 'growName')"
              (fun () -> Policies.Custom(soon, growName = "mine") |> ignore)

          expect
              "two budgets are given"
              "expected at most one of allocation, byGlobalMagnitude and sparsityOf, got more (Parameter 'allocation')"
              (fun () ->
                  (dense ()).Sparsify(0.5, SparsityDistribution.Uniform, byGlobalMagnitude = true)
                  |> ignore)

          expect
              "sparsityOf gives what is no sparsity"
              "for '0': expected a sparsity in [0, 1), got -0.5 (Parameter 'sparsityOf')\nActual value was -0.5."
              (fun () -> (dense ()).Sparsify(sparsityOf = (fun _ -> -0.5)) |> ignore)

          expect
              "a batch of no samples is timed"
              "expected 1 or more samples, got 0 (Parameter 'fasterAt')\nActual value was 0."
              (fun () -> (dense ()).Sparsify(0.5, fasterAt = 0) |> ignore)

          expect "groups of no row" "expected 1 row or more, got 0 (Parameter 'rowGroup')" (fun () ->
              (dense ()).Sparsify(0.5, rowGroup = 0) |> ignore)

          expect "a norm that is none" "expected L1 or L2, got 7 (Parameter 'groupNorm')" (fun () ->
              (dense ()).Sparsify(0.5, rowGroup = 4, groupNorm = enum<RowGroupNorm> 7)
              |> ignore)

          expect "a layer in groups of no row" "expected 1 row or more, got -4 (Parameter 'rowGroup')" (fun () ->
              torch.nn.Linear(4L, 8L).ToSparse(0.5, rowGroup = -4) |> ignore)

          expect
              "a count of steps is negative"
              "expected 0 steps or more, got -1 (Parameter 'step')\nActual value was -1."
              (fun () ->
                  let model = sparse ()
                  Checkpoints.SaveTraining(model, "x", torch.optim.SGD(model.parameters (), 0.1), step = -1L))

          expect
              "a prefix without its dot"
              "expected prefixes that end in a dot, got 'module' (Parameter 'prefixes')"
              (fun () -> Checkpoints.Load(sparse (), "x", prefixes = [| "module" |]) |> ignore)

          expect
              "ReduceLROnPlateau is resumed by steps"
              ("expected a scheduler whose rates follow from its steps, got ReduceLROnPlateau, whose rates follow from metrics: "
               + "resumeSchedulerOn takes them (C#: ResumeScheduler with metrics) (Parameter 'make')")
              (fun () ->
                  let model = sparse ()
                  let sgd = torch.optim.SGD(model.parameters (), 0.1)

                  let make =
                      Func<torch.optim.lr_scheduler.LRScheduler>(fun () ->
                          torch.optim.lr_scheduler.ReduceLROnPlateau sgd)

                  Checkpoints.ResumeScheduler(sgd, make, 5L) |> ignore)

          expect "a decay of averages is 1" "expected a decay in [0, 1), got 1 (Parameter 'decay')" (fun () ->
              Averages.Exponential(sparse (), 1.0) |> ignore)

          expect
              "the input's shape for ONNX is not known"
              "expected the input's shape, as no layer says it: InputShape = [| 3; 32; 32 |] for images of 3 channels (C#: inputShape) (Parameter 'inputShape')"
              (fun () -> withFile (fun file -> torch.nn.Sequential(torch.nn.ReLU() :> Layer).ExportOnnx file)) ]
