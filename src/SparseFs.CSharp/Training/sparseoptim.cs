using System;
using System.Collections.Generic;
using Microsoft.FSharp.Core;
using TorchSharp.Modules;

namespace SparseFs.CSharp;

#pragma warning disable CS8981 // lower case, as torch.optim is

/// <summary>Optimizers that step in one pass over each parameter, sparse or dense: one is enough for a whole model.</summary>
/// <remarks>Each is TorchSharp's optimizer of that name with another step: groups, learning-rate schedulers, state_dict and checkpoints
/// are as ever. Defaults are PyTorch's. maxNorm clips the gradients of all parameters together, as clip_grad_norm_ does.</remarks>
public static class sparseoptim
{
    private static FSharpOption<T> Given<T>(T value) => FSharpOption<T>.Some(value);

    private static FSharpOption<double>? Norm(double? maxNorm) =>
        maxNorm is { } norm ? FSharpOption<double>.Some(norm) : null;

    /// <summary>AdamW.</summary>
    /// <param name="parameters">A model's.</param>
    /// <param name="lr">Learning rate.</param>
    /// <param name="beta1">Factor of the running mean of gradients, in [0, 1).</param>
    /// <param name="beta2">Factor of the running mean of their squares, in [0, 1).</param>
    /// <param name="eps">Added to the root.</param>
    /// <param name="weightDecay">Decay of weights, apart from the gradient.</param>
    /// <param name="amsgrad">Whether the largest mean of squares counts.</param>
    /// <param name="maximize">Whether the loss is to rise.</param>
    /// <param name="maxNorm">The greatest norm of all gradients together; null for none.</param>
    /// <returns>The optimizer.</returns>
    /// <exception cref="ArgumentException">parameters is null, or a number is outside its range.</exception>
    public static FusedAdamW AdamW(
        IEnumerable<Parameter> parameters,
        double lr = 1e-3,
        double beta1 = 0.9,
        double beta2 = 0.999,
        double eps = 1e-8,
        double weightDecay = 0.01,
        bool amsgrad = false,
        bool maximize = false,
        double? maxNorm = null) =>
        SparseOptim.adamW(
            parameters,
            Given(lr),
            Given(beta1),
            Given(beta2),
            Given(eps),
            Given(weightDecay),
            Given(amsgrad),
            Given(maximize),
            Norm(maxNorm));

    /// <summary>Adam, whose decay is added to the gradient.</summary>
    /// <param name="parameters">A model's.</param>
    /// <param name="lr">Learning rate.</param>
    /// <param name="beta1">Factor of the running mean of gradients, in [0, 1).</param>
    /// <param name="beta2">Factor of the running mean of their squares, in [0, 1).</param>
    /// <param name="eps">Added to the root.</param>
    /// <param name="weightDecay">The part of the weight that is added to its gradient.</param>
    /// <param name="amsgrad">Whether the largest mean of squares counts.</param>
    /// <param name="maximize">Whether the loss is to rise.</param>
    /// <param name="maxNorm">The greatest norm of all gradients together; null for none.</param>
    /// <returns>The optimizer.</returns>
    /// <exception cref="ArgumentException">parameters is null, or a number is outside its range.</exception>
    public static FusedAdam Adam(
        IEnumerable<Parameter> parameters,
        double lr = 1e-3,
        double beta1 = 0.9,
        double beta2 = 0.999,
        double eps = 1e-8,
        double weightDecay = 0.0,
        bool amsgrad = false,
        bool maximize = false,
        double? maxNorm = null) =>
        SparseOptim.adam(
            parameters,
            Given(lr),
            Given(beta1),
            Given(beta2),
            Given(eps),
            Given(weightDecay),
            Given(amsgrad),
            Given(maximize),
            Norm(maxNorm));

    /// <summary>Stochastic gradient descent.</summary>
    /// <param name="parameters">A model's.</param>
    /// <param name="lr">Learning rate.</param>
    /// <param name="momentum">Factor of the buffer of gradients; 0 for none.</param>
    /// <param name="dampening">The part of the gradient that the buffer does not get.</param>
    /// <param name="weightDecay">The part of the weight that is added to its gradient.</param>
    /// <param name="nesterov">Whether the step looks ahead by Nesterov's momentum.</param>
    /// <param name="maximize">Whether the loss is to rise.</param>
    /// <param name="maxNorm">The greatest norm of all gradients together; null for none.</param>
    /// <returns>The optimizer.</returns>
    /// <exception cref="ArgumentException">parameters is null, a number is outside its range, or Nesterov's momentum has none, or
    /// dampening.</exception>
    public static FusedSGD SGD(
        IEnumerable<Parameter> parameters,
        double lr = 1e-3,
        double momentum = 0.0,
        double dampening = 0.0,
        double weightDecay = 0.0,
        bool nesterov = false,
        bool maximize = false,
        double? maxNorm = null) =>
        SparseOptim.sgd(
            parameters,
            Given(lr),
            Given(momentum),
            Given(dampening),
            Given(weightDecay),
            Given(nesterov),
            Given(maximize),
            Norm(maxNorm));

