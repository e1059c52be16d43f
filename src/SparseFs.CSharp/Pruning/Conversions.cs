using System;
using TorchSharp;
using TorchSharp.Modules;

namespace SparseFs.CSharp;

/// <summary>Between torch's layers and sparse ones: the same function in another form.</summary>
/// <remarks>dtype, device, requires_grad and the training flag are kept, and the module that is given stays as it is.
/// Gradients and hooks stay behind. An optimizer that was made before holds the old layer's parameters: make it anew.</remarks>
public static class Conversions
{
    /// <summary>The sparse layer that keeps the largest magnitudes; a tie keeps the lower cell.</summary>
    /// <param name="dense">Any torch.nn.Linear of a real floating dtype.</param>
    /// <param name="sparsity">The part of the weights that is dropped, in [0, 1).</param>
    /// <param name="rowGroup">Rows whose columns stay or go together, 1 for each by itself: the layer then has as many slots
    /// as one over <c>Topologies.RowGroups</c> of that size.</param>
    /// <param name="groupNorm">What the weights of a group's column are worth together.</param>
    /// <returns>A new layer.</returns>
    /// <exception cref="ArgumentException">The layer is null or of another dtype, a weight is NaN, the sparsity is
    /// outside [0, 1) or leaves no weight, or rowGroup is below 1.</exception>
    public static SparseLinear ToSparse(
        this Linear dense,
        double sparsity,
        int rowGroup = 1,
        RowGroupNorm groupNorm = RowGroupNorm.L2) =>
        Named.Call(
            () => SparseFs.Conversion.OfDenseInRowGroups(rowGroup, groupNorm, sparsity, dense),
            ("size", nameof(rowGroup)),
            ("norm", nameof(groupNorm)));

    /// <summary>The sparse layer whose slots are given; a weight of the dense layer without a slot is dropped.</summary>
    /// <param name="dense">Any torch.nn.Linear of a real floating dtype.</param>
    /// <param name="connectivity">Which weights stay; shape [out_features, in_features].</param>
    /// <returns>A new layer.</returns>
    /// <exception cref="ArgumentException">An argument is null, the shapes differ, or the dtype is another.</exception>
    public static SparseLinear ToSparse(this Linear dense, Connectivity connectivity) =>
        SparseFs.Conversion.OfDensePattern(connectivity, dense);

    /// <summary>The sparse layer with a slot wherever a mask is true.</summary>
    /// <param name="dense">Any torch.nn.Linear of a real floating dtype.</param>
    /// <param name="mask">Shape [out_features, in_features], Bool, on any device.</param>
    /// <returns>A new layer; a weight of 0 where the mask is true is a slot too.</returns>
    /// <exception cref="ArgumentException">An argument is null, the shapes differ, or a dtype is another.</exception>
    public static SparseLinear ToSparse(this Linear dense, torch.Tensor mask) => SparseFs.Conversion.OfDenseMask(mask, dense);

    /// <summary>The dense layer with the same function: 0 where no weight exists.</summary>
    /// <param name="layer">Any sparse layer.</param>
    /// <returns>A new torch.nn.Linear; outputs are equal up to the order of the sums.</returns>
    /// <exception cref="ArgumentException">The layer is null, or a pattern was loaded that is not one.</exception>
    public static Linear ToDense(this SparseLinear layer) => SparseFs.Conversion.ToDense(layer);

    /// <summary>A layer from a pattern and its values, as files have them.</summary>
    /// <param name="connectivity">Which weights exist; shape [out_features, in_features].</param>
    /// <param name="values">Shape [nnz], in slot order, of a real floating dtype; copied.</param>
    /// <param name="bias">Shape [out_features], of the dtype and on the device of values, or null for none; copied.</param>
    /// <returns>A new layer, of the dtype and on the device of values.</returns>
    /// <exception cref="ArgumentException">The pattern or values are null, or a shape, a dtype or a device is not as
    /// said.</exception>
    public static SparseLinear FromValues(Connectivity connectivity, torch.Tensor values, torch.Tensor? bias = null) =>
        SparseFs.Conversion.OfValues(connectivity, values, bias);

    /// <summary>The sparse convolution that keeps the largest magnitudes; a tie keeps the lower cell.</summary>
    /// <param name="dense">A torch.nn.Conv1d, Conv2d or Conv3d of a real floating dtype.</param>
    /// <param name="sparsity">The part of the weights that is dropped, in [0, 1).</param>
    /// <param name="rowGroup">Output channels that share their slots, 1 for each by itself.</param>
    /// <param name="groupNorm">What the weights of a cell of a group, or of a kernel, are worth together.</param>
    /// <param name="wholeKernels">Whether the cells of a kernel stay or go together.</param>
    /// <returns>A new SparseConv1d, 2d or 3d with the same sizes.</returns>
    /// <exception cref="ArgumentException">The layer is null, of another dtype or another convolution, a weight is NaN, the
    /// sparsity is outside [0, 1) or leaves no weight, or rowGroup is below 1.</exception>
    public static SparseConv ToSparse(
        this Convolution dense,
        double sparsity,
        int rowGroup = 1,
        RowGroupNorm groupNorm = RowGroupNorm.L2,
        bool wholeKernels = false) =>
        Named.Call(
            () => wholeKernels
                ? SparseFs.Conversion.OfDenseConvInKernels(rowGroup, groupNorm, sparsity, dense)
                : SparseFs.Conversion.OfDenseConvInRowGroups(rowGroup, groupNorm, sparsity, dense),
            ("size", nameof(rowGroup)),
            ("norm", nameof(groupNorm)));

