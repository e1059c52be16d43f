using System;

namespace SparseFs.CSharp;

/// <summary>Which arithmetic is faster; a layer's own is its property <c>Arithmetic</c>.</summary>
public static class Arithmetics
{
    /// <summary>The sparsity from which on the sparse arithmetic is faster than a dense layer.</summary>
    /// <param name="samples">N, the product of an input's leading dimensions; 0 or more.</param>
    /// <returns>0.8 for up to 7 samples, 0.5 for 8 to 31, 0.7 from 32 on.</returns>
    /// <exception cref="ArgumentException"><paramref name="samples"/> is negative.</exception>
    public static double BreakEven(int samples) => ArithmeticModule.BreakEven(samples);
}
