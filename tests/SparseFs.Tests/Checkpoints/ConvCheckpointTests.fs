module SparseFs.Tests.ConvCheckpointTests

open System
open System.Collections.Generic
open Expecto
open SparseFs
open SparseFs.Tests.CheckpointFiles
open TorchSharp

type private Run =
    { Model: torch.nn.Module<torch.Tensor, torch.Tensor>
      Optimizer: torch.optim.Optimizer
      Rewirer: Rewirer }

    interface IDisposable with
        member r.Dispose() =
            r.Rewirer.Dispose()
            r.Optimizer.Dispose()
            r.Model.Dispose()

let private run (policy: Policy) : Run =
    let model =
        torch.nn.Sequential(
            new SparseConv2d(2, 6, 3, padding = 1, sparsity = 0.7, paddingMode = PaddingModes.Reflect),
            torch.nn.BatchNorm2d(6L),
            torch.nn.ReLU(),
            new SparseConv2d(6, 4, (3, 2), stride = 2, groups = 2, sparsity = 0.5),
            new SparseConvTranspose2d(
                4,
                6,
                3,
                stride = 2,
                padding = 1,
                outputPadding = (1, 0),
                groups = 2,
                sparsity = 0.4
            ),
            torch.nn.MaxPool2d 2L,
            torch.nn.Flatten(),
            new SparseLinear(6 * 3 * 3, 3, sparsity = 0.5)
        )

    let optimizer = torch.optim.SGD(model.parameters (), 0.05, momentum = 0.9)

    { Model = model
      Optimizer = optimizer
      Rewirer = new Rewirer(model, optimizer, policy, Seed.ofInt 4) }

let private steps (run: Run) (from: int) (until: int) : unit =
    for step in from .. until - 1 do
        use _ = torch.NewDisposeScope()
        use generator = new torch.Generator(uint64 step)
        let x = torch.randn (8L, 2L, 8L, 8L, generator = generator)

        let labels =
            torch.randint (0L, 3L, [| 8L |], dtype = torch.int64, generator = generator)

        run.Optimizer.zero_grad ()
        torch.nn.functional.cross_entropy(run.Model.call x, labels).backward()
        run.Rewirer.Step() |> ignore

let private state (run: Run) : (string * byte[]) list =
    use _ = torch.NewDisposeScope()

    [ for entry in run.Model.state_dict () |> Seq.sortBy _.Key -> entry.Key, bytesOf entry.Value ]

let private copyInto (target: torch.Tensor) (source: torch.Tensor) =
    use _ = torch.no_grad ()
    target.copy_ source |> ignore

