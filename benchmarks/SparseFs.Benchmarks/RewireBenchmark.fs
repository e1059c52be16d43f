/// What an update costs, beside the training steps between two of them.
module SparseFs.Benchmarks.RewireBenchmark

open System.Diagnostics
open SparseFs
open TorchSharp
open SparseFs.Benchmarks.Timing

let private layerOf (size: int) (sparsity: float) =
    new SparseLinear(size, size, sparsity = sparsity, seed = Seed.ofInt 1)

/// Milliseconds of a training step and of an update. A step is forward, backward and the optimizer's; an update is what
/// stands in the optimizer's place, and what the step after it takes more than others do: its backward makes the
/// transpose of the new pattern.
let private times (size: int) (sparsity: float) (batch: int) (make: Schedule -> Policy) (rounds: int) =
    use layer = layerOf size sparsity
    use optimizer = torch.optim.SGD(layer.parameters (), 0.01, momentum = 0.9)
    let every = 4

    let rewirer =
        new Rewirer(layer, optimizer, make (Schedule.constant 0.3 (int64 every) 1_000_000L), Seed.ofInt 2)

    use x = torch.randn (int64 batch, int64 size)

    let steps, updates, after =
        ResizeArray<float>(), ResizeArray<float>(), ResizeArray<float>()

    for step in 1 .. every * (rounds + 2) do
        use _ = torch.NewDisposeScope()
        optimizer.zero_grad ()
        let watch = Stopwatch.StartNew()
        (layer.call x).square().mean().backward()
        let backward = watch.Elapsed.TotalMilliseconds
        watch.Restart()
        rewirer.Step() |> ignore
        let last = watch.Elapsed.TotalMilliseconds

        // Two updates warm up.
        if step > 2 * every then
            match step % every with
            | 0 -> updates.Add last
            | 1 -> after.Add(backward + last)
            | _ -> steps.Add(backward + last)

    let step = median steps
    step, median updates + max 0.0 (median after - step)

let private policies =
    [ "RigL", Policy.rigL; "SET", Policy.set; "SRigL", Policy.srigL ValueNone ]

let run () =
    printfn "an update (drop, grow, optimizer and pattern) beside a training step that is none; ms"

    for size, sparsity, batch in [ 784, 0.9, 64; 4096, 0.9, 256; 4096, 0.99, 256 ] do
        for name, make in policies do
            let step, update = times size sparsity batch make 11

            printfn
                $"{size} x {size}, {100.0 * sparsity} %%, batch {batch, 4}  {name, -6} step {step, 7:F1}  update {update, 7:F1}  {update / step:F1} steps"

    let size, sparsity, batch = 50_000, 0.999, 64
    use layer = layerOf size sparsity
    use optimizer = torch.optim.SGD(layer.parameters (), 0.01, momentum = 0.9)

    let rewirer =
        new Rewirer(layer, optimizer, Policy.rigL (Schedule.constant 0.3 2L 100L), Seed.ofInt 2)

    use x = torch.randn (int64 batch, int64 size)
    let watch = Stopwatch()

    let step () =
        use _ = torch.NewDisposeScope()
        optimizer.zero_grad ()
        (layer.call x).square().mean().backward()
        watch.Restart()
        rewirer.Step() |> ignore
        watch.Stop()

    step ()
    let peak = extraPeakBytes step


    printfn
        $"50,000 x 50,000, 99.9 %%, batch {batch}, by gradient: update {watch.Elapsed.TotalSeconds:F1} s, peak beyond what a step holds {inWords peak}"
