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

    /// <summary>A number of units, as the core counts it.</summary>
    internal static int Units(long value, [CallerArgumentExpression(nameof(value))] string? name = null) =>
        value is >= 1 and <= int.MaxValue
            ? (int)value
            : throw new ArgumentOutOfRangeException(name, value, $"expected 1..{int.MaxValue} units, got {value}");

    /// <summary>A sparsity, under the caller's name of it.</summary>
    internal static double Sparsity(double value, [CallerArgumentExpression(nameof(value))] string? name = null) =>
        value is >= 0 and < 1
            ? value
            : throw new ArgumentOutOfRangeException(
                name,
                value,
                FormattableString.Invariant($"expected a sparsity in [0, 1), got {value}{Percentage(value, "; sparsity is a fraction: ")}"));

    /// <summary>Who wrote a percentage is told the fraction.</summary>
    internal static string Percentage(double value, string before) =>
        value is > 1 and < 100
            ? FormattableString.Invariant($"{before}write {(decimal)value / 100} for {value} %")
            : "";

    /// <summary>A strength of a boost, under the caller's name of it.</summary>
    internal static double Strength(double value, [CallerArgumentExpression(nameof(value))] string? name = null) =>
        value >= 0 && double.IsFinite(value)
            ? value
            : throw new ArgumentOutOfRangeException(name, value, $"expected a finite number, 0 or more, got {value}");
}
