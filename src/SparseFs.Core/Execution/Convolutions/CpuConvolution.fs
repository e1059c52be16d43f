namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>A convolution's three products: with its inputs, with its outputs' gradient, and of both at the pattern.</summary>
/// <remarks>Tiles of pixels are summed as tiles of samples are in a linear product, by the same loops. Results do not depend on the
/// number of threads, to the bit.</remarks>
module internal CpuConvolution =

    /// <summary>y [n, out, ...] = the convolution of x [n, in, ...] + bias; y is overwritten.</summary>
    /// <remarks>input is the size of a sample's channel. bias is [out] or null.</remarks>
    let conv (machine: ExecutionPolicy) (plan: ConvPlan) (input: Extent) values bias x (n: int) y =
        StencilProducts.sum machine (plan.Forward input) values bias x n y

    /// Sums of outputs' gradients, as many rows as input channels have phases.
    let gather machine (stencil: Stencil) (values: nativeptr<float32>) g (n: int) x =
        match stencil.From with
        | null -> StencilProducts.sum machine stencil values Pointer.nothing g n x
        | from ->
            let ordered = ScratchPool.rent (int64 from.Length)

            for s in 0 .. from.Length - 1 do
                Pointer.set ordered.Floats s (Pointer.get values from[s])

            StencilProducts.sum machine stencil ordered.Floats Pointer.nothing g n x
            ScratchPool.giveBack ordered

    /// <summary>x [n, in, ...] = the transposed convolution of g [n, out, ...]; x is overwritten.</summary>
    let convT (machine: ExecutionPolicy) (plan: ConvPlan) (input: Extent) (values: nativeptr<float32>) g (n: int) x =
        if plan.RowGroup = 4 then
            StencilProducts.scatter machine (plan.Forward input) values g n x
        else
            gather machine (plan.Transposed input) values g n x

    /// Vectors of pixels of which products are taken before the next row's.
    let private runVectors = 32

    /// <summary>d [nnz] = the gradient of the values, of g [n, out, ...] and x [n, in, ...]; d is overwritten.</summary>
    let sddmm (machine: ExecutionPolicy) (plan: ConvPlan) (input: Extent) g x (n: int) (d: nativeptr<float32>) =
        let stencil = plan.Forward input
        let nnz, layout, target = stencil.Places.Length, stencil.Source, stencil.Target
        let lanes = int machine.Width
        let run = (target.Run + lanes - 1) / lanes * lanes
        let kernels = KernelTable.ofWidth machine.Width

        if n = 0 || run = 0 then
            Pointer.clear d (int64 nnz)
        else
            let groups = RowPartition.groupsOfSums n nnz (int64 n * layout.Floats)
            let shares = (machine.Threads + groups - 1) / groups

            let partial: AlignedBuffer | null =
                if groups > 1 then
                    ScratchPool.rent (int64 groups * int64 nnz)
                else
                    null

            let sumsOf group =
                if groups > 1 then
                    Pointer.at (ScratchPool.floats partial) (int64 group * int64 nnz)
                else
                    d

            StencilProducts.pinned stencil (fun p ->
                machine.Team.Run(
                    machine.Threads,
                    groups * shares,
                    fun part ->
                        let group, share = part / shares, part % shares
                        let own = RowPartition.ofWork stencil.RowGroup stencil.RowPtr share shares
                        let scratch = ScratchPool.rent (layout.Floats + int64 own.Count * int64 run)
                        let planes = scratch.Floats
                        let runs = Pointer.at planes layout.Floats
                        let sampleFrom = n * group / groups

                        for sample in sampleFrom .. n * (group + 1) / groups - 1 do
                            let xFloats = int64 layout.Channels * layout.SamplePixels
                            kernels.Fill(layout, Pointer.at x (int64 sample * xFloats), planes)
                            let gFloats = int64 stencil.Rows * target.Size.Pixels
                            kernels.Spread(target, own, Pointer.at g (int64 sample * gFloats), run, runs)
                            let step = runVectors * lanes
                            let mutable first = 0

                            while first < run do
                                kernels.SddmmPixels(
                                    p,
                                    Pointer.at runs (int64 first),
                                    int64 run,
                                    Pointer.at planes (int64 first),
                                    min step (run - first),
                                    own,
                                    (sample > sampleFrom || first > 0),
                                    sumsOf group
                                )

                                first <- first + step

                        ScratchPool.giveBack scratch
                ))

            if groups > 1 then
                kernels.AddGroups(groups, nnz, sumsOf 0, d)
                ScratchPool.giveBack partial
