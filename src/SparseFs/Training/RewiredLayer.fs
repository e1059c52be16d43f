namespace SparseFs

open System
open SparseFs.Torch

/// <summary>One layer under a rewirer.</summary>
[<Sealed>]
type internal RewiredLayer(place: int, name: string, layer: SparseLayer, policy: Policy, optimizer: OptimizerStates) =
    /// Its number among the rewirer's layers.
    member _.Place = place
    member _.Name = name

    /// As messages call it.
    member _.Shown = if name = "" then "the layer" else $"'{name}'"
    member _.Layer = layer
    member _.Policy = policy

    member _.IsUpdate(step: int64) = Schedule.isUpdate step policy.Schedule

    member val GrowthInputs = Policy.growthInputs policy

    /// How old the slots are.
    member val Ages = Ages()

    /// What the optimizer keeps for the weight.
    member _.State: ParameterState = optimizer.StateOf layer.weight

    /// Whether the steps of the slots that its updates grow are counted apart.
    member r.CountsAges: bool =
        RemapMoments.countsAges policy.Moments
        && layer.weight.requires_grad
        && RemapMoments.ageOfGrown r.State policy.Moments >= 0L

    member val Recorder = GradientRecorder(layer.Description.Convolution)
    member val Explored = ExploredCells.Of(layer.Versions.Settle()) with get, set

    /// The pattern as the rewirer left it.
    member val Known = layer.Connectivity with get, set

    /// Updates in a row that were refused.
    member val Refused = 0 with get, set

    /// A layer that does not train is left alone.
    member _.IsFrozen = not layer.weight.requires_grad

    /// Whether the optimizer has the weight: it may have been added after the rewirer was made, or replaced since.
    member _.IsHeld = optimizer.Holds layer.weight

    /// Whether a step's update has anything to do.
    member _.HasWork(step: int64) =
        policy.Budget.IsGradualPruning || Schedule.fraction step policy.Schedule > 0.0

    /// Whether the passes of a step are wanted by an update, of this step or of a later one that looks back.
    member r.Wants(step: int64) =
        (r.GrowthInputs.HasFlag GrowthInputs.Gradient
         && r.IsUpdate step
         && r.HasWork step)
        || (r.GrowthInputs.HasFlag GrowthInputs.Momentum
            && Seq.exists r.IsUpdate (seq { step .. step + int64 policy.Momentum.Steps - 1L }))

    /// Whether passes of one step may still be wanted after another: momentum rules look back, all others not.
    member r.Keeps(pass: int64, step: int64) =
        pass > step
        || (r.GrowthInputs.HasFlag GrowthInputs.Momentum
            && pass >= step - int64 policy.Momentum.Steps + 2L)

    /// Whether a step's update looks at gradients.
    member r.Looks(step: int64) =
        r.GrowthInputs <> GrowthInputs.Nothing && r.HasWork step

/// Checks of a layer before a rewirer takes it.
module internal RewiredLayerChecks =

    /// <exception cref="T:System.ObjectDisposedException">The rewirer was disposed of.</exception>
    let isAlive (isDisposed: bool) : unit =
        if isDisposed then
            let message =
                "the rewirer was disposed of, and so steps no more: keep it until training is over (a rewirer that is bound "
                + "by use, or by using in C#, is disposed of where its block ends), or make another"

            raise (ObjectDisposedException("Rewirer", message))

    /// <exception cref="T:System.ArgumentException">No step of the schedule is an update, though updates are wanted.</exception>
    let fires (name: string) (policy: Policy) : unit =
        let s = policy.Schedule

        if
            (s.Fraction > 0.0 || policy.Budget.IsGradualPruning)
            && s.Every > s.End - s.Start
        then
            let message =
                $"expected a schedule with at least one update, got ΔT = {s.Every} from step {s.Start} to {s.End} for "
                + $"'{name}': make ΔT at most {s.End - s.Start}, or the end later"

            raise (ArgumentException(message, "policy"))

    /// <exception cref="T:System.ArgumentException">The policy rewires groups of rows, or whole kernels, and the layer has not
    /// such.</exception>
    let hasGroups (name: string) (layer: SparseLayer) (policy: Policy) : unit =
        let c, channels = layer.Connectivity, layer.Description.Channels

        let refuse (refusal: string) =
            raise (ArgumentException(refusal, "policy"))

        let wanted = RowGroups.within channels.Groups c.Rows policy.RowGroup

        if wanted > 1 && not (RowGroups.has wanted c.RowPtrArray c.ColIdxArray) then
            refuse (RowGroups.refusal wanted $"'{name}'" (Connectivity.rowGroupSize c))

        if
            policy.WholeKernels
            && not (WholeKernels.has channels.Cells c.RowPtrArray c.ColIdxArray)
        then
            refuse (WholeKernels.refusal channels.Cells $"'{name}'")

    /// <exception cref="T:System.ArgumentException">The optimizer trains another parameter than the layer's weight. A frozen
    /// weight need not be the optimizer's.</exception>
    let isTrained (optimizer: OptimizerStates) (name: string) (layer: SparseLayer) : unit =
        let refuse (got: string) =
            let message =
                $"expected an optimizer of all sparse layers, got one {got}; an optimizer keeps state of the parameters that "
                + "the model had when the optimizer was made: make it after the layers became sparse or were moved, or hand "
                + "it to Sparsify.modelWith (C#: model.Sparsify(optimizer: optimizer)), which carries it over"

            raise (ArgumentException(message, "optimizer"))

        let isHeld = optimizer.Holds layer.weight

        if layer.weight.requires_grad && not isHeld then
            refuse $"without the weight of '{name}'"
        elif isHeld then
            // Parameters may be listed anew each time, so that a weight is listed without a state.
            try
                optimizer.StateOf layer.weight |> ignore
            with :? InvalidOperationException ->
                refuse $"that lists a parameter which it has no state of, perhaps the weight of '{name}'"

    /// <exception cref="T:System.ArgumentException">The policy counts the steps of grown slots, and how the optimizer counts is
    /// not known.</exception>
    let hasAges (optimizer: OptimizerStates) (name: string) (policy: Policy) : unit =
        if RemapMoments.countsAges policy.Moments && not optimizer.KnowsAges then
            let message =
                $"expected moments of Zero or RowMean for '{name}', got {policy.Moments}, which counts the steps of grown "
                + $"slots: how {optimizer.Optimizer.GetType().Name} uses such a count is not known"

            raise (ArgumentException(message, "policy"))
