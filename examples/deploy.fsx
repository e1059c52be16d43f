// A trained network as a file, and the file without libtorch. After one build (dotnet fsi build.fsx check):
//   dotnet fsi examples/deploy.fsx              # or: dotnet fsi examples/deploy.fsx FILE, which keeps the file there
#r "../artifacts/bin/SparseFs/release/SparseFs.Core.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.dll"
#r "../artifacts/bin/SparseFs/release/TorchSharp.dll"
#r "../artifacts/bin/SparseFs.Deploy/release/SparseFs.Inference.dll"
#r "../artifacts/bin/SparseFs.Deploy/release/SparseFs.Deploy.dll"

open System
open System.IO
open SparseFs
open SparseFs.Inference
open TorchSharp

type Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

torch.manual_seed 1L |> ignore

// Which of ten directions does a point in 20 dimensions lie nearest to?
let directions = torch.randn (10L, 20L)

let draw (n: int64) =
    let x = torch.randn (n, 20L)
    x, x.matmul(directions.t ()).argmax 1L

let network =
    torch.nn.Sequential(
        struct ("hidden", new SparseLinear(20, 500, sparsity = 0.8, seed = Seed.ofInt 1) :> Layer),
        struct ("norm", torch.nn.BatchNorm1d 500L :> Layer),
        struct ("gelu", torch.nn.GELU() :> Layer),
        struct ("output", torch.nn.Linear(500L, 10L) :> Layer),
        struct ("softmax", torch.nn.LogSoftmax 1L :> Layer)
    )

let optimizer = SparseOptim.adamW (network.parameters (), 3e-3)

for _ in 1..600 do
    use _ = torch.NewDisposeScope()
    let x, labels = draw 128L
    optimizer.zero_grad ()
    torch.nn.functional.nll_loss(network.call x, labels).backward()
    optimizer.step () |> ignore

network.eval ()

let path =
    match List.ofArray fsi.CommandLineArgs with
    | [ _; file ] -> file
    | _ -> Path.Combine(Directory.CreateTempSubdirectory("sparsefs-").FullName, "directions.safetensors")

let samples, labels = draw 1_000L

let report =
    Deploy.saveWith
        { Deploy.defaults with
            Labels = [ for i in 0..9 -> $"direction {i}" ] }
        path
        samples
        network

printfn $"{path}: {report}"

// From here on nothing needs torch.
let deployed = SparseModel.Load path
let inputs = samples.data<float32>().ToArray()
let scores: float32[] = Array.zeroCreate (1_000 * deployed.Output.Size)
deployed.Run(ReadOnlySpan inputs, Span scores)

let right =
    Seq.zip (Array.chunkBySize 10 scores) (labels.data<int64>().ToArray())
    |> Seq.filter (fun (scores, label) -> Array.IndexOf(scores, Array.max scores) = int label)
    |> Seq.length

printfn $"{deployed.Info}"
printfn $"{right} of 1000 points right"
