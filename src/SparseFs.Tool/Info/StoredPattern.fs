namespace SparseFs.Tool

open SparseFs

/// <summary>Weights of a file that have a pattern beside them.</summary>
[<NoComparison>]
type internal StoredPattern =
    {
        /// The name of the tensor that has the weights.
        Weight: string
        Dtype: Dtype
        Rows: int
        /// Where the file says it.
        Cols: int voption
        Nnz: int
        /// Of the weights and the pattern.
        Bytes: int64
        /// Their names.
        Tensors: string list
    }

    /// The part of the cells that does not exist, where it is known.
    member p.TrySparsity: float voption =
        p.Cols
        |> ValueOption.map (fun cols -> Sparsity.ofCount (int64 p.Nnz) (Sparsity.cells p.Rows cols))
