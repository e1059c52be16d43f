namespace SparseFs

open System
open System.IO
open SparseFs.OnnxMessages
open TorchSharp

/// <summary>Models as ONNX files, for ONNX Runtime and whatever else reads them.</summary>
/// <remarks>
/// Sequential (nested too), Linear, Conv1d, Conv2d and Conv3d, the sparse layers of these, BatchNorm, LayerNorm, MaxPool1d, 2d and 3d,
/// AvgPool2d, adaptive average pools whose windows are alike, Unflatten of dimension 1, ReLU, GELU, Sigmoid, Tanh, Softmax, LogSoftmax, Flatten from
/// dimension 1, Dropout and Identity can be exported; Dropout and Identity are left out, as in evaluation. Float32 and
/// Float64, one dtype in a model. The graph has one input, <c>input</c> [N, ...], and one output, <c>output</c>, with N
/// left open. Operator set 20, IR version 9; weights keep the modules' names. A sparse initializer makes a smaller file;
/// ONNX Runtime makes it dense when it loads the file, so it does not make the model faster there.
/// </remarks>
[<RequireQualifiedAccess>]
module Onnx =

    /// <summary>Sparse initializers, and the input's shape as the first layer has it.</summary>
    /// <example><code>
    /// let options = { Onnx.defaults with SparseWeights = false } // for readers that know no sparse initializers
    /// Onnx.exportWith options "model.onnx" model
    /// </code></example>
    [<CompiledName "Defaults">]
    let defaults: OnnxOptions =
        { SparseWeights = true
          InputShape = [||] }

    let private modelOf (options: OnnxOptions) (model: torch.nn.Module) : ModelProto =
        ArgumentNullException.ThrowIfNull(model, nameof model)

        if isNull (box options) || isNull (box options.InputShape) then
            nullArg (nameof options)

        for size in options.InputShape do
            if size < 0 then
                raise (ArgumentException($"expected sizes of 0 or more, got {size}", "inputShape"))

        let file =
            OnnxGraph.ofModel options.SparseWeights (Array.map int64 options.InputShape) model
            |> OnnxModel.ofGraph

        OnnxModel.checkSize file
        file

    /// <summary>Writes a model to where a stream stands.</summary>
    /// <param name="options">How.</param>
    /// <param name="stream">Any that can be written; it is not closed.</param>
    /// <param name="model">Of the kinds of modules that can be exported.</param>
    /// <exception cref="T:System.ArgumentException">A module is of another kind: the message names it and those that can be
    /// exported; or an argument is null, shapes or dtypes do not fit, or the file would exceed 2 GB.</exception>
    /// <example><code>
    /// use stream = new MemoryStream()
    /// Onnx.writeTo Onnx.defaults stream model
    /// stream.Length > 100_000L // = true
    /// </code></example>
    [<CompiledName "WriteTo">]
    let writeTo (options: OnnxOptions) (stream: Stream) (model: torch.nn.Module) : unit =
        ArgumentNullException.ThrowIfNull(stream, nameof stream)
        OnnxModel.write stream (modelOf options model)

    /// <summary>Writes a model to a file; it is there whole, or as it was before.</summary>
    /// <param name="options">How.</param>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <param name="model">Of the kinds of modules that can be exported.</param>
    /// <exception cref="T:System.ArgumentException">As writeTo.</exception>
    /// <exception cref="T:System.IO.IOException">The file cannot be written.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    /// <example><code>
    /// Onnx.export "sparse.onnx" model
    /// Onnx.exportWith { Onnx.defaults with SparseWeights = false } "dense.onnx" model
    /// FileInfo("sparse.onnx").Length &lt; FileInfo("dense.onnx").Length // = true
    /// </code></example>
    [<CompiledName "ExportWith">]
    let exportWith (options: OnnxOptions) (path: string) (model: torch.nn.Module) : unit =
        let file = modelOf options model
        AtomicFile.write path (fun stream -> OnnxModel.write stream file)

    /// <summary>As exportWith, with the defaults: sparse weights stay sparse in the file.</summary>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <param name="model">Of the kinds of modules that can be exported.</param>
    /// <exception cref="T:System.ArgumentException">As writeTo.</exception>
    /// <exception cref="T:System.IO.IOException">The file cannot be written.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    /// <example><code>
    /// Sparsify.model (Sparsify.globally 0.9) dense |> ignore
    /// Onnx.export "model.onnx" dense // onnxruntime.InferenceSession "model.onnx"
    /// </code></example>
    [<CompiledName "Export">]
    let export (path: string) (model: torch.nn.Module) : unit = exportWith defaults path model
