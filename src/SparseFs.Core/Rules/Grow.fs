namespace SparseFs

/// <summary>Rules that say which absent cells become slots. A tie goes to the lower cell.</summary>
[<RequireQualifiedAccess>]
type Grow =
    /// <summary>Those of the largest |gradient|: Evci et al., ICML 2020 (RigL).</summary>
    | Gradient
    /// <summary>Those of the largest |momentum|: Dettmers and Zettlemoyer, 2019 (SNFS).</summary>
    | Momentum
    /// <summary>Any, all alike: Mocanu et al., 2018 (SET).</summary>
    | Random
    /// <summary>By chance, in proportion to (d + 1)^−lambda, d the distance of the cell's two nodes: what was a small
    /// world stays one.</summary>
    | DistanceDecay of placement: Placement * lambda: float
    /// <summary>Those of the highest score, as it is: minus 2 ranks below 1. Gradients and momenta are signed, so that a rule
    /// by their size takes <c>CellScores.abs</c> of them first: <c>fun state -> CellScores.abs state.Gradient</c>.</summary>
    | Score of inputs: GrowthInputs * score: (LayerState -> CellScores)
    /// <summary>As <c>Score</c>, by a name that files of training runs hold: a run does not go on under a rule of another
    /// name.</summary>
    | NamedScore of name: string * inputs: GrowthInputs * score: (LayerState -> CellScores)

    override g.ToString() =
        match g with
        | Gradient -> "Gradient"
        | Momentum -> "Momentum"
        | Random -> "Random"
        | DistanceDecay(placement, lambda) -> invariant $"DistanceDecay({placement}, {lambda})"
        | Score _ -> "Score"
        | NamedScore(name, _, _) -> name
