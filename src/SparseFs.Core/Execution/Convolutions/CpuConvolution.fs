namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>A convolution's three products: with its inputs, with its outputs' gradient, and of both at the pattern.</summary>
/// <remarks>Each sample is laid out once in planes (PlaneLayout), of which tiles of pixels are then summed as tiles of samples are in a
/// linear product, by the same loops. Results do not depend on the number of threads, to the bit.</remarks>
module internal CpuConvolution =

    /// Rows of output that are brought to their places together.
    let private rowBlock = 16

    /// Vectors of pixels that are summed at once.
    let private vectors = 4

    /// Places in place of columns.
    let inline private pinned (stencil: Stencil) ([<InlineIfLambda>] body: CsrView -> unit) =
        use rowPtr = fixed stencil.RowPtr
        use places = fixed stencil.Places

        body
            { Begin = rowPtr
              End = Pointer.at rowPtr 1L
              ColIdx = places
              FetchTo = -1L
              Group = stencil.RowGroup }

    /// Where four vectors lie, from a first one on.
    let private placesOf (target: PlaneTarget) (lanes: int) (first: int) (count: int) (areTogether: bool) : VectorPlaces =
        let input k =
            if k < count then
                target.Input(lanes, first + k) - target.Input(lanes, first)
            else
                0L

        let output k =
            if areTogether then
                int64 (k * lanes)
            elif k < count then
                target.Output(lanes, first + k) - target.Output(lanes, first)
            else
                0L

        { In1 = input 1
          In2 = input 2
          In3 = input 3
          Out1 = output 1
          Out2 = output 2
          Out3 = output 3 }

    /// Asks for the lines that the next tile is written to: those of many channels, which no prefetcher follows.
    let private fetchLines (rows: int) (first: nativeptr<float32>) (apart: int64) =
        if Pointer.hasPrefetch () then
            let mutable line = first

            for _ in 1..rows do
                Pointer.prefetch line
                Pointer.prefetch (Pointer.at line 16L)
                line <- Pointer.at line apart

    /// Some rows of a sample's products.
    let private sumRows
        (kernels: TileKernels)
        (lanes: int)
        (stencil: Stencil)
        (p: CsrView)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (planes: nativeptr<float32>)
        (rows: RowRange)
        (y: nativeptr<float32>)
        =
        let target = stencil.Target.Merged
        let channel = target.Size.Pixels
        let room = NativePtr.stackalloc<float32>(rowBlock * vectors * lanes + 16)
        let block = NativePtr.ofNativeInt ((NativePtr.toNativeInt room + 63n) &&& ~~~63n)
        let all = target.Vectors lanes
        let mutable first = 0

        while first < all do
            let count = min vectors (all - first)
            let from = Pointer.at planes (target.Input(lanes, first))

            // What a vector has too many in rows narrower than itself goes to the rows that follow, which come later. Behind the
            // last row of a channel is another's, or nobody's.
            if
                target.Stride.Pixels = 1L
                && target.Output(lanes, first + count - 1) + int64 lanes <= channel
            then
                let places = placesOf target lanes first count false
                let into = Pointer.at y (int64 rows.From * channel + target.Output(lanes, first))
                let next = target.Output(lanes, min (first + count) (all - 1))
                fetchLines rows.Count (Pointer.at y (int64 rows.From * channel + next)) channel
                kernels.Convolve(count, p, values, bias, from, rows, into, channel, places)
            else
                let places = placesOf target lanes first count true
                let mutable row = rows.From

                while row < rows.To do
                    let own =
                        { From = row
                          To = min rows.To (row + rowBlock) }

                    kernels.Convolve(count, p, values, bias, from, own, block, int64 (count * lanes), places)
                    kernels.Put(target, block, first, count, own, y)
                    row <- own.To

            first <- first + count

    let private apply
        (machine: ExecutionPolicy)
        (stencil: Stencil)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (source: nativeptr<float32>)
        (n: int)
        (target: nativeptr<float32>)
        =
        let width = machine.Width
        let kernels = TileKernels.ofWidth width
        let shares = if n >= machine.Threads then 1 else machine.Threads
        let layout = stencil.Source
        let phases = int stencil.Target.Stride.Pixels
        // Vectors that fill their row read nothing behind the sample.
        let inPlace = layout.IsSample && stencil.Target.Merged.Most.Width >= int width
        let sourceFloats = int64 layout.Channels * layout.SamplePixels
        let targetFloats = int64 (stencil.Rows / phases) * stencil.Target.Size.Pixels

        pinned stencil (fun p ->
            machine.Team.Run(
                machine.Threads,
                n * shares,
                fun part ->
                    let sample, share = part / shares, part % shares
                    let own = RowPartition.ofWork stencil.RowGroup stencil.RowPtr share shares
                    let ofSample = Pointer.at source (int64 sample * sourceFloats)
                    let into = Pointer.at target (int64 sample * targetFloats)

                    if inPlace then
                        sumRows kernels (int width) stencil p values bias ofSample own into
                    else
                        let scratch = ScratchPool.rent layout.Floats
                        kernels.Fill(layout, ofSample, scratch.Floats)
                        sumRows kernels (int width) stencil p values bias scratch.Floats own into
                        ScratchPool.giveBack scratch
            ))

    /// <summary>y [n, out, ...] = the convolution of x [n, in, ...] + bias; y is overwritten.</summary>
    /// <remarks>input is the size of a sample's channel. bias is [out] or null.</remarks>
    let conv (machine: ExecutionPolicy) (plan: ConvPlan) (input: Extent) values bias x (n: int) y =
        apply machine (plan.Forward input) values bias x n y

    /// <summary>x [n, in, ...] = the transposed convolution of g [n, out, ...]; x is overwritten.</summary>
    let convT (machine: ExecutionPolicy) (plan: ConvPlan) (input: Extent) (values: nativeptr<float32>) g (n: int) x =
        let stencil = plan.Transposed input

        match stencil.From with
        | null -> apply machine stencil values Pointer.nothing g n x
        | from ->
            let ordered = ScratchPool.rent (int64 from.Length)

            for s in 0 .. from.Length - 1 do
                Pointer.set ordered.Floats s (Pointer.get values from[s])

            apply machine stencil ordered.Floats Pointer.nothing g n x
            ScratchPool.giveBack ordered

    /// Vectors of pixels of which products are taken before the next row's.
    let mutable runVectors = 32

    /// Groups of samples that add up gradients of their own.
    let private groupsOf (n: int) (nnz: int) (floats: int64) : int =
        let affordable = int64 n * floats / (2L * (int64 nnz + 1L))
        let mutable groups = 1

        while groups < 16 && 2 * groups <= n && int64 (2 * groups) <= affordable do
            groups <- 2 * groups

        groups

    /// <summary>d [nnz] = the gradient of the values, of g [n, out, ...] and x [n, in, ...]; d is overwritten.</summary>
    let sddmm (machine: ExecutionPolicy) (plan: ConvPlan) (input: Extent) g x (n: int) (d: nativeptr<float32>) =
        let stencil = plan.Forward input
        let nnz, layout, target = stencil.Places.Length, stencil.Source, stencil.Target
        let lanes = int machine.Width
        let run = (target.Run + lanes - 1) / lanes * lanes
        let kernels = TileKernels.ofWidth machine.Width

        if n = 0 || run = 0 then
            Pointer.clear d (int64 nnz)
        else
            let groups = groupsOf n nnz layout.Floats
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

            pinned stencil (fun p ->
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
                                kernels.SddmmPlanes(
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