[<Tests>]
let tests =
    testList
        "Convolutions in checkpoints"
        [ for name, policy in
              [ "RigL", Policy.rigL (Schedule.cosine 0.3 3L 40L)
                "SNFS, whose passes are part of the run", Policy.snfs (Schedule.cosine 0.3 3L 40L) ] do
              testCase $"training resumes to the bit: {name}" (fun () ->
                  withFile (fun file ->
                      use whole = run policy
                      steps whole 0 7

                      let progress: TrainingProgress =
                          { Step = 7L
                            Seed = Seed.ofInt 0
                            Notes = Dictionary() }

                      Checkpoint.saveTraining progress file whole.Model whole.Optimizer (ValueSome whole.Rewirer)
                      steps whole 7 15
                      use again = run policy

                      Checkpoint.resume file again.Model again.Optimizer (ValueSome again.Rewirer)
                      |> ignore

                      steps again 7 15
                      Expect.equal (state again) (state whole) "weights, patterns and moments"))

          testCase "a file says what the layer is, and another kernel of as many cells is refused" (fun () ->
              withFile (fun file ->
                  use layer =
                      new SparseConv2d(4, 6, (3, 1), padding = (1, 0), sparsity = 0.5, seed = Seed.ofInt 1)

                  Checkpoint.save file layer

                  Expect.equal
                      (Safetensors.inspect file).Metadata["sparsefs.layer."]
                      ("SparseConv2d(in_channels=4, out_channels=6, kernel_size=(3, 1), stride=(1, 1), padding=(1, 0), dilation=(1, 1), "
                       + "groups=1, padding_mode=zeros, nnz=36, bias=True)")
                      "the text"

                  use same = new SparseConv2d(4, 6, (3, 1), stride = 2, sparsity = 0.9)
                  Checkpoint.load file same
                  Expect.equal same.Connectivity layer.Connectivity "the pattern"
                  Expect.equal (bytesOf same.weight) (bytesOf layer.weight) "the weights"

                  let refuses (says: string) (other: SparseLayer) =
                      let before = other.Connectivity, bytesOf other.weight
                      refusedAs CheckpointProblem.Mismatch says (fun () -> Checkpoint.load file other)
                      Expect.equal (other.Connectivity, bytesOf other.weight) before "the layer is as it was"

                  use turned = new SparseConv2d(4, 6, (1, 3))
                  use grouped = new SparseConv2d(8, 6, (3, 1), groups = 2)
                  use short = new SparseConv1d(4, 6, 3)
                  use linear = new SparseLinear(12, 6)
                  refuses "kernel_size=(1, 3), groups=1, got in_channels=4, out_channels=6, kernel_size=(3, 1)" turned
                  refuses "expected in_channels=8" grouped
                  refuses "expected SparseConv1d with" short
                  refuses "expected SparseLinear with in_features=12, out_features=6, got SparseConv2d" linear

                  refusedAs CheckpointProblem.Mismatch "expected SparseLinear, got SparseConv2d" (fun () ->
                      Checkpoint.sparseLayer WeightForm.SparseFs file "")))

          testCase "of a transposed convolution too" (fun () ->
              withFile (fun file ->
                  use layer =
                      new SparseConvTranspose2d(4, 6, (3, 1), stride = 2, outputPadding = 1, sparsity = 0.5)

                  Checkpoint.save file layer

                  Expect.equal
                      (Safetensors.inspect file).Metadata["sparsefs.layer."]
                      ("SparseConvTranspose2d(in_channels=4, out_channels=6, kernel_size=(3, 1), stride=(2, 2), padding=(0, 0), "
                       + "output_padding=(1, 1), dilation=(1, 1), groups=1, padding_mode=zeros, nnz=36, bias=True)")
                      "the text"

                  use same = new SparseConvTranspose2d(4, 6, (3, 1), stride = 3, sparsity = 0.9)
                  Checkpoint.load file same
                  Expect.equal same.Connectivity layer.Connectivity "the pattern"
                  Expect.equal (bytesOf same.weight) (bytesOf layer.weight) "the weights"

                  match same.bias, layer.bias with
                  | null, _
                  | _, null -> failtest "no bias"
                  | loaded, saved -> Expect.equal (bytesOf loaded) (bytesOf saved) "the bias, of 6 numbers"

                  use convolution = new SparseConv2d(6, 4, (3, 1), sparsity = 0.5)
                  use other = new SparseConvTranspose2d(4, 12, (3, 1), groups = 2)

                  for other in [ convolution :> SparseLayer; other ] do
                      let before = bytesOf other.weight
                      refusedAs CheckpointProblem.Mismatch "expected" (fun () -> Checkpoint.load file other)
                      Expect.equal (bytesOf other.weight) before "the layer is as it was"))

          testCase "a hostile text of a layer is refused at once" (fun () ->
              withFile (fun file ->
                  use layer = new SparseConv2d(4, 6, 3, sparsity = 0.5, seed = Seed.ofInt 1)
                  Checkpoint.save file layer
                  let tensors = Safetensors.load file
                  let key = "sparsefs.layer."

                  for text in
                      [ "SparseLinear(a=" + String.replicate 11 (String('a', 21) + "=") + "a!"
                        "SparseConv2d(in_channels=4, out_channels=6, )"
                        "SparseConv2d(in_channels=4 out_channels=6)"
                        "SparseConv2d()"
                        "SparseConv2d(in_channels=4"
                        "SparseConv2d(in_channels=4, out_channels=99999999999, kernel_size=(3, 3), groups=1, nnz=108, bias=True)" ] do
                      let texts = Dictionary<string, string>()

                      for entry in (Safetensors.inspect file).Metadata do
                          texts[entry.Key] <- entry.Value

                      texts[key] <- text
                      let other = file + ".other"
                      Safetensors.save other texts tensors
                      let watch = Diagnostics.Stopwatch.StartNew()
                      use target = new SparseConv2d(4, 6, 3)
                      refusedAs CheckpointProblem.Value key (fun () -> Checkpoint.load other target)
                      // Backtracking would take years.
                      Expect.isLessThan watch.Elapsed.TotalSeconds 10.0 text))

          testCase "a state whose passes are of another convolution is refused, and nothing is changed" (fun () ->
              let started (stride: int) =
                  let layer =
                      new SparseConv2d(4, 4, 3, padding = 1, stride = stride, sparsity = 0.5, seed = Seed.ofInt 1)

                  let sgd = torch.optim.SGD(layer.parameters (), 0.1, momentum = 0.9)

                  let rewirer =
                      new Rewirer(layer, sgd, Policy.snfs (Schedule.constant 0.3 5L 100L), Seed.ofInt 1)

                  for _ in 1..3 do
                      use _ = torch.NewDisposeScope()
                      sgd.zero_grad ()
                      layer.call(torch.randn (2L, 4L, 16L, 16L)).square().sum().backward()
                      rewirer.Step() |> ignore

                  layer, rewirer

              let _, strided = started 2
              let layer, plain = started 1
              let before = plain.Capture()

              let message =
                  try
                      plain.Restore(strided.Capture())
                      "nothing was refused"
                  with :? ArgumentException as e ->
                      e.Message

              Expect.stringContains message "expected passes of" "what is said"
              Expect.equal (plain.Capture().Step) before.Step "as it was"
              plain.Restore before
              Expect.equal layer.Connectivity.Nnz 72 "its own state is taken")

          testCase "dense weights of torch.nn.Conv2d become a pattern: zeros, masks and magnitudes" (fun () ->
              withFile (fun file ->
                  use _ = torch.NewDisposeScope()
                  use dense = torch.nn.Conv2d(4L, 6L, 3L, padding = 1L)
                  let mask = torch.rand(dense.weight.shape).gt(0.6.ToScalar()).to_type torch.float32
                  copyInto dense.weight (dense.weight.mul mask)
                  let x = torch.randn (2L, 4L, 7L, 7L)
                  let wanted = dense.call x

                  let bias =
                      match dense.bias with
                      | null -> failtest "no bias"
                      | bias -> bias :> torch.Tensor

                  let layer () =
                      new SparseConv2d(4, 6, 3, padding = 1, sparsity = 0.5)

                  let loads (form: WeightForm) (tensors: (string * torch.Tensor) list) =
                      Safetensors.save file (Dictionary()) (dict tensors |> Dictionary)
                      use layer = layer ()
                      Checkpoint.loadFrom form file layer

                      Expect.equal
                          (int64 layer.Connectivity.Nnz)
                          (mask.sum().to_type(torch.int64).item<int64>())
                          $"{form}: nnz"

                      let y = layer.call x
                      Expect.isTrue (y.allclose (wanted, rtol = 1e-4, atol = 1e-5)) $"{form}: the same function"

                  loads WeightForm.Zeros [ "weight", dense.weight; "bias", bias ]

                  loads
                      WeightForm.Masked
                      [ "weight_orig", torch.where (mask.eq (0.0.ToScalar()), torch.ones_like mask, dense.weight)
                        "weight_mask", mask
                        "bias", bias ]

                  let sparsity = 1.0 - float (mask.sum().item<float32>()) / float (mask.numel ())
                  loads (WeightForm.Magnitude sparsity) [ "weight", dense.weight; "bias", bias ]

                  Safetensors.save
                      file
                      (Dictionary())
                      (dict [ "weight", dense.weight.view (6L, 36L); "bias", bias ] |> Dictionary)

                  use layer = layer ()

                  refusedAs CheckpointProblem.Mismatch "expected floats [6, 4, 3, 3], got F32 [6, 36]" (fun () ->
                      Checkpoint.loadFrom WeightForm.Zeros file layer))) ]
