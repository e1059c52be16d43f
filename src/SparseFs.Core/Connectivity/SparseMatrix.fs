namespace SparseFs

/// <summary>A sparse matrix: a pattern and its values.</summary>
type SparseMatrix =
    {
        /// <summary>Which cells have a value; shape [rows, cols].</summary>
        Connectivity: Connectivity
        /// <summary>Length nnz, in slot order.</summary>
        Values: float[]
    }

    override m.ToString() =
        invariant $"SparseMatrix({m.Connectivity})"
