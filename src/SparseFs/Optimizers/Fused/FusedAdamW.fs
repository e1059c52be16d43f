namespace SparseFs

open System
open System.Runtime.InteropServices
open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>AdamW in one pass over each parameter: weights, moments and decay.</summary>
/// <remarks>
/// <c>SparseOptim.adamW</c> makes it. It is TorchSharp's AdamW but for its step: options, groups, schedulers and this library's
/// checkpoints are the same, so that a run may go on with the one or the other. Parameters that are not float32 on the CPU are stepped by
/// TorchSharp. Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2.
/// </remarks>
[<Sealed>]
type FusedAdamW
    internal
    (
        source: Parameter seq,
        groups: AdamW.ParamGroup seq,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weightDecay: float,
        amsgrad: bool,
        maximize: bool,
        maxNorm: float
    ) as this =
    inherit AdamW(groups, lr, beta1, beta2, eps, weightDecay, amsgrad, maximize)

    let stepOf (o: AdamW.Options) (s: AdamW.State) (p: Parameter) gradient (slots: int) : bool =
        let isPlain =
            FusedTensors.isPlain s.exp_avg slots
            && FusedTensors.isPlain s.exp_avg_sq slots
            && (not o.amsgrad.Value || FusedTensors.isPlainThere s.max_exp_avg_sq slots)

        if isPlain then
            s.step <- s.step + 1L
            let beta1, beta2, rate = o.beta1.Value, o.beta2.Value, o.LearningRate.Value

            OptimizerSteps.adamAt
                Widths.widest
                (OpenMpTeam.get ())
                (torch.get_num_threads ())
                slots
                { Weight = FusedTensors.address p
                  Gradient = gradient
                  Mean = FusedTensors.address s.exp_avg
                  Square = FusedTensors.address s.exp_avg_sq
                  Largest =
                    if o.amsgrad.Value then
                        FusedTensors.address s.max_exp_avg_sq
                    else
                        Pointer.nothing
                  Centre = Pointer.nothing }
                { Sign = FusedTensors.signOf o.maximize
                  Decay = 0.0f
                  Kept = float32 (1.0 - rate * o.weight_decay.Value)
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
        FusedSteps<AdamW.State, AdamW.Options>(
            source,
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
    /// <exception cref="T:System.InvalidOperationException">The model has other parameters than the optimizer was made of; it is asked
    /// at the first step and at every 64th.</exception>
    override _.step
        ([<Optional; DefaultParameterValue(null: Func<torch.Tensor> | null)>] closure: Func<torch.Tensor> | null)
        : torch.Tensor =
        Unchecked.nonNull (steps.Step closure)

    /// <summary>A step by the gradients that are there.</summary>
    /// <returns>Null.</returns>
    /// <exception cref="T:System.InvalidOperationException">The model has other parameters than the optimizer was made of; it is asked
    /// at the first step and at every 64th.</exception>
    member o.step() : torch.Tensor = Unchecked.nonNull (steps.Step null)

    override _.ToString() = $"FusedAdamW({steps})"

    interface IFusedOptimizer with
        member _.ClipGradients() = steps.Clip()
        member _.ForgetClip() = steps.ForgetClip()
