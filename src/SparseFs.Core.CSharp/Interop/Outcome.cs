using System.Diagnostics.CodeAnalysis;
using Microsoft.FSharp.Core;

namespace SparseFs.CSharp;

/// <summary>F#'s results and options, from and to what C# has in their place.</summary>
internal static class Outcome
{
    internal static bool TryGet<T, TError>(
        this FSharpResult<T, TError> result,
        [NotNullWhen(true)] out T? value,
        [NotNullWhen(false)] out TError? error)
        where T : class
        where TError : class
    {
        value = result.IsOk ? result.ResultValue : null;
        error = result.IsOk ? null : result.ErrorValue;
        return result.IsOk;
    }

    internal static bool TryGet(this FSharpOption<int>? option, out int value)
    {
        value = option?.Value ?? default;
        return option is not null;
    }

    internal static FSharpOption<T>? OrNone<T>(this T? value)
        where T : class =>
        value is null ? null : FSharpOption<T>.Some(value);

    internal static FSharpOption<T>? OrNone<T>(this T? value)
        where T : struct =>
        value is null ? null : FSharpOption<T>.Some(value.Value);
}
