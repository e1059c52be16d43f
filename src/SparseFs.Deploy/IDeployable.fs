namespace SparseFs

/// <summary>A module that tells what its forward computes, so that it can be deployed.</summary>
type IDeployable =
    /// <summary>What the forward computes in evaluation mode.</summary>
    /// <param name="graph">Takes the operations.</param>
    /// <param name="x">What the forward takes.</param>
    /// <returns>What it gives.</returns>
    abstract Describe: graph: DeployGraph * x: DeployValue -> DeployValue
