namespace SparseFs.CSharp

open System
open System.Collections.Generic
open System.IO
open System.Runtime.CompilerServices
open System.Runtime.InteropServices
open SparseFs
open TorchSharp

/// <summary>Models as ONNX files, for ONNX Runtime and whatever else reads them; the face of this package for C#.</summary>
/// <remarks>Sequential (nested too), Linear, SparseLinear, LayerNorm, ReLU, GELU, Sigmoid, Tanh, Softmax, LogSoftmax,
/// Flatten from dimension 1, Dropout and Identity can be exported, in Float32 or Float64. The graph has one input,
/// <c>input</c> [N, ...], and one output, <c>output</c>, with N left open. A sparse initializer makes a smaller file; ONNX
/// Runtime makes it dense when it loads the file.</remarks>
[<AbstractClass; Sealed; Extension>]
type OnnxFiles private () =

    static let options (sparseWeights: bool) (inputShape: IReadOnlyList<int> | null) : OnnxOptions =
        { SparseWeights = sparseWeights
          InputShape =
            match inputShape with
            | null -> [||]
            | sizes -> Array.ofSeq sizes }

    /// <summary>Writes a model to a file; it is there whole, or as it was before.</summary>
    /// <param name="model">Of the kinds of modules that can be exported.</param>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <param name="sparseWeights">Whether weights of sparse layers are written as sparse initializers.</param>
    /// <param name="inputShape">The shape of an input without the batch; null for what the first layer takes.</param>
    /// <exception cref="T:System.ArgumentException">A module is of another kind: the message names it and those that can be
    /// exported; or an argument is null, shapes or dtypes do not fit, or the file would exceed 2 GB.</exception>
    /// <exception cref="T:System.IO.IOException">The file cannot be written.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    [<Extension>]
    static member ExportOnnx
        (
            model: torch.nn.Module,
            path: string,
            [<Optional; DefaultParameterValue(true)>] sparseWeights: bool,
            [<Optional; DefaultParameterValue(null: IReadOnlyList<int> | null)>] inputShape: IReadOnlyList<int> | null
        ) : unit =
        Onnx.exportWith (options sparseWeights inputShape) path model

    /// <summary>Writes a model to where a stream stands.</summary>
    /// <param name="model">Of the kinds of modules that can be exported.</param>
    /// <param name="stream">Any that can be written; it is not closed.</param>
    /// <param name="sparseWeights">Whether weights of sparse layers are written as sparse initializers.</param>
    /// <param name="inputShape">The shape of an input without the batch; null for what the first layer takes.</param>
    /// <exception cref="T:System.ArgumentException">As for a file.</exception>
    [<Extension>]
    static member WriteOnnx
        (
            model: torch.nn.Module,
            stream: Stream,
            [<Optional; DefaultParameterValue(true)>] sparseWeights: bool,
            [<Optional; DefaultParameterValue(null: IReadOnlyList<int> | null)>] inputShape: IReadOnlyList<int> | null
        ) : unit =
        Onnx.writeTo (options sparseWeights inputShape) stream model
