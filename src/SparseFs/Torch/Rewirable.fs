namespace SparseFs

open SparseFs.Torch
open TorchSharp.Modules

/// <summary>One layer under a rewirer.</summary>
[<Sealed>]
type internal Rewirable(name: string, layer: SparseLinear, policy: Policy, optimizer: OptimizerHelper) =
    member _.Name = name
    member _.Layer = layer
    member _.Policy = policy

    member _.IsUpdate(step: int64) = Schedule.isUpdate step policy.Schedule

    member val Needs = Policy.needs policy
    member val Followed = FollowedWeight optimizer
    member r.Ages = r.Followed.Ages
    member val Recorder = Recorder()
    member val Explored = Explored.Of layer.Connectivity with get, set

    /// The pattern as the rewirer left it.
    member val Known = layer.Connectivity with get, set

    /// Updates in a row that were refused.
    member val Refused = 0 with get, set

    /// Whether it was said that gradients were changed one by one.
    member val IsTold = false with get, set

    /// A layer that does not train is left alone.
    member _.IsFrozen = not layer.weight.requires_grad

    /// Whether a step's update has anything to do.
    member _.HasWork(step: int64) =
        policy.Budget.IsFalling || Schedule.fraction step policy.Schedule > 0.0

    /// Whether a step's update looks at gradients.
    member r.Looks(step: int64) =
        r.Needs <> Needs.Nothing && r.HasWork step
