namespace SparseFs.Torch

open System
open TorchSharp

/// An LSTM's states as callers give and get them.
[<RequireQualifiedAccess>]
module internal LstmStates =

    /// The caller's hidden state and cells, each null for none.
    let split
        (state: Nullable<struct ((torch.Tensor | null) * (torch.Tensor | null))>)
        : struct ((torch.Tensor | null) * (torch.Tensor | null)) =
        if not state.HasValue then
            struct (null, null)
        else
            let struct (h, c) = state.Value
            ArgumentNullException.ThrowIfNull(h, "h")
            ArgumentNullException.ThrowIfNull(c, "c")
            struct (h, c)

    let given
        (struct (h, c): struct (torch.Tensor * torch.Tensor))
        : Nullable<struct ((torch.Tensor | null) * (torch.Tensor | null))> =
        Nullable(struct (h, c))

    let pair (h: torch.Tensor) (c: torch.Tensor | null) : struct (torch.Tensor * torch.Tensor) =
        match c with
        | null -> invalidOp "an LSTM has cells"
        | c -> struct (h, c)
