/// Sparse convolutions beside torch's dense one.
module SparseFs.Benchmarks.ConvBenchmark

#nowarn "9"

open System
open Microsoft.FSharp.NativeInterop
open SparseFs
open SparseFs.Kernels
open TorchSharp
open SparseFs.Benchmarks.Timing

let private shapes =
    // batch, in, size, kernel, out, padding
    [ 16, 64, 56, 3, 64, 1
      16, 128, 28, 3, 128, 1
      16, 256, 14, 3, 256, 1
      1, 64, 56, 3, 64, 1
      64, 32, 12, 5, 64, 0
      16, 256, 14, 1, 256, 0 ]

let run () =
    torch.set_num_threads 1
    let machine = CpuSpmm.machineOf CpuSpmm.widest 1

    for n, inputs, size, kernel, outputs, padding in shapes do
        let input = Extent.of3 1 size size
        let square k = Extent.of3 1 k k

        let geometry =
            { InChannels = inputs
              OutChannels = outputs
              Groups = 1
              Kernel = square kernel
              Stride = square 1
              Dilation = square 1
              Before = Extent.of3 0 padding padding
              After = Extent.of3 0 padding padding }

        let output = geometry.Output input

        use dense =
            torch.nn.Conv2d(int64 inputs, int64 outputs, int64 kernel, padding = int64 padding)

        let tx =
            torch.randn (int64 n, int64 inputs, int64 size, int64 size, requires_grad = true)

        let tg =
            torch.randn (int64 n, int64 outputs, int64 output.Height, int64 output.Width)

        let forwardDense () =
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            dense.call tx |> ignore

        let trainDense () =
            use _ = torch.NewDisposeScope()
            torch.autograd.backward ([| dense.call tx |], [| tg |])

        let x = Products.buffer (int64 n * int64 inputs * input.Pixels)
        let dx = Products.buffer (int64 n * int64 inputs * input.Pixels)
        let y = Products.buffer (int64 n * int64 outputs * output.Pixels)
        let g = Products.buffer (int64 n * int64 outputs * output.Pixels)
        let cols = inputs * kernel * kernel

        let values, d =
            Products.buffer (int64 outputs * int64 cols), Products.buffer (int64 outputs * int64 cols)

        let one (name: string) run =
            { Name = name
              Prepare = ignore
              Run = run
              Seconds = 0.5 }

        let times =
            inTurn
                10_000
                [ one "dense f" forwardDense
                  one "dense t" trainDense
                  for sparsity in [ 0.9; 0.95; 0.99 ] do
                      for groups in [ 1; 4 ] do
                          let nnz = Sparsity.nnz outputs cols sparsity

                          let pattern =
                              if groups = 1 then
                                  Topology.uniform outputs cols nnz (Seed.ofInt 1)
                              else
                                  Topology.rowGroups 4 outputs cols nnz (Seed.ofInt 1)

                          let plan = ConvPlan(pattern, geometry)
                          let name = $"{sparsity} {groups}"

                          one $"{name} f" (fun () ->
                              CpuConvolution.conv machine plan input values Pointer.nothing x n y)

                          one $"{name} x" (fun () -> CpuConvolution.convT machine plan input values g n dx)
                          one $"{name} w" (fun () -> CpuConvolution.sddmm machine plan input g x n d) ]

        let f, t = times["dense f"], times["dense t"]
        printfn $"{n}x{inputs}x{size}^2, {kernel}x{kernel} -> {outputs}: dense {f:F2} ms, train {t:F2}"

        for sparsity in [ 0.9; 0.95; 0.99 ] do
            for groups in [ 1; 4 ] do
                let time k = times[$"{sparsity} {groups} {k}"]

                let flops =
                    2.0 * float (Sparsity.nnz outputs cols sparsity) * float n * float output.Pixels

                let a, b, c = time "f", time "x", time "w"
                let gf t = flops / (t * 1e6)

                printfn
                    $"  {sparsity} groups {groups}: forward {a:F2} ({f / a:F2}x, {gf a:F0} GF)  dX {b:F2} ({gf b:F0} GF)  dW {c:F2} ({gf c:F0} GF)  train {a + b + c:F2} ({t / (a + b + c):F2}x)"
