namespace SparseFs.Torch

open SparseFs.Kernels
open TorchSharp

/// <summary>What a chain of products has, beside its tensors.</summary>
[<NoEquality; NoComparison>]
type internal ChainCall =
    {
        Plans: SpmmPlan[]
        Activations: ChainActivation[]
        /// The ε of the normalization before the products, where there is one.
        Norm: float voption
        /// Whether the residual is the chain's input.
        AddsInput: bool
    }

/// <summary>One product's numbers: values [nnz] and bias [rows], or null.</summary>
[<Struct; NoEquality; NoComparison>]
type internal ChainNumbers =
    { Values: torch.Tensor
      Bias: torch.Tensor | null }

/// <summary>The tensors of a chain's call.</summary>
[<NoEquality; NoComparison>]
type internal ChainTensors =
    {
        /// [n, inputs]
        Input: torch.Tensor
        /// [n, outputs], another than the input; null where there is none.
        Residual: torch.Tensor | null
        /// The normalization's, [inputs], or null.
        Scale: torch.Tensor | null
        /// The normalization's, [inputs], or null.
        Shift: torch.Tensor | null
        Products: ChainNumbers[]
    }

/// <summary>Gradients that somebody wants of one product.</summary>
[<Struct>]
type internal ChainProductWants =
    {
        Values: bool
        Bias: bool
        /// Whether its upstream gradient and its input are wanted.
        Pass: bool
    }

/// <summary>Gradients that somebody wants of a chain.</summary>
[<NoEquality; NoComparison>]
type internal ChainWants =
    { Input: bool
      Scale: bool
      Shift: bool
      Products: ChainProductWants[] }

/// <summary>The gradients of one product, and what its pass was; each null where nobody wants it.</summary>
[<Struct; NoEquality; NoComparison>]
type internal ChainProductGradients =
    {
        Values: torch.Tensor | null
        Bias: torch.Tensor | null
        /// [n, rows]
        Upstream: torch.Tensor | null
        /// [n, cols]
        Taken: torch.Tensor | null
    }

/// <summary>The gradients of a chain; each null where nobody wants it.</summary>
[<NoEquality; NoComparison>]
type internal ChainResults =
    { Input: torch.Tensor | null
      Scale: torch.Tensor | null
      Shift: torch.Tensor | null
      Products: ChainProductGradients[] }

/// <summary>A chain of products in one go.</summary>
[<NoEquality; NoComparison>]
type internal ChainBackend =
    {
        /// Whether a call of so many samples is worth it: each tile of samples is one thread's.
        Suits: ChainCall -> int -> bool
        /// The outputs [n, outputs], and what a backward needs where one comes.
        Forward: ChainCall -> ChainTensors -> bool -> struct (torch.Tensor * (torch.Tensor | null))
        /// From a forward's tape and the gradient of the outputs.
        Backward: ChainCall -> ChainTensors -> torch.Tensor -> torch.Tensor -> ChainWants -> ChainResults
    }
