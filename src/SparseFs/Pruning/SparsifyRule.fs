namespace SparseFs

/// <summary>How many weights stay in each layer, and which.</summary>
[<RequireQualifiedAccess>]
type SparsifyBudget =
    /// <summary>In each layer the part 1 − sparsity of its weights, the largest magnitudes.</summary>
    | Each of sparsity: float
    /// <summary>As Each, with a sparsity for each layer's dotted name.</summary>
    | ByName of sparsityOf: (string -> float)
    /// <summary>A budget for all layers together, shared out by <c>Allocation.counts</c>; in each layer the largest
    /// magnitudes.</summary>
    | Shared of rule: Allocation * sparsity: float
    /// <summary>A budget for all layers together: the largest magnitudes of all of them.</summary>
    | Magnitude of sparsity: float

/// <summary>Which layers of a model are replaced, and by what.</summary>
[<NoComparison; NoEquality>]
type SparsifyRule =
    {
        /// <summary>Whether a layer of this dotted name is wanted.</summary>
        Wanted: string -> bool
        /// <summary>Layers with fewer cells stay dense; 0 for none.</summary>
        MinCells: int64
        /// <summary>How many weights stay, of the layers that can be replaced.</summary>
        Budget: SparsifyBudget
        /// <summary>Where a batch size is given, a layer is replaced only if its forward and backward for so many samples
        /// is measured to be faster.</summary>
        FasterAt: int voption
    }
