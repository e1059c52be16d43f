namespace SparseFs

open System
open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>Adam in one pass over each parameter: weights, moments, decay and clipping.</summary>
/// <remarks>
/// <c>SparseOptim.adam</c> makes it. It is TorchSharp's Adam but for its step: options, groups, schedulers, state_dict and files
/// are the same, so that a run may go on with the one or the other. Parameters that are not float32 on the CPU are stepped by
/// TorchSharp. Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.
/// </remarks>
[<Sealed>]
type FusedAdam
    internal
    (
        groups: Adam.ParamGroup seq,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weightDecay: float,
        amsgrad: bool,
        maximize: bool,
        maxNorm: float
    ) as this =
    inherit Adam(groups, lr, beta1, beta2, eps, weightDecay, amsgrad, maximize)

    let stepOf (o: Adam.Options) (s: Adam.State) (p: Parameter) gradient (slots: int) : bool =
        let isPlain =
            FusedSteps.isPlain s.exp_avg slots
            && FusedSteps.isPlain s.exp_avg_sq slots
            && FusedSteps.isPlain s.max_exp_avg_sq slots

        if isPlain then
            s.step <- s.step + 1L
            let beta1, beta2, rate = o.beta1.Value, o.beta2.Value, o.LearningRate.Value

            OptimizerSteps.adamAt
                Widths.widest
                (OpenMpTeam.get ())
                (torch.get_num_threads ())
                slots
                { Weight = FusedSteps.address p
                  Gradient = gradient
                  Mean = FusedSteps.address s.exp_avg
                  Square = FusedSteps.address s.exp_avg_sq
                  Largest = FusedSteps.address s.max_exp_avg_sq
                  Centre = Pointer.nothing }
                { Sign = FusedSteps.signOf o.maximize
                  Decay = float32 o.weight_decay.Value
                  Kept = 1.0f
                  Beta1 = float32 beta1
                  Rest1 = float32 (1.0 - beta1)
                  Beta2 = float32 beta2
                  Rest2 = float32 (1.0 - beta2)
                  Correction = float32 (sqrt (1.0 - Math.Pow(beta2, float s.step)))
                  Epsilon = float32 o.eps.Value
                  Rate = float32 (-rate / (1.0 - Math.Pow(beta1, float s.step))) }

            GC.KeepAlive s

        isPlain

    let steps =
        FusedSteps<Adam.State, Adam.Options>(
            this._parameter_groups,
            this._state,
            maxNorm,
            FusedStep<_, _> stepOf,
            Action this.TorchsStep
        )

    member private o.TorchsStep() : unit = base.step null |> ignore

    /// <summary>The greatest norm that the gradients of all parameters have together at a step; infinite for none.</summary>
    member _.MaxNorm: float = maxNorm

    /// <summary>A step.</summary>
    /// <param name="closure">Computes the loss anew; null for none.</param>
    /// <returns>The closure's loss.</returns>
    /// <exception cref="T:System.InvalidOperationException">A parameter was moved or thawed after the optimizer was made.</exception>
    override _.step(closure: Func<torch.Tensor>) : torch.Tensor = Unchecked.nonNull (steps.Step closure)

    /// <summary>A step by the gradients that are there.</summary>
    /// <returns>Null.</returns>
    /// <exception cref="T:System.InvalidOperationException">A parameter was moved or thawed after the optimizer was made.</exception>
    member o.step() : torch.Tensor = Unchecked.nonNull (steps.Step null)

    interface IFusedOptimizer with
        member _.ClipGradients() = steps.Clip()
