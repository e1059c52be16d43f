namespace SparseFs

open System
open System.Collections.Generic
open SparseFs.Torch
open TorchSharp

/// <summary>Files of named tensors in the format of safetensors: no code in them, and every byte accounted for.</summary>
/// <remarks>F64, F32, F16, BF16, I64, I32, I16, I8, U8 and BOOL; tensors of the format's other dtypes are told of and not
/// read. Where a path is read, it may be that of an index of several files (<c>model.safetensors.index.json</c>). A file is read a tensor at a time into the tensor's own
/// memory; sizes beyond 2 GB are no limit. A file is written beside its target and renamed over it, so that the target is
/// the old file or the new one and never a part.</remarks>
[<RequireQualifiedAccess>]
module Safetensors =

    /// <summary>Writes tensors: any strides, any device.</summary>
    /// <param name="path">The file, replaced if it exists; its folder must exist.</param>
    /// <param name="metadata">Texts beside the tensors; may be empty.</param>
    /// <param name="tensors">Names and tensors; a name may be any text but <c>__metadata__</c>.</param>
    /// <exception cref="T:SparseFs.CheckpointException">The file could not be written; it is what it was.</exception>
    /// <exception cref="T:System.ArgumentException">An argument is null, or the format has no such dtype.</exception>
    /// <example><code>
    /// let tensors = readOnlyDict [ "x", x; "labels", labels ]
    /// Safetensors.save "batch.safetensors" (readOnlyDict [ "split", "train"; "epoch", "2" ]) tensors
    /// </code></example>
    [<CompiledName "Save">]
    let save
        (path: string)
        (metadata: IReadOnlyDictionary<string, string>)
        (tensors: IReadOnlyDictionary<string, torch.Tensor>)
        : unit =
        ArgumentNullException.ThrowIfNull(metadata, nameof metadata)
        ArgumentNullException.ThrowIfNull(tensors, nameof tensors)

        for entry in tensors do
            ArgumentNullException.ThrowIfNull(entry.Value, nameof tensors)

        SafetensorsFile.writeThrough
            id
            path
            [ for entry in metadata -> entry.Key, entry.Value ]
            [ for entry in tensors -> struct (entry.Key, entry.Value) ]

    /// <summary>Reads what a file says of itself, and checks it against the file's length.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="T:SparseFs.CheckpointException">It cannot be read, or is not as the format has it.</exception>
    /// <example><code>
    /// Checkpoint.save "layer.safetensors" layer
    /// let header = Safetensors.inspect "layer.safetensors"
    /// for tensor in header.Tensors do
    ///     printfn $"{tensor.Name}: {tensor.Dtype}, {tensor.Bytes} bytes" // bias: F32, 1200 bytes
    /// </code></example>
    [<CompiledName "Inspect">]
    let inspect (path: string) : SafetensorsHeader =
        use file = new SafetensorsFile(path)

        { Tensors = file.Tensors
          Metadata = file.Metadata }

    /// <summary>Reads some of the tensors; the others cost nothing, whatever their dtype.</summary>
    /// <param name="isWanted">Which, by what the header says of them.</param>
    /// <param name="path">The file.</param>
    /// <returns>Names and tensors on the CPU, which are the caller's, or the open DisposeScope's.</returns>
    /// <exception cref="T:SparseFs.CheckpointException">The file cannot be read, or is not as the format has it, or one of the
    /// tensors wanted has a dtype that is not read.</exception>
    /// <example><code>
    /// Checkpoint.save "model.safetensors" model
    /// let biases = Safetensors.loadWhere (fun tensor -> tensor.Name.EndsWith "bias") "model.safetensors"
    /// Seq.sort biases.Keys |> List.ofSeq // = ["0.bias"; "2.bias"]
    /// </code></example>
    [<CompiledName "LoadWhere">]
    let loadWhere (isWanted: TensorInfo -> bool) (path: string) : Dictionary<string, torch.Tensor> =
        use file = new SafetensorsFile(path)
        let tensors = Dictionary<string, torch.Tensor>()

        try
            for t in file.Tensors do
                if isWanted t then
                    tensors[t.Name] <- file.Read t

            tensors
        with _ ->
            for t in tensors.Values do
                t.Dispose()

            reraise ()

    /// <summary>Reads all tensors.</summary>
    /// <param name="path">The file.</param>
    /// <returns>Names and tensors on the CPU, which are the caller's, or the open DisposeScope's.</returns>
    /// <exception cref="T:SparseFs.CheckpointException">It cannot be read, or is not as the format has it, or a tensor has a
    /// dtype that is not read; <c>loadWhere</c> takes the others.</exception>
    /// <example><code>
    /// Checkpoint.save "layer.safetensors" layer
    /// let tensors = Safetensors.load "layer.safetensors"
    /// tensors["weight"].shape // = [|23520L|]
    /// </code></example>
    [<CompiledName "Load">]
    let load (path: string) : Dictionary<string, torch.Tensor> = loadWhere (fun _ -> true) path
