using System;
using System.Collections.Generic;
using Microsoft.FSharp.Core;
using TorchSharp;
using static TorchSharp.torch;

namespace SparseFs.CSharp;

/// <summary>Files of named tensors in the format of safetensors: no code in them, and every byte accounted for.</summary>
public static class SafetensorsFiles
{
    private static readonly Dictionary<string, string> noTexts = [];

    /// <summary>Writes tensors: any strides, any device.</summary>
    /// <param name="tensors">Names and tensors; a name may be any text but <c>__metadata__</c>.</param>
    /// <param name="path">The file, replaced if it exists; its folder must exist.</param>
    /// <param name="metadata">Texts beside the tensors.</param>
    /// <exception cref="CheckpointException">The file could not be written; it is what it was.</exception>
    /// <exception cref="ArgumentException">An argument is null, or the format has no such dtype.</exception>
    public static void Save(
        IReadOnlyDictionary<string, Tensor> tensors,
        string path,
        IReadOnlyDictionary<string, string>? metadata = null) =>
        Safetensors.Save(path, metadata ?? noTexts, Require.NotNull(tensors));

    /// <summary>Reads tensors: all of them, or some; the others cost nothing, whatever their dtype.</summary>
    /// <param name="path">The file, or an index of several (model.safetensors.index.json).</param>
    /// <param name="wanted">Which, by what the header says of them; null for all.</param>
    /// <returns>Names and tensors on the CPU, which are the caller's, or the open DisposeScope's.</returns>
    /// <exception cref="CheckpointException">The file cannot be read, or is not as the format has it, or a tensor that is
    /// wanted has a dtype that is not read.</exception>
    public static Dictionary<string, Tensor> Load(string path, Func<TensorInfo, bool>? wanted = null) =>
        wanted is null
            ? Safetensors.Load(path)
            : Safetensors.LoadWhere(FuncConvert.FromFunc(wanted), path);

    /// <summary>Reads what a file says of itself, and checks it against the file's length.</summary>
    /// <param name="path">The file.</param>
    /// <returns>Its tensors, without their numbers, and its texts.</returns>
    /// <exception cref="CheckpointException">It cannot be read, or is not as the format has it.</exception>
    public static SafetensorsHeader Inspect(string path) => Safetensors.Inspect(path);
}
