namespace SparseFs.Torch

open TorchSharp
open TorchSharp.Modules

/// An optimizer's steps, those of grown slots by their own age.
module internal Stepping =

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
                               struct (memory, followed.Ages, memory.Prepare(followed.Ages, grad)) |]

            optimizer.step () |> ignore

            for struct (memory, ages, finish) in prepared do
                finish ()
                ages.Step(memory.IsYoung, memory.Cohorts, OptimizerMemory.Settled)
