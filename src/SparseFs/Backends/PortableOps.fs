namespace SparseFs.Torch

open System.Collections.Generic
open System.Runtime.CompilerServices
open SparseFs
open TorchSharp

/// <summary>The three operations from torch's own: any device, float32 and float64.</summary>
/// <remarks>
/// Gather, multiply, scatter-add: an intermediate of [samples, nnz], so the batch is taken in chunks that keep it small.
/// The caller has checked every size; inputs are [N, features], and no gradient is recorded.
/// </remarks>
module internal PortableOps =

    /// Elements of the intermediate at most, where one sample allows it.
    let private chunkElements = 1L <<< 24

    /// Row and column of each slot, as index tensors on a device.
    type private Indices =
        { Rows: torch.Tensor
          Cols: torch.Tensor }

    let private cache =
        ConditionalWeakTable<Connectivity, Dictionary<string, Indices>>()

    let private indicesOf (c: Connectivity) (device: torch.Device) : Indices =
        let toIndex (values: int[]) =
            use onCpu = torch.tensor(values, device = torch.CPU).to_type(torch.ScalarType.Int64)
            onCpu.``to``(device, copy = true).DetachFromDisposeScope()

        let perDevice = cache.GetValue(c, (fun _ -> Dictionary()))

        lock perDevice (fun () ->
            match perDevice.TryGetValue(string device) with
            | true, indices -> indices
            | _ ->
                let indices =
                    { Rows = toIndex (Connectivity.rowIndices c)
                      Cols = toIndex c.ColIdxArray }

                perDevice[string device] <- indices
                indices)

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
        use one = 1.0.ToScalar()

        chunks (int values.shape[0]) n (fun from length ->
            let gathered = x.narrow(0L, from, length).index_select(1L, source)

            y.narrow(0L, from, length).index_add_(1L, target, gathered.mul_ values, one)
            |> ignore)

        y

    /// x [N, cols] · Wᵀ + bias: [N, rows]; bias [rows] may be null.
    let spmm (c: Connectivity) (values: torch.Tensor) (bias: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        let indices = indicesOf c x.device
        let y = product indices.Cols indices.Rows values x c.Rows
        if isNull bias then y else y.add_ bias

    /// g [N, rows] · W: [N, cols].
    let spmmT (c: Connectivity) (values: torch.Tensor) (g: torch.Tensor) : torch.Tensor =
        let indices = indicesOf c g.device
        product indices.Rows indices.Cols values g c.Cols

    /// gᵀ · x at the pattern: [nnz].
    let sddmm (c: Connectivity) (g: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        let indices = indicesOf c x.device
        let d = torch.zeros ([| int64 c.Nnz |], dtype = x.dtype, device = x.device)

        chunks c.Nnz x.shape[0] (fun from length ->
            let gathered = g.narrow(0L, from, length).index_select(1L, indices.Rows)
            let other = x.narrow(0L, from, length).index_select(1L, indices.Cols)
            d.add_ (gathered.mul_(other).sum 0L) |> ignore)

        d

    let private cellsOf (c: Connectivity) (device: torch.Device) : torch.Tensor =
        let indices = indicesOf c device
        use width = (int64 c.Cols).ToScalar()
        indices.Rows.mul(width).add_ indices.Cols

    /// values at the pattern, 0 elsewhere: [rows, cols].
    let toDense (c: Connectivity) (values: torch.Tensor) : torch.Tensor =
        let dense =
            torch.zeros ([| c.Cells |], dtype = values.dtype, device = values.device)

        dense.scatter_(0L, cellsOf c values.device, values).view(int64 c.Rows, int64 c.Cols)

    /// The elements of w [rows, cols] at the pattern: [nnz].
    let ofDense (c: Connectivity) (w: torch.Tensor) : torch.Tensor =
        w.reshape(-1L).index_select(0L, cellsOf c w.device)
