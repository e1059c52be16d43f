namespace SparseFs.Inference

open SparseFs

/// <summary>One product with a weight matrix of a model, and what the matrix takes; biases are not counted.</summary>
[<Sealed>]
type ModelLayer internal (layer: CompiledLayer) =
    /// <summary>Its name in the file's description.</summary>
    member _.Name: string = layer.Layer

    /// <summary>Rows of the matrix.</summary>
    member _.Outputs: int = layer.Outputs

    /// <summary>Columns of the matrix.</summary>
    member _.Inputs: int = layer.Inputs

    /// <summary>Weights that are stored; all of them where the layer is dense.</summary>
    member _.Nnz: int = layer.Nnz

    /// <summary>What the whole matrix would take in float32.</summary>
    member _.DenseBytes: int64 = 4L * int64 layer.Outputs * int64 layer.Inputs

    /// <summary>What the weights take in float32 with a CSR pattern of 32-bit indices.</summary>
    member _.SparseBytes: int64 = 8L * int64 layer.Nnz + 4L * (int64 layer.Outputs + 1L)

    /// <summary>What the weights and their pattern take in the file.</summary>
    member _.StoredBytes: int64 = layer.StoredBytes

    override l.ToString() =
        invariant $"{l.Name}: {l.Nnz} weights of {l.Outputs} x {l.Inputs}, {l.StoredBytes} bytes"
