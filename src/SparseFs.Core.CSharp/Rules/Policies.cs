using System;
using Microsoft.FSharp.Core;

namespace SparseFs.CSharp;

/// <summary>How layers are rewired: the policies of the literature, and one's own by named arguments.</summary>
public static class Policies
{
    /// <summary>Nothing is ever rewired.</summary>
    public static Policy Static => PolicyModule.StaticSparse;

    /// <summary>RigL: smallest magnitudes go, largest gradients come.</summary>
    /// <param name="schedule">When; <c>Schedules.Cosine(0.3, 100, end)</c> is RigL's own.</param>
    /// <returns>The policy.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="schedule"/> is null.</exception>
    public static Policy RigL(Schedule schedule) => PolicyModule.RigL(Require.NotNull(schedule));

    /// <summary>SET: the nearest to zero go, random cells come.</summary>
    /// <param name="schedule">When.</param>
    /// <returns>The policy.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="schedule"/> is null.</exception>
    public static Policy Set(Schedule schedule) => PolicyModule.Set(Require.NotNull(schedule));

    /// <summary>Sparse networks from scratch: momentum decides where slots come, across layers.</summary>
    /// <param name="schedule">When.</param>
    /// <returns>The policy.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="schedule"/> is null.</exception>
    public static Policy Snfs(Schedule schedule) => PolicyModule.Snfs(Require.NotNull(schedule));

    /// <summary>SRigL: RigL with the same number of slots in every row.</summary>
    /// <param name="schedule">When.</param>
    /// <param name="salient">γ in [0, 1]: rows with a smaller part of salient slots are given up; none if null.</param>
    /// <returns>The policy.</returns>
    /// <exception cref="ArgumentException"><paramref name="schedule"/> is null, or γ is outside [0, 1].</exception>
    public static Policy SRigL(Schedule schedule, double? salient = null) =>
        PolicyModule.SRigL(
            salient is { } value
                ? FSharpValueOption<double>.NewValueSome(RuleChecks.Salient(value))
                : FSharpValueOption<double>.ValueNone,
            Require.NotNull(schedule));

    /// <summary>Gradual magnitude pruning by Zhu and Gupta's cubic schedule.</summary>
    /// <param name="initialSparsity">Sparsity at the start, in [0, 1).</param>
    /// <param name="finalSparsity">Sparsity at the end, in [0, 1).</param>
    /// <param name="schedule">When; its α does not count.</param>
    /// <returns>The policy.</returns>
    /// <exception cref="ArgumentException"><paramref name="schedule"/> is null, or a sparsity is outside [0, 1) or falls.</exception>
    public static Policy Gradual(double initialSparsity, double finalSparsity, Schedule schedule) =>
        PolicyModule.Gradual(
            Require.Sparsity(initialSparsity),
            RuleChecks.FinalSparsity(finalSparsity, initialSparsity),
            Require.NotNull(schedule));

    /// <summary>Rules of one's own choice.</summary>
    /// <param name="schedule">When, and what part of the slots.</param>
    /// <param name="drop">Which slots are dropped, unless dropScore says.</param>
    /// <param name="grow">Which cells are grown, unless growScore says.</param>
    /// <param name="budget">The budget of slots: each layer's, each row's, or that of all layers.</param>
    /// <param name="regrow">Whether what an update drops may be grown by it.</param>
    /// <param name="moments">Optimizer state of grown slots; under Fresh and Seeded they count their own steps.</param>
    /// <param name="skipGradientsAtUpdates">Whether the optimizer leaves out its step at an update, as RigL's does.</param>
    /// <param name="dropScore">A score a slot; the lowest are dropped.</param>
    /// <param name="growScore">Scores of cells; the highest absent ones are grown, so that a rule by the size of signed
    /// gradients gives <c>state.Gradient.Abs()</c>.</param>
    /// <param name="growthInputs">Inputs of growScore beside the weights.</param>
    /// <param name="grownBound">Grown weights are uniform within ± this; 0 for zero.</param>
    /// <param name="dropName">What files of training runs call dropScore: a run does not go on under a rule of another name.
    /// Null for a rule that files cannot tell from another.</param>
    /// <param name="growName">What they call growScore.</param>
    /// <param name="momentumBeta">β of rules that look at momentum: the factor by which the weight of a step's gradient falls
    /// with each later step, in [0, 1).</param>
    /// <param name="momentumSteps">Optimizer steps that such rules look back, 1 or more.</param>
    /// <param name="rowGroup">Rows that are rewired together, 1 for each by itself: whole columns of the groups of
    /// <c>Topologies.RowGroups</c> go and come.</param>
    /// <param name="groupNorm">What the weights, and the gradients, of a group's column, or of a kernel, are worth together.</param>
    /// <param name="wholeKernels">Whether the cells of a convolution's kernels are rewired together: those of
    /// <c>Topologies.InKernels</c> go and come.</param>
    /// <returns>The policy.</returns>
    /// <exception cref="ArgumentException">A part is null or outside its range, or a name has no score.</exception>
    public static Policy Custom(
        Schedule schedule,
        DropRule drop = DropRule.Magnitude,
        GrowRule grow = GrowRule.Random,
        BudgetRule budget = BudgetRule.Layer,
        Regrow regrow = Regrow.Never,
        Moments moments = Moments.Zero,
        bool skipGradientsAtUpdates = false,
        Func<LayerState, float[]>? dropScore = null,
        Func<LayerState, CellScores>? growScore = null,
        GrowthInputs growthInputs = GrowthInputs.Nothing,
        double grownBound = 0.0,
        string? dropName = null,
        string? growName = null,
        double momentumBeta = 0.9,
        int momentumSteps = 32,
        int rowGroup = 1,
        RowGroupNorm groupNorm = RowGroupNorm.L2,
        bool wholeKernels = false) =>
        PolicyModule.Check(
            new Policy(
                Require.NotNull(schedule),
                DropOf(drop, dropScore, dropName),
                GrowOf(grow, growthInputs, growScore, growName),
                regrow,
                budget switch
                {
                    BudgetRule.Layer => Budget.Layer,
                    BudgetRule.Row => Budget.Row,
                    BudgetRule.RedistributedByMagnitude => Budget.RedistributedByMagnitude,
                    BudgetRule.RedistributedByMomentum => Budget.RedistributedByMomentum,
                    _ => throw new ArgumentException($"expected a budget, got {budget}", nameof(budget)),
                },
                grownBound == 0.0 ? GrownWeight.Zero : GrownWeight.NewUniform(RuleChecks.GrownBound(grownBound)),
                moments,
                skipGradientsAtUpdates,
                new MomentumWindow(
                    RuleChecks.MomentumBeta(momentumBeta),
                    RuleChecks.MomentumSteps(momentumSteps)),
                rowGroup,
                wholeKernels,
                groupNorm));

