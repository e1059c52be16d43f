namespace SparseFs.Torch

open System
open System.Collections.Generic
open System.Runtime.InteropServices
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>Weights of torch's modules that have several, as the sparse layers of ours, and back.</summary>
[<RequireQualifiedAccess>]
module internal DenseMatrices =

    /// A module's parameters by their names.
    let parameters (m: torch.nn.Module) : Dictionary<string, Parameter> =
        let parameters = Dictionary<string, Parameter>()

        for struct (name, p) in m.named_parameters () do
            parameters.Add(name, p)

        parameters

    /// A layer with the weights that a pattern has, and a bias or none; both keep whether they want gradients.
    let ofWeight
        (channels: LayerChannels)
        (c: Connectivity)
        (weight: Parameter)
        (bias: Parameter | null)
        : SparseLinear =
        let settings =
            LayerSettings.Of(Some(not (isNull bias)), None, Some weight.device, Some weight.dtype, None)

        let layer = new SparseLinear(channels, LayerStart.blank settings channels c)
        let rowIdx = Connectivity.rowIndices c

        let cells =
            Array.init c.Nnz (fun slot -> int64 rowIdx[slot] * int64 c.Cols + int64 c.ColIdxArray[slot])

        layer.weight.copy_ (weight.detach().reshape(-1L).index_select(0L, torch.tensor(cells).``to`` weight.device))
        |> ignore

        layer.weight.requires_grad_ weight.requires_grad |> ignore

        match layer.bias, bias with
        | null, _
        | _, null -> ()
        | own, bias ->
            own.copy_ bias |> ignore
            own.requires_grad_ bias.requires_grad |> ignore

        layer

    /// The pattern of a weight's largest magnitudes.
    let largest (sparsity: float) (weight: torch.Tensor) : Connectivity =
        let rows, cols = int weight.shape[0], int weight.shape[1]
        let flat = TensorArrays.copy<float32> torch.ScalarType.Float32 weight
        let matrix = Array2D.zeroCreate rows cols
        flat.AsSpan().CopyTo(MemoryMarshal.CreateSpan(&matrix[0, 0], flat.Length))
        Connectivity.ofMagnitude (Sparsity.nnzOfLayer rows cols sparsity) matrix

    /// The pattern of all of a weight's cells.
    let all (weight: torch.Tensor) : Connectivity =
        Connectivity.full (int weight.shape[0]) (int weight.shape[1])

    /// Numbers of a dense weight and bias that are a sparse layer's, with zeros where it has no weight.
    let into (weight: Parameter) (bias: Parameter | null) (layer: SparseLinear) : unit =
        weight.copy_ (layer.weightMatrix ()) |> ignore
        weight.requires_grad_ layer.weight.requires_grad |> ignore

        match bias, layer.bias with
        | null, _
        | _, null -> ()
        | own, bias ->
            own.copy_ bias |> ignore
            own.requires_grad_ bias.requires_grad |> ignore

    /// A small input, which no generator draws: torch's own is left where it is.
    let probe (shape: int64[]) (like: torch.Tensor) : torch.Tensor =
        let count = Array.fold (*) 1L shape

        torch
            .arange(Scalars.Of(float count), dtype = torch.ScalarType.Float64, device = like.device)
            .mul(Scalars.Of 0.7)
            .sin()
            .view(shape)
            .to_type
            like.dtype

    /// Whether two results are one, up to roundings of sums of a few hundred terms.
    let close (a: torch.Tensor) (b: torch.Tensor) : bool =
        let tolerance =
            match a.dtype with
            | torch.ScalarType.Float64 -> 1e-9
            | torch.ScalarType.Float32 -> 1e-4
            | _ -> 5e-2

        a.shape = b.shape && a.sub(b).abs().le(Scalars.Of tolerance).all().item<bool>()
