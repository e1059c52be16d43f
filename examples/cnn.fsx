// A small convolutional network, dense, pruned and rewired, on pictures of bars that a script can draw. After one build of everything
// (dotnet fsi build.fsx check):
// dotnet fsi examples/cnn.fsx
#r "../artifacts/bin/SparseFs/release/TorchSharp.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.Core.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.dll"

open SparseFs
open TorchSharp

torch.manual_seed 0L |> ignore

/// Noisy pictures [n, 1, 16, 16], each with a bar: across (class 0), down (1), or on one of the diagonals (2, 3).
let pictures (n: int64) : torch.Tensor * torch.Tensor =
    let x = torch.randn(n, 1L, 16L, 16L).mul_(0.7.ToScalar())
    let labels = torch.randint (0L, 4L, [| n |], dtype = torch.int64)
    let places = torch.randint (4L, 12L, [| n; 2L |], dtype = torch.int64)

    for i in 0L .. n - 1L do
        let row, column = places[i, 0L].item<int64>(), places[i, 1L].item<int64>()

        for step in -4L .. 4L do
            let down, across =
                match labels[i].item<int64>() with
                | 0L -> row, column + step
                | 1L -> row + step, column
                | 2L -> row + step, column + step
                | _ -> row + step, column - step

            if min down across >= 0L && max down across < 16L then
                x[i, 0L, down, across] <- x[i, 0L, down, across].add(1.5.ToScalar())

    x, labels

let x, labels = pictures 1500L
let testX, testLabels = pictures 500L

let train
    (model: torch.nn.Module<torch.Tensor, torch.Tensor>)
    (epochs: int)
    (step: torch.optim.Optimizer -> unit -> unit)
    =
    use optimizer = torch.optim.SGD(model.parameters (), 0.05, momentum = 0.9)
    let step = step optimizer
    model.train ()

    for _ in 1..epochs do
        for batch in torch.randperm(x.shape[0]).split 50L do
            use _ = torch.NewDisposeScope()
            optimizer.zero_grad ()
            torch.nn.functional.cross_entropy(model.call x[batch], labels[batch]).backward()
            step ()

let report (what: string) (model: torch.nn.Module<torch.Tensor, torch.Tensor>) =
    use _ = torch.NewDisposeScope()
    use _ = torch.no_grad ()
    model.eval ()
    let right = model.call(testX).argmax(1L).eq(testLabels).sum().item<int64>()
    let summary = Summary.ofShape [| 1L; 1L; 16L; 16L |] model

    printfn
        $"%-28s{what} %.1f{100.0 * float right / 500.0} %% of 500 pictures, {summary.Weights} of {summary.Cells} weights"

let plain (optimizer: torch.optim.Optimizer) () = optimizer.step () |> ignore

// A dense network, then the same pruned: 80 % of all weights go, shared out by Erdős–Rényi-Kernel.
let dense =
    torch.nn.Sequential(
        torch.nn.Conv2d(1L, 16L, 5L, padding = 2L),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d 2L,
        torch.nn.Conv2d(16L, 32L, 3L, padding = 1L),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d 2L,
        torch.nn.Flatten(),
        torch.nn.Linear(128L, 4L)
    )

train dense 5 plain
report "dense" dense
printfn $"{Sparsify.model (Sparsify.shared SparsityDistribution.ErdosRenyiKernel 0.8) dense}"
report "pruned" dense
train dense 2 plain
report "pruned, and trained on" dense

// A sparse network from the start, rewired by RigL while it trains. Initial weights are wider where ReLU follows, and nothing normalises.
let sparse =
    torch.nn.Sequential(
        new SparseConv2d(1, 16, 5, padding = 2, sparsity = 0.5, init = Init.KaimingUniform),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d 2L,
        new SparseConv2d(16, 32, 3, padding = 1, sparsity = 0.85, init = Init.KaimingUniform),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d 2L,
        torch.nn.Flatten(),
        new SparseLinear(128, 4, sparsity = 0.5)
    )

train sparse 10 (fun optimizer ->
    let rewirer =
        new Rewirer(sparse, optimizer, Policy.rigL (Schedule.cosine 0.3 20L 200L))

    fun () -> rewirer.Step() |> ignore)

report "sparse, rewired by RigL" sparse
