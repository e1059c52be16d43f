namespace SparseFs

open System

/// <summary>What training costs in floating-point operations, by the counts that a run has.</summary>
[<RequireQualifiedAccess>]
module Flops =

    /// <summary>One sample's forward pass through a layer: a multiplication and an addition a weight.</summary>
    /// <param name="nnz">Weights, 0 or more; rows · cols for a dense layer.</param>
    /// <exception cref="T:System.ArgumentOutOfRangeException">nnz is negative.</exception>
    /// <example><code>
    /// let pattern = Topology.uniform 300 784 23_520 seed
    /// Flops.forward (int64 pattern.Nnz) / Flops.forward pattern.Cells // = 0.1
    /// </code></example>
    [<CompiledName "Forward">]
    let forward (nnz: int64) : float =
        if nnz < 0L then
            raise (ArgumentOutOfRangeException(nameof nnz, nnz, (invariant $"expected 0 or more, got {nnz}")))

        2.0 * float nnz

    /// <summary>One sample's training step without rewiring: forward, and backward for inputs and weights.</summary>
    /// <param name="sparse">The forward pass of the sparse network, f_S.</param>
    /// <example><code>Flops.training (Flops.forward 23_520L) // = 141120.0</code></example>
    [<CompiledName "Training">]
    let training (sparse: float) : float = 3.0 * sparse

    /// <summary>One sample's mean training step with RigL.</summary>
    /// <param name="sparse">The forward pass of the sparse network, f_S.</param>
    /// <param name="dense">The forward pass of the dense network, f_D.</param>
    /// <param name="every">ΔT, 1 or more.</param>
    /// <returns>(3 f_S ΔT + 2 f_S + f_D) / (ΔT + 1).</returns>
    /// <exception cref="T:System.ArgumentOutOfRangeException">every is below 1.</exception>
    /// <remarks>Evci et al., ICML 2020, appendix H: at an update, the gradient for all weights costs a dense product.</remarks>
    /// <example><code>
    /// let sparse, dense = Flops.forward 23_520L, Flops.forward (300L * 784L)
    /// let part = Flops.rigL sparse dense 100L / Flops.training dense
    /// printfn $"RigL trains with %.3f{part} of the operations of dense training"
    /// </code></example>
    [<CompiledName "RigL">]
    let rigL (sparse: float) (dense: float) (every: int64) : float =
        if every < 1L then
            raise (
                ArgumentOutOfRangeException(nameof every, every, (invariant $"expected ΔT of 1 or more, got {every}"))
            )

        let t = float every
        (3.0 * sparse * t + 2.0 * sparse + dense) / (t + 1.0)
