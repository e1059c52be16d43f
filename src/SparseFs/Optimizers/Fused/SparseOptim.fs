namespace SparseFs

open System
open SparseFs.Torch
open TorchSharp.Modules

/// <summary>Optimizers that step in one pass over each parameter, sparse or dense: one is enough for a whole model.</summary>
/// <remarks>
/// Each is TorchSharp's optimizer of that name with another step: groups, learning-rate schedulers and checkpoints are as ever, and
/// rewirers carry its moments over. (TorchSharp's own save_state_dict writes the class's name, and reads no other's.) Defaults are
/// PyTorch's. maxNorm clips the gradients of all parameters together, as torch.nn.utils.clip_grad_norm_ does before a step.
/// </remarks>
[<AbstractClass; Sealed>]
type SparseOptim private () =

    /// <summary>AdamW.</summary>
    /// <param name="parameters">A model's.</param>
    /// <param name="lr">Learning rate; 0.001 by default.</param>
    /// <param name="beta1">Factor of the running mean of gradients, in [0, 1); 0.9.</param>
    /// <param name="beta2">Factor of the running mean of their squares, in [0, 1); 0.999.</param>
    /// <param name="eps">Added to the root; 1e-8.</param>
    /// <param name="weightDecay">Decay of weights, apart from the gradient; 0.01, as PyTorch has it.</param>
    /// <param name="amsgrad">Whether the largest mean of squares counts; false.</param>
    /// <param name="maximize">Whether the loss is to rise; false.</param>
    /// <param name="maxNorm">The greatest norm of all gradients together; none by default.</param>
    /// <exception cref="T:System.ArgumentException">A number is outside its range.</exception>
    /// <exception cref="T:System.ArgumentNullException">parameters is null.</exception>
    /// <remarks>Loshchilov and Hutter, ICLR 2019.</remarks>
    /// <example><code>
    /// let optimizer = SparseOptim.adamW (model.parameters (), lr = 3e-4, maxNorm = 1.0)
    /// use rewirer = new Rewirer(model, optimizer, Policy.rigL (Schedule.cosine 0.3 100L 75_000L))
    /// </code></example>
    static member adamW
        (
            parameters: Parameter seq,
            ?lr: float,
            ?beta1: float,
            ?beta2: float,
            ?eps: float,
            ?weightDecay: float,
            ?amsgrad: bool,
            ?maximize: bool,
            ?maxNorm: float
        ) : FusedAdamW =
        new FusedAdamW(
            parameters,
            [| AdamW.ParamGroup(OptimizerGroups.listed parameters, AdamW.Options()) |],
            defaultArg lr 1e-3,
            defaultArg beta1 0.9,
            defaultArg beta2 0.999,
            defaultArg eps 1e-8,
            defaultArg weightDecay 0.01,
            defaultArg amsgrad false,
            defaultArg maximize false,
            FusedTensors.checkNorm maxNorm
        )

    /// <summary>AdamW, of groups that may have rates and decays of their own.</summary>
    /// <param name="groups">Each with its parameters and its options; what these leave open has its default.</param>
    /// <param name="lr">Learning rate of groups that name none; 0.001 by default.</param>
    /// <param name="maxNorm">The greatest norm of all gradients together; none by default.</param>
    /// <exception cref="T:System.ArgumentException">A number is outside its range, or a parameter is in two groups.</exception>
    /// <exception cref="T:System.ArgumentNullException">groups is null.</exception>
    /// <remarks>Loshchilov and Hutter, ICLR 2019.</remarks>
    /// <example><code>
    /// let options = Modules.AdamW.Options(weight_decay = System.Nullable 0.1)
    /// let optimizer = SparseOptim.adamW ([ Modules.AdamW.ParamGroup(model.parameters (), options) ], lr = 1e-3)
    /// </code></example>
    static member adamW(groups: AdamW.ParamGroup seq, ?lr: float, ?maxNorm: float) : FusedAdamW =
        let struct (groups, parameters) = OptimizerGroups.checkedGroups groups

        new FusedAdamW(
            parameters,
            groups,
            defaultArg lr 1e-3,
            0.9,
            0.999,
            1e-8,
            0.01,
            false,
            false,
            FusedTensors.checkNorm maxNorm
        )

    /// <summary>Adam, whose decay is added to the gradient.</summary>
    /// <param name="parameters">A model's.</param>
    /// <param name="lr">Learning rate; 0.001 by default.</param>
    /// <param name="beta1">Factor of the running mean of gradients, in [0, 1); 0.9.</param>
    /// <param name="beta2">Factor of the running mean of their squares, in [0, 1); 0.999.</param>
    /// <param name="eps">Added to the root; 1e-8.</param>
    /// <param name="weightDecay">The part of the weight that is added to its gradient; 0.</param>
    /// <param name="amsgrad">Whether the largest mean of squares counts; false.</param>
    /// <param name="maximize">Whether the loss is to rise; false.</param>
    /// <param name="maxNorm">The greatest norm of all gradients together; none by default.</param>
    /// <exception cref="T:System.ArgumentException">A number is outside its range.</exception>
    /// <exception cref="T:System.ArgumentNullException">parameters is null.</exception>
    /// <remarks>Kingma and Ba, ICLR 2015.</remarks>
    /// <example><code>
    /// let optimizer = SparseOptim.adam (model.parameters (), lr = 1e-3)
    /// let scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)
    /// </code></example>
    static member adam
        (
            parameters: Parameter seq,
            ?lr: float,
            ?beta1: float,
            ?beta2: float,
            ?eps: float,
            ?weightDecay: float,
            ?amsgrad: bool,
            ?maximize: bool,
            ?maxNorm: float
        ) : FusedAdam =
        new FusedAdam(
            parameters,
            [| Adam.ParamGroup(OptimizerGroups.listed parameters, Adam.Options()) |],
            defaultArg lr 1e-3,
            defaultArg beta1 0.9,
            defaultArg beta2 0.999,
            defaultArg eps 1e-8,
            defaultArg weightDecay 0.0,
            defaultArg amsgrad false,
            defaultArg maximize false,
            FusedTensors.checkNorm maxNorm
        )

    /// <summary>Adam, whose decay is added to the gradient, of groups that may have rates and decays of their own.</summary>
    /// <param name="groups">Each with its parameters and its options; what these leave open has its default.</param>
    /// <param name="lr">Learning rate of groups that name none; 0.001 by default.</param>
    /// <param name="maxNorm">The greatest norm of all gradients together; none by default.</param>
    /// <exception cref="T:System.ArgumentException">A number is outside its range, or a parameter is in two groups.</exception>
    /// <exception cref="T:System.ArgumentNullException">groups is null.</exception>
    /// <remarks>Kingma and Ba, ICLR 2015.</remarks>
    /// <example><code>
    /// let options = Modules.Adam.Options(weight_decay = System.Nullable 0.1)
    /// let optimizer = SparseOptim.adam ([ Modules.Adam.ParamGroup(model.parameters (), options) ], lr = 1e-3)
    /// </code></example>
    static member adam(groups: Adam.ParamGroup seq, ?lr: float, ?maxNorm: float) : FusedAdam =
        let struct (groups, parameters) = OptimizerGroups.checkedGroups groups

        new FusedAdam(
            parameters,
            groups,
            defaultArg lr 1e-3,
            0.9,
            0.999,
            1e-8,
            0.0,
            false,
            false,
            FusedTensors.checkNorm maxNorm
        )

    /// <summary>Stochastic gradient descent.</summary>
    /// <param name="parameters">A model's.</param>
    /// <param name="lr">Learning rate; 0.001 by default.</param>
    /// <param name="momentum">Factor of the buffer of gradients; 0 for none.</param>
    /// <param name="dampening">The part of the gradient that the buffer does not get; 0.</param>
    /// <param name="weightDecay">The part of the weight that is added to its gradient; 0.</param>
    /// <param name="nesterov">Whether the step looks ahead by Nesterov's momentum; false.</param>
    /// <param name="maximize">Whether the loss is to rise; false.</param>
    /// <param name="maxNorm">The greatest norm of all gradients together; none by default.</param>
    /// <exception cref="T:System.ArgumentException">A number is outside its range, or Nesterov's momentum has none, or
    /// dampening.</exception>
    /// <exception cref="T:System.ArgumentNullException">parameters is null.</exception>
    /// <example><code>
    /// let optimizer = SparseOptim.sgd (model.parameters (), lr = 0.1, momentum = 0.9, nesterov = true)
    /// </code></example>
    static member sgd
        (
            parameters: Parameter seq,
            ?lr: float,
            ?momentum: float,
            ?dampening: float,
            ?weightDecay: float,
            ?nesterov: bool,
            ?maximize: bool,
            ?maxNorm: float
        ) : FusedSGD =
        new FusedSGD(
            parameters,
            [| SGD.ParamGroup(OptimizerGroups.listed parameters, SGD.Options()) |],
            defaultArg lr 1e-3,
            defaultArg momentum 0.0,
            defaultArg dampening 0.0,
            defaultArg weightDecay 0.0,
            defaultArg nesterov false,
            defaultArg maximize false,
            FusedTensors.checkNorm maxNorm
        )

    /// <summary>Stochastic gradient descent, of groups that may have rates and decays of their own.</summary>
    /// <param name="groups">Each with its parameters and its options; what these leave open has its default.</param>
    /// <param name="lr">Learning rate of groups that name none; 0.001 by default.</param>
    /// <param name="maxNorm">The greatest norm of all gradients together; none by default.</param>
    /// <exception cref="T:System.ArgumentException">A number is outside its range, or a parameter is in two groups.</exception>
    /// <exception cref="T:System.ArgumentNullException">groups is null.</exception>
    /// <example><code>
    /// let options = Modules.SGD.Options(weight_decay = System.Nullable 0.1)
    /// let optimizer = SparseOptim.sgd ([ Modules.SGD.ParamGroup(model.parameters (), options) ], lr = 1e-3)
    /// </code></example>
    static member sgd(groups: SGD.ParamGroup seq, ?lr: float, ?maxNorm: float) : FusedSGD =
        let struct (groups, parameters) = OptimizerGroups.checkedGroups groups

        new FusedSGD(
            parameters,
            groups,
            defaultArg lr 1e-3,
            0.0,
            0.0,
            0.0,
            false,
            false,
            FusedTensors.checkNorm maxNorm
        )

    /// <summary>RMSProp.</summary>
    /// <param name="parameters">A model's.</param>
    /// <param name="lr">Learning rate; 0.01 by default.</param>
    /// <param name="alpha">Factor of the running mean of squares; 0.99.</param>
    /// <param name="eps">Added to the root; 1e-8.</param>
    /// <param name="weightDecay">The part of the weight that is added to its gradient; 0.</param>
    /// <param name="momentum">Factor of the buffer of updates; 0 for none.</param>
    /// <param name="centered">Whether the square of the mean gradient is taken off; false.</param>
    /// <param name="maximize">Whether the loss is to rise; false.</param>
    /// <param name="maxNorm">The greatest norm of all gradients together; none by default.</param>
    /// <exception cref="T:System.ArgumentException">A number is outside its range.</exception>
    /// <exception cref="T:System.ArgumentNullException">parameters is null.</exception>
    /// <example><code>
    /// let optimizer = SparseOptim.rmsProp (model.parameters (), lr = 1e-3, momentum = 0.9)
    /// </code></example>
    static member rmsProp
        (
            parameters: Parameter seq,
            ?lr: float,
            ?alpha: float,
            ?eps: float,
            ?weightDecay: float,
            ?momentum: float,
            ?centered: bool,
            ?maximize: bool,
            ?maxNorm: float
        ) : FusedRMSProp =
        new FusedRMSProp(
            parameters,
            [| RMSProp.ParamGroup(OptimizerGroups.listed parameters, RMSProp.Options()) |],
            defaultArg lr 0.01,
            defaultArg alpha 0.99,
            defaultArg eps 1e-8,
            defaultArg weightDecay 0.0,
            defaultArg momentum 0.0,
            defaultArg centered false,
            defaultArg maximize false,
            FusedTensors.checkNorm maxNorm
        )

    /// <summary>RMSProp, of groups that may have rates and decays of their own.</summary>
    /// <param name="groups">Each with its parameters and its options; what these leave open has its default.</param>
    /// <param name="lr">Learning rate of groups that name none; 0.01 by default.</param>
    /// <param name="maxNorm">The greatest norm of all gradients together; none by default.</param>
    /// <exception cref="T:System.ArgumentException">A number is outside its range, or a parameter is in two groups.</exception>
    /// <exception cref="T:System.ArgumentNullException">groups is null.</exception>
    /// <example><code>
    /// let options = Modules.RMSProp.Options(weight_decay = System.Nullable 0.1)
    /// let optimizer = SparseOptim.rmsProp ([ Modules.RMSProp.ParamGroup(model.parameters (), options) ], lr = 1e-3)
    /// </code></example>
    static member rmsProp(groups: RMSProp.ParamGroup seq, ?lr: float, ?maxNorm: float) : FusedRMSProp =
        let struct (groups, parameters) = OptimizerGroups.checkedGroups groups

        new FusedRMSProp(
            parameters,
            groups,
            defaultArg lr 0.01,
            0.99,
            1e-8,
            0.0,
            0.0,
            false,
            false,
            FusedTensors.checkNorm maxNorm
        )
