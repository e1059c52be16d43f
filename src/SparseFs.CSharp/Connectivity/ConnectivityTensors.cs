using System;
using TorchSharp;

namespace SparseFs.CSharp;

/// <summary>Patterns from and to tensors. C# 14 shows <c>Connectivity.FromIndices(…)</c>; any other language calls
/// <c>ConnectivityTensors.FromIndices(…)</c>.</summary>
public static class ConnectivityTensors
{
    extension(Connectivity)
    {
        /// <summary>From a (2, nnz) tensor of rows and columns in any order: SparseLinear's <c>connectivity</c>.</summary>
        /// <param name="rows">out_features, 0 or more.</param>
        /// <param name="cols">in_features, 0 or more.</param>
        /// <param name="indices">Shape [2, nnz], Int64 or Int32, on any device: row 0 holds the rows, in 0..rows − 1, row
        /// 1 the columns, in 0..cols − 1. It is copied and stays the caller's.</param>
        /// <returns>The pattern.</returns>
        /// <exception cref="ArgumentNullException"><paramref name="indices"/> is null.</exception>
        /// <exception cref="ArgumentException">The shape or the dtype is not as said, an index is out of range, or a pair
        /// is repeated.</exception>
        public static Connectivity FromIndices(int rows, int cols, torch.Tensor indices) =>
            Coo.ToConnectivity(rows, cols, indices);
    }

    /// <summary>The pairs in slot order, as a tensor.</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <returns>Shape [2, nnz], Int64, on the CPU: row 0 holds the rows, row 1 the columns.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    public static torch.Tensor ToIndices(this Connectivity connectivity) =>
        Coo.OfConnectivity(Require.NotNull(connectivity));
}