    /// <summary>The same policy over groups of rows that share their columns: whole columns of groups go and come, by the
    /// norms of their weights and gradients.</summary>
    /// <param name="policy">Any but one that grows by distance.</param>
    /// <param name="size">Rows of a group, as <c>Topologies.RowGroups</c> drew them; 1 or more.</param>
    /// <param name="norm">What a group's column is worth.</param>
    /// <returns>The policy.</returns>
    /// <exception cref="ArgumentException">size is below 1, or the policy grows by distance.</exception>
    public static Policy InRowGroups(this Policy policy, int size, RowGroupNorm norm = RowGroupNorm.L2) =>
        PolicyModule.InRowGroups(size, norm, Require.NotNull(policy));

    /// <summary>The same policy over whole kernels of convolutions: all cells of a pair of channels go and come together, by their
    /// norm, so that whole kernels stay whole.</summary>
    /// <param name="policy">Any but one that grows by distance. Scores of its own rules count by their mean over the cells.</param>
    /// <param name="norm">What the weights, and the gradients, of a kernel are worth together.</param>
    /// <returns>A new policy.</returns>
    /// <exception cref="ArgumentException">The policy is null or grows by distance.</exception>
    public static Policy InKernels(this Policy policy, RowGroupNorm norm = RowGroupNorm.L2) =>
        PolicyModule.InKernels(norm, Require.NotNull(policy));

    private static Drop DropOf(DropRule rule, Func<LayerState, float[]>? score, string? name) =>
        (score, name) switch
        {
            ({ } own, { } called) => Drop.NewNamedScore(
                RuleChecks.RuleName(called, "drop", "dropName"),
                FuncConvert.FromFunc(own)),
            ({ } own, null) => Drop.NewScore(FuncConvert.FromFunc(own)),
            (null, { }) => throw new ArgumentException("expected a dropScore that the name is of, got none", "dropName"),
            _ => rule switch
            {
                DropRule.Magnitude => Drop.Magnitude,
                DropRule.NearestZero => Drop.NearestZero,
                DropRule.Random => Drop.Random,
                _ => throw new ArgumentException($"expected a rule, got {rule}", "drop"),
            },
        };

    private static Grow GrowOf(GrowRule rule, GrowthInputs needs, Func<LayerState, CellScores>? score, string? name) =>
        (score, name) switch
        {
            ({ } own, { } called) => Grow.NewNamedScore(
                RuleChecks.RuleName(called, "grow", "growName"),
                needs,
                FuncConvert.FromFunc(own)),
            ({ } own, null) => Grow.NewScore(needs, FuncConvert.FromFunc(own)),
            (null, { }) => throw new ArgumentException("expected a growScore that the name is of, got none", "growName"),
            _ => rule switch
            {
                GrowRule.Gradient => Grow.Gradient,
                GrowRule.Momentum => Grow.Momentum,
                GrowRule.Random => Grow.Random,
                _ => throw new ArgumentException($"expected a rule, got {rule}", "grow"),
            },
        };

    /// <summary>Inputs of a policy's rules beside the weights.</summary>
    /// <param name="policy">The policy.</param>
    /// <returns>Gradient, momentum, both, or nothing.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="policy"/> is null.</exception>
    public static GrowthInputs GetGrowthInputs(this Policy policy) => PolicyModule.GrowthInputs(Require.NotNull(policy));
}
