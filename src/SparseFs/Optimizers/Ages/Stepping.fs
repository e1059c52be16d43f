namespace SparseFs.Torch

open TorchSharp
open TorchSharp.Modules

/// An optimizer's steps, those of grown slots by their own age.
module internal Stepping =

    /// Steps the optimizer, which passes over weights without a gradient: so some lack theirs meanwhile.
    let private stepWithout (optimizer: torch.optim.Optimizer) (gradients: struct (Parameter * torch.Tensor)[]) : unit =
        try
            for struct (p, _) in gradients do
                TorchNulls.setGrad p null

            optimizer.step () |> ignore
        finally
            for struct (p, grad) in gradients do
                TorchNulls.setGrad p grad

    /// A step of which some weights have young slots.
    let private stepYoung (states: OptimizerStates) (weights: struct (Parameter * Ages)[]) : unit =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()

        let prepared =
            [| for struct (p, ages) in weights do
                   if not ages.IsEmpty then
                       match TorchNulls.gradOf p with
                       | null -> ()
                       | grad ->
                           let state = states.StateOf p
                           struct (p, grad, ages, state, state.Prepare(ages, grad, states.IsTorchs)) |]

        stepWithout
            states.Optimizer
            [| for struct (p, grad, _, _, prepared) in prepared do
                   match prepared with
                   | Prepared.Done -> struct (p, grad)
                   | Prepared.Before _ -> () |]

        for struct (_, _, ages, state, prepared) in prepared do
            match prepared with
            | Prepared.Before finish -> finish ()
            | Prepared.Done -> ()

            ages.Step(state.IsYoung, state.Cohorts, ParameterState.Settled)

    /// <summary>A step of the optimizer.</summary>
    /// <param name="states">The optimizer.</param>
    /// <param name="weights">The weights whose slots have ages. One without a gradient is passed over by the optimizer, and
    /// grows no older.</param>
    let step (states: OptimizerStates) (weights: struct (Parameter * Ages)[]) : unit =
        if weights |> Array.forall (fun (struct (_, ages)) -> ages.IsEmpty) then
            states.Optimizer.step () |> ignore
        else
            match box states.Optimizer with
            | :? IFusedOptimizer as fused ->
                // Moments of young slots are changed by the gradients that the optimizer steps by.
                fused.ClipGradients()

                try
                    stepYoung states weights
                with _ ->
                    fused.ForgetClip()
                    reraise ()
            | _ -> stepYoung states weights
