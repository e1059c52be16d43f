namespace SparseFs

/// <summary>What a deployed model says beside its network.</summary>
type DeployOptions =
    {
        /// <summary>What training took off each number of an input: 0 for nothing.</summary>
        Mean: float
        /// <summary>What training divided it by after that: 1 for nothing.</summary>
        Deviation: float
        /// <summary>Names of the output's numbers, or none.</summary>
        Labels: string list
        /// <summary>How weights of sparse layers are kept.</summary>
        Weights: DeployedWeights
    }
