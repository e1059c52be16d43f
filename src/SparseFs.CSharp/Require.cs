using System;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

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

    /// <summary>The rows and the columns of a (2, nnz) tensor of integers, on any device and of any layout.</summary>
    internal static (int[] Rows, int[] Cols) Pairs(Tensor indices)
    {
        NotNull(indices);

        if (indices.dim() != 2 || indices.shape[0] != 2)
        {
            throw new ArgumentException(
                $"expected shape [2, nnz], got [{string.Join(", ", indices.shape)}]", nameof(indices));
        }

        if (indices.dtype is not (ScalarType.Int64 or ScalarType.Int32))
        {
            throw new ArgumentException($"expected Int64 or Int32, got {indices.dtype}", nameof(indices));
        }

        using var scope = NewDisposeScope();
        var flat = indices.cpu().to_type(ScalarType.Int64).flatten().data<long>().ToArray();
        var pairs = Array.ConvertAll(flat, Index);
        return (pairs[..(pairs.Length / 2)], pairs[(pairs.Length / 2)..]);
    }

    private static int Index(long value) =>
        value is >= 0 and < int.MaxValue
            ? (int)value
            : throw new ArgumentException($"expected indices in 0..{int.MaxValue - 1}, got {value}", "indices");
}
