/// What stands around the kernels: the plan of a pattern, the bytes of a weight, and the step of a tiny layer.
module SparseFs.Benchmarks.CostsBenchmark

open System
open SparseFs
open SparseFs.Kernels
open TorchSharp
open SparseFs.Benchmarks.Timing

let private plans () =
    printfn "Making the plan (the transpose), once a pattern, beside one training step of 64 samples; ms"

    for rows, cols, sparsity in [ 2000, 784, 0.9; 4096, 4096, 0.9; 4096, 4096, 0.99; 20_000, 20_000, 0.99 ] do
        let pattern =
            Topology.uniform rows cols (Sparsity.nnz rows cols sparsity) (Seed.ofInt 1)

        use layer = new SparseLinear(pattern)
        let x = torch.randn (64L, int64 cols, requires_grad = true)
        torch.set_num_threads 1

        let step () =
            use _ = torch.NewDisposeScope()
            (layer.call x).sum().backward()

        let contender name run =
            { Name = name
              Prepare = ignore
              Run = run
              Seconds = 2.0 }

        let make threads =
            let machine = CpuSpmm.machineOf CpuSpmm.widest threads
            contender $"{threads}" (fun () -> SpmmPlan(pattern).Transposed machine |> ignore)

        let ms = inTurn 15 [ make 1; make 2; contender "step" step ]
        let t = (SpmmPlan pattern).Transposed(CpuSpmm.machineOf CpuSpmm.widest 1)

        let bytes =
            4L
            * (int64 pattern.Nnz * 3L + int64 pattern.RowPtr.Length + int64 t.RowPtr.Length)

        let perWeight = float bytes / float pattern.Nnz
        let name = $"{cols} x {rows}, {100.0 * sparsity} %%"
        let one, two, ofStep = ms["1"], ms["2"], ms["step"]

        printfn
            $"  {name, -22} 1 thread {one, 8:F2}   2 threads {two, 8:F2}   step {ofStep, 8:F2}   {perWeight:F2} bytes a weight"

/// A layer's autograd function without its products: gradients and output as they come from the allocator.
type private NothingFunction() =
    inherit torch.autograd.SingleTensorFunction<NothingFunction>()

    override _.Name = "nothing"

    override _.forward(ctx, args) =
        let x, values, bias =
            args[0] :?> torch.Tensor, args[1] :?> torch.Tensor, args[2] :?> torch.Tensor

        ctx.save_for_backward (Collections.Generic.List [ x; values; bias ])
        torch.empty (x.shape[0], bias.shape[0])

    override _.backward(ctx, _) =
        let saved = ctx.get_saved_variables ()
        Collections.Generic.List [ for t in saved -> torch.empty_like t ]

/// A layer that computes nothing: what a step costs beside its products, whoever computes them.
type private Nothing(slots: int, rows: int) =
    inherit Baselines.Layer("nothing")

    let values = torch.randn (int64 slots, requires_grad = true)
    let bias = torch.randn (int64 rows, requires_grad = true)
    override _.forward(x) = NothingFunction.apply (x, values, bias)

let private tiny (inputs: int) (outputs: int) (samples: int) =
    torch.set_num_threads 1
    use sparse = new SparseLinear(inputs, outputs, seed = Seed.ofInt 0)
    use dense = torch.nn.Linear(int64 inputs, int64 outputs)
    use nothing = new Nothing(sparse.Connectivity.Nnz, outputs)
    let x = torch.randn (int64 samples, int64 inputs, requires_grad = true)

    let step (layer: Baselines.Layer) () =
        use _ = torch.NewDisposeScope()
        use sum = (layer.call x).sum()
        sum.backward ()

    let contender name layer =
        { Name = name
          Prepare = ignore
          Run = step layer
          Seconds = 5.0 }

    let ms =
        inTurn
            2000
            [ contender "sparse" (sparse :> Baselines.Layer)
              contender "dense" dense
              contender "nothing" nothing ]

    let allocated layer =
        let before = GC.GetAllocatedBytesForCurrentThread()

        for _ in 1..100 do
            step layer ()

        (GC.GetAllocatedBytesForCurrentThread() - before) / 100L

    let own, other, floor =
        1000.0 * ms["sparse"], 1000.0 * ms["dense"], 1000.0 * ms["nothing"]

    printfn
        $"\n{inputs} x {outputs}, {sparse.Connectivity.Sparsity:P0}, {samples} samples, training step: SparseFs {own:F0} us, nn.Linear {other:F0} us, ratio {own / other:F2}"

    printfn $"the same step with an autograd function that computes nothing: {floor:F0} us, ratio {own / floor:F2}"
    printfn $"managed bytes a step: SparseFs {allocated (sparse :> Baselines.Layer)}, nn.Linear {allocated dense}"

let run () =
    plans ()
    tiny 784 10 1
    tiny 2000 10 64
