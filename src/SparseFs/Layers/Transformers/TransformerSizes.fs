namespace SparseFs.Torch

open System
open SparseFs

/// Sizes of transformers, checked.
[<RequireQualifiedAccess>]
module internal TransformerSizes =

    /// <exception cref="T:System.ArgumentException">It is below 1.</exception>
    let check (name: string) (size: int) : unit =
        if size < 1 then
            raise (ArgumentException(invariant $"expected 1 or more, got {size}", name))

    /// <summary>A part of a whole.</summary>
    /// <exception cref="T:System.ArgumentException">It is outside [0, 1].</exception>
    let part (name: string) (part: float) : float =
        if part >= 0.0 && part <= 1.0 then
            part
        else
            raise (ArgumentException(invariant $"expected a part in [0, 1], got {part}", name))

    /// <exception cref="T:System.ArgumentException">The features are not divided by the heads.</exception>
    let checkHeads (name: string) (features: int) (heads: int) : unit =
        check name heads

        if features % heads <> 0 then
            raise (
                ArgumentException(invariant $"expected heads that divide the {features} features, got {heads}", name)
            )
