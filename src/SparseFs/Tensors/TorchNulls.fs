namespace SparseFs.Torch

open System.Collections.Generic
open TorchSharp
open TorchSharp.Modules

/// <summary>Where TorchSharp gives or takes null and its types do not say so, or say it in one member and not in its like.</summary>
/// <remarks>The rest of the library asks here, so that a null has a type from its first line on.</remarks>
module internal TorchNulls =

    /// The gradient that has arrived, a new handle; null where none has, or where it was taken away.
    let gradOf (t: torch.Tensor) : torch.Tensor | null = t.grad

    /// Takes a gradient away, or gives another.
    let setGrad (t: torch.Tensor) (gradient: torch.Tensor | null) : unit = t.grad <- gradient

    /// SGD's buffer: null before the first step with a momentum.
    let momentumOf (state: SGD.State) : torch.Tensor | null = state.momentum_buffer

    /// Null of one that was made without elementwise weights.
    let scaleOf (norm: LayerNorm) : torch.Tensor | null = norm.weight

    /// The table of one of torch's embeddings, which always has one.
    let tableOf (embedding: Embedding) : torch.Tensor = nonNull embedding.weight

    /// Scale and shift of one of torch's norms over channels; null of one that was made without them.
    let affineOf (norm: NormBase) : (torch.Tensor | null) * (torch.Tensor | null) = norm.weight, norm.bias

    /// What an autograd function gives libtorch, where each tensor may be null: nobody wants it, or there is none.
    let listOf (tensors: (torch.Tensor | null) seq) : List<torch.Tensor> =
        let list = List<torch.Tensor>()

        for t in tensors do
            list.Add(Unchecked.nonNull t) // TorchSharp's type has no null, and its code passes it on

        list

    /// What an autograd function takes: its fixed part, and tensors of which each may be null.
    let argumentsOf (fixedPart: obj) (tensors: (torch.Tensor | null) list) : obj[] =
        [| fixedPart
           for t in tensors do
               Unchecked.nonNull (box t) |]
