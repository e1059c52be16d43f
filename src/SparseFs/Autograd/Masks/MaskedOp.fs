namespace SparseFs.Torch

open TorchSharp

/// <summary>A function of [N, n] that keeps some elements and makes the others 0.</summary>
/// <remarks>Its derivative is to keep the same ones: so is that of its derivative.</remarks>
[<AbstractClass>]
type internal MaskedOp(backend: Backend) =
    /// Which implementation computes, here and in the gradient.
    member _.Backend: Backend = backend

    /// The result, and the mask that the gradient goes through; no mask where it goes to all. No gradient is recorded.
    abstract Run: x: torch.Tensor -> struct (torch.Tensor * (torch.Tensor | null))

/// The mask of a selection, for its gradient.
[<Sealed>]
type internal FixedMask(backend: Backend, mask: torch.Tensor) =
    inherit MaskedOp(backend)

    override _.Run u = struct (backend.Keep mask u, mask)

/// <summary>The k winners of each row of x [N, n].</summary>
/// <param name="top">How many, by which scores.</param>
/// <param name="straightThrough">Whether the gradient goes to all.</param>
/// <param name="backend">Which implementation computes.</param>
[<Sealed>]
type internal TopKMask(top: TopK, straightThrough: bool, backend: Backend) =
    inherit MaskedOp(backend)

    let mutable wins: torch.Tensor | null = null

    /// How often each unit has won in the last Run, [n], of integers; null where nobody counts.
    member _.Wins = wins

    override _.Run x =
        let result = backend.TopK top x
        wins <- result.Wins
        struct (result.Values, (if straightThrough then null else result.Mask))
