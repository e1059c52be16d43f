namespace SparseFs.Inference

open System
open System.Collections.Generic
open SparseFs

/// <summary>An input or output of a model.</summary>
[<Sealed>]
type ModelPort internal (port: NetworkPort) =
    /// <summary>Its name.</summary>
    member _.Name: string = port.Name

    /// <summary>The shape of one sample: the file's, without the batch.</summary>
    member _.Shape: IReadOnlyList<int> = Array.copy port.Shape

    /// <summary>Numbers of one sample.</summary>
    member _.Size: int = int port.Size

    /// <summary>Names of an output's numbers; none where the file has none.</summary>
    member _.Labels: IReadOnlyList<string> = Array.copy port.Labels

    override _.ToString() =
        let sizes = String.Join(", ", port.Shape)
        invariant $"{port.Name}: float32 [batch, {sizes}]"
