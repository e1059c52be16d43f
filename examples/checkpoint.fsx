// A run that rewires, saved in its middle and resumed in fresh objects. After one build: dotnet fsi examples/checkpoint.fsx
#r "../artifacts/bin/SparseFs/release/TorchSharp.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.Core.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.dll"

open System.Collections.Generic
open System.IO
open SparseFs
open TorchSharp

let start () =
    let hidden = new SparseLinear(100, 200, sparsity = 0.9, seed = Seed.ofInt 1)
    let output = new SparseLinear(200, 10, sparsity = 0.5, seed = Seed.ofInt 2)

    let model =
        torch.nn.Sequential(hidden, torch.nn.ReLU(), torch.nn.Dropout 0.2, output)

    let optimizer = torch.optim.AdamW(model.parameters (), 0.003)

    let rewirer =
        new Rewirer(model, optimizer, Policy.rigL (Schedule.cosine 0.3 10L 200L), Seed.ofInt 3)

    model, optimizer, rewirer

let train
    (model: torch.nn.Module<torch.Tensor, torch.Tensor>, optimizer: torch.optim.Optimizer, rewirer: Rewirer)
    steps
    =
    [ for step in steps do
          use _ = torch.NewDisposeScope()
          let batch = new torch.Generator(uint64 step)
          let x = torch.randn ([| 32L; 100L |], generator = batch)
          optimizer.zero_grad ()

          let loss =
              torch.nn.functional.mse_loss (model.call x, torch.tanh (x.narrow (1L, 0L, 10L)))

          loss.backward ()
          rewirer.Step() |> ignore
          loss.item<float32>() ]

let file = Path.Combine(Path.GetTempPath(), "checkpoint-example.safetensors")
torch.manual_seed 0L |> ignore
let model, optimizer, rewirer = start ()
let before = train (model, optimizer, rewirer) [ 1L .. 75L ]

let progress =
    { Step = 75L
      Seed = Seed.ofInt 0
      Notes = Dictionary() }

Checkpoint.saveTraining progress file model optimizer (ValueSome rewirer)
let onwards = train (model, optimizer, rewirer) [ 76L .. 150L ]

let model2, optimizer2, rewirer2 = start () // as a new process would
let resumed = Checkpoint.resume file model2 optimizer2 (ValueSome rewirer2)
let again = train (model2, optimizer2, rewirer2) [ resumed.Step + 1L .. 150L ]

printfn $"the file: {FileInfo(file).Length / 1024L} KiB, {(Safetensors.inspect file).Tensors.Length} tensors"
printfn $"loss at step 1: %.4f{before.Head}, at step 75: %.4f{List.last before}, at step 150: %.4f{List.last onwards}"
printfn $"resumed at step {resumed.Step}: losses of steps 76 to 150 are equal to the bit: {again = onwards}"
File.Delete file