    /// <summary>RMSProp.</summary>
    /// <param name="parameters">A model's.</param>
    /// <param name="lr">Learning rate.</param>
    /// <param name="alpha">Factor of the running mean of squares.</param>
    /// <param name="eps">Added to the root.</param>
    /// <param name="weightDecay">The part of the weight that is added to its gradient.</param>
    /// <param name="momentum">Factor of the buffer of updates; 0 for none.</param>
    /// <param name="centered">Whether the square of the mean gradient is taken off.</param>
    /// <param name="maximize">Whether the loss is to rise.</param>
    /// <param name="maxNorm">The greatest norm of all gradients together; null for none.</param>
    /// <returns>The optimizer.</returns>
    /// <exception cref="ArgumentException">parameters is null, or a number is outside its range.</exception>
    public static FusedRMSProp RMSProp(
        IEnumerable<Parameter> parameters,
        double lr = 0.01,
        double alpha = 0.99,
        double eps = 1e-8,
        double weightDecay = 0.0,
        double momentum = 0.0,
        bool centered = false,
        bool maximize = false,
        double? maxNorm = null) =>
        SparseOptim.rmsProp(
            parameters,
            Given(lr),
            Given(alpha),
            Given(eps),
            Given(weightDecay),
            Given(momentum),
            Given(centered),
            Given(maximize),
            Norm(maxNorm));

    /// <summary>AdamW, of groups that may have rates and decays of their own.</summary>
    /// <param name="groups">Each with its parameters and its options; what these leave open has its default.</param>
    /// <param name="lr">Learning rate of groups that name none.</param>
    /// <param name="maxNorm">The greatest norm of all gradients together; null for none.</param>
    /// <returns>The optimizer.</returns>
    /// <exception cref="ArgumentException">groups is null, a number is outside its range, or a parameter is in two groups.</exception>
    public static FusedAdamW AdamW(IEnumerable<AdamW.ParamGroup> groups, double lr = 1e-3, double? maxNorm = null) =>
        SparseOptim.adamW(groups, Given(lr), Norm(maxNorm));

    /// <summary>Adam, whose decay is added to the gradient, of groups that may have rates and decays of their own.</summary>
    /// <param name="groups">Each with its parameters and its options; what these leave open has its default.</param>
    /// <param name="lr">Learning rate of groups that name none.</param>
    /// <param name="maxNorm">The greatest norm of all gradients together; null for none.</param>
    /// <returns>The optimizer.</returns>
    /// <exception cref="ArgumentException">groups is null, a number is outside its range, or a parameter is in two groups.</exception>
    public static FusedAdam Adam(IEnumerable<Adam.ParamGroup> groups, double lr = 1e-3, double? maxNorm = null) =>
        SparseOptim.adam(groups, Given(lr), Norm(maxNorm));

    /// <summary>Stochastic gradient descent, of groups that may have rates and decays of their own.</summary>
    /// <param name="groups">Each with its parameters and its options; what these leave open has its default.</param>
    /// <param name="lr">Learning rate of groups that name none.</param>
    /// <param name="maxNorm">The greatest norm of all gradients together; null for none.</param>
    /// <returns>The optimizer.</returns>
    /// <exception cref="ArgumentException">groups is null, a number is outside its range, or a parameter is in two groups.</exception>
    public static FusedSGD SGD(IEnumerable<SGD.ParamGroup> groups, double lr = 1e-3, double? maxNorm = null) =>
        SparseOptim.sgd(groups, Given(lr), Norm(maxNorm));

    /// <summary>RMSProp, of groups that may have rates and decays of their own.</summary>
    /// <param name="groups">Each with its parameters and its options; what these leave open has its default.</param>
    /// <param name="lr">Learning rate of groups that name none.</param>
    /// <param name="maxNorm">The greatest norm of all gradients together; null for none.</param>
    /// <returns>The optimizer.</returns>
    /// <exception cref="ArgumentException">groups is null, a number is outside its range, or a parameter is in two groups.</exception>
    public static FusedRMSProp RMSProp(IEnumerable<RMSProp.ParamGroup> groups, double lr = 0.01, double? maxNorm = null) =>
        SparseOptim.rmsProp(groups, Given(lr), Norm(maxNorm));
}
