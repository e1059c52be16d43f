namespace SparseFs

open System
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>Between torch's layers and sparse ones, and from values to a layer: the same function in another form.</summary>
/// <remarks>dtype, device, requires_grad and the training flag are kept, the bias is kept bit for bit, and the module that
/// is given stays as it is. Gradients and hooks stay behind. An optimizer that was made before holds the old layer's
/// parameters, so make it anew. torch's generator of random numbers is not touched.</remarks>
[<RequireQualifiedAccess>]
module Conversion =

    /// A new layer around values [nnz] and a bias or null, which are copied.
    let private layer (c: Connectivity) (values: torch.Tensor) (bias: torch.Tensor | null) : SparseLinear =
        use _ = torch.NewDisposeScope() // the layer's parameters are in none
        use _ = torch.no_grad ()

        let settings =
            LayerSettings.Of(Some(not (isNull bias)), None, Some values.device, Some values.dtype, None)

        let layer = new SparseLinear(LayerStart.blank settings LayerChannels.Linear c)

        layer.weight.copy_ values |> ignore

        match layer.bias, bias with
        | null, _
        | _, null -> ()
        | own, bias -> own.copy_ bias |> ignore

        layer

    /// <summary>The sparse layer whose slots are given; a weight of the dense layer without a slot is dropped.</summary>
    /// <param name="connectivity">Which weights stay; shape [out_features, in_features].</param>
    /// <param name="dense">Any torch.nn.Linear of a real floating dtype.</param>
    /// <returns>A new layer; <c>toDense</c> of it is the dense layer with the other weights set to 0.</returns>
    /// <exception cref="T:System.ArgumentException">An argument is null, the shapes differ, or the dtype is another.</exception>
    /// <example><code>
    /// let pattern = Topology.banded 300 784 23_520
    /// let local = Conversion.ofDensePattern pattern linear
    /// local.Connectivity = pattern // = true
    /// </code></example>
    [<CompiledName "OfDensePattern">]
    let ofDensePattern (connectivity: Connectivity) (dense: Linear) : SparseLinear =
        PrunedLayer.ofPattern "[out_features, in_features]" connectivity (fun () -> PrunedLayer.linear dense)
        :?> SparseLinear

    /// <summary>The sparse layer that keeps the largest magnitudes; a tie keeps the lower cell.</summary>
    /// <param name="sparsity">The part of the weights that is dropped, in [0, 1).</param>
    /// <param name="dense">Any torch.nn.Linear of a real floating dtype.</param>
    /// <returns>A new layer with <c>Sparsity.nnz out_features in_features sparsity</c> slots.</returns>
    /// <exception cref="T:System.ArgumentException">The layer is null or of another dtype, a weight is NaN, or the sparsity
    /// is outside [0, 1) or leaves no weight.</exception>
    /// <remarks>Magnitudes are compared as float32, as <c>Connectivity.ofMagnitude</c> does.</remarks>
    /// <example><code>
    /// let pruned = Conversion.ofDense 0.9 linear
    /// pruned.Connectivity.Nnz // = 23520
    /// </code></example>
    [<CompiledName "OfDense">]
    let ofDense (sparsity: float) (dense: Linear) : SparseLinear =
        PrunedLayer.ofLargest (fun _ -> SlotGroup.One) sparsity (PrunedLayer.linear dense) :?> SparseLinear

    /// <summary>The sparse layer whose rows come in groups, and that keeps the columns of groups with the largest norms; a tie
    /// keeps the lower group, then the lower column.</summary>
    /// <param name="size">Rows of a group, 1 or more; where out_features is no multiple of it, the last group is smaller.</param>
    /// <param name="norm">What the weights of a group's column are worth together.</param>
    /// <param name="sparsity">The part of the weights that is dropped, in [0, 1).</param>
    /// <param name="dense">Any torch.nn.Linear of a real floating dtype.</param>
    /// <returns>A new layer, with as many slots as a layer over <c>Topology.rowGroups size</c> at this sparsity.</returns>
    /// <exception cref="T:System.ArgumentException">size is below 1, the norm does not exist, the sparsity leaves no whole
    /// column of a group, or as <c>ofDense</c>.</exception>
    /// <remarks>Norms are summed in float64 and compared as float32.</remarks>
    /// <example><code>
    /// let pruned = Conversion.ofDenseInRowGroups 4 RowGroupNorm.L2 0.9 linear
    /// Connectivity.rowGroupSize pruned.Connectivity // = 4
    /// </code></example>
    [<CompiledName "OfDenseInRowGroups">]
    let ofDenseInRowGroups (size: int) (norm: RowGroupNorm) (sparsity: float) (dense: Linear) : SparseLinear =
        GroupMagnitude.check (nameof size) size (nameof norm) norm

        PrunedLayer.ofLargest (DenseLayer.slotGroup size false norm) sparsity (PrunedLayer.linear dense)
        :?> SparseLinear

    /// <summary>The sparse layer with a slot wherever a mask is true.</summary>
    /// <param name="mask">Shape [out_features, in_features], Bool, on any device.</param>
    /// <param name="dense">Any torch.nn.Linear of a real floating dtype.</param>
    /// <returns>A new layer; a weight of 0 where the mask is true is a slot too.</returns>
    /// <exception cref="T:System.ArgumentException">An argument is null, the shapes differ, or a dtype is another.</exception>
    /// <example><code>
    /// let mask = linear.weight.abs().gt(0.03.ToScalar())
    /// let pruned = Conversion.ofDenseMask mask linear
    /// int64 pruned.Connectivity.Nnz = mask.sum().item&lt;int64>() // = true
    /// </code></example>
    [<CompiledName "OfDenseMask">]
    let ofDenseMask (mask: torch.Tensor) (dense: Linear) : SparseLinear =
        PrunedLayer.ofMask "[out_features, in_features]" mask (fun () -> PrunedLayer.linear dense) :?> SparseLinear

    /// <summary>A layer from a pattern and its values, as files have them.</summary>
    /// <param name="connectivity">Which weights exist; shape [out_features, in_features].</param>
    /// <param name="values">Shape [nnz], in slot order, of a real floating dtype; copied.</param>
    /// <param name="bias">Shape [out_features], of the dtype and on the device of values, or null for none; copied.</param>
    /// <returns>A new layer, of the dtype and on the device of values.</returns>
    /// <exception cref="T:System.ArgumentException">The pattern or values are null, or a shape, a dtype or a device is not
    /// as said.</exception>
    /// <example><code>
    /// let pattern = Connectivity.ofPairs 2 4 [| 0; 1; 1 |] [| 3; 0; 2 |]
    /// let layer = Conversion.ofValues pattern (torch.tensor [| 0.5f; 1.0f; 1.25f |]) (torch.zeros 2L)
    /// layer.call(torch.ones (1L, 4L)).data&lt;float32>().ToArray() // = [|0.5f; 2.25f|]
    /// </code></example>
    [<CompiledName "OfValues">]
    let ofValues (connectivity: Connectivity) (values: torch.Tensor) (bias: torch.Tensor | null) : SparseLinear =
        ArgumentNullException.ThrowIfNull(connectivity, nameof connectivity)
        TensorView.checkFloating (nameof values) values
        TensorView.checkVector (nameof values) values connectivity.Nnz

        match bias with
        | null -> ()
        | bias ->
            TensorView.checkAlike "bias" bias (nameof values) values
            TensorView.checkVector "bias" bias connectivity.Rows

        layer connectivity values bias

    /// <summary>The dense layer with the same function: 0 where no weight exists.</summary>
    /// <param name="layer">Any sparse layer.</param>
    /// <returns>A new torch.nn.Linear, whose weight takes 4 · rows · cols bytes in float32. Outputs are equal up to the
    /// order of the sums.</returns>
    /// <exception cref="T:System.ArgumentException">The layer is null, or a pattern was loaded that is not one.</exception>
    /// <example><code>
    /// let dense = Conversion.toDense layer
    /// layer.call(x).allclose(dense.call x, atol = 1e-5) // = true
    /// </code></example>
    [<CompiledName "ToDense">]
    let toDense (layer: SparseLinear) : Linear =
        ArgumentNullException.ThrowIfNull(layer, nameof layer)
        DenseLayer.ofSparse layer :?> Linear

    /// <summary>The sparse convolution that keeps the largest magnitudes; a tie keeps the lower cell.</summary>
    /// <param name="sparsity">The part of the weights that is dropped, in [0, 1).</param>
    /// <param name="dense">A torch.nn.Conv1d, Conv2d, Conv3d or ConvTranspose of a real floating dtype.</param>
    /// <returns>A new SparseConv or SparseConvTranspose with the same sizes.</returns>
    /// <exception cref="T:System.ArgumentException">As <c>ofDense</c>, or the layer is another convolution.</exception>
    /// <example><code>
    /// let dense = torch.nn.Conv2d(16L, 32L, 3L, padding = 1L)
    /// let pruned = Conversion.ofDenseConv 0.9 dense :?> SparseConv2d
    /// pruned.Connectivity.Nnz // = 461
    /// </code></example>
    [<CompiledName "OfDenseConv">]
    let ofDenseConv (sparsity: float) (dense: Convolution) : SparseConv =
        PrunedLayer.ofLargest (fun _ -> SlotGroup.One) sparsity (PrunedLayer.convolution dense) :?> SparseConv

    /// <summary>The sparse convolution whose output channels come in groups that share their slots: the cells with the largest
    /// norms stay, in all channels of the group.</summary>
    /// <param name="size">Output channels of a group, 1 or more.</param>
    /// <param name="norm">What the weights of a cell are worth together.</param>
    /// <param name="sparsity">The part of the weights that is dropped, in [0, 1).</param>
    /// <param name="dense">A torch.nn.Conv1d, Conv2d, Conv3d or ConvTranspose of a real floating dtype.</param>
    /// <returns>A new SparseConv or SparseConvTranspose with the same sizes.</returns>
    /// <exception cref="T:System.ArgumentException">As <c>ofDenseInRowGroups</c>, or the layer is another convolution.</exception>
    /// <example><code>
    /// let dense = torch.nn.Conv2d(16L, 32L, 3L, padding = 1L)
    /// let pruned = Conversion.ofDenseConvInRowGroups 4 RowGroupNorm.L2 0.9 dense
    /// Connectivity.rowGroupSize pruned.Connectivity // = 4
    /// </code></example>
    [<CompiledName "OfDenseConvInRowGroups">]
    let ofDenseConvInRowGroups (size: int) (norm: RowGroupNorm) (sparsity: float) (dense: Convolution) : SparseConv =
        GroupMagnitude.check (nameof size) size (nameof norm) norm

        PrunedLayer.ofLargest (DenseLayer.slotGroup size false norm) sparsity (PrunedLayer.convolution dense)
        :?> SparseConv

    /// <summary>The sparse convolution of whole kernels: those with the largest norms stay, with all their cells.</summary>
    /// <param name="size">Output channels that share their kernels, 1 for each by itself.</param>
    /// <param name="norm">What the weights of a kernel are worth together.</param>
    /// <param name="sparsity">The part of the weights that is dropped, in [0, 1).</param>
    /// <param name="dense">A torch.nn.Conv1d, Conv2d, Conv3d or ConvTranspose of a real floating dtype.</param>
    /// <returns>A new SparseConv or SparseConvTranspose with the same sizes.</returns>
    /// <exception cref="T:System.ArgumentException">As <c>ofDenseConvInRowGroups</c>.</exception>
    /// <example><code>
    /// let dense = torch.nn.Conv2d(16L, 32L, 3L, padding = 1L)
    /// let pruned = Conversion.ofDenseConvInKernels 1 RowGroupNorm.L2 0.75 dense
    /// pruned.Connectivity.Nnz // = 1152
    /// </code></example>
    [<CompiledName "OfDenseConvInKernels">]
    let ofDenseConvInKernels (size: int) (norm: RowGroupNorm) (sparsity: float) (dense: Convolution) : SparseConv =
        GroupMagnitude.check (nameof size) size (nameof norm) norm

        PrunedLayer.ofLargest (DenseLayer.slotGroup size true norm) sparsity (PrunedLayer.convolution dense)
        :?> SparseConv

    /// <summary>The sparse convolution whose slots are given; a weight of the dense one without a slot is dropped.</summary>
    /// <param name="connectivity">Which weights stay; shape [out_channels, in_channels / groups · cells of the kernel], the channels the other way
    /// round for a transposed one.</param>
    /// <param name="dense">A torch.nn.Conv1d, Conv2d, Conv3d or ConvTranspose of a real floating dtype.</param>
    /// <returns>A new SparseConv or SparseConvTranspose with the same sizes.</returns>
    /// <exception cref="T:System.ArgumentException">As <c>ofDensePattern</c>, or the layer is another convolution.</exception>
    /// <example><code>
    /// let dense = torch.nn.Conv2d(16L, 32L, 3L)
    /// let pruned = Conversion.ofDenseConvPattern (Topology.constantFanIn 32 144 14 (Seed.ofInt 1)) dense
    /// pruned.Connectivity.Nnz // = 448
    /// </code></example>
    [<CompiledName "OfDenseConvPattern">]
    let ofDenseConvPattern (connectivity: Connectivity) (dense: Convolution) : SparseConv =
        PrunedLayer.ofPattern "[out_channels, in_channels / groups · cells]" connectivity (fun () ->
            PrunedLayer.convolution dense)
        :?> SparseConv

    /// <summary>The sparse convolution with a slot wherever a mask is true.</summary>
    /// <param name="mask">The shape of the dense weight, [out_channels, in_channels / groups, *kernel_size], Bool, on any device.</param>
    /// <param name="dense">A torch.nn.Conv1d, Conv2d, Conv3d or ConvTranspose of a real floating dtype.</param>
    /// <returns>A new SparseConv or SparseConvTranspose with the same sizes.</returns>
    /// <exception cref="T:System.ArgumentException">As <c>ofDenseMask</c>, or the layer is another convolution.</exception>
    /// <example><code>
    /// let dense = torch.nn.Conv2d(16L, 32L, 3L)
    /// let pruned = Conversion.ofDenseConvMask (dense.weight.abs().gt(0.05.ToScalar())) dense
    /// pruned.kernel_size // = (3, 3)
    /// </code></example>
    [<CompiledName "OfDenseConvMask">]
    let ofDenseConvMask (mask: torch.Tensor) (dense: Convolution) : SparseConv =
        PrunedLayer.ofMask "[out_channels, in_channels / groups, *kernel_size]" mask (fun () ->
            PrunedLayer.convolution dense)
        :?> SparseConv

    /// <summary>The dense convolution with the same function: 0 where no weight exists.</summary>
    /// <param name="layer">Any sparse convolution.</param>
    /// <returns>A new torch.nn.Conv1d, Conv2d, Conv3d or ConvTranspose. Outputs are equal up to the order of the sums.</returns>
    /// <exception cref="T:System.ArgumentException">The layer is null, or a pattern was loaded that is not one.</exception>
    /// <example><code>
    /// let conv = new SparseConv2d(16, 32, 3, sparsity = 0.9)
    /// (Conversion.toDenseConv conv).weight.shape // = [|32L; 16L; 3L; 3L|]
    /// </code></example>
    [<CompiledName "ToDenseConv">]
    let toDenseConv (layer: SparseConv) : Convolution =
        ArgumentNullException.ThrowIfNull(layer, nameof layer)

        match DenseLayer.whyNotDense layer with
        | "" -> DenseLayer.ofSparse layer :?> Convolution
        | why -> raise (ArgumentException(why, nameof layer))
