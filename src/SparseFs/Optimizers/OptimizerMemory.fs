namespace SparseFs.Torch

open System
open TorchSharp
open TorchSharp.Modules

/// What an optimizer remembers of a weight that it has never seen.
[<RequireQualifiedAccess>]
type internal Unseen =
    | Number of float
    /// The weight itself: an average of weights starts with the first.
    | Weight

/// What an optimizer remembers of a weight of which it knows one gradient.
[<RequireQualifiedAccess>]
type internal Seeding =
    /// As of one that it has never seen.
    | Unseen
    /// The gradient times a number.
    | Gradient of factor: float
    /// The gradient's square times a number, and another number.
    | Square of factor: float * offset: float
    /// Its magnitude.
    | Magnitude

/// One tensor that an optimizer keeps for a parameter, a number a slot; null where it does not exist yet.
[<Struct>]
type internal Moment =
    { Tensor: torch.Tensor
      Unseen: Unseen
      Seeding: Seeding }

module internal Moment =

    /// One that begins with 0.
    let zero (tensor: torch.Tensor) (seeding: Seeding) : Moment =
        { Tensor = tensor
          Unseen = Unseen.Number 0.0
          Seeding = seeding }

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
/// Only moments are: learning rate, weight decay and everything else is the optimizer's own affair.
/// </remarks>
[<AbstractClass>]
type internal OptimizerMemory() =
    /// Steps after which a slot may become old early, where there are more ages than the kernel's vectors hold.
    static member Settled = 200L

    /// The tensors, those too that do not exist yet.
    abstract Moments: Moment list

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
    abstract Prepare: ages: Ages * grad: torch.Tensor -> Prepared

    /// Before the first step all slots begin alike, and nothing can be told of one of them.
    default m.AgeOfSeeded = if m.Steps = 0L then 0L else 1L
    default _.IsYoung _ = false
    default _.Cohorts = 255
    default _.Prepare(_, _) = Prepared.Before ignore


/// Running means under a step count that is not that of young slots.
module internal RunningMean =

    /// From here on a correction is lost in the rounding of float32.
    let private lost = 2.0 ** -25.0

    /// The age at which the mean of a slot no longer differs from that of an old one.
    let youth (beta: float) : int64 =
        if beta <= 0.0 then
            0L
        else
            int64 (Math.Ceiling(max 0.0 (Math.Log(lost / (1.0 - beta)) / Math.Log beta)))

    /// 1 − β^steps.
    let correction (beta: float) (steps: int64) : float = 1.0 - Math.Pow(beta, float steps)

    /// <summary>What changes young slots' stored means before a step: x + (given · y − taken · x).</summary>
    /// <param name="beta">The mean's decay, in [0, 1).</param>
    /// <param name="steps">Steps that the optimizer has taken.</param>
    /// <param name="ages">Steps that the slots have taken.</param>
    /// <returns>taken and given of each age; y is what the optimizer adds to the mean.</returns>
    let coefficients (beta: float) (steps: int64) (ages: int64[]) : struct (float * float)[] =
        let youth = youth beta
        let power = Math.Pow(beta, float steps) // of the optimizer
        let grows = (1.0 - beta * power) / (1.0 - power)

        ages
        |> Array.map (fun age ->
            if age >= steps || age >= youth then
                struct (0.0, 0.0)
            else
                let own = Math.Pow(beta, float age)
                let after = 1.0 - beta * own
                struct (1.0 - grows * (1.0 - own) / after, (own - power) * (1.0 - beta) / after))

    /// The change, by torch's operations.
    let change (young: YoungSlots) (beta: float) (steps: int64) (mean: torch.Tensor) (y: torch.Tensor) : unit =
        let coefficients = coefficients beta steps young.Ages

        let taken =
            young.Numbers(coefficients |> Array.map (fun (struct (taken, _)) -> taken))

        let given =
            young.Numbers(coefficients |> Array.map (fun (struct (_, given)) -> given))

        let x = young.Of mean
        young.Put(mean, x + (given * y - taken * x))
