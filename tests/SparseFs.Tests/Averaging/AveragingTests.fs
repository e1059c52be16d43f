module SparseFs.Tests.AveragingTests

open System
open System.Collections.Generic
open System.Runtime.CompilerServices
open Expecto
open SparseFs
open SparseFs.Tests.SparseOpsTests
open SparseFs.Tests.CheckpointFiles
open TorchSharp
open TorchSharp.Modules

let private scoped name (body: unit -> unit) =
    testCase name (fun () ->
        use _ = torch.NewDisposeScope()
        body ())

let private mlp () =
    torch.nn.Sequential(
        new SparseLinear(Topology.uniform 16 12 60 (Seed.ofInt 1)),
        torch.nn.BatchNorm1d(16L),
        torch.nn.ReLU(),
        torch.nn.Linear(16L, 4L)
    )

/// One step of training; the rewirer steps, if there is one.
let private step (model: Sequential) (optimizer: torch.optim.Optimizer) (rewirer: Rewirer voption) (at: int) =
    use _ = torch.NewDisposeScope()
    use random = new torch.Generator(uint64 at)
    optimizer.zero_grad ()
    let x = torch.randn ([| 8L; 12L |], generator = random)
    let loss = (model.call x).square().mean()
    loss.backward ()

    match rewirer with
    | ValueSome rewirer -> rewirer.Step() |> ignore
    | ValueNone -> optimizer.step () |> ignore

let private start () =
    torch.manual_seed 3L |> ignore
    let model = mlp ()
    model, torch.optim.SGD(model.parameters (), 0.1, momentum = 0.9)

let private rewirerOf (model: Sequential) optimizer =
    new Rewirer(model, optimizer, Policy.set (Schedule.constant 0.3 3L 1000L), Seed.ofInt 4)

let private parametersOf (model: torch.nn.Module) : Map<string, float[]> =
    use _ = torch.NewDisposeScope()

    Map
        [ for struct (name, p) in model.named_parameters () ->
              name, p.detach().to_type(torch.float64).data<float>().ToArray() ]

let private averaged (averaging: Averaging) (model: torch.nn.Module) =
    using (averaging.Swap()) (fun _ -> parametersOf model)

/// Weights by their cells.
let private cellsOf (layer: SparseLinear) : Map<int64, float> =
    let c = layer.Connectivity
    let rows = Connectivity.rowIndices c
    let weights = numbersOf (layer.weight.detach ())
    Map [ for slot in 0 .. c.Nnz - 1 -> int64 rows[slot] * int64 c.Cols + int64 c.ColIdx[slot], float weights[slot] ]

/// Not inlined, so that no frame that is still there holds it.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let private lost (layer: SparseLinear) = WeakReference(Averaging.Mean layer)

