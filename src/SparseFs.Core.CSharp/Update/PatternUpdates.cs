using System;
using System.Collections.Generic;

namespace SparseFs.CSharp;

/// <summary>Updates of patterns as pure functions: drop, grow, redistribution.</summary>
public static class PatternUpdates
{
    /// <summary>A layer as it is before its first update, for rules that need nothing but its weights.</summary>
    /// <param name="connectivity">Which weights exist.</param>
    /// <param name="weight">Length nnz, in slot order; not copied.</param>
    /// <param name="step">The optimizer step, counted from 1.</param>
    /// <param name="seed">Randomness for this update alone.</param>
    /// <param name="channelGroups">Groups of channels of a convolution; 1 of others.</param>
    /// <param name="kernelCells">Columns of a kernel of a convolution; 1 of others.</param>
    /// <returns>The state.</returns>
    /// <exception cref="ArgumentException">weight does not have nnz numbers, or an argument is null. Updates refuse channelGroups
    /// that do not divide the rows and kernelCells that do not divide the columns.</exception>
    public static LayerState State(
        Connectivity connectivity,
        float[] weight,
        long step,
        Seed seed,
        int channelGroups = 1,
        int kernelCells = 1)
    {
        var s = Named.Call(
            () => SparseFs.Rewire.State(Require.NotNull(connectivity), Require.NotNull(weight), step, seed),
            ("Weight", nameof(weight)));

        return new LayerState(
            s.Connectivity, s.Weight, s.Gradient, s.Momentum, s.Explored, channelGroups, kernelCells, s.Step, s.Seed);
    }

    /// <summary>Drops and grows a given part of a layer's slots.</summary>
    /// <param name="policy">Its budget is the layer's or the rows'; the schedule is not asked.</param>
    /// <param name="fraction">The part of the slots, in [0, 1].</param>
    /// <param name="state">The layer.</param>
    /// <returns>The layer after the update.</returns>
    /// <exception cref="ArgumentException">An argument is null or outside its range, or layers share the budget.</exception>
    public static Rewired LayerBy(Policy policy, double fraction, LayerState state) =>
        SparseFs.Rewire.LayerBy(Require.NotNull(policy), fraction, Require.NotNull(state));

    /// <summary>Drops and grows a given part of the slots of several layers under one policy.</summary>
    /// <param name="policy">Any; the schedule is not asked.</param>
    /// <param name="fraction">The part of each layer's slots, in [0, 1].</param>
    /// <param name="states">The layers.</param>
    /// <returns>One result a layer.</returns>
    /// <exception cref="ArgumentException">An argument is null or outside its range.</exception>
    public static Rewired[] LayersBy(Policy policy, double fraction, IReadOnlyList<LayerState> states) =>
        SparseFs.Rewire.LayersBy(Require.NotNull(policy), fraction, [.. Require.NotNull(states)]);

    /// <summary>An update as the policy's schedule has it at the layers' step.</summary>
    /// <param name="policy">Any.</param>
    /// <param name="states">The layers, all at the same step.</param>
    /// <returns>One result a layer; where the step is no update, nothing changes.</returns>
    /// <exception cref="ArgumentException">An argument is null, or the steps differ.</exception>
    public static Rewired[] Update(Policy policy, IReadOnlyList<LayerState> states) =>
        SparseFs.Rewire.Step(Require.NotNull(policy), [.. Require.NotNull(states)]);
}
