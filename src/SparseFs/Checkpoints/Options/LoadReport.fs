namespace SparseFs

/// <summary>What a load that is not strict has passed over.</summary>
type LoadReport =
    {
        /// <summary>Names of the model that the file does not have; those tensors are as they were.</summary>
        Missing: string[]
        /// <summary>Names of the file that the model does not have.</summary>
        Unexpected: string[]
    }
