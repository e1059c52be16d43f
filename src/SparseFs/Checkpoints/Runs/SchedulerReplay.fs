namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>Bringing a scheduler of the learning rate to where a run stands.</summary>
/// <remarks>
/// TorchSharp's schedulers keep their count of steps, and what ReduceLROnPlateau has seen, in fields that nobody reaches; the
/// rates, momenta and betas that they set are the optimizer's, and so are in a checkpoint. Most compute the next rate from the
/// present one and the count, and all of them step in their constructor, which multiplies the present rate once more. So a
/// scheduler is made over the rates of the run's start, steps as often as the run did, and the optimizer's options are put
/// back: what is left of the replay is the scheduler's own state.
/// </remarks>
module internal SchedulerReplay =

    /// What schedulers change in a group, put back by the function.
    let private remember (group: torch.optim.ILearningRateController) : unit -> unit =
        let rate, initial = group.LearningRate, group.InitialLearningRate

        let momentum =
            match group with
            | :? torch.optim.IMomentum as m ->
                let value = m.Momentum
                fun () -> m.Momentum <- value
            | _ -> ignore

        let betas =
            match group with
            | :? torch.optim.IBetas as b ->
                let struct (first, second) = b.Betas
                fun () -> b.Betas <- struct (first, second)
            | _ -> ignore

        fun () ->
            group.InitialLearningRate <- initial
            group.LearningRate <- rate
            momentum ()
            betas ()

    /// <summary>Makes a scheduler and lets it step, and leaves the optimizer as it was, also where either fails.</summary>
    let run
        (optimizer: torch.optim.Optimizer)
        (make: unit -> torch.optim.lr_scheduler.LRScheduler)
        (step: torch.optim.lr_scheduler.LRScheduler -> unit)
        : torch.optim.lr_scheduler.LRScheduler =
        let groups = Array.ofSeq optimizer.ParamGroups
        let restore = groups |> Array.map remember

        try
            for group in groups do
                group.LearningRate <- group.InitialLearningRate

            let scheduler = make ()

            if isNull (box scheduler) then
                raise (ArgumentException("expected a scheduler, got null", nameof make))

            step scheduler
            scheduler
        finally
            for back in restore do
                back ()
