namespace SparseFs.CSharp

open System.Collections.Generic
open System.Runtime.CompilerServices
open System.Runtime.InteropServices
open SparseFs
open TorchSharp

/// <summary>Trained models as files that SparseFs.Inference runs, without libtorch; the face of this package for C#.</summary>
/// <remarks>What of torch's modules and of this library's can be deployed, docs/inference.md lists, in float32; modules of one's own implement IDeployable.
/// What is written is read again and run on a sample at once.</remarks>
[<AbstractClass; Sealed; Extension>]
type DeployFiles private () =

    /// <summary>Writes a model.</summary>
    /// <param name="model">Of the kinds of modules that can be deployed.</param>
    /// <param name="path">The file, replaced if it exists.</param>
    /// <param name="sample">Some inputs [n, ...] of float32, normalized as in training: the model and the file compute them, and their outputs are
    /// compared.</param>
    /// <param name="mean">What training took off each number of an input.</param>
    /// <param name="deviation">What it divided by after that.</param>
    /// <param name="labels">Names of the output's numbers; null for none.</param>
    /// <param name="weights">How weights of sparse layers are kept.</param>
    /// <returns>How large the file is, and how near its results.</returns>
    /// <exception cref="T:System.ArgumentException">A module is of another kind: the message names it and those that can be deployed; or an argument
    /// is null or not as said. Nothing is written.</exception>
    /// <exception cref="T:SparseFs.CheckpointException">The file could not be written; it is what it was.</exception>
    /// <exception cref="T:System.InvalidOperationException">The file's outputs would not be the model's; nothing is written.</exception>
    [<Extension>]
    static member Deploy
        (
            model: torch.nn.Module<torch.Tensor, torch.Tensor>,
            path: string,
            sample: torch.Tensor,
            [<Optional; DefaultParameterValue(0.0)>] mean: float,
            [<Optional; DefaultParameterValue(1.0)>] deviation: float,
            [<Optional; DefaultParameterValue(null: IReadOnlyList<string> | null)>] labels: IReadOnlyList<string> | null,
            [<Optional; DefaultParameterValue(DeployedWeights.Checkpoint)>] weights: DeployedWeights
        ) : DeployReport =
        let labels =
            match labels with
            | null -> []
            | labels -> List.ofSeq labels

        Deploy.saveWith
            { Mean = mean
              Deviation = deviation
              Labels = labels
              Weights = weights }
            path
            sample
            model
