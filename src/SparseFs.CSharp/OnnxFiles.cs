using System;
using System.Collections.Generic;
using System.IO;
using static TorchSharp.torch;

namespace SparseFs.CSharp;

/// <summary>Models as ONNX files, for ONNX Runtime and whatever else reads them.</summary>
/// <remarks>Sequential (nested too), Linear, SparseLinear, LayerNorm, ReLU, GELU, Sigmoid, Tanh, Softmax, LogSoftmax,
/// Flatten from dimension 1, Dropout and Identity can be exported, in Float32 or Float64. The graph has one input,
/// <c>input</c> [N, ...], and one output, <c>output</c>, with N left open. A sparse initializer makes a smaller file; ONNX
/// Runtime makes it dense when it loads the file.</remarks>
public static class OnnxFiles
{
    /// <summary>Writes a model to a file; it is there whole, or as it was before.</summary>
    /// <param name="model">Of the kinds of modules that can be exported.</param>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <param name="sparseWeights">Whether weights of sparse layers are written as sparse initializers.</param>
    /// <param name="inputShape">The shape of an input without the batch; null for what the first layer takes.</param>
    /// <exception cref="ArgumentException">A module is of another kind: the message names it and those that can be
    /// exported; or an argument is null, shapes or dtypes do not fit, or the file would exceed 2 GB.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    public static void ExportOnnx(
        this nn.Module model,
        string path,
        bool sparseWeights = true,
        IReadOnlyList<int>? inputShape = null) =>
        Onnx.exportWith(new OnnxOptions(sparseWeights, [.. inputShape ?? []]), path, model);

    /// <summary>Writes a model to where a stream stands.</summary>
    /// <param name="model">Of the kinds of modules that can be exported.</param>
    /// <param name="stream">Any that can be written; it is not closed.</param>
    /// <param name="sparseWeights">Whether weights of sparse layers are written as sparse initializers.</param>
    /// <param name="inputShape">The shape of an input without the batch; null for what the first layer takes.</param>
    /// <exception cref="ArgumentException">As for a file.</exception>
    public static void WriteOnnx(
        this nn.Module model,
        Stream stream,
        bool sparseWeights = true,
        IReadOnlyList<int>? inputShape = null) =>
        Onnx.writeTo(new OnnxOptions(sparseWeights, [.. inputShape ?? []]), stream, model);
}