    /// <summary>The sparse convolution whose slots are given; a weight of the dense one without a slot is dropped.</summary>
    /// <param name="dense">A torch.nn.Conv1d, Conv2d or Conv3d of a real floating dtype.</param>
    /// <param name="connectivity">Which weights stay; shape [out_channels, in_channels / groups · cells of the kernel].</param>
    /// <returns>A new SparseConv1d, 2d or 3d with the same sizes.</returns>
    /// <exception cref="ArgumentException">An argument is null, the shapes differ, or the layer is of another kind.</exception>
    public static SparseConv ToSparse(this Convolution dense, Connectivity connectivity) =>
        SparseFs.Conversion.OfDenseConvPattern(connectivity, dense);

    /// <summary>The sparse convolution with a slot wherever a mask is true.</summary>
    /// <param name="dense">A torch.nn.Conv1d, Conv2d or Conv3d of a real floating dtype.</param>
    /// <param name="mask">The shape of the dense weight, Bool, on any device.</param>
    /// <returns>A new SparseConv1d, 2d or 3d with the same sizes.</returns>
    /// <exception cref="ArgumentException">An argument is null, the shapes differ, or the layer is of another kind.</exception>
    public static SparseConv ToSparse(this Convolution dense, torch.Tensor mask) =>
        SparseFs.Conversion.OfDenseConvMask(mask, dense);

    /// <summary>The dense convolution with the same function: 0 where no weight exists.</summary>
    /// <param name="layer">Any sparse convolution.</param>
    /// <returns>A new torch.nn.Conv1d, Conv2d or Conv3d; outputs are equal up to the order of the sums.</returns>
    /// <exception cref="ArgumentException">The layer is null, or a pattern was loaded that is not one.</exception>
    public static Convolution ToDense(this SparseConv layer) => SparseFs.Conversion.ToDenseConv(layer);

    /// <summary>The sparse module that keeps the largest magnitudes of each matrix; a tie keeps the lower cell.</summary>
    /// <remarks>Sizes, layers, directions, biases and the batch's place are found in the module.</remarks>
    /// <param name="dense">Any torch.nn.LSTM of a real floating dtype.</param>
    /// <param name="sparsity">The part of the weights that is dropped, in [0, 1).</param>
    /// <param name="recurrentSparsity">That of the matrices that take the hidden state; as sparsity if null.</param>
    /// <param name="dropout">Between layers, which TorchSharp's module does not tell.</param>
    /// <returns>A new module.</returns>
    /// <exception cref="ArgumentException">The module is null, a sparsity is outside [0, 1) or leaves no weight, or the module computes
    /// something else than its type says.</exception>
    public static SparseLSTM ToSparse(
        this LSTM dense,
        double sparsity,
        double? recurrentSparsity = null,
        double dropout = 0.0) =>
        SparseLSTM.ofDense(dense, sparsity, recurrentSparsity ?? sparsity, dropout);

    /// <summary>The sparse module that keeps the largest magnitudes of each matrix; a tie keeps the lower cell.</summary>
    /// <remarks>Sizes, layers, directions, biases and the batch's place are found in the module.</remarks>
    /// <param name="dense">Any torch.nn.GRU of a real floating dtype.</param>
    /// <param name="sparsity">The part of the weights that is dropped, in [0, 1).</param>
    /// <param name="recurrentSparsity">That of the matrices that take the hidden state; as sparsity if null.</param>
    /// <param name="dropout">Between layers, which TorchSharp's module does not tell.</param>
    /// <returns>A new module.</returns>
    /// <exception cref="ArgumentException">The module is null, a sparsity is outside [0, 1) or leaves no weight, or the module computes
    /// something else than its type says.</exception>
    public static SparseGRU ToSparse(
        this GRU dense,
        double sparsity,
        double? recurrentSparsity = null,
        double dropout = 0.0) =>
        SparseGRU.ofDense(dense, sparsity, recurrentSparsity ?? sparsity, dropout);

    /// <summary>The sparse module that keeps the largest magnitudes of each matrix; a tie keeps the lower cell.</summary>
    /// <remarks>Sizes, layers, directions, biases, the nonlinearity and the batch's place are found in the module.</remarks>
    /// <param name="dense">Any torch.nn.RNN of a real floating dtype.</param>
    /// <param name="sparsity">The part of the weights that is dropped, in [0, 1).</param>
    /// <param name="recurrentSparsity">That of the matrices that take the hidden state; as sparsity if null.</param>
    /// <param name="dropout">Between layers, which TorchSharp's module does not tell.</param>
    /// <returns>A new module.</returns>
    /// <exception cref="ArgumentException">The module is null, a sparsity is outside [0, 1) or leaves no weight, or the module computes
    /// something else than its type says.</exception>
    public static SparseRNN ToSparse(
        this RNN dense,
        double sparsity,
        double? recurrentSparsity = null,
        double dropout = 0.0) =>
        SparseRNN.ofDense(dense, sparsity, recurrentSparsity ?? sparsity, dropout);
}
