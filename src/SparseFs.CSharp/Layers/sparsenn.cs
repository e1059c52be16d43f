using System;
using Microsoft.FSharp.Core;
using TorchSharp;
using static TorchSharp.torch;

namespace SparseFs.CSharp;

#pragma warning disable CS8981 // lower case, as torch, torch.nn and torch.nn.functional are

/// <summary>Layers and functions in TorchSharp's manner.</summary>
public static partial class sparsenn
{
    /// <summary>A linear layer that stores, multiplies and trains only the weights that exist: y = x · Wᵀ + bias.</summary>
    /// <param name="inFeatures">Size of each input sample, 0..2^31 − 1.</param>
    /// <param name="outFeatures">Size of each output sample, 0..2^31 − 1.</param>
    /// <param name="hasBias">Whether the layer learns an additive bias.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1); not used where
    /// <paramref name="connectivity"/> says which exist.</param>
    /// <param name="connectivity">Which weights exist, shape [outFeatures, inFeatures]; uniformly random if null.</param>
    /// <param name="seed">What the pattern is drawn from; one number of torch's generator if null. Not used where
    /// <paramref name="connectivity"/> is given.</param>
    /// <param name="init">How the weights are drawn; torch.manual_seed governs the draws.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="smallWorld">Connections get rarer with distance, as <c>Topologies.SmallWorld</c> has them.</param>
    /// <param name="dynamic">Whether the layer carries a policy, RigL's, for <c>Rewiring.Rewire(model, optimizer)</c> to follow.</param>
    /// <param name="deltaT">Optimizer steps from one update to the next, 1 or more.</param>
    /// <param name="tEnd">The last optimizer step that may be an update.</param>
    /// <param name="alpha">The part of the slots that the first update rewires, in [0, 1], falling by a cosine.</param>
    /// <returns>The layer: input [*, inFeatures], output [*, outFeatures].</returns>
    /// <exception cref="ArgumentException">A size is negative or too large, the sparsity is outside [0, 1) or leaves no weight, nnz would
    /// exceed 2^31 − 1, the connectivity has another shape, dtype is not a real floating one, or a number of the schedule is
    /// outside its range.</exception>
    public static SparseLinear SparseLinear(
        long inFeatures,
        long outFeatures,
        bool hasBias = true,
        double sparsity = 0.9,
        Connectivity? connectivity = null,
        long? seed = null,
        Initialization init = Initialization.FanIn,
        Device? device = null,
        ScalarType? dtype = null,
        bool smallWorld = false,
        bool dynamic = false,
        long deltaT = 6000,
        long tEnd = 150000,
        double alpha = 0.1) =>
        FromSparseLinear.SparseLinear(
            Require.Size(inFeatures),
            Require.Size(outFeatures),
            hasBias,
            sparsity,
            connectivity.OrNone(),
            smallWorld,
            dynamic,
            deltaT,
            tEnd,
            alpha,
            seed is { } number ? SeedModule.OfInt64(number) : FSharpOption<Seed>.None,
            init.ToCore(),
            device.OrNone(),
            dtype.OrNone());

    /// <summary>A layer whose seed is a value: <c>root.Child(i)</c> for layer i of a network.</summary>
    /// <param name="inFeatures">Size of each input sample, 0..2^31 − 1.</param>
    /// <param name="outFeatures">Size of each output sample, 0..2^31 − 1.</param>
    /// <param name="seed">What the pattern is drawn from, which is uniformly random.</param>
    /// <param name="hasBias">Whether the layer learns an additive bias.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1).</param>
    /// <param name="init">How the weights are drawn; torch.manual_seed governs the draws.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="policy">How <c>Rewiring.Rewire(model, optimizer)</c> rewires the layer; not at all if null.</param>
    /// <returns>The layer: input [*, inFeatures], output [*, outFeatures].</returns>
    /// <exception cref="ArgumentException">A size is negative or too large, the sparsity is outside [0, 1) or leaves no weight, nnz would
    /// exceed 2^31 − 1, dtype is not a real floating one, or a part of the policy is outside its range.</exception>
    public static SparseLinear SparseLinear(
        long inFeatures,
        long outFeatures,
        Seed seed,
        bool hasBias = true,
        double sparsity = 0.9,
        Initialization init = Initialization.FanIn,
        Device? device = null,
        ScalarType? dtype = null,
        Policy? policy = null) =>
        SparseLinear(inFeatures, outFeatures, Topologies.Uniform, sparsity, seed, hasBias, init, device, dtype, policy);

    /// <summary>A layer whose pattern a topology draws.</summary>
    /// <param name="inFeatures">Size of each input sample, 0..2^31 − 1.</param>
    /// <param name="outFeatures">Size of each output sample, 0..2^31 − 1.</param>
    /// <param name="topology">Draws the pattern from rows, columns, nnz and a seed, and gives back one of that shape and
    /// nnz: <c>(rows, cols, nnz, seed) => Topologies.ScaleFree(rows, cols, nnz, seed)</c>.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1).</param>
    /// <param name="seed">What the pattern is drawn from; one number of torch's generator if null.</param>
    /// <param name="hasBias">Whether the layer learns an additive bias.</param>
    /// <param name="init">How the weights are drawn; torch.manual_seed governs the draws.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="policy">How <c>Rewiring.Rewire(model, optimizer)</c> rewires the layer; not at all if null.</param>
    /// <returns>The layer: input [*, inFeatures], output [*, outFeatures].</returns>
    /// <exception cref="ArgumentException">A size is negative or too large, the sparsity is outside [0, 1) or leaves no weight, nnz would
    /// exceed 2^31 − 1, the topology is null, refuses these numbers or gives another pattern, dtype is not a real floating
    /// one, or a part of the policy is outside its range.</exception>
    public static SparseLinear SparseLinear(
        long inFeatures,
        long outFeatures,
        Func<int, int, int, Seed, Connectivity> topology,
        double sparsity = 0.9,
        Seed? seed = null,
        bool hasBias = true,
        Initialization init = Initialization.FanIn,
        Device? device = null,
        ScalarType? dtype = null,
        Policy? policy = null) =>
        new(
            Require.Size(inFeatures),
            Require.Size(outFeatures),
            sparsity,
            seed.OrNone(),
            hasBias,
            init.ToCore(),
            device.OrNone(),
            dtype.OrNone(),
            FuncConvert.FromFunc(Require.NotNull(topology)),
            policy.OrNone());

    /// <summary>A layer over a pattern that is given, of the pattern's shape.</summary>
    /// <param name="connectivity">Which weights exist; shape [out_features, in_features].</param>
    /// <param name="hasBias">Whether the layer learns an additive bias.</param>
    /// <param name="init">How the weights are drawn; torch.manual_seed governs the draws.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="policy">How <c>Rewiring.Rewire(model, optimizer)</c> rewires the layer; not at all if null.</param>
    /// <returns>The layer: input [*, in_features], output [*, out_features].</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    /// <exception cref="ArgumentException"><paramref name="dtype"/> is not a real floating one, or a part of
    /// <paramref name="policy"/> is outside its range.</exception>
    public static SparseLinear SparseLinear(
        Connectivity connectivity,
        bool hasBias = true,
        Initialization init = Initialization.FanIn,
        Device? device = null,
        ScalarType? dtype = null,
        Policy? policy = null) =>
        new(
            Require.NotNull(connectivity),
            hasBias,
            init.ToCore(),
            device.OrNone(),
            dtype.OrNone(),
            policy.OrNone());
}
