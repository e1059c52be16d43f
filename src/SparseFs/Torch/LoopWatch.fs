namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>What can be told from an optimizer about the loop around it.</summary>
module internal LoopSigns =

    /// Whether any parameter of the optimizer has a gradient that is not 0.
    let hasGradient (optimizer: OptimizerHelper) : bool =
        use _ = torch.NewDisposeScope()

        optimizer.parameters ()
        |> Seq.exists (fun p ->
            let grad = p.grad
            not (isNull grad) && grad.any().item<bool>())

    /// The place, the group and the state of a parameter.
    let private stateOf
        (optimizer: OptimizerHelper)
        (p: Parameter)
        : struct (OptimizerOptions * OptimizerState) voption =
        let place =
            optimizer.parameters ()
            |> Seq.tryFindIndex (fun other -> not (isNull other) && other.Handle = p.Handle)

        match place with
        | None -> ValueNone
        | Some place ->
            let dict = optimizer.state_dict ()
            let group = dict.StateIndexRef.FindIndex(fun places -> places.Contains place)
            ValueSome(struct (dict.Options[group], dict.State[place]))

    /// The steps that an optimizer has counted for a parameter; SGD counts none.
    let counted (optimizer: OptimizerHelper) (p: Parameter) : int64 voption =
        match stateOf optimizer p with
        | ValueSome(struct (_, state)) ->
            match state.GetType().GetField "step" with
            | null -> ValueNone
            | field -> ValueSome(unbox<int64>(field.GetValue state))
        | ValueNone -> ValueNone

    /// What SGD's last step added to a weight, as far as the gradient has not changed since.
    let lastMove (optimizer: OptimizerHelper) (p: Parameter) (before: torch.Tensor) : torch.Tensor =
        match stateOf optimizer p, p.grad with
        | ValueSome(struct ((:? SGD.Options as o), (:? SGD.State as state))), grad when not (isNull grad) ->
            let number (value: Nullable<float>) = value.GetValueOrDefault 0.0
            let grad = grad.add (before.mul ((number o.weight_decay).ToScalar()))
            let isNesterov = o.nesterov.GetValueOrDefault false

            let move =
                match state.momentum_buffer with
                | null -> grad
                | buffer when isNesterov -> grad.add (buffer.mul ((number o.momentum).ToScalar()))
                | buffer -> buffer

            let rate = number o.LearningRate
            move.mul ((if o.maximize.GetValueOrDefault false then rate else -rate).ToScalar())
        | _ -> null

/// <summary>Notices faults of the loop around a rewirer, in its first steps: a loop does the same all over again.</summary>
[<Sealed>]
type internal LoopWatch(optimizer: OptimizerHelper, board: NoticeBoard) =
    /// Steps that are looked at.
    static let most = 10

    let mutable watched = 0
    let mutable counted: int64 voption = ValueNone
    let mutable weight: torch.Tensor = null // after the last step, where the optimizer counts none

    let forget () =
        if not (isNull weight) then
            weight.Dispose()

        weight <- null
        counted <- ValueNone

    let hasStepped (p: Parameter) : bool =
        match counted with
        | ValueSome before -> LoopSigns.counted optimizer p = ValueSome(before + 1L)
        | ValueNone when isNull weight || weight.numel () <> p.numel () || weight.Equals p -> false
        | ValueNone ->
            match LoopSigns.lastMove optimizer p weight with
            | null -> false
            | move ->
                let moved = p.sub weight
                let rest = moved.sub(move).norm().item<float32>()
                // A float32 sum rounds to a few parts in a million; another change is nothing like it.
                rest <= 1e-3f * moved.norm().item<float32>()

    /// Before the optimizer steps; p is the weight of a layer that trains.
    member _.BeforeStep(p: Parameter) : unit =
        if watched < most then
            use _ = torch.no_grad ()
            use _ = torch.NewDisposeScope()

            if not (LoopSigns.hasGradient optimizer) then
                board.Post(
                    NoticeKind.NoGradient,
                    "",
                    "no parameter of the optimizer has a gradient: call loss.backward() before rewirer.Step(), and "
                    + "optimizer.zero_grad() after it or before backward"
                )

            if hasStepped p then
                board.Post(
                    NoticeKind.SteppedTwice,
                    "",
                    "the optimizer has stepped since the last Step(), which steps it too: call rewirer.Step() in place of "
                    + "optimizer.step(), or rewirer.Follow() after it"
                )

    /// After the step.
    member _.AfterStep(p: Parameter) : unit =
        forget ()
        watched <- watched + 1

        if watched < most then
            counted <- LoopSigns.counted optimizer p

            if counted.IsNone && optimizer :? SGD then
                use _ = torch.no_grad ()
                use detached = p.detach ()
                weight <- detached.clone().DetachFromDisposeScope()

    /// Where a step was somebody else's, or a state was put in.
    member _.Forget() : unit = forget ()
