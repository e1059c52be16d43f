namespace SparseFs

open System
open System.Runtime.InteropServices
open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>SGD in one pass over each parameter: weights, momentum and decay.</summary>
/// <remarks>
/// <c>SparseOptim.sgd</c> makes it. It is TorchSharp's SGD but for its step: options, groups, schedulers and this library's
/// checkpoints are the same, so that a run may go on with the one or the other. Parameters that are not float32 on the CPU are stepped by
/// TorchSharp. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013. Where a loss is to rise,
/// the gradient's sign is turned before its decay is added, as PyTorch does it; TorchSharp, which steps parameters that are not float32, turns both.
/// </remarks>
[<Sealed>]
type FusedSGD
    internal
    (
        source: Parameter seq,
        groups: SGD.ParamGroup seq,
        lr: float,
        momentum: float,
        dampening: float,
        weightDecay: float,
        nesterov: bool,
        maximize: bool,
        maxNorm: float
    ) as this =
    inherit SGD(groups, lr, momentum, dampening, weightDecay, nesterov, maximize)

    let stepOf (o: SGD.Options) (s: SGD.State) (p: Parameter) gradient (slots: int) : bool =
        let momentum = o.momentum.Value
        let sign = FusedTensors.signOf o.maximize

        if FusedTensors.isPlain (TorchNulls.momentumOf s) slots then
            let isFirst = momentum <> 0.0 && isNull (TorchNulls.momentumOf s)

            if isFirst then
                s.momentum_buffer <- torch.zeros_like(p).DetachFromDisposeScope()

            OptimizerSteps.sgdAt
                Widths.widest
                (OpenMpTeam.get ())
                (torch.get_num_threads ())
                slots
                { Weight = FusedTensors.address p
                  Gradient = gradient
                  Mean =
                    if momentum = 0.0 then
                        Pointer.nothing
                    else
                        FusedTensors.address s.momentum_buffer
                  Square = Pointer.nothing
                  Largest = Pointer.nothing
                  Centre = Pointer.nothing }
                // The buffer has TorchSharp's sign, the weight's decay PyTorch's.
                { Sign = 1.0f
                  Decay = sign * float32 o.weight_decay.Value
                  Momentum = float32 momentum
                  Weight = if isFirst then 1.0f else float32 (1.0 - o.dampening.Value)
                  IsNesterov = o.nesterov.Value
                  Rate = sign * float32 -o.LearningRate.Value }

            GC.KeepAlive s
            true
        else
            false

    let steps =
        FusedSteps<SGD.State, SGD.Options>(
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

    override _.ToString() = $"FusedSGD({steps})"

    interface IFusedOptimizer with
        member _.ClipGradients() = steps.Clip()
        member _.ForgetClip() = steps.ForgetClip()
