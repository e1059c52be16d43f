using System;

namespace SparseFs.CSharp;

/// <summary>K-winners as values: who wins, boosted scores and duty cycles.</summary>
public static class Winners
{
    /// <summary>The number of winners among so many units at a sparsity.</summary>
    /// <param name="features">n, 1 or more.</param>
    /// <param name="sparsity">The part of the units that do not win, in [0, 1).</param>
    /// <returns>(1 − sparsity) · n, rounded half to even, and at least 1.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static int Count(int features, double sparsity) => KWinnersModule.Count(features, sparsity);

    /// <summary>The number of winners at inference.</summary>
    /// <param name="features">n, 1 or more.</param>
    /// <param name="factor">Above 0; 1 for as many as in training.</param>
    /// <param name="k">The winners in training, 1..n.</param>
    /// <returns>factor · k, rounded half to even, within 1..n.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static int AtInference(int features, double factor, int k) =>
        KWinnersModule.AtInference(features, factor, k);

    /// <summary>The k units of the highest scores.</summary>
    /// <param name="k">1..n.</param>
    /// <param name="scores">The boosted scores of one sample, length n; none is NaN.</param>
    /// <returns>Exactly k indices, ascending. Of equal scores, the lower index wins.</returns>
    /// <exception cref="ArgumentException">k is outside 1..n, or a score is NaN.</exception>
    public static int[] Choose(int k, double[] scores) => KWinnersModule.Winners(k, Require.NotNull(scores));

    /// <summary>The inputs of the winners, and 0 elsewhere.</summary>
    /// <param name="k">1..n.</param>
    /// <param name="scores">What chooses, length n; none is NaN.</param>
    /// <param name="x">What passes, length n.</param>
    /// <returns>Length n.</returns>
    /// <exception cref="ArgumentException">k is outside 1..n, a score is NaN, or the lengths differ.</exception>
    public static double[] Activate(int k, double[] scores, double[] x) =>
        KWinnersModule.Activate(k, Require.NotNull(scores), Require.NotNull(x));

    /// <summary>The scores that choose the winners.</summary>
    /// <param name="boosting">The form of the boost.</param>
    /// <param name="strength">Its strength, 0 or more.</param>
    /// <param name="target">k / n, in (0, 1].</param>
    /// <param name="duty">The duty cycle of each unit, in [0, 1]; length n.</param>
    /// <param name="x">The inputs of one sample; length n.</param>
    /// <returns>Length n.</returns>
    /// <exception cref="ArgumentException">A number is out of its range, or the lengths differ.</exception>
    public static double[] Scores(Boosting boosting, double strength, double target, double[] duty, double[] x) =>
        BoostModule.Scores(boosting.ToCore(Require.Strength(strength)), target, Require.NotNull(duty), Require.NotNull(x));

    /// <summary>The weight of a batch in the duty cycle.</summary>
    /// <param name="rule">How the duty cycle forgets: <c>DutyCycle.NewAlpha</c> or <c>DutyCycle.NewPeriod</c>.</param>
    /// <param name="seen">The samples so far, those of this batch among them.</param>
    /// <param name="samples">The samples of this batch, 1 or more.</param>
    /// <returns>alpha; or samples / min(period, seen), at most 1.</returns>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double Weight(DutyCycle rule, long seen, int samples) =>
        Named.Call(
            () => DutyCycleModule.Weight(Require.NotNull(rule), seen, samples),
            ("alpha", nameof(rule)),
            ("period", nameof(rule)));

    /// <summary>The duty cycle after a batch: a running mean over samples.</summary>
    /// <param name="weight">The batch's weight, in [0, 1].</param>
    /// <param name="samples">The samples of the batch, 1 or more.</param>
    /// <param name="wins">In how many of them each unit won, 0..samples; length n.</param>
    /// <param name="duty">The duty cycle before; length n.</param>
    /// <returns>(1 − weight) · duty + weight · wins / samples.</returns>
    /// <exception cref="ArgumentException">A number is out of its range, or the lengths differ.</exception>
    public static double[] Update(double weight, int samples, int[] wins, double[] duty) =>
        DutyCycleModule.Update(weight, samples, Require.NotNull(wins), Require.NotNull(duty));

    /// <summary>The entropy of a layer, in bits: the sum over its units of that of winning or not.</summary>
    /// <param name="duty">The duty cycle of each unit, in [0, 1].</param>
    /// <returns>0 where the same units always win.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="duty"/> is null.</exception>
    public static double Entropy(double[] duty) => DutyCycleModule.Entropy(Require.NotNull(duty));

    /// <summary>The entropy where all units win alike.</summary>
    /// <param name="features">n, 1 or more.</param>
    /// <param name="k">The winners of a sample, 1..n.</param>
    /// <returns>In bits.</returns>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double MaxEntropy(int features, int k) => DutyCycleModule.MaxEntropy(features, k);
}
