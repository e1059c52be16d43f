namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>A weight after a step, as far as the next step asks for it.</summary>
[<RequireQualifiedAccess>]
type internal Seen =
    | Nothing
    /// The steps that the optimizer has counted.
    | Counted of steps: int64
    /// The weight and its gradient, of an optimizer that counts none.
    | Weight of weight: torch.Tensor * grad: (torch.Tensor | null)

/// <summary>Notices faults of the loop around a rewirer in its first steps: a loop does the same all over again.</summary>
[<Sealed>]
type internal LoopWatch(optimizer: torch.optim.Optimizer, board: NoticeBoard) =
    /// Steps that are looked at.
    static let most = 10

    let mutable watched = 0
    let mutable seen = Seen.Nothing

    let forget () =
        match seen with
        | Seen.Weight(weight, grad) ->
            weight.Dispose()

            match grad with
            | null -> ()
            | grad -> grad.Dispose()
        | _ -> ()

        seen <- Seen.Nothing

    let hasGradient () =
        optimizer.parameters ()
        |> Seq.exists (fun p ->
            use grad = TorchNulls.gradOf p

            match grad with
            | null -> false
            | grad -> grad.any().item<bool>())

    /// Whether the weight has moved by one step with its gradient of now, or with that of the last step.
    let hasMoved (p: Parameter) (state: ParameterState) (before: torch.Tensor) (lastGrad: torch.Tensor | null) : bool =
        match state.LastMove with
        | ValueSome moveOf when before.numel () = p.numel () && p.ne(before).any().item<bool>() ->
            let moved = p.sub before

            [ TorchNulls.gradOf p; lastGrad ]
            |> List.exists (fun grad ->
                match grad with
                | null -> false
                | grad ->
                    grad.numel () = before.numel ()
                    && (let rest = moved.sub (moveOf before grad)
                        // A float32 sum rounds to a few parts in a million; another change is nothing like it.
                        rest.norm().item<float32>() <= 1e-3f * moved.norm().item<float32>()))
        | _ -> false

    let hasStepped (p: Parameter) (state: ParameterState) : bool =
        match seen with
        | Seen.Nothing -> false
        | Seen.Counted steps -> state.Steps = steps + 1L
        | Seen.Weight(before, grad) -> hasMoved p state before grad

    let before (p: Parameter, state: ParameterState) : unit =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()

        if not (hasGradient ()) then
            board.Post(
                NoticeKind.NoGradient,
                "",
                "No parameter of the optimizer has a gradient that is not 0, so that this step trains nothing. Call "
                + "loss.backward() before rewirer.Step(), and optimizer.zero_grad() before loss.backward(), never between "
                + "the two."
            )

        if hasStepped p state then
            board.Post(
                NoticeKind.SteppedTwice,
                "",
                "The optimizer has stepped since the last rewirer.Step(), which steps it too, so that each batch counts "
                + "twice. Call rewirer.Step() in place of optimizer.step(); or keep optimizer.step(), and call "
                + "rewirer.Follow() after it."
            )

    let after (p: Parameter, state: ParameterState) : unit =
        forget ()
        watched <- watched + 1

        if watched < most then
            if state.Steps >= 0L then
                seen <- Seen.Counted state.Steps
            elif state.LastMove.IsSome then
                use _ = torch.no_grad ()

                let copy (t: torch.Tensor) =
                    use detached = t.detach ()
                    detached.clone().DetachFromDisposeScope()

                use grad = TorchNulls.gradOf p

                let copyOfGrad: torch.Tensor | null =
                    match grad with
                    | null -> null
                    | grad -> copy grad

                seen <- Seen.Weight(copy p, copyOfGrad)

    /// A weight of a layer that trains, while anything is looked at.
    let watchedOf (layers: RewiredLayers) : (Parameter * ParameterState) option =
        if watched < most then layers.Watched else None

    /// Before the optimizer steps.
    member _.BeforeStep(layers: RewiredLayers) : unit = watchedOf layers |> Option.iter before

    /// After the step.
    member _.AfterStep(layers: RewiredLayers) : unit = watchedOf layers |> Option.iter after

    /// Where a step was somebody else's, or a state was put in.
    member _.Forget() : unit = forget ()
