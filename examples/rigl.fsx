// Dynamic sparse training in F# Interactive. After one build (dotnet fsi build.fsx): dotnet fsi examples/rigl.fsx
#r "../artifacts/bin/SparseFs/release/TorchSharp.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.Core.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.dll"

open SparseFs
open TorchSharp

torch.manual_seed 0L |> ignore
let x = torch.randn (512L, 100L)
let y = torch.tanh (x.narrow (1L, 0L, 10L)) // ten of a hundred inputs matter, and the layer does not know which
let layer = new SparseLinear(100, 10, sparsity = 0.9, seed = Seed.ofInt 1)
let optimizer = torch.optim.Adam(layer.parameters (), 0.01)

// Every 20 steps the smallest weights go, and the connections with the largest gradients come: nnz stays.
let rewirer =
    new Rewirer(layer, optimizer, Policy.rigL (Schedule.cosine 0.3 20L 300L))

for step in 1..400 do
    use _ = torch.NewDisposeScope()
    optimizer.zero_grad ()
    let loss = torch.nn.functional.mse_loss (layer.call x, y)
    loss.backward ()

    for e in rewirer.Step() do // in place of optimizer.step ()
        match e.Outcome with
        | RewireOutcome.Done counts ->
            printfn
                $"step {e.Step}: loss %.4f{loss.item<float32>()}, {counts.Grown} of {counts.Nnz} slots moved, R_s %.2f{counts.Explored}"
        | RewireOutcome.Refused reason -> printfn $"step {e.Step}: {reason}"

let right =
    Seq.init 10 (fun i -> Connectivity.tryFindSlot i i layer.Connectivity)
    |> Seq.choose id
    |> Seq.length

printfn $"{right} of the 10 connections that matter were found, among {layer.Connectivity.Nnz}"
