using System;

namespace SparseFs.CSharp;

/// <summary>The numbers of schedules and policies by the names that they have in C#, which are others than in F#.</summary>
internal static class RuleChecks
{
    internal static double Alpha(double alpha) =>
        alpha is >= 0 and <= 1 ? alpha : throw Refused(
            nameof(alpha),
            $"expected a part of the slots, in [0, 1], got {alpha}{Require.Percentage(alpha, ": ")}");

    internal static long DeltaT(long deltaT) =>
        deltaT >= 1 ? deltaT : throw Refused(nameof(deltaT), $"expected 1 step or more, got {deltaT}");

    internal static long TEnd(long tEnd, long start) =>
        start < 0 ? throw Refused(nameof(start), $"expected step 0 or later, got {start}")
        : tEnd < start ? throw Refused(nameof(tEnd), $"expected step {start}, the start, or later, got {tEnd}")
        : tEnd;

    internal static double Power(double power) =>
        power >= 0 && double.IsFinite(power)
            ? power
            : throw Refused(nameof(power), $"expected a finite number of 0 or more, got {power}");

    internal static double Salient(double salient) =>
        salient is >= 0 and <= 1
            ? salient
            : throw Refused(nameof(salient), $"expected a part in [0, 1], got {salient}");

    internal static double FinalSparsity(double finalSparsity, double initialSparsity) =>
        Require.Sparsity(finalSparsity) >= initialSparsity
            ? finalSparsity
            : throw Refused(
                nameof(finalSparsity),
                $"expected the initial sparsity {initialSparsity} or more, got {finalSparsity}");

    internal static double GrownBound(double grownBound) =>
        grownBound >= 0 && double.IsFinite(grownBound)
            ? grownBound
            : throw Refused(nameof(grownBound), $"expected a finite number of 0 or more, got {grownBound}");

    internal static double MomentumBeta(double momentumBeta) =>
        momentumBeta is >= 0 and < 1
            ? momentumBeta
            : throw Refused(nameof(momentumBeta), $"expected a factor in [0, 1), got {momentumBeta}");

    internal static int MomentumSteps(int momentumSteps) =>
        momentumSteps >= 1
            ? momentumSteps
            : throw Refused(nameof(momentumSteps), $"expected 1 step or more, got {momentumSteps}");

    internal static string RuleName(string name, string part, string parameter) =>
        string.IsNullOrWhiteSpace(name)
            ? throw Refused(parameter, $"expected a name for the policy's own {part} rule, got '{name}'; leave it null for none")
            : name;

    private static ArgumentException Refused(string parameter, FormattableString message) =>
        new(FormattableString.Invariant(message), parameter);
}
