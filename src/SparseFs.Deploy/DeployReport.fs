namespace SparseFs

/// <summary>What a deployment did, and how near its results are.</summary>
[<NoComparison>]
type DeployReport =
    {
        /// <summary>Operations of the network.</summary>
        Operations: int
        /// <summary>Bytes of the file.</summary>
        Bytes: int64
        /// <summary>The largest difference between the model's outputs and those of the file, over the sample.</summary>
        LargestDifference: float
        /// <summary>The largest of the model's outputs, without its sign.</summary>
        LargestOutput: float
    }

    override r.ToString() =
        $"{r.Operations} operations, {r.Bytes} bytes; outputs up to %.4g{r.LargestOutput}, at most %.2g{r.LargestDifference} away from the model's"
