using System;

namespace SparseFs.CSharp;

/// <summary>Calls of the core whose arguments have other names there: an error names the argument as its caller has it.</summary>
internal static class Named
{
    /// <summary>The call's result.</summary>
    /// <param name="call">The call of the core.</param>
    /// <param name="arguments">The core's name of an argument, and the caller's.</param>
    /// <exception cref="ArgumentException">As the core's own, by the caller's name.</exception>
    internal static T Call<T>(Func<T> call, params (string Core, string Caller)[] arguments)
    {
        try
        {
            return call();
        }
        catch (ArgumentException e) when (CallersName(e, arguments) is not null)
        {
            throw Renamed(e, CallersName(e, arguments));
        }
    }

    private static string? CallersName(ArgumentException e, (string Core, string Caller)[] arguments) =>
        Array.Find(arguments, pair => pair.Core == e.ParamName).Caller;

    private static ArgumentException Renamed(ArgumentException e, string? name)
    {
        // The runtime writes the argument's name, and the value, behind the message.
        var end = e.Message.LastIndexOf($" (Parameter '{e.ParamName}')", StringComparison.Ordinal);
        var text = end < 0 ? e.Message : e.Message[..end];

        return e switch
        {
            ArgumentOutOfRangeException range => new ArgumentOutOfRangeException(name, range.ActualValue, text),
            ArgumentNullException => new ArgumentNullException(name, text),
            _ => new ArgumentException(text, name, e.InnerException),
        };
    }
}
