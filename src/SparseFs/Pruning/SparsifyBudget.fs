namespace SparseFs

/// <summary>How many weights stay in each layer, and which.</summary>
/// <remarks>In a rule over row groups, the columns of groups with the largest norms stay in place of the largest magnitudes, and
/// counts are rounded to whole ones: docs/conversions.md, "In row groups".</remarks>
[<RequireQualifiedAccess>]
type SparsifyBudget =
    /// <summary>In each layer the part 1 − sparsity of its weights, the largest magnitudes.</summary>
    | Each of sparsity: float
    /// <summary>As Each, with a sparsity for each layer's dotted name.</summary>
    | ByName of sparsityOf: (string -> float)
    /// <summary>A budget for all layers together, shared out by <c>SparsityDistribution.counts</c>; in each layer the largest
    /// magnitudes.</summary>
    | Shared of rule: SparsityDistribution * sparsity: float
    /// <summary>A budget for all layers together: the largest magnitudes of all of them.</summary>
    | Magnitude of sparsity: float

    override b.ToString() =
        match b with
        | Each sparsity -> invariant $"Each({sparsity})"
        | ByName _ -> "ByName"
        | Shared(rule, sparsity) -> invariant $"Shared({rule}, {sparsity})"
        | Magnitude sparsity -> invariant $"Magnitude({sparsity})"
