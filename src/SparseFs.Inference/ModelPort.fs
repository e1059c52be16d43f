namespace SparseFs.Inference

open System
open System.Collections.Generic
open SparseFs

/// <summary>An input or output of a model.</summary>
[<Sealed>]
type ModelPort internal (port: NetworkPort) =
    /// <summary>Its name.</summary>
    member _.Name: string = port.Name

    /// <summary>float32, or int32 or int64 of tokens.</summary>
    member _.Dtype: string = PortDtypes.text port.Dtype

    /// <summary>The name of the dimension of tokens, which is of any size and comes before the shape; empty where there is none.</summary>
    member _.TokensName: string = port.TokensName

    /// <summary>The shape of one sample, without the batch; of one token, where there is a dimension of tokens.</summary>
    member _.Shape: IReadOnlyList<int> = Array.copy port.Shape.Sizes

    /// <summary>Numbers of one sample, or of one token.</summary>
    member _.Size: int = int port.Size

    /// <summary>Names of an output's numbers; none where the file has none.</summary>
    member _.Labels: IReadOnlyList<string> = Array.copy port.Labels

    override p.ToString() =
        let sizes =
            [ "batch"
              if port.Shape.HasTokens then
                  port.TokensName
              for size in port.Shape.Sizes do
                  size.ToString() ]

        port.Name + ": " + p.Dtype + " [" + String.Join(", ", sizes) + "]"
