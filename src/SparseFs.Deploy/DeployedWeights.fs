namespace SparseFs

/// <summary>How a deployed file keeps the weights of sparse layers.</summary>
type DeployedWeights =
    /// <summary>As a checkpoint does, which the file then is: float32 and 32-bit indices, 8 bytes a weight.</summary>
    | Checkpoint = 0
    /// <summary>float32, and the pattern in the fewest bytes: about 5 bytes a weight at 90 %.</summary>
    | Float32 = 1
    /// <summary>bfloat16, and the pattern in the fewest bytes: about 3 bytes a weight at 90 %.</summary>
    | BFloat16 = 2
    /// <summary>8 bits with a float32 scale for each row, and the pattern in the fewest bytes: about 2 bytes a weight at 90 %.</summary>
    | Int8 = 3
