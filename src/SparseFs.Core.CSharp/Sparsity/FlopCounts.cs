using System;

namespace SparseFs.CSharp;

/// <summary>What training costs in floating-point operations.</summary>
public static class FlopCounts
{
    /// <summary>One sample's forward pass through a layer.</summary>
    /// <param name="nnz">Weights, 0 or more; rows · cols for a dense layer.</param>
    /// <returns>A multiplication and an addition a weight.</returns>
    /// <exception cref="ArgumentOutOfRangeException">nnz is negative.</exception>
    public static double Forward(long nnz) => Flops.Forward(nnz);

    /// <summary>One sample's training step without rewiring.</summary>
    /// <param name="sparse">The forward pass of the sparse network.</param>
    /// <returns>Three times that.</returns>
    public static double Training(double sparse) => Flops.Training(sparse);

    /// <summary>One sample's mean training step with RigL.</summary>
    /// <param name="sparse">The forward pass of the sparse network, f_S.</param>
    /// <param name="dense">The forward pass of the dense network, f_D.</param>
    /// <param name="deltaT">Steps from one update to the next, 1 or more.</param>
    /// <returns>(3 f_S ΔT + 2 f_S + f_D) / (ΔT + 1).</returns>
    /// <exception cref="ArgumentOutOfRangeException">deltaT is below 1.</exception>
    public static double RigL(double sparse, double dense, long deltaT) => 
        Named.Call(() => Flops.RigL(sparse, dense, deltaT), ("every", nameof(deltaT)));
}
