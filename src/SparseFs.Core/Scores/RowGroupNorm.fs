namespace SparseFs

/// <summary>What the weights of a column of a row group, or of a whole kernel, are worth together, and their gradients.</summary>
type RowGroupNorm =
    /// <summary>The sum of magnitudes.</summary>
    | L1 = 0
    /// <summary>The root of the sum of squares.</summary>
    | L2 = 1
