namespace SparseFs.Torch

open SparseFs

/// <summary>What one call of a layer multiplies with: a pattern and numbers that belong together. Immutable.</summary>
[<Sealed>]
type internal LayerVersion
    (connectivity: Connectivity, numbers: LayerNumbers, seen: struct (int64 * int64), isChanging: bool) =
    member _.Connectivity: Connectivity = connectivity
    member _.Numbers: LayerNumbers = numbers

    /// The versions of the pattern's tensors at which they held this pattern.
    member _.Seen: struct (int64 * int64) = seen

    /// Whether a change is on its way, so that parameters and the pattern's tensors are not to be looked at.
    member _.IsChanging: bool = isChanging

    member _.At(seen: struct (int64 * int64)) =
        LayerVersion(connectivity, numbers, seen, false)

    member _.Changing() =
        LayerVersion(connectivity, numbers, seen, true)
