using System;

namespace SparseFs.CSharp;

/// <summary>Making options of K-winners layers. C# 14 shows this as a member of the type: <c>KWinnersOptions.Create(k: 50)</c>;
/// any other language calls <c>KWinnersSettings.Create(k: 50)</c>.</summary>
public static class KWinnersSettings
{
    extension(KWinnersOptions)
    {
        /// <summary>How a K-winners layer chooses, learns of past wins, and passes gradients.</summary>
        /// <param name="sparsity">The part of the units that do not win, in [0, 1); not used where <paramref name="k"/> is
        /// given.</param>
        /// <param name="k">The winners of a sample, 1..n.</param>
        /// <param name="alpha">The weight of a batch in the duty cycle, in (0, 1]; not used where <paramref name="period"/>
        /// is given.</param>
        /// <param name="period">Samples that the duty cycle covers, 1 or more.</param>
        /// <param name="boosting">How past wins weigh on the scores.</param>
        /// <param name="boostStrength">The strength of the boost, 0 or more.</param>
        /// <param name="boostDecay">What <c>EndEpoch</c> multiplies the strength with, in [0, 1].</param>
        /// <param name="inferenceFactor">How many times k win in evaluation mode, above 0.</param>
        /// <param name="straightThrough">Whether the gradient goes to all units, not to winners only.</param>
        /// <param name="checkInput">Whether NaN and infinity are refused; else NaN counts as the largest number.</param>
        /// <returns>The options, one value for any number of layers.</returns>
        /// <exception cref="ArgumentException">A number is out of its range.</exception>
        public static KWinnersOptions Create(
            double sparsity = 0.65,
            int? k = null,
            double alpha = 0.1,
            int? period = null,
            Boosting boosting = Boosting.Exponential,
            double boostStrength = 1.5,
            double boostDecay = 1.0,
            double inferenceFactor = 1.0,
            bool straightThrough = false,
            bool checkInput = false) =>
            KWinnersOptionsModule.Check(
                new(
                    k is { } count ? WinnerCount.NewExactly(count) : WinnerCount.NewSparsity(sparsity),
                    period is { } samples ? DutyCycle.NewPeriod(samples) : DutyCycle.NewAlpha(alpha),
                    boosting.ToCore(Require.Strength(boostStrength)),
                    boostDecay,
                    inferenceFactor,
                    straightThrough,
                    checkInput));
    }
}
