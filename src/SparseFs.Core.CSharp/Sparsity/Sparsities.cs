using System;

namespace SparseFs.CSharp;

/// <summary>From a sparsity to an exact number of slots, once; from then on the integer travels.</summary>
public static class Sparsities
{
    /// <summary>The number of slots of a [rows, cols] matrix at a sparsity.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="sparsity">The part of the cells that is absent, in [0, 1), read as a decimal of 15 digits.</param>
    /// <returns>(1 − sparsity) · rows · cols, rounded half to even.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A size is negative, the sparsity is outside [0, 1), or the count
    /// exceeds 2^31 − 1.</exception>
    public static int ToNnz(int rows, int cols, double sparsity) => Sparsity.Nnz(rows, cols, sparsity);

    /// <summary>The sparsity of a [rows, cols] matrix that has <paramref name="nnz"/> slots.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="nnz">Slots, 0..rows·cols.</param>
    /// <returns>1 − nnz / (rows · cols); 1 where there is no cell.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A size is negative or nnz is outside 0..rows·cols.</exception>
    public static double FromNnz(int rows, int cols, int nnz) => Sparsity.OfNnz(rows, cols, nnz);
}
