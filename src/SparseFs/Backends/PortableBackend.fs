namespace SparseFs.Torch

open System
open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>All operations from torch's own.</summary>
/// <remarks>Products gather, multiply and scatter-add: an intermediate of [samples, nnz], so the batch is taken in chunks that
/// keep it small.</remarks>
module internal PortableBackend =

    /// Elements of the intermediate at most, where one sample allows it.
    let private chunkElements = 1L <<< 24

    /// Calls body with the first sample and the number of samples of each chunk.
    let private chunks (nnz: int) (n: int64) (body: int64 -> int64 -> unit) =
        let size = max 1L (chunkElements / max 1L (int64 nnz))
        let mutable from = 0L

        while from < n do
            use _ = torch.NewDisposeScope()
            let length = min size (n - from)
            body from length
            from <- from + length

    /// y[n, target[s]] += x[n, source[s]] · values[s], over all slots s.
    let private product
        (source: torch.Tensor)
        (target: torch.Tensor)
        (values: torch.Tensor)
        (x: torch.Tensor)
        features
        =
        let n = x.shape[0]
        let y = torch.zeros ([| n; int64 features |], dtype = x.dtype, device = x.device)

        chunks (int values.shape[0]) n (fun from length ->
            let gathered = x.narrow(0L, from, length).index_select(1L, source)

            y.narrow(0L, from, length).index_add_(1L, target, gathered.mul_ values, Scalars.Of 1.0)
            |> ignore)

        y

    let private spmm
        (plan: SpmmPlan)
        (values: torch.Tensor)
        (bias: torch.Tensor | null)
        (x: torch.Tensor)
        : torch.Tensor =
        let c = plan.Connectivity

        SlotCells.withIndices c x.device (fun rows cols ->
            let y = product cols rows values x c.Rows

            match bias with
            | null -> y
            | bias -> y.add_ bias)

    let private spmmT (plan: SpmmPlan) (values: torch.Tensor) (g: torch.Tensor) : torch.Tensor =
        let c = plan.Connectivity
        SlotCells.withIndices c g.device (fun rows cols -> product rows cols values g c.Cols)

    let private sddmm (plan: SpmmPlan) (g: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        let c = plan.Connectivity

        SlotCells.withIndices c x.device (fun rows cols ->
            let d = torch.zeros ([| int64 c.Nnz |], dtype = x.dtype, device = x.device)

            chunks c.Nnz x.shape[0] (fun from length ->
                let gathered = g.narrow(0L, from, length).index_select(1L, rows)
                let other = x.narrow(0L, from, length).index_select(1L, cols)
                d.add_ (gathered.mul_(other).sum 0L) |> ignore)

            d)

    let private withCells (c: Connectivity) (device: torch.Device) (body: torch.Tensor -> torch.Tensor) : torch.Tensor =
        SlotCells.withIndices c device (fun rows cols -> body (rows.mul(Scalars.Of(int64 c.Cols)).add_ cols))

    let private toDense (plan: SpmmPlan) (values: torch.Tensor) : torch.Tensor =
        let c = plan.Connectivity

        let dense =
            torch.zeros ([| c.Cells |], dtype = values.dtype, device = values.device)

        withCells c values.device (fun cells -> dense.scatter_(0L, cells, values).view(int64 c.Rows, int64 c.Cols))

    let private ofDense (plan: SpmmPlan) (w: torch.Tensor) : torch.Tensor =
        withCells plan.Connectivity w.device (fun cells -> w.reshape(-1L).index_select(0L, cells))

    let private growthScores
        (passes: Lazy<struct (torch.Tensor * torch.Tensor)>)
        (_: int)
        (_: int)
        (cols: int)
        : CellScores =
        let buffer: float32[] ref = ref [||]

        RowScores(fun first count ->
            // One array for all blocks of a size: whoever asks copies.
            if buffer.Value.LongLength <> int64 count * int64 cols then
                buffer.Value <- Array.zeroCreate (count * cols)

            use _ = torch.no_grad ()
            use _ = torch.NewDisposeScope()
            let struct (g, x) = passes.Value
            let block = g.narrow(1L, int64 first, int64 count).t().mm(x)
            TensorView.copyTo buffer.Value (block.to_type(torch.ScalarType.Float32).cpu().contiguous())
            buffer.Value)

    let private scoresOf (top: TopK) (x: torch.Tensor) =
        match top.Form, top.Terms with
        | _, null -> x
        | Scores.Products, terms -> x.mul (terms.to_type x.dtype)
        | Scores.Sums, terms -> x.add (terms.to_type x.dtype)
        | _ -> x

    let private whereElseZero (mask: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        torch.where (mask, x, torch.zeros ([||], dtype = x.dtype, device = x.device))

    /// A stable sort leaves equal scores in the order of their indices, which topk does not promise.
    let private topK (top: TopK) (x: torch.Tensor) : TopKResult =
        let struct (_, order) = (scoresOf top x).sort(1L, descending = true, stable = true)
        let mask = torch.zeros (x.shape, dtype = torch.ScalarType.Bool, device = x.device)
        let winners = order.narrow (1L, 0L, int64 top.K)

        mask.scatter_ (1L, winners, torch.ones (winners.shape, dtype = torch.ScalarType.Bool, device = x.device))
        |> ignore

        { Values = whereElseZero mask x
          Mask = mask
          Wins = (if top.Counts then mask.sum 0L else null) }

    let private dutyDeficit (duty: torch.Tensor) (strength: torch.Tensor) (target: float) : torch.Tensor =
        duty.neg().add_(Scalars.Of target).mul_ strength

    let private dutyUpdate (duty: torch.Tensor) (wins: torch.Tensor) (all: float) (weight: float) : unit =
        let weight =
            torch.full ([||], Scalars.Of weight, dtype = torch.float32, device = duty.device)

        duty.lerp_ (wins.to_type(torch.ScalarType.Float32).div_(Scalars.Of all), weight)
        |> ignore

    /// <summary>Torch's operations: any device, float32 and float64.</summary>
    let backend: Backend =
        { Name = "portable"
          Accepts = fun dtype _ -> dtype = torch.ScalarType.Float32 || dtype = torch.ScalarType.Float64
          Spmm = spmm
          SpmmT = spmmT
          Sddmm = sddmm
          Gradients = Backend.gradientsBy spmmT sddmm
          Conv = DenseConvolution.conv toDense
          ConvT = DenseConvolution.convT toDense
          ConvSddmm = DenseConvolution.sddmm ofDense
          ToDense = toDense
          OfDense = ofDense
          GrowthScores = growthScores
          GatherSlots = fun slots number values -> slots.Constant(values, number)
          Chain = ValueNone
          Attention = ValueNone
          Dropout = ValueNone
          Recurrence = ValueNone
          TopK = topK
          Keep = whereElseZero
          DutyDeficit = dutyDeficit
          DutyUpdate = dutyUpdate }
