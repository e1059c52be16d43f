namespace SparseFs.Torch

/// What an optimizer remembers of a weight that it has never seen.
[<RequireQualifiedAccess>]
type internal Unseen =
    | Number of float
    /// The weight itself: an average of weights starts with the first.
    | Weight

/// What an optimizer remembers of a weight of which it knows one gradient.
[<RequireQualifiedAccess>]
type internal Seeding =
    /// As of one that it has never seen.
    | Unseen
    /// The gradient times a number.
    | Gradient of factor: float
    /// The gradient's square times a number, and another number.
    | Square of factor: float * offset: float
    /// Its magnitude.
    | Magnitude

/// <summary>When an optimizer has a tensor.</summary>
[<RequireQualifiedAccess>]
type internal TensorPresence =
    | Always
    /// From the first step on that needs it.
    | Later
    /// Where a switch of the group's options is on.
    | WithSwitch of option: string
