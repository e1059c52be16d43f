// A sparse layer in F# Interactive. After one build (dotnet fsi build.fsx): dotnet fsi examples/quickstart.fsx
#r "../artifacts/bin/SparseFs/release/TorchSharp.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.Core.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.dll"

open SparseFs
open TorchSharp

torch.manual_seed 0L |> ignore

// Nine of ten weights do not exist: they are not stored, not multiplied, not trained.
let layer = new SparseLinear(784, 100, sparsity = 0.9, seed = Seed.ofInt 42)
let x, target = torch.randn (32L, 784L), torch.randn (32L, 100L)
printfn $"{layer}"
printfn $"y = layer(x): {layer.call x}"

// It is a torch module like any other, so any optimizer trains it.
let optimizer = torch.optim.SGD(layer.parameters (), 1.0, momentum = 0.9)

for step in 1..3 do
    use _ = torch.NewDisposeScope()
    optimizer.zero_grad ()
    let loss = torch.nn.functional.mse_loss (layer.call x, target)
    loss.backward ()
    optimizer.step () |> ignore
    printfn $"step {step}: loss %.4f{loss.item<float32>()}"

printfn $"gradient: {layer.weight.grad}"
printfn $"weights: {layer.Connectivity.Nnz} of {784 * 100}"
