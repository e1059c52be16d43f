/// K-winners beside topk and scatter, and its share of a training step.
module SparseFs.Benchmarks.KWinnersBenchmark

open SparseFs
open TorchSharp
open SparseFs.Benchmarks.Timing

type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

let private contender (name: string) (run: unit -> unit) =
    { Name = name
      Prepare = ignore
      Run =
        fun () ->
            use _ = torch.NewDisposeScope()
            run ()
      Seconds = 2.0 }

/// What users write without this library: not k-winners where scores tie, and without a boost.
let private topk (k: int) (x: torch.Tensor) : torch.Tensor =
    let struct (values, indices) = x.topk (k, 1)
    torch.zeros_like(x).scatter(1L, indices, values)

let private beside (rows: int) (n: int) (k: int) =
    use layer = new KWinners(n, KWinnersOptions.ofK k)
    use x = torch.randn ([| int64 rows; int64 n |], requires_grad = true)
    use g = torch.randn (int64 rows, int64 n)

    let step (f: torch.Tensor -> torch.Tensor) () =
        x.grad <- null
        (f x).backward([| g |])

    let ms =
        inTurn
            200
            [ contender "function" (step (KWinnersOps.winners k))
              contender "layer" (step layer.call)
              contender "topk" (step (topk k)) ]

    let shape, ofFunction, ofLayer, ofTopk =
        $"{rows} x {n}", ms["function"], ms["layer"], ms["topk"]

    printfn
        $"  {shape, -12} k {k, 5}   function {ofFunction, 7:F3}   layer, boosted {ofLayer, 7:F3}   topk + scatter {ofTopk, 8:F3}   layer / topk {ofLayer / ofTopk, 5:F2}"

/// The demo's network at batch 64: the step with K-winners, with ReLU in its place, and with nothing.
let private shareOfStep () =
    let network (activation: Layer) =
        torch.nn.Sequential(
            [ new SparseLinear(784, 2000, sparsity = 0.9, seed = Seed.ofInt 1) :> Layer
              torch.nn.LayerNorm 2000L
              activation
              new SparseLinear(2000, 10, sparsity = 0.9, seed = Seed.ofInt 2) ]
        )

    use x = torch.randn (64L, 784L)
    use labels = torch.randint (10L, [| 64L |])

    let step (model: Modules.Sequential) =
        let optimizer = torch.optim.SGD(model.parameters (), 0.1, momentum = 0.9)

        fun () ->
            optimizer.zero_grad ()
            torch.nn.functional.cross_entropy(model.call x, labels).backward()
            optimizer.step () |> ignore

    let ms =
        inTurn
            400
            [ contender "winners" (step (network (new KWinners(2000))))
              contender "relu" (step (network (torch.nn.ReLU())))
              contender "nothing" (step (network (torch.nn.Identity()))) ]

    let step, relu, nothing = ms["winners"], ms["relu"], ms["nothing"]

    printfn
        $"  step {step:F3}   with ReLU {relu:F3}   with nothing {nothing:F3}   K-winners {100.0 * (step - nothing) / step:F1} %% of its step, ReLU {100.0 * (relu - nothing) / relu:F1} %%"

let run () =
    for threads in [ 1; 2 ] do
        torch.set_num_threads threads
        printfn $"K-winners, forward and backward, medians of alternated runs in ms; threads: {threads}"

        for rows, n, k in
            [ 256, 2000, 700
              64, 2000, 700
              64, 2000, 200
              64, 1000, 100
              256, 512, 51
              256, 4096, 410
              16, 50_000, 5_000 ] do
            beside rows n k

        printfn "A training step of 784-2000-LayerNorm-K-winners-10, 90 %%, batch 64, with SGD"
        shareOfStep ()
