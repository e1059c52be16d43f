namespace SparseFs

/// <summary>Rules that say which slots an update drops. A tie keeps the lower cell.</summary>
[<RequireQualifiedAccess>]
type Drop =
    /// <summary>Those of the smallest magnitude.</summary>
    | Magnitude
    /// <summary>Those nearest to zero on each side, in proportion to the number of weights there; zeros count as positive:
    /// Mocanu et al., Nature Communications 9, 2018 (SET).</summary>
    | NearestZero
    /// <summary>Any, all alike.</summary>
    | Random
    /// <summary>Those of the lowest score; the function gives one a slot, in slot order.</summary>
    | Score of (LayerState -> float32[])
    /// <summary>As <c>Score</c>, by a name that files of training runs hold: a run does not go on under a rule of another
    /// name.</summary>
    | NamedScore of name: string * score: (LayerState -> float32[])

    override d.ToString() =
        match d with
        | Magnitude -> "Magnitude"
        | NearestZero -> "NearestZero"
        | Random -> "Random"
        | Score _ -> "Score"
        | NamedScore(name, _) -> name
