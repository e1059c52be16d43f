using System;

namespace SparseFs.CSharp;

/// <summary>Generators of patterns: each exact in nnz, each a pure function of its arguments and a seed.</summary>
public static class Topologies
{
    /// <summary>Exactly nnz distinct cells, every such pattern equally likely.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="nnz">Slots, 0..rows·cols; <c>Sparsities.ToNnz</c> counts them from a sparsity.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>The pattern, shape [rows, cols].</returns>
    /// <exception cref="ArgumentOutOfRangeException">A size is negative or nnz is outside 0..rows·cols.</exception>
    /// <remarks>Memory in proportion to nnz, whatever rows·cols is.</remarks>
    public static Connectivity Uniform(int rows, int cols, int nnz, Seed seed) =>
        Topology.uniform(rows, cols, nnz, seed);
}
