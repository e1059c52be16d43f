namespace SparseFs

open System
open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>SGD in one pass over each parameter: weights, momentum, decay and clipping.</summary>
/// <remarks>
/// <c>SparseOptim.sgd</c> makes it. It is TorchSharp's SGD but for its step: options, groups, schedulers, state_dict and files
/// are the same, so that a run may go on with the one or the other. Parameters that are not float32 on the CPU are stepped by
/// TorchSharp. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013. Where a loss is to rise,
/// the gradient's sign is turned before its decay is added, as PyTorch does it; TorchSharp turns both.
/// </remarks>
[<Sealed>]
type FusedSGD
    internal
    (
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

        if FusedSteps.isPlain (TorchNulls.momentumOf s) slots then
            let isFirst = momentum <> 0.0 && isNull (TorchNulls.momentumOf s)

            if isFirst then
                s.momentum_buffer <- torch.zeros_like(p).DetachFromDisposeScope()

            OptimizerSteps.sgdAt
                Widths.widest
                (OpenMpTeam.get ())
                (torch.get_num_threads ())
                slots
                { Weight = FusedSteps.address p
                  Gradient = gradient
                  Mean =
                    if momentum = 0.0 then
                        Pointer.nothing
                    else
                        FusedSteps.address s.momentum_buffer
                  Square = Pointer.nothing
                  Largest = Pointer.nothing
                  Centre = Pointer.nothing }
                { Sign = FusedSteps.signOf o.maximize
                  Decay = float32 o.weight_decay.Value
                  Momentum = float32 momentum
                  Weight = if isFirst then 1.0f else float32 (1.0 - o.dampening.Value)
                  IsNesterov = o.nesterov.Value
                  Rate = float32 -o.LearningRate.Value }

            GC.KeepAlive s
            true
        else
            false

    let steps =
        FusedSteps<SGD.State, SGD.Options>(
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
