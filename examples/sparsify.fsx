// A dense network made sparse, trained on, and handed on. After one build of everything (dotnet fsi build.fsx check):
// dotnet fsi examples/sparsify.fsx [folder for the files]
#r "../artifacts/bin/SparseFs/release/TorchSharp.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.Core.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.dll"
#r "../artifacts/bin/SparseFs/release/Google.Protobuf.dll"
#r "../artifacts/bin/SparseFs.Onnx/release/SparseFs.Onnx.dll"

open System.IO
open SparseFs
open TorchSharp

let folder =
    match fsi.CommandLineArgs with
    | [| _; given |] -> Directory.CreateDirectory(given).FullName
    | _ -> Directory.CreateTempSubdirectory("sparsefs-").FullName

torch.manual_seed 0L |> ignore
let x = torch.randn (2048L, 64L)

let teacher =
    torch.nn.Sequential(torch.nn.Linear(64L, 32L), torch.nn.Tanh(), torch.nn.Linear(32L, 4L))

let labels = teacher.call(x).detach().argmax 1L

let model =
    torch.nn.Sequential(
        torch.nn.Linear(64L, 256L),
        torch.nn.ReLU(),
        torch.nn.Linear(256L, 256L),
        torch.nn.ReLU(),
        torch.nn.Linear(256L, 4L)
    )

/// Trains for so many steps; the optimizer is made for the layers that the model has now.
let train (steps: int) =
    use optimizer = torch.optim.Adam(model.parameters (), 1e-3)

    for _ in 1..steps do
        use _ = torch.NewDisposeScope()
        optimizer.zero_grad ()
        torch.nn.functional.cross_entropy(model.call x, labels).backward()
        optimizer.step () |> ignore

let report (what: string) =
    use _ = torch.NewDisposeScope()
    use _ = torch.no_grad ()
    let right = model.call(x).argmax(1L).eq(labels).sum().item<int64>()
    printfn $"%-22s{what} %.1f{100.0 * float right / 2048.0} %% of the training labels"

train 100
report "dense"

// 92 % of all weights go, shared out by Erdős–Rényi; the layer of the answers stays dense.
let rule =
    { Sparsify.shared SparsityDistribution.ErdosRenyi 0.92 with
        Wanted = fun name -> name <> "4" }

printfn $"{Sparsify.model rule model}"
report "sparse"
train 100
report "sparse, trained on"

let file (name: string) = Path.Combine(folder, name)
Onnx.export (file "sparse.onnx") model

Onnx.exportWith
    { Onnx.defaults with
        SparseWeights = false }
    (file "dense.onnx")
    model

let second = model[2] :?> SparseLinear
TensorFile.toNpy (file "weight.npy") (second.weightMatrix ())
TensorFile.toMtx (file "weight.mtx") second

for name in [ "sparse.onnx"; "dense.onnx"; "weight.npy"; "weight.mtx" ] do
    printfn $"%-14s{name} {FileInfo(file name).Length} bytes"