[<Tests>]
let averagingTests =
    testList
        "Averaging"
        [ scoped "where nothing is rewired an EMA is PyTorch's, to the bit" (fun () ->
              let model, optimizer = start ()
              use averaging = Averaging.Exponential(model, 0.9)

              let expected =
                  Dictionary<string, torch.Tensor>(
                      [ for struct (name, p) in model.named_parameters () -> KeyValuePair(name, p.detach().clone()) ]
                  )

              for at in 1..20 do
                  step model optimizer ValueNone at
                  averaging.Update()

                  for struct (name, p) in model.named_parameters () do
                      // AveragedModel copies at first, and then is lerp_(parameter, 1 - decay).
                      if at = 1 then
                          expected[name].copy_(p.detach ()) |> ignore
                      else
                          expected[name].lerp_(p.detach (), torch.full_like (expected[name], (1.0 - 0.9).ToScalar()))
                          |> ignore

              let found = averaged averaging model

              for entry in expected do
                  Expect.equal found[entry.Key] (Array.map float (numbersOf entry.Value)) entry.Key)

          for rule, decay in [ AveragingRule.Exponential 0.8, 0.8; AveragingRule.Mean, nan ] do
              scoped $"averages follow cells through rewires: {rule}" (fun () ->
                  let model, optimizer = start ()
                  let layer = model[0] :?> SparseLinear
                  let rewirer = rewirerOf model optimizer
                  use averaging = new Averaging(model, rule, false)
                  let mutable expected = Map.empty<int64, float * int>

                  for at in 1..40 do
                      step model optimizer (ValueSome rewirer) at
                      averaging.Update()

                      expected <-
                          cellsOf layer
                          |> Map.map (fun cell weight ->
                              match expected.TryFind cell with
                              // Slots that grew at this step are another connection, whatever the cell was before.
                              | Some(average, count) when not (at % 3 = 0 && weight = 0.0) ->
                                  let left =
                                      if Double.IsNaN decay then
                                          float count / float (count + 1)
                                      else
                                          decay

                                  left * average + (1.0 - left) * weight, count + 1
                              | _ -> weight, 1)

                  let found = using (averaging.Swap()) (fun _ -> cellsOf layer)
                  Expect.equal (Set found.Keys) (Set expected.Keys) "cells"

                  // 40 steps of three roundings each, of numbers below 1 in magnitude.
                  for entry in found do
                      let distance = abs (entry.Value - fst expected[entry.Key])
                      Expect.isLessThanOrEqual distance (120.0 * 2.0 ** -24.0) $"cell {entry.Key}"

                  Expect.exists expected (fun entry -> snd entry.Value < 20) "some grew late")

          scoped "a slot that grew since the last update shows its own weight" (fun () ->
              let model, optimizer = start ()
              let layer = model[0] :?> SparseLinear
              let rewirer = rewirerOf model optimizer
              use averaging = Averaging.Mean model
              step model optimizer (ValueSome rewirer) 1
              averaging.Update()
              let before = Set (cellsOf layer).Keys
              step model optimizer (ValueSome rewirer) 2
              step model optimizer (ValueSome rewirer) 3 // an update
              let grown = Set (cellsOf layer).Keys - before
              Expect.isNonEmpty grown "some grew"
              let own = cellsOf layer
              let shown = using (averaging.Swap()) (fun _ -> cellsOf layer)

              for cell in grown do
                  Expect.equal shown[cell] own[cell] "its own")

          scoped "swapping in and out gives the weights back, to the bit, and refuses what would mix" (fun () ->
              let model, optimizer = start ()
              use averaging = Averaging.Exponential(model, 0.5)

              for at in 1..5 do
                  step model optimizer ValueNone at
                  averaging.Update()

              let own = parametersOf model

              using (averaging.Swap()) (fun _ ->
                  Expect.notEqual (parametersOf model) own "the averages"
                  Expect.throwsT<InvalidOperationException> (fun () -> averaging.Update()) "an update of averages"
                  Expect.throwsT<InvalidOperationException> (fun () -> averaging.Swap() |> ignore) "twice")

              Expect.equal (parametersOf model) own "back"
              step model optimizer ValueNone 6
              averaging.Update())

          scoped "a pattern that is loaded is followed cell by cell" (fun () ->
              let layer = new SparseLinear(Topology.uniform 6 5 9 (Seed.ofInt 1))
              use averaging = Averaging.Mean layer
              averaging.Update()
              let before = cellsOf layer
              let other = new SparseLinear(Topology.uniform 6 5 9 (Seed.ofInt 2))
              layer.load_state_dict (other.state_dict ()) |> ignore
              let ofOther = cellsOf other
              let shown = using (averaging.Swap()) (fun _ -> cellsOf layer)

              for entry in shown do
                  let expected =
                      match before.TryFind entry.Key with
                      | Some average -> average
                      | None -> ofOther[entry.Key]

                  Expect.equal entry.Value expected "kept averages, or own weights")

          scoped "buffers are the latest, or averages where that is asked for" (fun () ->
              for averages in [ false; true ] do
                  let model, optimizer = start ()
                  use averaging = new Averaging(model, AveragingRule.Exponential 0.9, averages)

                  let mean () =
                      numbersOf ((present "a mean" (model[1] :?> BatchNorm1d).running_mean).detach())

                  let batches () =
                      model.state_dict().["1.num_batches_tracked"].item<int64>()

                  for at in 1..5 do
                      step model optimizer ValueNone at
                      averaging.Update()

                  let latest = mean ()

                  using (averaging.Swap()) (fun _ ->
                      Expect.equal (mean () = latest) (not averages) "running_mean"
                      Expect.equal (batches ()) 5L "integers are the latest")

                  Expect.equal (mean ()) latest "back")

          for dtype in [ torch.float32; torch.bfloat16; torch.float64 ] do
              scoped $"saved and resumed, it goes on to the bit: {dtype}" (fun () ->
                  withFile (fun file ->
                      inFolder (fun folder ->
                          let run = IO.Path.Combine(folder, "run.safetensors")

                          let make () =
                              let layer = new SparseLinear(Topology.uniform 6 5 9 (Seed.ofInt 1), dtype = dtype)
                              let optimizer = torch.optim.SGD(layer.parameters (), 0.1, momentum = 0.9)

                              let rewirer =
                                  new Rewirer(
                                      layer,
                                      optimizer,
                                      Policy.set (Schedule.constant 0.5 2L 100L),
                                      Seed.ofInt 4
                                  )

                              layer, optimizer, rewirer, Averaging.Mean layer

                          let train
                              (layer: SparseLinear, optimizer: SGD, rewirer: Rewirer, averaging: Averaging)
                              steps
                              =
                              for at in steps do
                                  use _ = torch.NewDisposeScope()
                                  optimizer.zero_grad ()

                                  let x =
                                      torch
                                          .tensor([| for i in 0..9 -> float (i * at % 7) - 3.0 |])
                                          .view(2L, 5L)
                                          .to_type
                                          dtype

                                  (layer.call x).square().sum().backward()
                                  rewirer.Step() |> ignore
                                  averaging.Update()

                          let first = make ()
                          train first [ 1..7 ]
                          let layer, optimizer, rewirer, averaging = first

                          let progress: TrainingProgress =
                              { Step = 7L
                                Seed = Seed.ofInt 1
                                Notes = Dictionary<string, string>() }

                          Checkpoint.saveTraining progress run layer optimizer (ValueSome rewirer)
                          AveragingFile.save file averaging
                          let second = make ()
                          let layer2, optimizer2, rewirer2, averaging2 = second
                          Checkpoint.resume run layer2 optimizer2 (ValueSome rewirer2) |> ignore
                          AveragingFile.resume file averaging2
                          train first [ 8..15 ]
                          train second [ 8..15 ]
                          Expect.equal averaging2.Updates 15L "updates"
                          Expect.equal (averaged averaging2 layer2) (averaged averaging layer) "averages"

                          // The file is a model of its own.
                          AveragingFile.save file averaging

                          let deployed =
                              new SparseLinear(Topology.uniform 6 5 9 (Seed.ofInt 7), dtype = dtype)

                          Checkpoint.load file deployed
                          Expect.equal (parametersOf deployed) (averaged averaging layer) "as a model"

                          // Another pattern's averages are refused, and nothing has changed.
                          let other = new SparseLinear(Topology.uniform 6 5 9 (Seed.ofInt 7), dtype = dtype)
                          use ofOther = Averaging.Mean other
                          let before = averaged ofOther other

                          let e = Expect.throwsC (fun () -> AveragingFile.resume file ofOther) id
                          Expect.stringContains e.Message "another pattern" "why"
                          Expect.equal (averaged ofOther other) before "as it was"
                          use ofRule = Averaging.Exponential(layer, 0.9)
                          let e = Expect.throwsC (fun () -> AveragingFile.resume file ofRule) id
                          Expect.stringContains e.Message "got mean" "another rule")))

          scoped "a model outlives its averages and does not keep them" (fun () ->
              let layer = new SparseLinear(Topology.uniform 6 5 9 (Seed.ofInt 1))

              let reference = lost layer
              GC.Collect()
              GC.WaitForPendingFinalizers()
              GC.Collect()
              Expect.isFalse reference.IsAlive "collected"
              let averaging = Averaging.Mean layer
              (averaging :> IDisposable).Dispose()
              Expect.throwsT<ObjectDisposedException> (fun () -> averaging.Update()) "disposed of")

          testCase "a decay outside [0, 1) and a model without parameters are refused" (fun () ->
              use layer = new SparseLinear(3, 3, seed = Seed.ofInt 0)

              for decay in [ 1.0; -0.1; nan ] do
                  let e = Expect.throwsC (fun () -> Averaging.Exponential(layer, decay) |> ignore) id
                  Expect.stringContains e.Message "[0, 1)" "range"

              use relu = torch.nn.ReLU()
              Expect.throwsT<ArgumentException> (fun () -> Averaging.Mean relu |> ignore) "nothing to average") ]
