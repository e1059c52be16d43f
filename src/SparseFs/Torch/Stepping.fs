namespace SparseFs.Torch

open TorchSharp
open TorchSharp.Modules

/// An optimizer's steps, those of grown slots by their own age.
module internal Stepping =

    /// <summary>A step of the optimizer.</summary>
    /// <param name="optimizer">The optimizer.</param>
    /// <param name="weights">The weights whose slots have ages. One without a gradient is passed over by the optimizer, and
    /// grows no older.</param>
    let step (optimizer: OptimizerHelper) (weights: seq<struct (Parameter * Ages)>) : unit =
        let young = weights |> Seq.filter (fun (struct (_, ages)) -> not ages.IsEmpty)

        if Seq.isEmpty young then
            optimizer.step () |> ignore
        else
            use _ = torch.no_grad ()
            use _ = torch.NewDisposeScope()

            let prepared =
                [| for struct (p, ages) in young do
                       match p.grad with
                       | null -> ()
                       | grad ->
                           let memory = OptimizerState.memory optimizer p
                           struct (memory, ages, memory.Prepare(ages, grad)) |]

            optimizer.step () |> ignore

            for struct (memory, ages, finish) in prepared do
                finish ()
                ages.Step(memory.IsYoung, memory.Cohorts, OptimizerMemory.Settled)
