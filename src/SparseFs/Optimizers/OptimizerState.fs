namespace SparseFs.Torch

open System
open System.Collections.Generic
open TorchSharp
open TorchSharp.Modules

/// <summary>The tensors that an optimizer keeps for a parameter, one number a slot.</summary>
/// <remarks>TorchSharp's optimizers keep them in public fields, found by the parameter's place among all.</remarks>
module internal OptimizerState =

    let private place (optimizer: OptimizerHelper) (p: Parameter) : int =
        let isIt (other: Parameter) =
            not (isNull other) && other.Handle = p.Handle

        match optimizer.parameters () |> Seq.tryFindIndex isIt with
        | Some place -> place
        | None ->
            let message =
                "expected a weight of the optimizer, got one that it does not hold: the layer was moved or disposed of since"

            raise (InvalidOperationException message)

    let private groupOf (dict: torch.optim.Optimizer.StateDictionary) (place: int) : OptimizerOptions =
        let group = dict.StateIndexRef.FindIndex(fun places -> places.Contains place)
        dict.Options[group]

    /// <summary>The optimizer, if it is one whose state is known.</summary>
    /// <exception cref="T:System.ArgumentException">It is not; the message names it.</exception>
    let known (optimizer: torch.optim.Optimizer) : OptimizerHelper =
        match optimizer with
        | :? SGD
        | :? Adam
        | :? AdamW
        | :? RMSProp
        | :? Adagrad
        | :? Adadelta
        | :? Adamax
        | :? NAdam
        | :? RAdam
        | :? ASGD
        | :? Rprop -> optimizer :?> OptimizerHelper
        | null -> nullArg "optimizer"
        | other ->
            let message =
                "expected SGD, Adam, AdamW, RMSProp, Adagrad, Adadelta, Adamax, NAdam, RAdam, ASGD or Rprop, "
                + $"got {other.GetType().Name}, whose state is not known"

            raise (ArgumentException(message, "optimizer"))

    /// Whether a parameter is one of the optimizer's.
    let holds (optimizer: OptimizerHelper) (p: Parameter) : bool =
        optimizer.parameters () |> Seq.exists (fun other -> other.Handle = p.Handle)

    /// <summary>What the optimizer keeps for all its parameters.</summary>
    /// <exception cref="T:System.InvalidOperationException">It lists a parameter that it has no state of, for it was made
    /// before the model was changed.</exception>
    let all (optimizer: OptimizerHelper) : torch.optim.Optimizer.StateDictionary =
        try
            optimizer.state_dict ()
        with :? KeyNotFoundException as e ->
            let message =
                $"the {optimizer.GetType().Name} lists a parameter that it has no state of: the model was moved, converted "
                + "or thawed after the optimizer was made, so that its next step fails; make the optimizer after it, or add a "
                + "thawed weight with add_param_group"

            raise (InvalidOperationException(message, e))

    /// The optimizer's state and options of a weight.
    let find
        (optimizer: OptimizerHelper)
        (p: Parameter)
        : struct (TorchSharp.Modules.OptimizerState * OptimizerOptions) =
        let place = place optimizer p
        let dict = all optimizer
        struct (dict.State[place], groupOf dict place)

    /// <summary>What an optimizer keeps for a weight, as it is now: a step may put other tensors in its place.</summary>
    let memory
        (p: Parameter)
        (struct (state: TorchSharp.Modules.OptimizerState, options: OptimizerOptions))
        : OptimizerMemory =
        match state, options with
        | (:? SGD.State as s), (:? SGD.Options as o) -> OptimizerMemories.sgd p s o
        | (:? Adam.State as s), (:? Adam.Options as o) -> OptimizerMemories.adam p s o
        | (:? AdamW.State as s), (:? AdamW.Options as o) -> OptimizerMemories.adamW p s o
        | (:? RMSProp.State as s), _ -> OptimizerMemories.rmsProp s
        | (:? Adagrad.State as s), (:? Adagrad.Options as o) -> OptimizerMemories.adagrad s o
        | (:? Adadelta.State as s), _ -> OptimizerMemories.adadelta s
        | (:? Adamax.State as s), (:? Adamax.Options as o) -> OptimizerMemories.adamax p s o
        | (:? NAdam.State as s), (:? NAdam.Options as o) -> OptimizerMemories.nAdam p s o
        | (:? RAdam.State as s), (:? RAdam.Options as o) -> OptimizerMemories.rAdam p s o
        | (:? ASGD.State as s), (:? ASGD.Options as o) -> OptimizerMemories.asgd p s o
        | (:? Rprop.State as s), (:? Rprop.Options as o) -> OptimizerMemories.rprop s o
        | state, _ -> raise (ArgumentException($"expected a known state, got {state.GetType().FullName}", "optimizer"))

/// <summary>What an optimizer keeps for one weight, found once, and the ages of the weight's slots.</summary>
/// <remarks>An optimizer keeps a parameter's state and its group's options in the same objects for good.</remarks>
[<Sealed>]
type internal FollowedWeight(optimizer: OptimizerHelper) =
    let mutable handle = 0n

    let mutable found =
        Unchecked.defaultof<struct (TorchSharp.Modules.OptimizerState * OptimizerOptions)>

    /// How old the slots are.
    member val Ages = Ages()

    /// The optimizer's memory of the weight, as it is now.
    member _.Memory(p: Parameter) : OptimizerMemory =
        if p.Handle <> handle then
            found <- OptimizerState.find optimizer p
            handle <- p.Handle

        OptimizerState.memory p found
