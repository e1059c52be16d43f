/// C#'s checkpoints are the core's.
module SparseFs.Tests.CheckpointFacadeTests

open System.Collections.Generic
open System.IO
open Expecto
open SparseFs
open SparseFs.CSharp
open SparseFs.Tests.CheckpointFiles
open SparseFs.Tests.Refusals
open TorchSharp

let private make () =
    new SparseLinear(Topology.uniform 6 9 20 (Seed.ofInt 3))

[<Tests>]
let checkpointFacadeTests =
    testSequenced
    <| testList
        "CheckpointFacade"
        [ testCase "a saved model is the core's file, byte for byte, in each layout" (fun () ->
              inFolder (fun folder ->
                  let file (name: string) = Path.Combine(folder, name)
                  use layer = make ()
                  let notes = Dictionary(dict [ "a", "b" ])

                  for layout in [ PatternLayout.Csr; PatternLayout.Coo ] do
                      Checkpoints.Save(layer, file "c#", layout, notes)
                      Checkpoint.saveWith layout notes (file "f#") layer
                      Expect.equal (File.ReadAllBytes(file "c#")) (File.ReadAllBytes(file "f#")) "bytes"

                  use loaded = make ()
                  Expect.isEmpty (Checkpoints.Load(loaded, file "c#")).Missing "nothing missing"
                  Expect.equal (stateOf loaded) (stateOf layer) "loaded"
                  use alone = Checkpoints.SparseLayer(file "c#", "")
                  Expect.equal (stateOf alone) (stateOf layer) "alone"))

          testCase "each form is the core's" (fun () ->
              use _ = torch.NewDisposeScope()

              withFile (fun file ->
                  let weight = torch.randn (6L, 9L)
                  let mask = weight.gt (0.3f.ToScalar())
                  let dense = weight.mul (mask.to_type torch.ScalarType.Float32)

                  let pairs = mask.nonzero().t().contiguous()

                  let tensors =
                      Dictionary(
                          dict
                              [ "m.weight", dense
                                "m.mask", mask
                                "m.weights", weight.masked_select mask
                                "m.indices", pairs ]
                      )

                  SafetensorsFiles.Save(tensors, file)
                  Expect.equal (SafetensorsFiles.Inspect file).Tensors.Length 4 "inspected"
                  let loaded = SafetensorsFiles.Load file
                  Expect.equal (bytesOf loaded["m.weight"]) (bytesOf dense) "loaded"

                  for form, core in
                      [ StoredForm.SparseLinear, WeightForm.SparseLinear
                        StoredForm.Masked, WeightForm.Masked
                        StoredForm.Zeros, WeightForm.Zeros
                        StoredForm.Magnitude, WeightForm.Magnitude 0.8 ] do
                      use ours = Checkpoints.SparseLayer(file, "m", 9L, 6L, form, sparsity = 0.8)
                      use theirs = Checkpoint.sparseLayerOf 9 6 core file "m"
                      Expect.equal (stateOf ours) (stateOf theirs) $"{form}"))

          testCase "a load that is not strict, and a conversion" (fun () ->
              withFile (fun file ->
                  use layer = make ()
                  Checkpoints.Save(layer, file)

                  use wide =
                      new SparseLinear(Connectivity.empty 6 9, hasBias = false, dtype = torch.ScalarType.Float64)

                  let report = Checkpoints.Load(wide, file, strict = false, convert = true)
                  Expect.equal report.Unexpected [| "bias" |] "bias"
                  Expect.equal wide.Connectivity layer.Connectivity "pattern"))

          testCase "a training run comes back, with and without a rewirer" (fun () ->
              withFile (fun file ->
                  let start () =
                      let layer = make ()
                      let optimizer = torch.optim.SGD(layer.parameters (), 0.1, momentum = 0.9)

                      layer,
                      optimizer,
                      Rewiring.Rewire(layer, optimizer, Policies.Set(Schedules.Constant(0.3, 2L, 9L)))

                  let layer, optimizer, rewirer = start ()
                  layer.call(torch.ones (2L, 9L)).sum().backward()
                  rewirer.Step() |> ignore

                  for given in [ Unchecked.defaultof<Rewirer>; rewirer ] do
                      Checkpoints.SaveTraining(
                          layer,
                          file,
                          optimizer,
                          given,
                          7L,
                          Seed.ofInt 2,
                          Dictionary(dict [ "n", "1" ])
                      )

                      let other, theirs, resumed = start ()

                      let progress =
                          Checkpoints.Resume(
                              other,
                              file,
                              theirs,
                              (if isNull (box given) then
                                   Unchecked.defaultof<_>
                               else
                                   resumed)
                          )

                      Expect.equal
                          (progress.Step, progress.Seed, progress.Notes["n"])
                          (7L, Seed.ofInt 2, "1")
                          "progress"

                      Expect.equal (stateOf other) (stateOf layer) "model"

                  Expect.isTrue (File.Exists file) "saved"))

          testCase "prefixes, some tensors, and schedulers are the core's" (fun () ->
              withFile (fun file ->
                  use _ = torch.NewDisposeScope()
                  use model = torch.nn.Linear(3L, 2L)

                  let wrapped =
                      [ "module.weight", model.weight :> torch.Tensor
                        "module.bias", model.PresentBias :> torch.Tensor ]

                  SafetensorsFiles.Save(Dictionary(dict wrapped), file)
                  use loaded = torch.nn.Linear(3L, 2L)
                  Checkpoints.Load(loaded, file, prefixes = [| "module." |]) |> ignore
                  Expect.equal (stateOf loaded) (stateOf model) "prefixes"
                  let some = SafetensorsFiles.Load(file, (fun t -> t.Name = "module.bias"))
                  Expect.equal (List.ofSeq some.Keys) [ "module.bias" ] "some"
                  let optimizer = torch.optim.SGD(model.parameters (), 0.1)

                  let rate () =
                      (Seq.head optimizer.ParamGroups).LearningRate

                  let scheduler =
                      Checkpoints.ResumeScheduler(
                          optimizer,
                          (fun () -> torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.5)),
                          2L
                      )

                  Expect.equal (rate ()) 0.1 "left"
                  scheduler.step ()
                  Expect.equal (rate ()) 0.05 "the third step"

                  let plateau =
                      Checkpoints.ResumeScheduler(
                          optimizer,
                          (fun () ->
                              torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor = 0.5, patience = 1)),
                          [ 1.0; 1.0 ]
                      )

                  plateau.step 1.0
                  Expect.equal (rate ()) 0.025 "the second that is no better"))

          refuses "a form that does not exist" "form" "expected a form, got 9" (fun () ->
              Checkpoints.SparseLayer("x", "", enum<StoredForm> 9))
          refuses "no model" "model" "" (fun () -> Checkpoints.Save(Unchecked.defaultof<torch.nn.Module>, "x")) ]
