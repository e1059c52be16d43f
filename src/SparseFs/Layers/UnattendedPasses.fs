namespace SparseFs.Torch

open System
open System.Threading
open SparseFs
open TorchSharp

/// <summary>Passes of a layer in training that no rewirer attends to, although the layer is to be rewired: said once, for a
/// layer does nothing by itself.</summary>
[<Sealed>]
type internal UnattendedPasses() =
    let mutable count = 0

    /// So many are noticed.
    static member private Patience = 1000

    /// The layer's rewirer has taken a step.
    member _.Forget() : unit = Volatile.Write(&count, 0)

    /// <summary>One more, where it records gradients.</summary>
    /// <param name="layer">What a notice names.</param>
    /// <param name="rewiring">What stands for the layer's rewirer, or null.</param>
    /// <param name="hasPolicy">Whether the layer carries a policy.</param>
    member _.Add(layer: obj, rewiring: WeakReference | null, hasPolicy: bool) : unit =
        if Volatile.Read &count < UnattendedPasses.Patience && torch.is_grad_enabled () then
            // Several threads may call one layer: one of them says it.
            if Interlocked.Increment(&count) = UnattendedPasses.Patience then
                let isRewired =
                    match rewiring with
                    | null -> false
                    | rewiring -> rewiring.IsAlive

                if isRewired then
                    NoticeSource.Log.Noticed(
                        string NoticeKind.NotStepped,
                        string layer,
                        $"The layer has made {UnattendedPasses.Patience} passes in training since its rewirer took its last "
                        + "step, so that nothing is rewired. Call rewirer.Step() in place of optimizer.step(), or "
                        + "rewirer.Follow() after it; or call rewirer.Dispose(), if the layer is not to be rewired any more."
                    )
                elif hasPolicy then
                    NoticeSource.Log.Noticed(
                        string NoticeKind.NotFollowed,
                        string layer,
                        "The layer carries a policy, but no rewirer follows it, so that nothing is rewired. Make one, with "
                        + "use rewirer = new Rewirer(model, optimizer) (C#: using var rewirer = Rewiring.Rewire(model, "
                        + "optimizer)), and call rewirer.Step() in place of optimizer.step()."
                    )
