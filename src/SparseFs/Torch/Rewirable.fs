namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp

module internal SparseLayers =

    /// The sparse layers of a module, itself among them, by their place; one that is held twice comes twice.
    let places (model: torch.nn.Module) : struct (string * SparseLinear) list =
        [ match model with
          | :? SparseLinear as layer -> struct ("", layer)
          | _ ->
              for struct (name, child) in model.named_modules () do
                  match child with
                  | :? SparseLinear as layer -> struct (name, layer)
                  | _ -> () ]

    /// Each once.
    let ofModel (model: torch.nn.Module) : struct (string * SparseLinear) list =
        if isNull (box model) then
            nullArg (nameof model)

        places model |> List.distinctBy (fun (struct (_, layer)) -> layer)

/// <summary>One layer under a rewirer.</summary>
[<Sealed>]
type internal Rewirable
    (
        index: int,
        name: string,
        layer: SparseLinear,
        policy: Policy,
        optimizer: Modules.OptimizerHelper,
        board: NoticeBoard,
        owner: WeakReference
    ) =

    let needs = Policy.needs policy

    /// Its place among the layers.
    member _.Index = index
    member _.Name = name
    member _.Layer = layer
    member _.Policy = policy
    member _.Needs = needs
    member val Recorder = Recorder(name, Func<_>(fun () -> layer.weight), board, owner)
    member val Explored = Explored.Of layer.Connectivity with get, set

    /// What became of the passes of the step that is being taken.
    member val Concluded = Concluded.NoGradient with get, set

    member _.IsUpdate(step: int64) = Schedule.isUpdate step policy.Schedule

    /// Whether an update at a step may change anything: at the end of a schedule that falls to 0 it does not.
    member l.MayChange(step: int64) =
        l.IsUpdate step
        && (policy.Budget.IsFalling || Schedule.fraction step policy.Schedule > 0.0)

    /// Whether the weight is not trained: nothing touches it then.
    member _.IsFrozen =
        not layer.weight.requires_grad
        || not (OptimizerState.holds optimizer layer.weight)

    /// Whether the passes of a step are wanted by an update; momentum rules look back.
    member l.IsWanted(step: int64, lookBack: int) =
        (needs.HasFlag Needs.Gradient && l.MayChange step)
        || (needs.HasFlag Needs.Momentum
            && Seq.exists l.MayChange (seq { step .. step + int64 lookBack - 1L }))

    /// Why an update would have nothing to look at, if so.
    member l.Unseen: string voption =
        let isSeen = not l.Recorder.IsEmpty

        match l.Concluded with
        | _ when needs = Needs.Nothing -> ValueNone
        | Concluded.NotFinite -> ValueSome "expected finite numbers, got a gradient that holds others"
        | Concluded.Passes -> ValueNone
        | _ when isSeen && not (needs.HasFlag Needs.Gradient) -> ValueNone
        | Concluded.NoGradient -> ValueSome $"no backward pass has reached '{name}' since the last step"
        | Concluded.Unseen ->
            ValueSome
                $"the gradient of '{name}' is of passes that were not noted: their forward ran before the last step, or the \
                  gradient was set by hand"

    /// Whether it was passed over by a step that others took part in: an expert that nothing was routed to.
    member l.TookNoPart = l.Unseen.IsSome && l.Concluded = Concluded.NoGradient

module internal RewirerChecks =

    /// <exception cref="T:System.ArgumentException">No step of the schedule is an update, though updates are wanted.</exception>
    let fires (name: string) (policy: Policy) : unit =
        let s = policy.Schedule
        let wants = s.Fraction > 0.0 || policy.Budget.IsFalling

        if wants && s.End - s.Start < s.Every then
            let message =
                $"expected a schedule with at least one update, got ΔT = {s.Every} from step {s.Start} to {s.End} for "
                + $"'{name}': make ΔT at most {s.End - s.Start}, or the end later"

            raise (ArgumentException(message, "policy"))

    /// <exception cref="T:System.ArgumentException">The optimizer trains another parameter than a layer's weight.</exception>
    let trains (optimizer: Modules.OptimizerHelper) (name: string) (layer: SparseLinear) : unit =
        let hint =
            "an optimizer trains the parameters that the model had when the optimizer was made: make it after the layers "
            + "became sparse, or hand it to Sparsify.modelWith"

        let refuse (got: string) =
            let message = $"expected an optimizer of all sparse layers, got one {got}; {hint}"
            raise (ArgumentException(message, "optimizer"))

        let isHeld = OptimizerState.holds optimizer layer.weight

        if not isHeld && layer.weight.requires_grad then
            refuse $"without the weight of '{name}'"
        elif isHeld then
            // Parameters are listed anew each time, so that it may list a weight that it has no state of.
            try
                optimizer.state_dict () |> ignore
            with :? System.Collections.Generic.KeyNotFoundException ->
                refuse $"that lists a parameter which it has no state of, perhaps the weight of '{name}'"

    /// <exception cref="T:System.ArgumentException">A state is of other layers, or of an optimizer of another kind.</exception>
    let fits (state: RewirerState) (optimizer: string) (layers: Rewirable[]) : unit =
        let refuse (what: string) =
            raise (ArgumentException(what, "value"))

        if state.Optimizer <> optimizer then
            refuse $"expected a state for {optimizer}, got one for {state.Optimizer}"

        let names (of': seq<string>) = String.Join(", ", of')

        if (state.Explored |> Array.map fst) <> (layers |> Array.map _.Name) then
            refuse $"expected layers {names (layers |> Seq.map _.Name)}, got {names (state.Explored |> Seq.map fst)}"

        for l, (name, explored) in Array.zip layers state.Explored do
            if not (explored.Fits l.Layer.Connectivity) then
                refuse $"expected cells of {l.Layer.Connectivity} for '{name}', got {explored}"
