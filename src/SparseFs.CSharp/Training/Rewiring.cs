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
    /// <param name="seed">What random rules draw from; one number of torch's generator if null.</param>
    /// <param name="onUpdate">Called with one event a layer at every update; not at all if null.</param>
    /// <param name="layers">Those that are rewired, such as <c>Layers.Named("hidden.*")</c>: the others are left alone, and no
    /// budget counts them; null for all.</param>
    /// <returns>The rewirer.</returns>
    /// <exception cref="ArgumentException">There is no sparse layer, one is not the optimizer's, the optimizer is of a kind
    /// whose state is not known, a name of layers is no layer's, or an argument is null.</exception>
    public static Rewirer Rewire(
        nn.Module model,
        optim.Optimizer optimizer,
        Policy policy,
        Seed? seed = null,
        Action<RewireEvent>? onUpdate = null,
        Layers? layers = null)
    {
        return Watched(new Rewirer(model, optimizer, policy, seed.OrNone(), layers.OrNone()), onUpdate);
    }

    /// <summary>A rewirer that follows the policies that the sparse layers of a model carry: those that were made with
    /// <c>dynamic</c>, or whose <c>Policy</c> was set. Layers without one stay as they are.</summary>
    /// <param name="model">Any module, or a sparse layer itself.</param>
    /// <param name="optimizer">The optimizer that trains the layers' weights.</param>
    /// <param name="seed">What random rules draw from; one number of torch's generator if null.</param>
    /// <param name="onUpdate">Called with one event a layer at every update; not at all if null.</param>
    /// <param name="layers">Those that are rewired, such as <c>Layers.Named("hidden.*")</c>: the others are left alone, and no
    /// budget counts them; null for all.</param>
    /// <returns>The rewirer.</returns>
    /// <exception cref="ArgumentException">No sparse layer carries a policy, one that does is not the optimizer's, the
    /// optimizer is of a kind whose state is not known, a name of layers is no layer's, or an argument is null.</exception>
    public static Rewirer Rewire(
        nn.Module model,
        optim.Optimizer optimizer,
        Seed? seed = null,
        Action<RewireEvent>? onUpdate = null,
        Layers? layers = null)
    {
        return Watched(new Rewirer(model, optimizer, seed.OrNone(), layers.OrNone()), onUpdate);
    }

    private static Rewirer Watched(Rewirer rewirer, Action<RewireEvent>? onUpdate)
    {
        if (onUpdate is not null)
        {
            rewirer.Events.Subscribe(new Observer(onUpdate));
        }

        return rewirer;
    }

    /// <summary>Writes an event to TensorBoard.</summary>
    /// <param name="rewireEvent">The event.</param>
    /// <param name="writer">TorchSharp's writer.</param>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    public static void WriteTo(this RewireEvent rewireEvent, TorchSharp.Modules.SummaryWriter writer) =>
        Telemetry.ToSummary(writer, Require.NotNull(rewireEvent));

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
