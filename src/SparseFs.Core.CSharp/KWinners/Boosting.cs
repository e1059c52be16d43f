using System.ComponentModel;

namespace SparseFs.CSharp;

/// <summary>How the past wins of a unit weigh on its score, so that all units get to win.</summary>
/// <remarks>Each stands for the case of <c>SparseFs.Boost</c> that has its name.</remarks>
public enum Boosting
{
    /// <summary>The scores are the inputs.</summary>
    None,

    /// <summary>x · exp(strength · (target − duty)); it pushes a negative x of a rare winner further down.</summary>
    Exponential,

    /// <summary>x + strength · (target − duty), for inputs of either sign.</summary>
    Additive,
}

internal static class Boostings
{
    /// <exception cref="InvalidEnumArgumentException">No such form.</exception>
    internal static Boost ToCore(this Boosting boosting, double strength) => boosting switch
    {
        Boosting.None => Boost.None,
        Boosting.Exponential => Boost.NewExponential(strength),
        Boosting.Additive => Boost.NewAdditive(strength),
        _ => throw new InvalidEnumArgumentException(nameof(boosting), (int)boosting, typeof(Boosting)),
    };
}
