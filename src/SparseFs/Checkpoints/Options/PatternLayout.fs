namespace SparseFs

/// <summary>How a file is to hold the patterns of sparse layers.</summary>
type PatternLayout =
    /// <summary>As state_dict does: <c>weight</c> [nnz], <c>row_ptr</c> [out_features + 1] and <c>col_idx</c> [nnz],
    /// I32.</summary>
    | Csr = 0
    /// <summary>As COO tensors have it: <c>values</c> [nnz] and <c>indices</c> [2, nnz], I64, rows first.</summary>
    | Coo = 1
