using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;

namespace SparseFs.CSharp;

/// <summary>Building patterns. C# 14 shows these as members of the type: <c>Connectivity.FromPairs(…)</c>; any other
/// language calls <c>Connectivities.FromPairs(…)</c>.</summary>
public static class Connectivities
{
    extension(Connectivity)
    {
        /// <summary>Copies CSR buffers and checks the copy. O(rows + nnz).</summary>
        /// <param name="rows">out_features, 0 or more.</param>
        /// <param name="cols">in_features, 0 or more.</param>
        /// <param name="rowPtr">Length rows + 1, from 0 to nnz, never falling.</param>
        /// <param name="colIdx">Length nnz, in 0..cols − 1, strictly increasing within a row.</param>
        /// <returns>The pattern.</returns>
        /// <exception cref="ArgumentNullException">A buffer is null.</exception>
        /// <exception cref="ArgumentException">A rule is broken; the message says what was expected and what came.</exception>
        public static Connectivity Create(int rows, int cols, int[] rowPtr, int[] colIdx) =>
            ConnectivityModule.Create(rows, cols, rowPtr, colIdx);

        /// <summary>As <c>Create</c>, for data from outside: a broken rule is an answer, not an exception.</summary>
        /// <param name="rows">out_features, 0 or more.</param>
        /// <param name="cols">in_features, 0 or more.</param>
        /// <param name="rowPtr">Length rows + 1, from 0 to nnz, never falling.</param>
        /// <param name="colIdx">Length nnz, in 0..cols − 1, strictly increasing within a row.</param>
        /// <param name="connectivity">The pattern, or null.</param>
        /// <param name="error">Null, or the first rule that is broken.</param>
        /// <returns>Whether the buffers are a pattern.</returns>
        /// <exception cref="ArgumentNullException">A buffer is null.</exception>
        public static bool TryCreate(
            int rows,
            int cols,
            int[] rowPtr,
            int[] colIdx,
            [NotNullWhen(true)] out Connectivity? connectivity,
            [NotNullWhen(false)] out ConnectivityError? error) =>
            ConnectivityModule.TryCreate(rows, cols, rowPtr, colIdx).TryGet(out connectivity, out error);

        /// <summary>From (row, column) pairs in any order. O(rows + cols + nnz).</summary>
        /// <param name="rows">out_features, 0 or more.</param>
        /// <param name="cols">in_features, 0 or more.</param>
        /// <param name="rowIdx">Length nnz, in 0..rows − 1.</param>
        /// <param name="colIdx">Length nnz, in 0..cols − 1.</param>
        /// <returns>The pattern.</returns>
        /// <exception cref="ArgumentNullException">A buffer is null.</exception>
        /// <exception cref="ArgumentException">An index is out of range, a pair is repeated, or the lengths differ.</exception>
        public static Connectivity FromPairs(int rows, int cols, int[] rowIdx, int[] colIdx) =>
            ConnectivityModule.OfPairs(rows, cols, rowIdx, colIdx);

        /// <summary>As <c>FromPairs</c>, for data from outside: a broken rule is an answer, not an exception.</summary>
        /// <param name="rows">out_features, 0 or more.</param>
        /// <param name="cols">in_features, 0 or more.</param>
        /// <param name="rowIdx">Length nnz, in 0..rows − 1.</param>
        /// <param name="colIdx">Length nnz, in 0..cols − 1.</param>
        /// <param name="connectivity">The pattern, or null.</param>
        /// <param name="error">Null, or the first rule that is broken.</param>
        /// <returns>Whether the pairs are a pattern; a repeated pair is refused, not merged.</returns>
        /// <exception cref="ArgumentNullException">A buffer is null.</exception>
        public static bool TryFromPairs(
            int rows,
            int cols,
            int[] rowIdx,
            int[] colIdx,
            [NotNullWhen(true)] out Connectivity? connectivity,
            [NotNullWhen(false)] out ConnectivityError? error) =>
            ConnectivityModule.TryOfPairs(rows, cols, rowIdx, colIdx).TryGet(out connectivity, out error);

        /// <summary>A slot wherever a dense mask is true.</summary>
        /// <param name="mask">Shape [rows, cols].</param>
        /// <returns>The pattern, of the mask's shape.</returns>
        /// <exception cref="ArgumentNullException"><paramref name="mask"/> is null.</exception>
        public static Connectivity FromMask(bool[,] mask) => ConnectivityModule.OfMask(mask);

        /// <summary>The <paramref name="nnz"/> largest magnitudes of a dense weight; a tie goes to the lower cell.</summary>
        /// <param name="nnz">Slots to keep, 0..rows·cols.</param>
        /// <param name="weight">Shape [rows, cols].</param>
        /// <returns>The pattern, of the weight's shape.</returns>
        /// <exception cref="ArgumentNullException"><paramref name="weight"/> is null.</exception>
        /// <exception cref="ArgumentException"><paramref name="nnz"/> is outside 0..rows·cols, or a weight is NaN.</exception>
        /// <remarks>O(cells), without a copy of the weights; a cell is row · cols + column, row-major.</remarks>
        public static Connectivity FromMagnitude(int nnz, float[,] weight) =>
            ConnectivityModule.OfMagnitude(nnz, weight);

        /// <summary>The <paramref name="nnz"/> largest magnitudes of several layers together; a tie goes to the lower layer,
        /// then to the lower cell.</summary>
        /// <param name="nnz">Slots to keep in all layers, 0..(all cells).</param>
        /// <param name="weights">A layer each, shape [rows, cols].</param>
        /// <returns>A pattern a layer; their slots add up to nnz.</returns>
        /// <exception cref="ArgumentNullException"><paramref name="weights"/> or one of them is null.</exception>
        /// <exception cref="ArgumentException"><paramref name="nnz"/> is outside 0..(all cells), or a weight is NaN.</exception>
        public static Connectivity[] FromMagnitudes(long nnz, IReadOnlyList<float[,]> weights) =>
            ConnectivityModule.OfMagnitudes(nnz, [.. Require.NotNull(weights)]);

        /// <summary>No slot at all.</summary>
        /// <param name="rows">out_features, 0 or more.</param>
        /// <param name="cols">in_features, 0 or more.</param>
        /// <returns>The pattern, with nnz = 0.</returns>
        /// <exception cref="ArgumentException">A size is negative.</exception>
        public static Connectivity Empty(int rows, int cols) => ConnectivityModule.Empty(rows, cols);

        /// <summary>A slot in every cell.</summary>
        /// <param name="rows">out_features, 0 or more.</param>
        /// <param name="cols">in_features, 0 or more.</param>
        /// <returns>The pattern, with nnz = rows · cols.</returns>
        /// <exception cref="ArgumentException">A size is negative, or rows·cols exceeds 2^31 − 1.</exception>
        public static Connectivity Full(int rows, int cols) => ConnectivityModule.Full(rows, cols);
    }
}
