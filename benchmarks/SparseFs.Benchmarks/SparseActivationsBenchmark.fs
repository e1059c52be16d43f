/// Where walking the inputs that are not 0 is faster than walking all: activation sparsity by weight sparsity.
module SparseFs.Benchmarks.SparseActivationsBenchmark

open SparseFs
open TorchSharp
open SparseFs.Benchmarks.Timing

/// Inputs [batch, features] of which k a sample are not 0.
let private winners (batch: int) (features: int) (k: int) : torch.Tensor =
    use _ = torch.NewDisposeScope()
    let x = torch.rand(int64 batch, int64 features).add(torch.tensor 0.1f)
    let struct (values, indices) = torch.topk (torch.rand_like x, k, 1)
    values.Dispose()

    torch.zeros_like(x).scatter(1L, indices, x.gather (1L, indices)).MoveToOuterDisposeScope()

let private contender (layer: SparseLinear) (x: torch.Tensor) (trains: bool) (arithmetic: Arithmetic) : Contender =
    { Name = string arithmetic
      Prepare = fun () -> layer.Arithmetic <- arithmetic
      Run =
        fun () ->
            use _ = torch.NewDisposeScope()

            if trains then
                (layer.call x).sum().backward()
            else
                use _ = torch.no_grad ()
                layer.call x |> ignore
      Seconds = 0.3 }

let private speedUp (layer: SparseLinear) (x: torch.Tensor) (trains: bool) : float =
    let ms =
        [ Arithmetic.Sparse; Arithmetic.SparseActivations ]
        |> List.map (contender layer x trains)
        |> inTurn 30

    ms[string Arithmetic.Sparse] / ms[string Arithmetic.SparseActivations]

let run () =
    printfn
        "Sparse / SparseActivations, forward · forward with the gradients of weight and bias; above 1, walking few wins"

    let activity = [ 0.65; 0.8; 0.9; 0.95; 0.98; 0.99 ]

    for inputs, outputs, batch in [ 2000, 2000, 64; 2000, 2000, 1; 4096, 4096, 256 ] do
        for threads in [ 1; 2 ] do
            torch.set_num_threads threads

            let heading =
                activity |> List.map (fun s -> $"| {100.0 * s} %% ") |> String.concat ""

            printfn $"\n{inputs} x {outputs}, batch {batch}, {threads} threads\n| weights {heading}|"

            for sparsity in [ 0.5; 0.8; 0.9; 0.95; 0.99 ] do
                use layer =
                    new SparseLinear(inputs, outputs, sparsity = sparsity, seed = Seed.ofInt 1)

                let cells =
                    [ for zeros in activity do
                          use x = winners batch inputs (int (float inputs * (1.0 - zeros) + 0.5))
                          $"| %.1f{speedUp layer x false} · %.1f{speedUp layer x true} " ]

                printfn $"| {100.0 * sparsity} %% {System.String.Concat cells}|"
