using System;

namespace SparseFs.CSharp;

/// <summary>When layers are rewired. Steps are optimizer steps, counted from 1.</summary>
public static class Schedules
{
    /// <summary>No step is an update.</summary>
    public static Schedule Never => ScheduleModule.Never;

    /// <summary>The same part of the slots at every update.</summary>
    /// <param name="alpha">The part, in [0, 1].</param>
    /// <param name="deltaT">Steps from one update to the next, 1 or more.</param>
    /// <param name="tEnd">The last step that may be an update.</param>
    /// <param name="start">The step after which updates begin.</param>
    /// <returns>The schedule.</returns>
    /// <exception cref="ArgumentException">A number is outside its range.</exception>
    public static Schedule Constant(double alpha, long deltaT, long tEnd, long start = 0) =>
        ScheduleModule.From(
            start,
            ScheduleModule.Constant(RuleChecks.Alpha(alpha), RuleChecks.DeltaT(deltaT), RuleChecks.TEnd(tEnd, start)));

    /// <summary>α/2 · (1 + cos(π t / T_end)): RigL's.</summary>
    /// <param name="alpha">The part of the first update, in [0, 1].</param>
    /// <param name="deltaT">Steps from one update to the next, 1 or more.</param>
    /// <param name="tEnd">The last step that may be an update.</param>
    /// <param name="start">The step after which updates begin.</param>
    /// <returns>The schedule.</returns>
    /// <exception cref="ArgumentException">A number is outside its range.</exception>
    public static Schedule Cosine(double alpha, long deltaT, long tEnd, long start = 0) =>
        ScheduleModule.From(
            start,
            ScheduleModule.Cosine(RuleChecks.Alpha(alpha), RuleChecks.DeltaT(deltaT), RuleChecks.TEnd(tEnd, start)));

    /// <summary>α · (1 − t / T_end).</summary>
    /// <param name="alpha">The part of the first update, in [0, 1].</param>
    /// <param name="deltaT">Steps from one update to the next, 1 or more.</param>
    /// <param name="tEnd">The last step that may be an update.</param>
    /// <param name="start">The step after which updates begin.</param>
    /// <returns>The schedule.</returns>
    /// <exception cref="ArgumentException">A number is outside its range.</exception>
    public static Schedule Linear(double alpha, long deltaT, long tEnd, long start = 0) =>
        ScheduleModule.From(
            start,
            ScheduleModule.Linear(RuleChecks.Alpha(alpha), RuleChecks.DeltaT(deltaT), RuleChecks.TEnd(tEnd, start)));

    /// <summary>α · (1 − t / T_end)^power.</summary>
    /// <param name="power">0 or more; 3 is Zhu and Gupta's.</param>
    /// <param name="alpha">The part of the first update, in [0, 1].</param>
    /// <param name="deltaT">Steps from one update to the next, 1 or more.</param>
    /// <param name="tEnd">The last step that may be an update.</param>
    /// <param name="start">The step after which updates begin.</param>
    /// <returns>The schedule.</returns>
    /// <exception cref="ArgumentException">A number is outside its range.</exception>
    public static Schedule InversePower(double power, double alpha, long deltaT, long tEnd, long start = 0) =>
        ScheduleModule.From(
            start,
            ScheduleModule.InversePower(
                RuleChecks.Power(power),
                RuleChecks.Alpha(alpha),
                RuleChecks.DeltaT(deltaT),
                RuleChecks.TEnd(tEnd, start)));

    /// <summary>Whether a step is an update.</summary>
    /// <param name="schedule">The schedule.</param>
    /// <param name="step">An optimizer step, counted from 1.</param>
    /// <returns>True at start + ΔT, start + 2 · ΔT, … up to T_end.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="schedule"/> is null.</exception>
    public static bool IsUpdate(this Schedule schedule, long step) =>
        ScheduleModule.IsUpdate(step, Require.NotNull(schedule));

    /// <summary>Progress of a schedule: (step − start) / (T_end − start), in [0, 1].</summary>
    /// <param name="schedule">The schedule.</param>
    /// <param name="step">An optimizer step, counted from 1.</param>
    /// <returns>In [0, 1].</returns>
    /// <exception cref="ArgumentNullException"><paramref name="schedule"/> is null.</exception>
    public static double Progress(this Schedule schedule, long step) =>
        ScheduleModule.Progress(step, Require.NotNull(schedule));

    /// <summary>The part of the slots that an update at this step drops and grows.</summary>
    /// <param name="schedule">The schedule.</param>
    /// <param name="step">An optimizer step, counted from 1.</param>
    /// <returns>In [0, α]; 0 where the step is no update.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="schedule"/> is null.</exception>
    public static double FractionAt(this Schedule schedule, long step) =>
        ScheduleModule.Fraction(step, Require.NotNull(schedule));

    /// <summary>The sparsity that gradual magnitude pruning wants at a step.</summary>
    /// <param name="schedule">When.</param>
    /// <param name="initialSparsity">Sparsity at the start, in [0, 1).</param>
    /// <param name="finalSparsity">Sparsity at the end, in [0, 1).</param>
    /// <param name="step">An optimizer step, counted from 1.</param>
    /// <returns>final + (initial − final) · (1 − p)³.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="schedule"/> is null.</exception>
    public static double CubicSparsity(
        this Schedule schedule,
        double initialSparsity,
        double finalSparsity,
        long step) =>
        ScheduleModule.CubicSparsity(initialSparsity, finalSparsity, step, Require.NotNull(schedule));
}
