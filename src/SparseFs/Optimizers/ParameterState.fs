namespace SparseFs.Torch

open System.Collections.Generic
open SparseFs
open TorchSharp

/// What is to be done about a weight once its next step is prepared.
[<RequireQualifiedAccess>]
type internal Prepared =
    /// The optimizer steps, and then this is done.
    | Before of (unit -> unit)
    /// The step has been taken: the optimizer is to pass the weight over.
    | Done

/// <summary>What an optimizer keeps for one weight, and how long a grown slot is young: one whose moments the optimizer's
/// own count of steps does not fit.</summary>
/// <remarks>
/// TorchSharp counts steps a parameter. A running mean m of a slot of age a is corrected by 1 − β^t, where 1 − β^a would be
/// right; so what is stored of a young slot is m · (1 − β^t) / (1 − β^a): then the optimizer's own formula gives the mean
/// that a fresh optimizer would give. Before each step the moments of young slots are changed such that this holds after it.
/// Only moments are: learning rate, weight decay and everything else is the optimizer's own affair. All of it is read from
/// the optimizer each time: a step may put other tensors in place of its own, and a scheduler may change its options.
/// </remarks>
[<AbstractClass>]
type internal ParameterState(numbers: OptimizerField list, tensors: OptimizerTensor list) =
    /// Steps after which a slot may become old early, where there are more ages than the kernel's vectors hold.
    static member Settled = 200L

    member _.Numbers: OptimizerField list = numbers

    /// The tensors, those too that do not exist yet.
    member _.Tensors: OptimizerTensor list = tensors

    /// Steps that the optimizer has taken with this weight; negative where it does not count.
    abstract Steps: int64

    /// Whether slots that have taken so many steps are young.
    abstract IsYoung: age: int64 -> bool

    /// Steps that a slot counts as having taken when it is grown with its gradient known.
    abstract AgeOfSeeded: int64

    /// How many ages are told apart; of more, slots that have taken many steps become old.
    abstract Cohorts: int

    /// <summary>Makes the optimizer's next step that of the slots' ages; call in a DisposeScope, without gradients.</summary>
    /// <param name="ages">Some are young.</param>
    /// <param name="grad">The weight's gradient.</param>
    /// <param name="mayStep">Whether the step may be taken here: not in place of a class that has its own.</param>
    abstract Prepare: ages: Ages * grad: torch.Tensor * mayStep: bool -> Prepared

    /// <summary>What the last step added to a weight, from the weight before it and the gradient, if that can be told of an
    /// optimizer that counts no steps.</summary>
    abstract LastMove: (torch.Tensor -> torch.Tensor -> torch.Tensor) voption

    default _.Steps =
        numbers
        |> List.tryPick (fun field ->
            match field.Value with
            | OptimizerNumber.Count steps when field.Name = "step" -> Some steps
            | _ -> None)
        |> Option.defaultValue -1L

    /// Before the first step all slots begin alike, and nothing can be told of one of them.
    default m.AgeOfSeeded = if m.Steps = 0L then 0L else 1L
    default _.IsYoung _ = false
    default _.Cohorts = 255
    default _.Prepare(_, _, _) = Prepared.Before ignore
    default _.LastMove = ValueNone

    interface IParameterState with
        member _.Tensors = tensors :> IReadOnlyList<_>
        member _.Numbers = numbers :> IReadOnlyList<_>
