using System;
using System.Runtime.CompilerServices;

namespace SparseFs.CSharp;

/// <summary>The checks that F# does not make for a C# caller; each error names the argument.</summary>
internal static class Require
{
    /// <summary>The value itself, never null.</summary>
    internal static T NotNull<T>(T? value, [CallerArgumentExpression(nameof(value))] string? name = null)
        where T : class =>
        value ?? throw new ArgumentNullException(name);

    /// <summary>A size as the core counts it: TorchSharp's sizes are 64 bits wide.</summary>
    internal static int Size(long value, [CallerArgumentExpression(nameof(value))] string? name = null) =>
        value is >= 0 and <= int.MaxValue
            ? (int)value
            : throw new ArgumentOutOfRangeException(name, value, $"expected 0..{int.MaxValue}, got {value}");

    /// <summary>A pattern of the shape that the sizes say.</summary>
    internal static Connectivity Shape(Connectivity connectivity, int rows, int cols) =>
        connectivity.Rows == rows && connectivity.Cols == cols
            ? connectivity
            : throw new ArgumentException(
                $"expected shape [outFeatures, inFeatures] = [{rows}, {cols}], "
                    + $"got [{connectivity.Rows}, {connectivity.Cols}]",
                nameof(connectivity));
}
