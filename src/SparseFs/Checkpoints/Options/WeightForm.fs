namespace SparseFs

/// <summary>How a file holds the weights of a sparse layer.</summary>
[<RequireQualifiedAccess>]
type WeightForm =
    /// <summary>As Checkpoint.save writes them: <c>weight</c>, <c>row_ptr</c> and <c>col_idx</c>, or <c>values</c> and
    /// <c>indices</c>.</summary>
    | SparseFs
    /// <summary>As the PyTorch package SparseLinear has them: <c>weights</c> [nnz] and <c>indices</c> [2, nnz], rows
    /// first.</summary>
    | SparseLinear
    /// <summary>Dense with a mask of 0 and 1: <c>weight</c> and <c>mask</c>, or <c>weight_orig</c> and <c>weight_mask</c> as
    /// torch.nn.utils.prune has them. A weight under the mask exists, also where it is 0.</summary>
    | Masked
    /// <summary>Dense: a <c>weight</c> that is exactly 0 does not exist.</summary>
    | Zeros
    /// <summary>Dense: the largest magnitudes of <c>weight</c> exist, compared as float32, of a tie the lower cell; as many
    /// as the sparsity in [0, 1) says.</summary>
    | Magnitude of sparsity: float
