namespace SparseFs.Kernels

#nowarn "9"

open System
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

    /// Calls body with the values in the order of a stencil's slots.
    let private ordered (stencil: Stencil) (values: nativeptr<float32>) (body: nativeptr<float32> -> unit) =
        match stencil.From with
        | null -> body values
        | from ->
            let ordered = ScratchPool.rent (int64 from.Length)

            for s in 0 .. from.Length - 1 do
                Pointer.set ordered.Floats s (Pointer.get values from[s])

            body ordered.Floats
            ScratchPool.giveBack ordered

    /// Sums of outputs' gradients, as many rows as input channels have phases.
    let gather machine (stencil: Stencil) (values: nativeptr<float32>) g (n: int) x =
        ordered stencil values (fun values -> StencilProducts.sum machine stencil values Pointer.nothing g n x)

    /// <summary>Whether the transposed product adds outputs' gradients to the inputs', in place of summing each input's.</summary>
    /// <remarks>Rows that share their places then share a store. Others pay for each vector's store, so that it is worth half as many
    /// vectors: where large kernels without padding make outputs much smaller than inputs.</remarks>
    let private scatters (plan: ConvPlan) (forward: Stencil) (input: Extent) (lanes: int) : bool =
        let inputs =
            PixelTarget(input, plan.Geometry.Stride, forward.Source.Row, forward.Source.Plane)

        not forward.IsPointwise
        && (plan.RowGroup = 4
            || 2 * ((forward.Target.Run + lanes - 1) / lanes) <= inputs.Vectors lanes)

    /// <summary>x [n, in, ...] = the transposed convolution of g [n, out, ...]; x is overwritten.</summary>
    let convT (machine: ExecutionPolicy) (plan: ConvPlan) (input: Extent) (values: nativeptr<float32>) g (n: int) x =
        let forward = plan.Forward input

        if scatters plan forward input (int machine.Width) then
            let shares = StencilProducts.sharesOf machine n
            let stencil = if shares = 1 then plan.ByCell input else forward
            ordered stencil values (fun values -> StencilProducts.scatter machine stencil values g n x)
        else
            gather machine (plan.Transposed input) values g n x

    /// Vectors of pixels of which products are taken before the next row's.
    let private runVectors = 32

    /// Of channels' pixels that stay in the first cache, of 32 KiB or 48, while all rows' products are taken.
    let private blockBytes = 32_000L

    /// Slots that a row has at least in a block of channels, in the mean: fewer are not worth its pixels' way.
    let private slotsOfBlock = 8

    /// <summary>Blocks of channels whose pixels of a run stay in the first cache for all rows, if rows have enough slots in each.</summary>
    /// <remarks>Rows that share their places use each pixel four times as it is.</remarks>
    let private channelBlocks (stencil: Stencil) (run: int) : int =
        let ofChannel = 4L * min stencil.Source.Apart (int64 (run + 2 * stencil.Source.Row))
        let wanted = int (int64 stencil.Source.Channels * ofChannel / blockBytes) + 1
        let affordable = stencil.Places.Length / (slotsOfBlock * max 1 stencil.Rows)

        if stencil.RowGroup = 4 then
            1
        else
            max 1 (min wanted affordable)

    /// Where the slots of each block of channels begin in each row, block by block, and where the last one's end.
    let private cutsOf (stencil: Stencil) (blocks: int) : int[] =
        let rows, rowPtr, places = stencil.Rows, stencil.RowPtr, stencil.Places
        let cuts = Array.zeroCreate ((blocks + 1) * rows)
        Array.blit rowPtr 0 cuts 0 rows
        Array.blit rowPtr 1 cuts (blocks * rows) rows

        for block in 1 .. blocks - 1 do
            let channel = int64 stencil.Source.Channels * int64 block / int64 blocks
            let place = int (channel * stencil.Source.Apart)

            for row in 0 .. rows - 1 do
                let before = cuts[(block - 1) * rows + row]
                let at = Array.BinarySearch(places, before, rowPtr[row + 1] - before, place)
                cuts[block * rows + row] <- if at < 0 then ~~~at else at

        cuts

    /// Runs of pixels beside each other: what a sample's products are taken of.
    [<Struct>]
    type private Runs =
        {
            /// Of the outputs' gradient: the first row's.
            G: nativeptr<float32>
            /// Floats from there to the next row's.
            Apart: int64
            Planes: nativeptr<float32>
            /// Whole vectors of floats.
            Length: int
        }

    /// The last pixels of channels that are no whole vector, and zeros behind them, each so far from the one before it.
    let private copyEnds
        (source: nativeptr<float32>)
        (channels: RowRange)
        (pixels: int)
        (from: int)
        (lanes: int)
        (target: nativeptr<float32>)
        (apart: int64)
        =
        for channel in channels.From .. channels.To - 1 do
            let own = Pointer.at source (int64 channel * int64 pixels)
            let into = Pointer.at target (int64 (channel - channels.From) * apart)

            for i in 0 .. lanes - 1 do
                Pointer.set
                    into
                    i
                    (if from + i < pixels then
                         Pointer.get own (from + i)
                     else
                         0.0f)

    /// <summary>d [nnz] = the gradient of the values, of g [n, out, ...] and x [n, in, ...]; d is overwritten.</summary>
    /// <remarks>Pointwise products read both in place, but for the pixels that are no whole vector.</remarks>
    let sddmm (machine: ExecutionPolicy) (plan: ConvPlan) (input: Extent) g x (n: int) (d: nativeptr<float32>) =
        let stencil = plan.Forward input
        let nnz, layout, target = stencil.Places.Length, stencil.Source, stencil.Target
        let lanes = int machine.Width
        let run = (target.Run + lanes - 1) / lanes * lanes
        let kernels = KernelTable.ofWidth machine.Width
        let inPlace = stencil.IsPointwise && target.Run >= lanes

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

            let step = min run (runVectors * lanes)
            let blocks = channelBlocks stencil step
            let cuts = cutsOf stencil blocks
            let xFloats = int64 layout.Channels * layout.SamplePixels
            let gFloats = int64 stencil.Rows * target.Size.Pixels

            StencilProducts.pinned stencil (fun p ->
                use cuts = fixed cuts

                let products (runs: Runs) (own: RowRange) (accumulate: bool) (sums: nativeptr<float32>) =
                    let mutable first = 0

                    while first < runs.Length do
                        for block in 0 .. blocks - 1 do
                            let from = Pointer.at cuts (int64 block * int64 stencil.Rows)

                            let ofBlock =
                                { p with
                                    Begin = from
                                    End = Pointer.at from (int64 stencil.Rows) }

                            kernels.SddmmPixels(
                                ofBlock,
                                Pointer.at runs.G (int64 first),
                                runs.Apart,
                                Pointer.at runs.Planes (int64 first),
                                min step (runs.Length - first),
                                own,
                                (accumulate || first > 0),
                                sums
                            )

                        first <- first + step

                machine.Team.Run(
                    machine.Threads,
                    groups * shares,
                    fun part ->
                        let group, share = part / shares, part % shares
                        let own = RowPartition.ofWork stencil.RowGroup stencil.RowPtr share shares

                        let scratch =
                            ScratchPool.rent (layout.Floats + int64 own.Count * int64 run + int64 PixelLayout.Slack)

                        let planes = scratch.Floats
                        let runs = Pointer.at planes layout.Floats
                        let sampleFrom = n * group / groups

                        for sample in sampleFrom .. n * (group + 1) / groups - 1 do
                            let ofX = Pointer.at x (int64 sample * xFloats)
                            let ofG = Pointer.at g (int64 sample * gFloats)

                            if inPlace then
                                let pixels = target.Run
                                let whole = pixels - pixels % lanes

                                let inputs =
                                    { G = Pointer.at ofG (int64 own.From * int64 pixels)
                                      Apart = int64 pixels
                                      Planes = ofX
                                      Length = whole }

                                products inputs own (sample > sampleFrom) (sumsOf group)

                                if whole < pixels then
                                    let all = { From = 0; To = layout.Channels }
                                    let ends = Pointer.at planes (int64 whole)
                                    copyEnds ofX all pixels whole lanes ends layout.Apart
                                    copyEnds ofG own pixels whole lanes runs (int64 lanes)

                                    let last =
                                        { G = runs
                                          Apart = int64 lanes
                                          Planes = ends
                                          Length = lanes }

                                    products last own true (sumsOf group)
                            else
                                kernels.Fill(layout, ofX, planes)
                                kernels.Spread(target, own, ofG, run, runs)

                                let padded =
                                    { G = runs
                                      Apart = int64 run
                                      Planes = planes
                                      Length = run }

                                products padded own (sample > sampleFrom) (sumsOf group)

                        ScratchPool.giveBack scratch
                ))

            if groups > 1 then
                kernels.AddGroups(groups, nnz, sumsOf 0, d)
                ScratchPool.giveBack partial
