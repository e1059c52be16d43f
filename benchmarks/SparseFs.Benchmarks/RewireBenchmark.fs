/// What an update costs, beside the training steps between two of them.
module SparseFs.Benchmarks.RewireBenchmark

open System.Diagnostics
open SparseFs
open TorchSharp
open SparseFs.Benchmarks.Timing

/// In groups of four rows where the policy rewires such.
let private layerOf (size: int) (sparsity: float) (policy: Policy) =
    let topology =
        if policy.RowGroup > 1 then
            Topology.rowGroups policy.RowGroup
        else
            Topology.uniform

    new SparseLinear(size, size, sparsity = sparsity, topology = topology, seed = Seed.ofInt 1)

/// Milliseconds of a training step and of an update. A step is forward, backward and the optimizer's; an update is what
/// stands in the optimizer's place, and what the step after it takes more than others do: its backward makes the
/// transpose of the new pattern.
let private times (size: int) (sparsity: float) (batch: int) (make: Schedule -> Policy) (rounds: int) =
    let every = 4
    let policy = make (Schedule.constant 0.3 (int64 every) 1_000_000L)
    use layer = layerOf size sparsity policy
    use optimizer = torch.optim.SGD(layer.parameters (), 0.01, momentum = 0.9)
    let rewirer = new Rewirer(layer, optimizer, policy, Seed.ofInt 2)

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
    [ "RigL", Policy.rigL
      "SET", Policy.set
      "SRigL", Policy.srigL ValueNone
      "RigL/4", Policy.rigL >> Policy.inRowGroups 4 RowGroupNorm.L2 ]

/// Milliseconds of optimizer.step() and of Rewirer.Step() on steps that are no updates, in turn, of twins.
let private ordinarySteps (rows: int) (cols: int) (moments: Moments) (make: SparseLinear -> torch.optim.Optimizer) =
    let every = 64L

    let twin () =
        let layer = new SparseLinear(cols, rows, sparsity = 0.9, seed = Seed.ofInt 1)
        layer, make layer

    let plain, ofPlain = twin ()
    let layer, optimizer = twin ()

    let policy =
        { Policy.rigL (Schedule.constant 0.3 every 1_000_000L) with
            Moments = moments }

    use rewirer = new Rewirer(layer, optimizer, policy, Seed.ofInt 2)
    use x = torch.randn (8L, int64 cols)
    let steps, rewired = ResizeArray<float>(), ResizeArray<float>()

    let timed (into: ResizeArray<float>) (step: unit -> unit) =
        let watch = Stopwatch.StartNew()
        step ()
        into.Add watch.Elapsed.TotalMilliseconds

    for step in 1..1500 do
        use _ = torch.NewDisposeScope()

        for l in [ plain; layer ] do
            l.zero_grad ()
            (l.call x).square().mean().backward()

        let ofTorch () =
            timed steps (fun () -> ofPlain.step () |> ignore)

        if step % 2 = 0 then
            ofTorch ()

        if int64 step % every = 0L then
            rewirer.Step() |> ignore
        else
            timed rewired (fun () -> rewirer.Step() |> ignore)

        if step % 2 = 1 then
            ofTorch ()

    plain.Dispose()
    layer.Dispose()
    // The first update, and what is compiled, come before.
    let settled (times: ResizeArray<float>) = times.GetRange(500, times.Count - 500)
    struct (median (settled steps), median (settled rewired))

/// Rewirer.Step beside optimizer.step() where nothing is rewired, with young slots and without.
let runSteps () =
    printfn "Rewirer.Step() beside optimizer.step() on steps between updates, 90 %%, microseconds"

    for name, make in
        [ "Adam", (fun (l: SparseLinear) -> torch.optim.Adam(l.parameters (), 1e-3) :> torch.optim.Optimizer)
          "AdamW", fun l -> torch.optim.AdamW(l.parameters (), 1e-3)
          "SGD", fun l -> torch.optim.SGD(l.parameters (), 1e-3, momentum = 0.9) ] do
        for rows, cols in [ 1024, 1024; 256, 256; 100, 784 ] do
            for moments in [ Moments.Zero; Moments.Fresh; Moments.Seeded ] do
                let struct (plain, rewired) = ordinarySteps rows cols moments make

                printfn
                    $"{name, -6} {rows, 5} x {cols, -5} {moments, -7} {1000.0 * plain, 8:F1} {1000.0 * rewired, 8:F1}  {rewired / plain:F2}"

let run () =
    printfn "an update (drop, grow, optimizer and pattern) beside a training step that is none; ms"

    for size, sparsity, batch in [ 784, 0.9, 64; 4096, 0.9, 256; 4096, 0.99, 256 ] do
        for name, make in policies do
            let step, update = times size sparsity batch make 11

            printfn
                $"{size} x {size}, {100.0 * sparsity} %%, batch {batch, 4}  {name, -6} step {step, 7:F1}  update {update, 7:F1}  {update / step:F1} steps"

    let size, sparsity, batch = 50_000, 0.999, 64
    use layer = layerOf size sparsity Policy.staticSparse
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
