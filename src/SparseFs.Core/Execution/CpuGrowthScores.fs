namespace SparseFs.Kernels

#nowarn "9"

open System
open Microsoft.FSharp.NativeInterop
open SparseFs

/// The dense product of which only the best cells are wanted.
module internal CpuGrowthScores =

    /// Rows of a dense product that are handed on together: up to 64, and 6 MB of them.
    let private productRows (stride: int) =
        max Gemm.Rows (min 64 (1_572_864 / max 1 stride / Gemm.Rows * Gemm.Rows))

    /// Some rows [count, cols] of gᵀ · x, for g [n, rows] and x [n, cols], by the definition.
    let someRows (g: float32[]) (x: float32[]) (n: int) (rows: int) (cols: int) (first: int) (count: int) : float32[] =
        let block: float32[] = Array.zeroCreate (count * cols)

        for sample in 0 .. n - 1 do
            for row in 0 .. count - 1 do
                let upstream = g[sample * rows + first + row]

                if upstream <> 0.0f then
                    let inputs = ReadOnlySpan(x, sample * cols, cols)
                    let sums = Span(block, row * cols, cols)

                    for col in 0 .. cols - 1 do
                        sums[col] <- sums[col] + upstream * inputs[col]

        block

    /// <summary>gᵀ · x, for g [n, rows] and x [n, cols], handed to body some rows at a time by as many parts side by side
    /// as there are threads.</summary>
    /// <remarks>A part's rows come in order, and before those of the next part. What is beyond a row's columns, up to the
    /// stride, is 0.</remarks>
    let product
        (machine: ExecutionPolicy)
        (g: nativeptr<float32>)
        (x: nativeptr<float32>)
        (n: int)
        rows
        cols
        (body: ScoreBlock)
        =
        let width = Gemm.Vectors * int machine.Width
        let stride = (cols + width - 1) / width * width
        use strips = new AlignedBuffer(4L * int64 n * int64 stride)
        let columns = stride / width

        let g = { Data = g; Stride = rows }
        let x = { Data = x; Stride = cols }
        let parts = machine.Threads // promised to body, however many threads there are when the turn comes
        let together = productRows stride

        let pack part =
            let own = RowPartition.range columns part parts

            let ofX =
                { From = own.From * width
                  To = min cols (own.To * width) }

            if ofX.Count > 0 then
                let into = Pointer.at strips.Floats (int64 ofX.From * int64 n)
                Gemm.pack x n ofX width into

        let multiply part =
            let own = RowPartition.range rows part parts
            let most = (min together own.Count + Gemm.Rows - 1) / Gemm.Rows * Gemm.Rows

            if most > 0 then
                let block: float32[] = Array.zeroCreate (most * stride)
                use pin = fixed block
                let gStrips = ScratchPool.rent (int64 n * int64 most)

                let mutable first = own.From

                while first < own.To do
                    let count = min together (own.To - first)
                    let whole = (count + Gemm.Rows - 1) / Gemm.Rows * Gemm.Rows
                    Gemm.pack g n { From = first; To = first + count } Gemm.Rows gStrips.Floats
                    KernelTable.ofWidth(machine.Width).Product(gStrips.Floats, strips.Floats, n, whole, stride, pin)
                    body.Invoke(part, first, count, block, stride)
                    first <- first + count

                ScratchPool.giveBack gStrips

        ExecutionPolicy.call machine (fun policy ->
            policy.Team.Run(policy.Threads, parts, pack)
            policy.Team.Run(policy.Threads, parts, multiply))
