namespace SparseFs.Torch

open System.Collections.Generic
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>The parts of a layer of an encoder.</summary>
[<NoComparison; NoEquality>]
type internal EncoderParts =
    { Attention: AttentionProjections
      Linear1: SparseLinear
      Linear2: SparseLinear
      Norm1: LayerNorm
      Norm2: LayerNorm }

[<RequireQualifiedAccess>]
module internal EncoderParts =

    /// Normalizations of a dense layer's numbers.
    let private norm (parameters: Dictionary<string, Parameter>) (name: string) : LayerNorm =
        let weight, bias = parameters[$"{name}.weight"], parameters[$"{name}.bias"]

        let norm =
            torch.nn.LayerNorm(weight.numel (), device = weight.device, dtype = weight.dtype)

        let take (own: Parameter) (from: Parameter) =
            own.copy_ from |> ignore
            own.requires_grad_ from.requires_grad |> ignore

        take norm.weight weight

        match norm.bias with
        | null -> ()
        | own -> take own bias

        norm

    /// Of a dense layer's parameters, each matrix with the pattern that a rule gives its weight.
    let ofParameters
        (parameters: Dictionary<string, Parameter>)
        (patternOf: torch.Tensor -> Connectivity)
        : EncoderParts =
        let layer (name: string) =
            let weight = parameters[$"{name}.weight"]
            DenseMatrices.ofWeight LayerChannels.Linear (patternOf weight) weight parameters[$"{name}.bias"]

        { Attention = DenseAttention.ofParameters parameters "self_attn." patternOf
          Linear1 = layer "linear1"
          Linear2 = layer "linear2"
          Norm1 = norm parameters "norm1"
          Norm2 = norm parameters "norm2" }

    /// Gives a dense layer's parameters the numbers of these parts, and zeros where no weight exists.
    let intoParameters (parameters: Dictionary<string, Parameter>) (bias: Parameter | null) (p: EncoderParts) : unit =
        DenseAttention.intoParameters parameters "self_attn." p.Attention bias

        for name, layer in [ "linear1", p.Linear1; "linear2", p.Linear2 ] do
            DenseMatrices.into parameters[$"{name}.weight"] parameters[$"{name}.bias"] layer

        for name, norm in [ "norm1", p.Norm1; "norm2", p.Norm2 ] do
            for struct (tensor, own) in norm.named_parameters () do
                parameters[$"{name}.{tensor}"].copy_ own |> ignore
