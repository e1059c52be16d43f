namespace SparseFs

open System
open System.Runtime.InteropServices
open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>RMSProp in one pass over each parameter: weights, moments and decay.</summary>
/// <remarks>
/// <c>SparseOptim.rmsProp</c> makes it. It is TorchSharp's RMSProp but for its step: options, groups, schedulers and this library's
/// checkpoints are the same, so that a run may go on with the one or the other. Parameters that are not float32 on the CPU are stepped by
/// TorchSharp. Hinton, "Neural networks for machine learning", lecture 6e; centred as in Graves, "Generating sequences with
/// recurrent neural networks", 2013.
/// </remarks>
[<Sealed>]
type FusedRMSProp
    internal
    (
        source: Parameter seq,
        groups: RMSProp.ParamGroup seq,
        lr: float,
        alpha: float,
        eps: float,
        weightDecay: float,
        momentum: float,
        centered: bool,
        maximize: bool,
        maxNorm: float
    ) as this =
    inherit RMSProp(groups, lr, alpha, eps, weightDecay, momentum, centered, maximize)

    let stepOf (o: RMSProp.Options) (s: RMSProp.State) (p: Parameter) gradient (slots: int) : bool =
        let momentum = o.momentum.Value

        let isPlain =
            FusedTensors.isPlain s.square_avg slots
            && (momentum <= 0.0 || FusedTensors.isPlainThere s.momentum_buffer slots)
            && (not o.centered.Value || FusedTensors.isPlainThere s.grad_avg slots)

        if isPlain then
            s.step <- s.step + 1L

            OptimizerSteps.rmsPropAt
                Widths.widest
                (OpenMpTeam.get ())
                (torch.get_num_threads ())
                slots
                { Weight = FusedTensors.address p
                  Gradient = gradient
                  Mean =
                    if momentum > 0.0 then
                        FusedTensors.address s.momentum_buffer
                    else
                        Pointer.nothing
                  Square = FusedTensors.address s.square_avg
                  Largest = Pointer.nothing
                  Centre =
                    if o.centered.Value then
                        FusedTensors.address s.grad_avg
                    else
                        Pointer.nothing }
                { Sign = FusedTensors.signOf o.maximize
                  Decay = float32 o.weight_decay.Value
                  Alpha = float32 o.alpha.Value
                  Rest = float32 (1.0 - o.alpha.Value)
                  Epsilon = float32 o.eps.Value
                  Momentum = float32 momentum
                  Rate = float32 -o.LearningRate.Value }

            GC.KeepAlive s

        isPlain

    let steps =
        FusedSteps<RMSProp.State, RMSProp.Options>(
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

    override _.ToString() = $"FusedRMSProp({steps})"

    interface IFusedOptimizer with
        member _.ClipGradients() = steps.Clip()
        member _.ForgetClip() = steps.ForgetClip()
