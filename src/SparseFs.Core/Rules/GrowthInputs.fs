namespace SparseFs

open System

/// <summary>Inputs of a growth rule beside the weights.</summary>
[<Flags>]
type GrowthInputs =
    /// None.
    | Nothing = 0
    /// The gradient of every cell.
    | Gradient = 1
    /// The momentum of every cell.
    | Momentum = 2
