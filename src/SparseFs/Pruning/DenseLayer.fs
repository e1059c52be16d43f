namespace SparseFs.Torch

open System
open System.Runtime.InteropServices
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>A layer of torch's that has a sparse twin: Linear, Conv1d, Conv2d, Conv3d, or a transposed one of these.</summary>
[<NoComparison; NoEquality>]
type internal DenseLayer =
    {
        Module: torch.nn.Module<torch.Tensor, torch.Tensor>
        Weight: Parameter
        Bias: Parameter | null
        /// Of a convolution.
        Convolution: Convolution voption
    }

    member d.Rows: int64 = d.Weight.shape[0]

    /// Columns of the pattern: what the weight's other sizes multiply to.
    member d.Cols: int64 = Array.fold (*) 1L d.Weight.shape[1..]

[<RequireQualifiedAccess>]
module internal DenseLayer =

    /// What is replaced, in the words of errors.
    [<Literal>]
    let Kinds = "Linear or Conv"

    let ofLinear (dense: Linear) : DenseLayer =
        { Module = dense
          Weight = dense.weight
          Bias = dense.bias
          Convolution = ValueNone }

    let ofConvolution (dense: Convolution) : DenseLayer =
        { Module = dense
          Weight = dense.weight
          Bias = dense.bias
          Convolution = ValueSome dense }

    /// The layer that a module is, if it has a sparse twin.
    let tryOf (m: torch.nn.Module) : DenseLayer voption =
        match m with
        | :? Linear as dense -> ValueSome(ofLinear dense)
        | :? Conv1d
        | :? Conv2d
        | :? Conv3d
        | :? ConvTranspose1d
        | :? ConvTranspose2d
        | :? ConvTranspose3d -> ValueSome(ofConvolution (m :?> Convolution))
        | _ -> ValueNone

    let is (m: torch.nn.Module) : bool = (tryOf m).IsSome

    /// The type of its sparse twin.
    let typeOfTwin (d: DenseLayer) : Type =
        match d.Module with
        | :? Linear -> typeof<SparseLinear>
        | :? Conv1d -> typeof<SparseConv1d>
        | :? Conv2d -> typeof<SparseConv2d>
        | :? Conv3d -> typeof<SparseConv3d>
        | :? ConvTranspose1d -> typeof<SparseConvTranspose1d>
        | :? ConvTranspose2d -> typeof<SparseConvTranspose2d>
        | _ -> typeof<SparseConvTranspose3d>

    /// The type of a sparse layer's dense twin.
    let typeOfDense (layer: SparseLayer) : Type =
        match layer with
        | :? SparseConv1d -> typeof<Conv1d>
        | :? SparseConv2d -> typeof<Conv2d>
        | :? SparseConv3d -> typeof<Conv3d>
        | :? SparseConvTranspose1d -> typeof<ConvTranspose1d>
        | :? SparseConvTranspose2d -> typeof<ConvTranspose2d>
        | :? SparseConvTranspose3d -> typeof<ConvTranspose3d>
        | _ -> typeof<Linear>

    /// What of the layer stays or goes together, where so many rows are wanted, and whole kernels or not.
    let slotGroup (rows: int) (wholeKernels: bool) (norm: RowGroupNorm) (d: DenseLayer) : SlotGroup =
        let groups =
            match d.Convolution with
            | ValueSome dense -> int dense.groups
            | ValueNone -> 1

        { Rows = RowGroups.within groups (int d.Rows) rows
          Cells =
            if wholeKernels then
                int (Array.fold (*) 1L d.Weight.shape[2..])
            else
                1
          Norm = norm }

    /// The sizes by which a budget is shared out: [rows; columns], or [out; in / groups; kernel...].
    let shape (d: DenseLayer) : int[] = d.Weight.shape |> Array.map int

    /// The weights as float32, in which magnitudes are compared: [rows, columns].
    let matrix (d: DenseLayer) : float32[,] =
        let flat = TensorArrays.copy<float32> torch.ScalarType.Float32 d.Weight
        let matrix = Array2D.zeroCreate (int d.Rows) (int d.Cols)

        if flat.Length > 0 then
            flat.AsSpan().CopyTo(MemoryMarshal.CreateSpan(&matrix[0, 0], flat.Length))

        matrix

    /// <exception cref="T:System.ArgumentException">Its dtype is no real floating one, or a size is too large.</exception>
    let check (name: string) (d: DenseLayer) : unit =
        TensorView.checkFloating name d.Weight

        for size in [ d.Rows; d.Cols ] do
            if size > int64 Sparsity.maxSize then
                raise (ArgumentException($"expected sizes of at most {Sparsity.maxSize}, got {size}", name))

    /// Why it has no sparse twin after all; empty where it has.
    let whyNot (d: DenseLayer) : string =
        match d.Convolution with
        | ValueNone -> ""
        | ValueSome dense ->
            try
                ConvLayers.whyNotDense (ConvLayers.settingsOf dense)
            with :? ArgumentException as e ->
                match e.ParamName with
                | null -> e.Message
                | name -> e.Message.Replace($" (Parameter '{name}')", "")

    /// <summary>The shape of an input of so many samples.</summary>
    /// <exception cref="T:System.ArgumentException">It is a convolution, whose inputs may have any size.</exception>
    let inputOf (samples: int) (d: DenseLayer) : int64[] =
        match d.Convolution with
        | ValueNone -> [| int64 samples; d.Cols |]
        | ValueSome _ ->
            let message =
                "expected Linear layers, got a convolution, whose time depends on its input's size too: measure with an input "
                + "of the model, by Sparsify.fasterFor (C#: fasterFor), or leave convolutions out"

            raise (ArgumentException(message, "FasterAt"))

    /// A sparse layer of its kind and place over a pattern, with all weights 0.
    let private blank (c: Connectivity) (d: DenseLayer) : SparseLayer =
        let settings =
            LayerSettings.Of(Some(not (isNull d.Bias)), None, Some d.Weight.device, Some d.Weight.dtype, None)

        match d.Convolution with
        | ValueNone -> new SparseLinear(LayerStart.blank settings LayerChannels.Linear c)
        | ValueSome dense ->
            let sizes = ConvLayers.settingsOf dense
            ConvLayers.sparse (LayerStart.blank settings (ConvSettings.channels sizes) c) sizes

    /// The layer of the same kind with the weights that a pattern of its shape has.
    let sparse (c: Connectivity) (d: DenseLayer) : SparseLayer =
        use _ = torch.NewDisposeScope() // the layer's parameters are in none
        use _ = torch.no_grad ()
        let rowIdx = Connectivity.rowIndices c

        let cells =
            Array.init c.Nnz (fun slot -> int64 rowIdx[slot] * int64 c.Cols + int64 c.ColIdxArray[slot])

        let cells = torch.tensor(cells).``to`` d.Weight.device
        let made = blank c d

        made.weight.copy_ (d.Weight.detach().reshape(-1L).index_select(0L, cells))
        |> ignore

        made.weight.requires_grad_ d.Weight.requires_grad |> ignore

        match made.bias, d.Bias with
        | null, _
        | _, null -> ()
        | own, bias ->
            own.copy_ bias |> ignore
            own.requires_grad_ bias.requires_grad |> ignore

        made.train d.Module.training
        made

    /// Why a sparse layer has no dense twin; empty where it has.
    let whyNotDense (layer: SparseLayer) : string =
        match layer with
        | :? SparseConv as conv -> ConvLayers.whyNotDense conv.Settings
        | _ -> ""

    /// The dense layer of a sparse one's kind, with zeros where no weight exists.
    let ofSparse (layer: SparseLayer) : torch.nn.Module<torch.Tensor, torch.Tensor> =
        use _ = torch.NewDisposeScope() // torch's layers detach what they are given
        let shape = layer.Description.DenseShape

        let weight =
            new Parameter(layer.weightMatrix().view shape, layer.weight.requires_grad)

        let bias: Parameter | null =
            match layer.bias with
            | null -> null
            | bias -> new Parameter(bias.detach().clone(), bias.requires_grad)

        let dense: torch.nn.Module<torch.Tensor, torch.Tensor> =
            match layer with
            | :? SparseConv as conv -> ConvLayers.dense conv.Settings weight bias
            | _ -> torch.nn.Linear(weight, bias)

        dense.train layer.training
        dense

    /// A copy whose parameters are its own, and want gradients.
    let copy (d: DenseLayer) : torch.nn.Module<torch.Tensor, torch.Tensor> =
        use _ = torch.NewDisposeScope()
        let copied (p: torch.Tensor) : Parameter = new Parameter(p.detach().clone(), true)

        let bias: Parameter | null =
            match d.Bias with
            | null -> null
            | bias -> copied bias

        match d.Convolution with
        | ValueNone -> torch.nn.Linear(copied d.Weight, bias)
        | ValueSome dense -> ConvLayers.dense (ConvLayers.settingsOf dense) (copied d.Weight) bias
