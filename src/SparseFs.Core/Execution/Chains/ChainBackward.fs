namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// Where the gradients of one product go, and what a pass of it was: each is overwritten, or null where nobody wants it.
[<Struct>]
type internal ChainGradient =
    {
        /// [nnz]
        Values: nativeptr<float32>
        /// [rows]
        Bias: nativeptr<float32>
        /// Upstream gradients, [n, rows].
        Upstream: nativeptr<float32>
        /// Inputs, [n, cols].
        Inputs: nativeptr<float32>
    }

/// Where the gradients of a chain go: each is overwritten, or null where nobody wants it.
[<NoEquality; NoComparison>]
type internal ChainGradients =
    {
        /// [n, inputs]; to which the residual's is added, where the residual is the chain's input.
        Input: nativeptr<float32>
        IsResidual: bool
        Scale: nativeptr<float32>
        Shift: nativeptr<float32>
        Products: ChainGradient[]
    }

/// <summary>The gradients of a chain, on the CPU.</summary>
/// <remarks>A tile goes back through the whole chain before the next one begins. Groups of tiles add up gradients of weights of their own, which
/// are added in the end; the groups follow from shapes alone, so that results do not depend on the number of threads, to the
/// bit.</remarks>
module internal ChainBackward =

    let private all (count: int) : RowRange = { From = 0; To = count }

    /// The sums of one group: of each product values and bias, then of the normalization scale and shift.
    let private placesOfSums (chain: Chain) : struct (int64[] * int64[] * int64 * int64) =
        let mutable at = 0L

        let next (floats: int) =
            let place = at
            at <- at + int64 floats
            place

        let values = chain.Products |> Array.map (fun p -> next p.Plan.Connectivity.Nnz)
        let biases = chain.Products |> Array.map (fun p -> next p.Plan.Connectivity.Rows)
        let norm = next (2 * chain.Inputs)
        struct (values, biases, norm, at)

    /// <summary>The gradients for an upstream dy [n, outputs].</summary>
    /// <param name="policy">Width and threads.</param>
    /// <param name="tiling">Of the batch, at that width.</param>
    /// <param name="chain">What was computed.</param>
    /// <param name="x">Its input, [n, inputs].</param>
    /// <param name="tape">What the forward left.</param>
    /// <param name="dy">Row-major.</param>
    /// <param name="wanted">Where the gradients go.</param>
    let run
        (policy: ExecutionPolicy)
        (tiling: BatchTiling)
        (chain: Chain)
        (x: nativeptr<float32>)
        (tape: nativeptr<float32>)
        (dy: nativeptr<float32>)
        (wanted: ChainGradients)
        : unit =
        let kernels, between =
            KernelTable.ofWidth tiling.Width, ChainTable.ofWidth tiling.Width

        let products, last = chain.Products, chain.Products.Length - 1
        let inputs = chain.Inputs
        let x = { Data = x; Stride = inputs }
        let dy = { Data = dy; Stride = chain.Outputs }
        let dx = { Data = wanted.Input; Stride = inputs }
        let wantsInput = not (Pointer.isNull dx.Data)
        let wantsNorm = not (Pointer.isNull wanted.Scale && Pointer.isNull wanted.Shift)
        let struct (valuesAt, biasesAt, normAt, floats) = placesOfSums chain

        /// A gradient that goes further back than a product is wanted there.
        let goesOn (index: int) = index > 0 || wantsInput || wantsNorm

        let scatters (index: int) = products[index].Plan.RowGroup > 1

        let valuesT =
            products
            |> Array.mapi (fun index p ->
                if goesOn index && not (scatters index) then
                    CpuSpmm.transposedValues policy p.Plan p.Values
                else
                    ScratchPool.rent 0L)

        let views =
            [| for p in products do
                   struct (p.Plan.Connectivity, p.Plan.RowGroup, CpuSpmm.fetchTo tiling p.Plan.Connectivity)

               for index in 0..last do
                   let p = products[index]

                   if goesOn index && not (scatters index) then
                       let pattern = p.Plan.Transposed policy
                       struct (pattern, 1, CpuSpmm.fetchTo tiling pattern)
                   else
                       struct (p.Plan.Connectivity, p.Plan.RowGroup, -1L) |]

        let sums =
            RowPartition.groupsOfSums
                tiling.Tiles
                (int (min floats (int64 System.Int32.MaxValue)))
                (int64 tiling.N * int64 (chain.Widest + inputs))
            // So few sums that more groups cost nothing still leave both threads of a small machine busy.
            |> max (min 2 tiling.Tiles)

        let partial = ScratchPool.rent (int64 sums * floats)

        /// g [rows, W] · W of a product: [cols, W].
        let back (views: CsrView[]) (tile: Tile) (index: int) (g: nativeptr<float32>) (into: nativeptr<float32>) =
            let p = products[index]
            let pattern = p.Plan.Connectivity

            if scatters index then
                Pointer.clear into (int64 pattern.Cols * int64 (tiling.Wide tile))
                let own = views[products.Length + index]
                kernels.Scatter(tile, own, p.Values, g, pattern.Rows, pattern.Cols, all pattern.Cols, into)
            else
                let values = valuesT[index].Floats
                let own = views[products.Length + index]
                kernels.Spmm(tile, own, values, Pointer.nothing, g, all pattern.Cols, into)

        /// What a product of a tile leaves its weights, from its upstream gradient and its input.
        let weights
            (views: CsrView[])
            (tile: Tile)
            (index: int)
            (accumulate: bool)
            (own: nativeptr<float32>)
            (g: nativeptr<float32>)
            (input: nativeptr<float32>)
            =
            let pattern, to' = products[index].Plan.Connectivity, wanted.Products[index]

            if not (Pointer.isNull to'.Bias) then
                kernels.RowSums(tile, g, pattern.Rows, accumulate, Pointer.at own biasesAt[index])

            if not (Pointer.isNull to'.Values) then
                let d = Pointer.at own valuesAt[index]
                kernels.Sddmm(tile, views[index], g, input, all pattern.Rows, accumulate, d)

            if not (Pointer.isNull to'.Upstream) then
                kernels.Unpack(
                    tile,
                    g,
                    pattern.Rows,
                    { Data = to'.Upstream
                      Stride = pattern.Rows }
                )

            if not (Pointer.isNull to'.Inputs) then
                kernels.Unpack(
                    tile,
                    input,
                    pattern.Cols,
                    { Data = to'.Inputs
                      Stride = pattern.Cols }
                )

        let goBack (views: CsrView[]) (tile: Tile) (accumulate: bool) (own: nativeptr<float32>) =
            let wide = int64 (tiling.Wide tile)
            let widest = int64 chain.Widest * wide
            // The upstream gradient of a product, that of its input, an activation's values and slopes; then the first input, normal and as the
            // product takes it, and what the normalization divides by.
            let scratch = ScratchPool.rent (4L * widest + 2L * int64 inputs * wide + wide)

            let part (index: int64) =
                Pointer.at scratch.Floats (index * widest)

            let values = part 2L
            let mutable slopes = part 3L
            let normal = part 4L

            let input =
                if chain.Norm.IsSome then
                    Pointer.at normal (int64 inputs * wide)
                else
                    normal

            let deviations = Pointer.at (part 4L) (2L * int64 inputs * wide)
            let mutable g = part 0L
            let free = part 1L
            ChainForward.inputOf tiling chain tile x normal input deviations
            kernels.Pack(tile, dy, chain.Outputs, g)

            for index in last .. -1 .. 0 do
                if index = 0 then
                    weights views tile index accumulate own g input

                    if goesOn 0 then
                        back views tile 0 g free
                else
                    let hidden = chain.Hidden(index - 1)
                    let activation = chain.Activations[index - 1]
                    let given = Pointer.at tape (ChainTiling.tapePlace tiling chain tile (index - 1))
                    between.Activate(activation, given, hidden, int wide, values, slopes)
                    weights views tile index accumulate own g values
                    back views tile index g free

                    between.Scale(free, int64 hidden * wide, ChainActivation.rowsTaken activation, slopes)

                    // The slopes have become the gradients of the product before.
                    let other = g
                    g <- slopes
                    slopes <- other

            match chain.Norm with
            | ValueSome norm when goesOn 0 ->
                let sumsOf (isWanted: bool) (at: int64) =
                    if isWanted then Pointer.at own at else Pointer.nothing

                between.NormalizeBackward(
                    normal,
                    inputs,
                    tile.Vectors,
                    norm.Scale,
                    deviations,
                    free,
                    sumsOf (not (Pointer.isNull wanted.Scale)) normAt,
                    sumsOf (not (Pointer.isNull wanted.Shift)) (normAt + int64 inputs)
                )
            | _ -> ()

            if wantsInput then
                kernels.Unpack(tile, free, inputs, dx)

                if wanted.IsResidual then
                    let into =
                        { Data = dx.Row tile.Sample
                          Stride = inputs }

                    let from =
                        { Data = dy.Row tile.Sample
                          Stride = inputs }

                    between.AddRows(tile.Samples, inputs, from, into)

            ScratchPool.giveBack scratch

        ChainViews.pinned views (fun views ->
            policy.Team.Run(
                policy.Threads,
                sums,
                fun group ->
                    let own = Pointer.at partial.Floats (int64 group * floats)
                    let from = tiling.Tiles * group / sums
                    Pointer.clear (Pointer.at own normAt) (2L * int64 inputs)

                    for index in from .. tiling.Tiles * (group + 1) / sums - 1 do
                        goBack views (tiling.Tile index) (index > from) own
            ))

        let total (at: int64) (length: int) (into: nativeptr<float32>) =
            if not (Pointer.isNull into) then
                // Groups lie one behind the other with all of their sums.
                Pointer.clear into (int64 length)

                for group in 0 .. sums - 1 do
                    let from = Pointer.at partial.Floats (int64 group * floats + at)

                    between.AddRows(1, length, { Data = from; Stride = length }, { Data = into; Stride = length })

        for index in 0..last do
            let pattern, to' = products[index].Plan.Connectivity, wanted.Products[index]
            total valuesAt[index] pattern.Nnz to'.Values
            total biasesAt[index] pattern.Rows to'.Bias

        total normAt inputs wanted.Scale
        total (normAt + int64 inputs) inputs wanted.Shift
        ScratchPool.giveBack partial

        for buffer in valuesT do
            ScratchPool.giveBack buffer
