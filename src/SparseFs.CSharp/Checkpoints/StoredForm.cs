namespace SparseFs.CSharp;

/// <summary>How a file holds the weights of a sparse layer.</summary>
public enum StoredForm
{
    /// <summary>As <c>Checkpoints.Save</c> writes them: weight, row_ptr and col_idx, or values and indices.</summary>
    SparseFs,

    /// <summary>As the PyTorch package SparseLinear has them: weights [nnz] and indices [2, nnz], rows first.</summary>
    SparseLinear,

    /// <summary>Dense with a mask of 0 and 1: weight and mask, or weight_orig and weight_mask as torch.nn.utils.prune has
    /// them. A weight under the mask exists, also where it is 0.</summary>
    Masked,

    /// <summary>Dense: a weight that is exactly 0 does not exist.</summary>
    Zeros,

    /// <summary>Dense: the largest magnitudes exist, as many as the sparsity says.</summary>
    Magnitude,
}
