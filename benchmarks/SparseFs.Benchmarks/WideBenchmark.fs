/// Layers that no dense library could hold, made and run forward and backward, with the most memory they take.
module SparseFs.Benchmarks.WideBenchmark

open System.Diagnostics
open SparseFs
open TorchSharp
open SparseFs.Benchmarks.Timing

let private shapes =
    [ "20,000 x 20,000 at 99 %", 0.99, [ 20_000; 20_000 ]
      "7,840 -> 50,000 -> 50,000 -> 50,000 at 99.9 %", 0.999, [ 7_840; 50_000; 50_000; 50_000 ] ]

let private step (sparsity: float) (sizes: int list) =
    use _ = torch.NewDisposeScope()
    let watch = Stopwatch.StartNew()

    let layers =
        [ for index, (cols, rows) in List.indexed (List.pairwise sizes) ->
              new SparseLinear(cols, rows, sparsity = sparsity, seed = Seed.child index (Seed.ofInt 1)) ]

    let made = watch.Elapsed.TotalSeconds
    let x = torch.randn (64L, int64 sizes.Head)

    let once () =
        watch.Restart()
        use _ = torch.NewDisposeScope()

        let y =
            List.fold (fun x (layer: SparseLinear) -> torch.nn.functional.relu (layer.call x)) x layers

        y.mean().backward()
        watch.Elapsed.TotalSeconds

    let first = once () // makes the transposes
    let second = once ()
    let nnz = layers |> List.sumBy (fun layer -> int64 layer.Connectivity.Nnz)
    let cells = layers |> List.sumBy (fun layer -> layer.Connectivity.Cells)

    for layer in layers do
        layer.Dispose()

    nnz, cells, made, first, second

let run () =
    for name, sparsity, sizes in shapes do
        let mutable result = Unchecked.defaultof<_>
        let peak = peakBytes (fun () -> result <- step sparsity sizes)
        let nnz, cells, made, first, second = result


        printfn
            $"{name}: {nnz} weights made in {made:F1} s; forward and backward of 64 samples {first:F2} s, then {second:F2} s; peak of the process {inWords peak} (dense weights and gradients: {8.0 * float cells / 1e9:F1} GB)"
