using System;

namespace SparseFs.CSharp;

/// <summary>Reading a pattern.</summary>
public static class ConnectivityReading
{
    /// <summary>Slots of each row.</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <returns>Length rows; the sum is nnz.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    public static int[] FanIn(this Connectivity connectivity) =>
        ConnectivityModule.FanIn(Require.NotNull(connectivity));

    /// <summary>Slots of each column.</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <returns>Length cols; the sum is nnz.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    public static int[] FanOut(this Connectivity connectivity) =>
        ConnectivityModule.FanOut(Require.NotNull(connectivity));

    /// <summary>The largest size of groups of neighbouring rows that share their columns; the last group may be smaller.</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <returns>1 where neighbouring rows differ, all rows where they are all alike.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    public static int RowGroupSize(this Connectivity connectivity) =>
        ConnectivityModule.RowGroupSize(Require.NotNull(connectivity));

    /// <summary>The row of each slot, in slot order; with <c>ColIdx</c> the COO form.</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <returns>Length nnz, never falling.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    public static int[] RowIndices(this Connectivity connectivity) =>
        ConnectivityModule.RowIndices(Require.NotNull(connectivity));

    /// <summary>The dense mask: true where a slot is.</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <returns>Shape [rows, cols].</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    /// <exception cref="ArgumentException">rows·cols exceeds 2^31 − 1.</exception>
    public static bool[,] ToMask(this Connectivity connectivity) =>
        ConnectivityModule.ToMask(Require.NotNull(connectivity));

    /// <summary>The slot of a cell, if it has one. O(log fan-in).</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <param name="row">0..rows − 1.</param>
    /// <param name="col">0..cols − 1.</param>
    /// <param name="slot">The slot, 0..nnz − 1; 0 where there is none.</param>
    /// <returns>Whether the cell has a slot.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The cell is outside the matrix.</exception>
    public static bool TryFindSlot(this Connectivity connectivity, int row, int col, out int slot) =>
        ConnectivityModule.TryFindSlot(row, col, Require.NotNull(connectivity)).TryGet(out slot);
}
