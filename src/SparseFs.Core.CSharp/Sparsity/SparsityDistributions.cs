using System;
using System.Collections.Generic;

namespace SparseFs.CSharp;

/// <summary>Integer counts of slots for the layers of a network, with the global budget met exactly.</summary>
public static class SparsityDistributions
{
    /// <summary>Slots of each layer.</summary>
    /// <param name="rule">How the densities of the layers are related.</param>
    /// <param name="sparsity">The part of all cells, of all layers, that is absent, in [0, 1).</param>
    /// <param name="shapes">A layer each: out, in, and the kernel's sizes if it has any.</param>
    /// <param name="keptDense">Layers, by index, that keep all their weights; none if null.</param>
    /// <returns>One count a layer, at most its cells; their sum is (1 − sparsity) · (all cells), rounded half to even.</returns>
    /// <exception cref="ArgumentException">A shape has less than two sizes or a negative one, an index is out of range, the
    /// sparsity is outside [0, 1), the layers kept dense exceed the budget, or a count exceeds 2^31 − 1.</exception>
    public static int[] Counts(
        SparsityDistribution rule,
        double sparsity,
        IReadOnlyList<int[]> shapes,
        IReadOnlyList<int>? keptDense = null) =>
        SparsityDistributionModule.Counts(rule, [.. keptDense ?? []], sparsity, [.. Require.NotNull(shapes)]);

    /// <summary>Slots of each layer whose rows come in groups: counts that <c>Topologies.RowGroups</c> meets exactly.</summary>
    /// <param name="size">Rows of a group, 1 or more.</param>
    /// <param name="rule">How the densities of the layers are related.</param>
    /// <param name="sparsity">The part of all cells, of all layers, that is absent, in [0, 1).</param>
    /// <param name="shapes">A layer each: out, in, and the kernel's sizes if it has any.</param>
    /// <param name="keptDense">Layers, by index, that keep all their weights; none if null.</param>
    /// <returns>One count a layer, at most its cells: that of <c>Counts</c>, rounded to whole cells of groups, so that a layer
    /// without enough slots for one has 0. In a layer of out rows it is at most (size + out mod size) / 2 slots away, and as
    /// much for each layer is the most by which the sum misses the budget.</returns>
    /// <exception cref="ArgumentException">size is below 1, or as <c>Counts</c>.</exception>
    public static int[] CountsInRowGroups(
        int size,
        SparsityDistribution rule,
        double sparsity,
        IReadOnlyList<int[]> shapes,
        IReadOnlyList<int>? keptDense = null) =>
        SparsityDistributionModule.CountsInRowGroups(
            size, rule, [.. keptDense ?? []], sparsity, [.. Require.NotNull(shapes)]);
}
