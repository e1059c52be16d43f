namespace SparseFs

open System
open System.Collections.Generic

/// <summary>One module of a model, without those inside it.</summary>
type SummaryRow =
    {
        /// <summary>The module's dotted name in the model; empty for the model itself.</summary>
        Name: string
        /// <summary>The module's kind, such as Linear.</summary>
        Kind: string
        /// <summary>Shape of the first output that was seen; null where none was, or it is no tensor.</summary>
        OutputShape: IReadOnlyList<int64> | null
        /// <summary>Weights that multiply inputs and exist: nnz of a sparse layer.</summary>
        Weights: int64
        /// <summary>Weights that a dense layer of this shape has.</summary>
        Cells: int64
        /// <summary>Numbers that are trained: weights, biases and the like.</summary>
        Parameters: int64
        /// <summary>Parameters that a dense layer of this shape has.</summary>
        DenseParameters: int64
        /// <summary>Bytes of parameters and buffers, a sparse layer's pattern among them.</summary>
        Bytes: int64
        /// <summary>Floating-point operations of the products at the input that was given, two for each multiply-add; none
        /// where no input was given, or the module's kind is not known.</summary>
        Flops: Nullable<int64>
        /// <summary>The operations of a dense layer of this shape.</summary>
        DenseFlops: Nullable<int64>
    }

    /// <summary>1 − weights / cells; 0 of a module without weights.</summary>
    member r.Sparsity: float =
        if r.Cells = 0L then
            0.0
        else
            SparseFs.Sparsity.ofCount r.Weights r.Cells
