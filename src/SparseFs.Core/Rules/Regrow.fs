namespace SparseFs

/// <summary>Regrowth: what becomes of a slot that one update both drops and grows.</summary>
type Regrow =
    /// None: what was dropped is not grown by the same update.
    | Never = 0
    /// A new start, as of any grown slot.
    | Reinitialize = 1
    /// A slot that stays: it keeps its weight and its moments, as if it had not been dropped: RigL's code.
    | Restore = 2
