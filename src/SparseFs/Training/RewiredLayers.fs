namespace SparseFs

open System
open System.Collections.Generic
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>The layers of one rewirer, while they are its: they note their passes for it.</summary>
/// <remarks>A layer has one rewirer, the newest. Layers and recorders hold it weakly, by a token, so that one that is not
/// disposed of can be collected.</remarks>
[<Sealed>]
type internal RewiredLayers private (layers: RewiredLayer[]) =

    /// Stands for the rewirer in its layers and recorders.
    let token = obj ()

    let isOurs (l: RewiredLayer) =
        match l.Layer.Rewiring with
        | null -> false
        | rewiring -> obj.ReferenceEquals(rewiring.Target, token)

    let recorderFor (l: RewiredLayer) (step: int64) : GradientRecorder | null =
        if l.Wants step then l.Recorder else null

    static let create (optimizer: OptimizerStates) (layers: struct (string * SparseLayer * Policy)[]) =
        let layers =
            [| for place, (struct (name, layer, policy)) in Seq.indexed layers do
                   if isNull (box layer) then
                       nullArg (nameof layers)

                   RewiredLayerChecks.fires name policy
                   RewiredLayerChecks.hasGroups name layer policy
                   RewiredLayerChecks.isTrained optimizer name layer
                   RewiredLayerChecks.hasAges optimizer name policy
                   RewiredLayer(place, name, layer, policy, optimizer) |]

        let distinct =
            HashSet<SparseLayer>(layers |> Seq.map _.Layer, HashIdentity.Reference)

        if distinct.Count < layers.Length then
            let twice =
                layers
                |> Array.countBy _.Layer
                |> Array.find (fun (_, count) -> count > 1)
                |> fst

            let names =
                String.Join("' and '", layers |> Array.filter (fun l -> l.Layer = twice) |> Array.map _.Name)

            raise (ArgumentException($"expected each layer once, got one twice: as '{names}'", nameof layers))

        RewiredLayers layers

    /// <summary>Named layers, all under one policy.</summary>
    /// <exception cref="T:System.ArgumentException">There is no layer, one comes twice, is null or is not the optimizer's,
    /// or the policy has no update.</exception>
    static member UnderPolicy
        (optimizer: OptimizerStates, policy: Policy, layers: seq<struct (string * SparseLayer)>)
        : RewiredLayers =
        let layers =
            [| for struct (name, layer) in layers -> struct (name, layer, policy) |]

        if layers.Length = 0 then
            raise (ArgumentException("expected one layer or more, got none", nameof layers))

        create optimizer layers

    /// <summary>Those of some layers that carry a policy, each under its own.</summary>
    /// <exception cref="T:System.ArgumentException">As UnderPolicy.</exception>
    static member Carrying(optimizer: OptimizerStates, layers: seq<struct (string * SparseLayer)>) : RewiredLayers =
        let layers =
            [| for struct (name, layer) in layers do
                   match layer.Policy with
                   | null -> ()
                   | policy -> struct (name, layer, policy) |]

        if layers.Length = 0 then
            let message =
                "expected sparse layers that carry a policy, got none that does: give the Rewirer one for all of them, or "
                + "each its own, with SparseLinear's policy argument, dynamic or layer.Policy"

            raise (ArgumentException(message, "model")) // as the users of the Rewirer know it

        create optimizer layers

    member _.All: RewiredLayer[] = layers

    /// Takes the layers over, from the rewirers that had them.
    member _.Take() : unit =
        for l in layers do
            l.Recorder.Owner <- token
            l.Layer.Rewiring <- WeakReference token
            l.Layer.KnownAs <- l.Name

    /// Sets the layers up for the passes of the next step.
    member _.Prepare(next: int64) : unit =
        for l in layers do
            l.Recorder.Step <- next

            if isOurs l then
                l.Layer.Recorder <- recorderFor l next
                l.Layer.Unattended.Forget()

    /// <summary>Checks the layers before a step.</summary>
    /// <exception cref="T:System.InvalidOperationException">A layer has a newer rewirer, or another pattern than this one
    /// left.</exception>
    member _.Check() : unit =
        for l in layers do
            if not (isOurs l) then
                let message =
                    $"{l.Shown} has a newer rewirer, which has taken it over: call Step of that one, and Dispose of this one"

                raise (InvalidOperationException message)

            let now = l.Layer.Versions.Settle()

            if not (obj.ReferenceEquals(now, l.Known)) then
                if now <> l.Known then
                    let message =
                        $"the pattern of {l.Shown} was loaded behind the rewirer, so that the optimizer's moments belong "
                        + "to other connections: make optimizer and rewirer after the load, or put the whole run back with "
                        + "Checkpoint.resume (C#: Checkpoints.Resume)"

                    raise (InvalidOperationException message)

                l.Known <- now

    /// <summary>Layers that a step updates, those that are frozen left out.</summary>
    /// <exception cref="T:System.InvalidOperationException">One of them is not the optimizer's.</exception>
    member _.Due(step: int64) : RewiredLayer[] =
        let due = layers |> Array.filter (fun l -> l.IsUpdate step && not l.IsFrozen)

        for l in due do
            if not l.IsHeld then
                let message =
                    $"{l.Shown} trains, but its weight is none of the optimizer's: where the layer was frozen, add it with "
                    + "optimizer.add_param_group; where the model was moved (.to, .cuda) or converted since, make optimizer "
                    + "and rewirer after that"

                raise (InvalidOperationException message)

        due

    /// The weight of a layer that trains, and what the optimizer keeps for it.
    member _.Watched: (Parameter * ParameterState) option =
        layers
        |> Array.tryFind (fun l -> not l.IsFrozen && l.IsHeld)
        |> Option.map (fun l -> l.Layer.weight, l.State)

    /// Settles which passes count: those that the gradients are made of that the optimizer steps with.
    member _.Settle(board: NoticeBoard) : unit =
        for l in layers do
            if l.GrowthInputs <> GrowthInputs.Nothing then
                use grad = TorchNulls.gradOf l.Layer.weight

                if not (l.Recorder.Settle grad) then
                    board.Post(
                        NoticeKind.ChangedGradient,
                        l.Name,
                        "The weight's gradient is not a multiple of what its backward passes gave: it was not zeroed "
                        + "since the last step (optimizer.zero_grad() before each backward), it was clipped by value, noise was "
                        + "added to it, or it was set by hand. Growth looks at the passes as they were, so that "
                        + "cells are grown by other gradients than weights are trained by. Clip by norm instead "
                        + "(torch.nn.utils.clip_grad_norm_), which growth follows."
                    )

    /// Forgets the passes that no update after a step wants.
    member _.ForgetUntil(step: int64) : unit =
        for l in layers do
            if l.GrowthInputs <> GrowthInputs.Nothing then
                l.Recorder.Forget(fun pass -> not (l.Keeps(pass, step)))

    /// Lets go of the layers, which note nothing any more, and of what was noted.
    member _.Release() : unit =
        for l in layers do
            if isOurs l then
                l.Layer.Recorder <- null
                l.Layer.Rewiring <- null

            l.Recorder.Forget(fun _ -> true)
