using System;

namespace SparseFs.CSharp;

/// <summary>Combining and comparing patterns.</summary>
public static class ConnectivityAlgebra
{
    /// <summary>The same pairs ordered by column. O(rows + cols + nnz).</summary>
    /// <param name="connectivity">Shape [rows, cols], nnz slots.</param>
    /// <returns>Shape [cols, rows], and <c>From</c> (length nnz) with <c>transposedValues[s] = values[From[s]]</c>;
    /// transposing twice gives the pattern back.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    public static (Connectivity Transposed, int[] From) Transpose(this Connectivity connectivity) =>
        ConnectivityModule.Transpose(Require.NotNull(connectivity)).ToValueTuple();

    /// <summary>Slots that are in either pattern.</summary>
    /// <param name="a">Shape [rows, cols].</param>
    /// <param name="b">The same shape.</param>
    /// <returns>The same shape.</returns>
    /// <exception cref="ArgumentNullException">A pattern is null.</exception>
    /// <exception cref="ArgumentException">The shapes differ, or the union exceeds 2^31 − 1 slots.</exception>
    public static Connectivity Union(this Connectivity a, Connectivity b) =>
        ConnectivityModule.Union(Require.NotNull(a), Require.NotNull(b));

    /// <summary>Slots that are in both patterns.</summary>
    /// <param name="a">Shape [rows, cols].</param>
    /// <param name="b">The same shape.</param>
    /// <returns>The same shape.</returns>
    /// <exception cref="ArgumentNullException">A pattern is null.</exception>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public static Connectivity Intersect(this Connectivity a, Connectivity b) =>
        ConnectivityModule.Intersect(Require.NotNull(a), Require.NotNull(b));

    /// <summary>Slots of <paramref name="a"/> that <paramref name="b"/> lacks.</summary>
    /// <param name="a">Shape [rows, cols].</param>
    /// <param name="b">The same shape.</param>
    /// <returns>The same shape.</returns>
    /// <exception cref="ArgumentNullException">A pattern is null.</exception>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public static Connectivity Difference(this Connectivity a, Connectivity b) =>
        ConnectivityModule.Difference(Require.NotNull(a), Require.NotNull(b));

    /// <summary>What was added and removed on the way from one pattern to another.</summary>
    /// <param name="before">Shape [rows, cols].</param>
    /// <param name="after">The same shape.</param>
    /// <returns><c>before.Difference(Removed).Union(Added)</c> is <paramref name="after"/>.</returns>
    /// <exception cref="ArgumentNullException">A pattern is null.</exception>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public static ConnectivityDiff Diff(this Connectivity before, Connectivity after) =>
        ConnectivityModule.Diff(Require.NotNull(before), Require.NotNull(after));

    /// <summary>Whether every slot of the first is in the second.</summary>
    /// <param name="inner">Shape [rows, cols].</param>
    /// <param name="outer">The same shape.</param>
    /// <returns>Whether <c>inner.Difference(outer)</c> is empty.</returns>
    /// <exception cref="ArgumentNullException">A pattern is null.</exception>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public static bool IsSubsetOf(this Connectivity inner, Connectivity outer) =>
        ConnectivityModule.IsSubset(Require.NotNull(inner), Require.NotNull(outer));
}
