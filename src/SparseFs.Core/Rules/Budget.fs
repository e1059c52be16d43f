namespace SparseFs

/// <summary>Budgets of slots: whose number of slots an update keeps, or how it falls.</summary>
[<RequireQualifiedAccess>]
type Budget =
    /// <summary>Each layer keeps its number of slots.</summary>
    | Layer
    /// <summary>Each row keeps its number of slots: constant fan-in stays constant.</summary>
    /// <remarks>Where a row has too few absent cells to grow what it drops, it keeps the largest magnitudes of them, whatever
    /// the rule that dropped them.</remarks>
    | Row
    /// <summary>Each row keeps its number of slots, but rows with few salient slots lose all of theirs to the others, and
    /// fan-ins differ by one at most: Lasby et al., ICLR 2024 (SRigL's ablation of neurons). salient is γ, the part of a
    /// fan-in that must be salient, in [0, 1].</summary>
    | RowWithAblation of salient: float
    /// <summary>All layers together keep their number of slots: what they drop is grown where kept weights are largest in the
    /// mean.</summary>
    | RedistributedByMagnitude
    /// <summary>All layers together keep their number of slots: what they drop is grown where the momentum of kept weights is
    /// largest in the mean (SNFS).</summary>
    | RedistributedByMomentum
    /// <summary>Gradual magnitude pruning: slots are dropped until the sparsity is what the cubic schedule says, and none
    /// grow: Zhu and Gupta, 2017.</summary>
    | GradualPruning of initial: float * final: float

    override b.ToString() =
        match b with
        | Layer -> "Layer"
        | Row -> "Row"
        | RowWithAblation salient -> invariant $"RowWithAblation({salient})"
        | RedistributedByMagnitude -> "RedistributedByMagnitude"
        | RedistributedByMomentum -> "RedistributedByMomentum"
        | GradualPruning(initial, final) -> invariant $"GradualPruning({initial}, {final})"
