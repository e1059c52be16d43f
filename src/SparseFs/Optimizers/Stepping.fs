namespace SparseFs.Torch

open TorchSharp
open TorchSharp.Modules

/// An optimizer's steps, those of grown slots by their own age.
module internal Stepping =

    /// Steps the optimizer, which passes over weights without a gradient: so some lack theirs meanwhile.
    let private stepWithout (optimizer: OptimizerHelper) (gradients: struct (Parameter * torch.Tensor)[]) : unit =
        try
            for struct (p, _) in gradients do
                p.grad <- null

            optimizer.step () |> ignore
        finally
            for struct (p, grad) in gradients do
                p.grad <- grad

    /// <summary>A step of the optimizer.</summary>
    /// <param name="optimizer">The optimizer.</param>
    /// <param name="weights">The weights whose slots have ages. One without a gradient is passed over by the optimizer, and
    /// grows no older.</param>
    let step (optimizer: OptimizerHelper) (weights: struct (Parameter * FollowedWeight)[]) : unit =
        if weights |> Array.forall (fun (struct (_, followed)) -> followed.Ages.IsEmpty) then
            optimizer.step () |> ignore
        else
            use _ = torch.no_grad ()
            use _ = torch.NewDisposeScope()

            let prepared =
                [| for struct (p, followed) in weights do
                       if not followed.Ages.IsEmpty then
                           match p.grad with
                           | null -> ()
                           | grad ->
                               let memory = followed.Memory p
                               struct (p, grad, followed.Ages, memory, memory.Prepare(followed.Ages, grad)) |]

            stepWithout
                optimizer
                [| for struct (p, grad, _, _, prepared) in prepared do
                       match prepared with
                       | Prepared.Done -> struct (p, grad)
                       | Prepared.Before _ -> () |]

            for struct (_, _, ages, memory, prepared) in prepared do
                match prepared with
                | Prepared.Before finish -> finish ()
                | Prepared.Done -> ()

                ages.Step(memory.IsYoung, memory.Cohorts, OptimizerMemory.Settled)
