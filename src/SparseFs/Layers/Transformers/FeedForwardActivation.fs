namespace SparseFs

open SparseFs.Kernels
open SparseFs.Torch

/// <summary>What stands between the two layers of a feed-forward part.</summary>
type FeedForwardActivation =
    /// <summary>The Gaussian error linear unit, by the error function.</summary>
    | GELU = 0
    /// <summary>GELU by way of tanh, as GPT-2 has it.</summary>
    | GELUTanh = 1
    /// <summary>The part of a number that is above 0.</summary>
    | ReLU = 2
    /// <summary>x times the sigmoid of x.</summary>
    | SiLU = 3
    /// <summary>SiLU of one half of the first layer's outputs times the other half: Shazeer 2020, arXiv 2002.05202.</summary>
    | SwiGLU = 4

[<RequireQualifiedAccess>]
module internal FeedForwardActivation =

    /// <exception cref="T:System.ArgumentException">It is none of them.</exception>
    let check (activation: FeedForwardActivation) : ChainActivation =
        if System.Enum.IsDefined activation then
            enum<ChainActivation>(int activation)
        else
            raise (
                System.ArgumentException(
                    $"expected one of FeedForwardActivation's, got {int activation}",
                    nameof activation
                )
            )
