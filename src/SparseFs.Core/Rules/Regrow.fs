namespace SparseFs

/// <summary>Whether a slot that an update drops may be grown by the same update.</summary>
type Regrow =
    /// It may not.
    | Never = 0
    /// It may, and starts as any grown slot does.
    | Reinitialize = 1
    /// It may, and keeps its weight and its moments, as if it had not been dropped: RigL's code.
    | Restore = 2
