using System;
using System.Collections.Generic;
using TorchSharp;
using static TorchSharp.torch;

namespace SparseFs.CSharp;

/// <summary>Rewiring: over a model while it trains, and as pure functions.</summary>
public static class Rewiring
{
    /// <summary>A rewirer over all sparse layers of a model: its <c>Step</c> stands where <c>optimizer.step()</c> stood.</summary>
    /// <param name="model">Any module, or a sparse layer itself.</param>
    /// <param name="optimizer">The optimizer that trains the layers' weights.</param>
    /// <param name="policy">How they are rewired.</param>
    /// <param name="seed">What random rules draw from.</param>
    /// <param name="onUpdate">Called with one event a layer at every update; not at all if null.</param>
    /// <returns>The rewirer.</returns>
    /// <exception cref="ArgumentException">There is no sparse layer, one is not the optimizer's or belongs to another rewirer,
    /// the optimizer is of a kind whose state is not known, the policy gives no update, or an argument is null.</exception>
    public static Rewirer Rewire(
        nn.Module model,
        optim.Optimizer optimizer,
        Policy policy,
        Seed seed = default,
        Action<RewireEvent>? onUpdate = null)
    {
        return Watched(new Rewirer(model, optimizer, policy, seed), onUpdate);
    }

    /// <summary>A rewirer that follows the policies that the sparse layers of a model carry: those that were made with
    /// <c>dynamic</c>, or whose <c>Policy</c> was set. Layers without one stay as they are.</summary>
    /// <param name="model">Any module, or a sparse layer itself.</param>
    /// <param name="optimizer">The optimizer that trains the layers' weights.</param>
    /// <param name="seed">What random rules draw from.</param>
    /// <param name="onUpdate">Called with one event a layer at every update; not at all if null.</param>
    /// <returns>The rewirer.</returns>
    /// <exception cref="ArgumentException">No sparse layer carries a policy, one that does is not the optimizer's or belongs to
    /// another rewirer, the optimizer is of a kind whose state is not known, a policy gives no update, or an argument is
    /// null.</exception>
    public static Rewirer Rewire(
        nn.Module model,
        optim.Optimizer optimizer,
        Seed seed = default,
        Action<RewireEvent>? onUpdate = null)
    {
        return Watched(new Rewirer(model, optimizer, seed), onUpdate);
    }

    private static Rewirer Watched(Rewirer rewirer, Action<RewireEvent>? onUpdate)
    {
        if (onUpdate is not null)
        {
            rewirer.Events.Subscribe(new Observer(onUpdate));
        }

        return rewirer;
    }

    /// <summary>A layer as it is before its first update, for rules that need nothing but its weights.</summary>
    /// <param name="connectivity">Which weights exist.</param>
    /// <param name="weight">Length nnz, in slot order; not copied.</param>
    /// <param name="step">The optimizer step, counted from 1.</param>
    /// <param name="seed">Randomness for this update alone.</param>
    /// <returns>The state.</returns>
    /// <exception cref="ArgumentException">weight does not have nnz numbers, or an argument is null.</exception>
    public static LayerState State(Connectivity connectivity, float[] weight, long step, Seed seed) =>
        SparseFs.Rewire.state(connectivity, weight, step, seed);

    /// <summary>Drops and grows a given part of a layer's slots.</summary>
    /// <param name="policy">Its budget is the layer's or the rows'; the schedule is not asked.</param>
    /// <param name="fraction">The part of the slots, in [0, 1].</param>
    /// <param name="state">The layer.</param>
    /// <returns>The layer after the update.</returns>
    /// <exception cref="ArgumentException">An argument is null or outside its range, or layers share the budget.</exception>
    public static Rewired LayerBy(Policy policy, double fraction, LayerState state) =>
        SparseFs.Rewire.layerBy(Require.NotNull(policy), fraction, Require.NotNull(state));

    /// <summary>Drops and grows a given part of the slots of several layers under one policy.</summary>
    /// <param name="policy">Any; the schedule is not asked.</param>
    /// <param name="fraction">The part of each layer's slots, in [0, 1].</param>
    /// <param name="states">The layers.</param>
    /// <returns>One result a layer.</returns>
    /// <exception cref="ArgumentException">An argument is null or outside its range.</exception>
    public static Rewired[] LayersBy(Policy policy, double fraction, IReadOnlyList<LayerState> states) =>
        SparseFs.Rewire.layersBy(Require.NotNull(policy), fraction, [.. Require.NotNull(states)]);

    /// <summary>An update as the policy's schedule has it at the layers' step.</summary>
    /// <param name="policy">Any.</param>
    /// <param name="states">The layers, all at the same step.</param>
    /// <returns>One result a layer; where the step is no update, nothing changes.</returns>
    /// <exception cref="ArgumentException">An argument is null, or the steps differ.</exception>
    public static Rewired[] Update(Policy policy, IReadOnlyList<LayerState> states) =>
        SparseFs.Rewire.step(Require.NotNull(policy), [.. Require.NotNull(states)]);

    /// <summary>A remap in which every slot stays what it is.</summary>
    /// <param name="nnz">Slots, 0 or more.</param>
    /// <returns>The remap.</returns>
    /// <exception cref="ArgumentOutOfRangeException">nnz is negative.</exception>
    public static Remap Identity(int nnz) => RemapModule.identity(nnz);

    /// <summary>The remap from one pattern to another: slots of common cells continue, all others were grown.</summary>
    /// <param name="before">Shape [rows, cols].</param>
    /// <param name="after">The same shape.</param>
    /// <returns>The remap.</returns>
    /// <exception cref="ArgumentException">A pattern is null, or the shapes differ.</exception>
    public static Remap RemapTo(this Connectivity before, Connectivity after) =>
        RemapModule.between(Require.NotNull(before), Require.NotNull(after));

    /// <summary>Carries what belongs to the old slots over to the new ones.</summary>
    /// <param name="remap">The remap.</param>
    /// <param name="values">Length Before, in the old slots' order.</param>
    /// <param name="grown">What a grown slot gets.</param>
    /// <typeparam name="T">What belongs to a slot.</typeparam>
    /// <returns>Length After, in the new slots' order.</returns>
    /// <exception cref="ArgumentException">An argument is null, or the length is not Before.</exception>
    public static T[] Apply<T>(this Remap remap, T[] values, T grown) =>
        RemapModule.apply(grown, Require.NotNull(remap), values);

    /// <summary>Writes an event to TensorBoard.</summary>
    /// <param name="rewireEvent">The event.</param>
    /// <param name="writer">TorchSharp's writer.</param>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    public static void WriteTo(this RewireEvent rewireEvent, TorchSharp.Modules.SummaryWriter writer) =>
        Telemetry.toSummary(writer, Require.NotNull(rewireEvent));

    private sealed class Observer(Action<RewireEvent> onNext) : IObserver<RewireEvent>
    {
        public void OnCompleted()
        {
        }

        public void OnError(Exception error)
        {
        }

        public void OnNext(RewireEvent value) => onNext(value);
    }
}
