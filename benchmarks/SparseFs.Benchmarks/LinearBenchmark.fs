/// SparseFs beside the dense layer and the other ways to have a sparse one: forward, and a whole training step
/// (forward, and backward with the gradients of weight, bias and input) through modules and autograd.
module SparseFs.Benchmarks.LinearBenchmark

open System
open SparseFs
open TorchSharp
open SparseFs.Benchmarks.Grid
open SparseFs.Benchmarks.Timing

/// Seconds for SparseFs and dense, for each of the others, and rounds at most.
[<Struct>]
type Effort =
    { Seconds: float
      OthersSeconds: float
      Rounds: int }

/// The elements of the gathered products at most: SparseLinear's formula holds three such tensors.
let private gatherLimit = 100_000_000L

/// Multiply-adds of torch's COO product at most; it makes some 0.3 billion a second.
let private cooLimit = 1_000_000_000L

/// Bytes of a dense weight at most; a training step holds three such matrices.
let private denseLimit = 4_000_000_000L

/// The masked layer holds the mask and a product beside its weight.
let private maskedLimit = 1_000_000_000L

let private contender
    (effort: Effort)
    (op: string)
    (name: string)
    (model: Baselines.Layer)
    (x: torch.Tensor)
    (upstream: torch.Tensor)
    =
    let forward () =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        model.call x |> ignore

    let train () =
        use _ = torch.NewDisposeScope()
        (model.call x).backward([| upstream |])

    let forget () =
        model.zero_grad ()
        x.grad <- null

    { Name = name
      Prepare = forget
      Run = if op = "train" then train else forward
      Seconds =
        if name = "sparsefs" || name = "dense" then
            effort.Seconds
        else
            effort.OthersSeconds }

let private rivals (only: string list) (s: Setting) (nnz: int64) =
    let cells = 4L * int64 s.Rows * int64 s.Cols

    [ if cells <= denseLimit then
          "dense", Baselines.dense

          if cells <= maskedLimit then
              "masked", Baselines.masked
      if s.Op = "forward" && int64 s.Batch * nnz <= cooLimit && cells <= denseLimit then
          "coo", Baselines.coo
      if int64 s.Batch * nnz <= gatherLimit then
          "gather", Baselines.gather ]
    |> List.filter (fun (name, _) -> List.contains name only)

let private measure (effort: Effort) (only: string list) (s: Setting) : Row =
    use _ = torch.NewDisposeScope()
    torch.set_num_threads s.Threads
    torch.manual_seed 1L |> ignore
    let pattern = pattern s

    let x = torch.randn (int64 s.Batch, int64 s.Cols, requires_grad = (s.Op = "train"))

    let upstream = torch.randn (int64 s.Batch, int64 s.Rows)

    /// A layer that is made and called once, with what that adds to the process.
    let made (make: unit -> Baselines.Layer) : Baselines.Layer * int64 option =
        let mutable layer: Baselines.Layer | null = null

        let peak =
            extraPeakBytes (fun () ->
                let fresh = make ()
                layer <- fresh
                (contender effort s.Op "" fresh x upstream).Run())

        x.grad <- null
        present "a layer that was made" layer, peak

    let own, peak = made (fun () -> new SparseLinear(pattern))
    use layer = own :?> SparseLinear

    let others =
        [ for name, make in rivals only s (int64 pattern.Nnz) -> name, made (fun () -> make layer) ]

    let milliseconds =
        ("sparsefs", own) :: [ for name, (model, _) in others -> name, model ]
        |> List.map (fun (name, model) -> contender effort s.Op name model x upstream)
        |> inTurn effort.Rounds

    for _, (model, _) in others do
        model.Dispose()

    { Setting = s
      Milliseconds = milliseconds
      PeakBytes = peak
      DensePeakBytes =
        others
        |> List.tryFind (fun (name, _) -> name = "dense")
        |> Option.bind (snd >> snd) }

/// Prints each row as it comes, then the break-even points; writes all rows to a file, and the plot beside it.
let run (path: string) (effort: Effort) (only: string list) (settings: Setting list) =
    printfn
        $"{Environment.ProcessorCount} processors, kernels at {Kernels.CpuSpmm.widest}, libtorch {torch.__version__}"

    printfn $"name/ is that contender's time over SparseFs's: above 1, SparseFs is faster\n\n{header}"

    let rows =
        [ for setting in settings do
              let row = measure effort only setting
              printfn $"{line row}"
              row ]

    printfn "\nbreak-even with dense: faster from this sparsity on"

    for s, ofSeries in series rows do
        let say (what: string) (sparsity: float) =
            printfn $"{s.Op, -8} {s.Shape, -15} {s.Batch, 5}  {s.Layout, -8}  {s.Threads} threads: {what}{sparsity:F2}"

        match breakEven ofSeries with
        | Some(BreakEven.From sparsity) -> say "" sparsity
        | Some(BreakEven.AtOrBelow sparsity) -> say "at or below " sparsity
        | Some(BreakEven.Above sparsity) -> say "above " sparsity
        | None -> ()

    write path rows
    let plot = pageOf path
    Plot.write plot rows
    printfn $"\nwritten to {path} and {plot}"
