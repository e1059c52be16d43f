using System;
using static TorchSharp.torch;

namespace SparseFs.CSharp;

#pragma warning disable CS8981 // lower case, as torch, torch.nn and torch.nn.functional are

public static partial class sparsenn
{
    /// <summary>SparseLinear's activation sparsity by its own names: k-winners with an exponential boost.</summary>
    /// <param name="numFeatures">The last dimension of the input, 1 or more.</param>
    /// <param name="alpha">The weight of a batch in the duty cycle, in (0, 1].</param>
    /// <param name="beta">The strength of the boost, 0 or more.</param>
    /// <param name="actSparsity">The part of the units that do not win, in [0, 1).</param>
    /// <param name="device">Where the buffers live; torch's default device if null.</param>
    /// <returns>The layer: input [*, numFeatures], output the same.</returns>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static KWinners ActivationSparsity(
        long numFeatures,
        double alpha = 0.1,
        double beta = 1.5,
        double actSparsity = 0.65,
        Device? device = null) =>
        FromSparseLinear.ActivationSparsity(
            Require.Units(numFeatures),
            alpha,
            Require.Strength(beta),
            Require.Sparsity(actSparsity),
            device.OrNone());

    /// <summary>Activation sparsity: of each sample's units exactly k pass, and the others become 0.</summary>
    /// <param name="features">n, the last dimension of the input; 1 or more.</param>
    /// <param name="options">How the layer chooses, <c>KWinnersOptions.Create(sparsity: 0.9)</c>; its defaults if null.</param>
    /// <param name="device">Where the buffers live; torch's default device if null.</param>
    /// <returns>The layer: input [*, features], output the same.</returns>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static KWinners KWinners(long features, KWinnersOptions? options = null, Device? device = null) =>
        Named.Call(
            () => new KWinners(Require.Units(features), options.OrNone(), device.OrNone()),
            ("k", nameof(options)));

    /// <summary>K-winners of images [N, C, H, W], with one duty cycle a channel.</summary>
    /// <param name="channels">C, 1 or more.</param>
    /// <param name="options">How the layer chooses among an image's elements (local: among the channels at a place),
    /// <c>KWinnersOptions.Create(sparsity: 0.9)</c>; its defaults if null.</param>
    /// <param name="local">Whether winners are chosen among the channels at each place.</param>
    /// <param name="device">Where the buffers live; torch's default device if null.</param>
    /// <returns>The layer: input [N, C, H, W], output the same.</returns>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static KWinners2d KWinners2d(
        long channels,
        KWinnersOptions? options = null,
        bool local = false,
        Device? device = null) =>
        Named.Call(
            () => new KWinners2d(Require.Units(channels), options.OrNone(), local, device.OrNone()),
            ("k", nameof(options)));

    public static partial class functional
    {
        /// <summary>The k largest elements of each sample, and 0 elsewhere.</summary>
        /// <param name="x">Shape [*, features], of a real floating dtype.</param>
        /// <param name="k">How many stay, 1..features; of equal elements, those of lower indices.</param>
        /// <returns>As x; differentiable, to any order.</returns>
        /// <exception cref="ArgumentException">k is outside 1..features, or x is null, has no features, or is of another
        /// dtype.</exception>
        public static Tensor kwinners(Tensor x, int k) => KWinnersOps.Winners(k, x);
    }
}
