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
    /// <param name="sparsity">The part of the units that do not win, in [0, 1); not used where <paramref name="k"/> is
    /// given.</param>
    /// <param name="k">The winners of a sample, 1..n.</param>
    /// <param name="alpha">The weight of a batch in the duty cycle, in (0, 1]; not used where <paramref name="period"/> is
    /// given.</param>
    /// <param name="period">Samples that the duty cycle covers, 1 or more.</param>
    /// <param name="boosting">How past wins weigh on the scores.</param>
    /// <param name="boostStrength">The strength of the boost, 0 or more.</param>
    /// <param name="boostDecay">What <c>EndEpoch</c> multiplies the strength with, in [0, 1].</param>
    /// <param name="inferenceFactor">How many times k win in evaluation mode, above 0.</param>
    /// <param name="straightThrough">Whether the gradient goes to all units, not to winners only.</param>
    /// <param name="checkInput">Whether NaN and infinity are refused; else NaN counts as the largest number.</param>
    /// <param name="device">Where the buffers live; torch's default device if null.</param>
    /// <returns>The layer: input [*, features], output the same.</returns>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static KWinners KWinners(
        long features,
        double sparsity = 0.65,
        int? k = null,
        double alpha = 0.1,
        int? period = null,
        Boosting boosting = Boosting.Exponential,
        double boostStrength = 1.5,
        double boostDecay = 1.0,
        double inferenceFactor = 1.0,
        bool straightThrough = false,
        bool checkInput = false,
        Device? device = null) =>
        KWinners(
            features,
            KWinnersOptions.Create(
                sparsity,
                k,
                alpha,
                period,
                boosting,
                boostStrength,
                boostDecay,
                inferenceFactor,
                straightThrough,
                checkInput),
            device);

    /// <summary>Activation sparsity by options that several layers may share.</summary>
    /// <param name="features">n, the last dimension of the input; 1 or more.</param>
    /// <param name="options">How the layer chooses: <c>KWinnersOptions.Create</c>.</param>
    /// <param name="device">Where the buffers live; torch's default device if null.</param>
    /// <returns>The layer: input [*, features], output the same.</returns>
    /// <exception cref="ArgumentException">A number is out of its range, or the options are null.</exception>
    public static KWinners KWinners(long features, KWinnersOptions options, Device? device = null) =>
        new(Require.Units(features), Require.NotNull(options).OrNone(), device.OrNone());

    /// <summary>K-winners of images [N, C, H, W], with one duty cycle a channel.</summary>
    /// <param name="channels">C, 1 or more.</param>
    /// <param name="sparsity">The part of an image's elements (local: of the channels at a place) that do not win, in
    /// [0, 1); not used where <paramref name="k"/> is given.</param>
    /// <param name="k">The winners of an image (local: of a place).</param>
    /// <param name="alpha">The weight of a batch in the duty cycle, in (0, 1]; not used where <paramref name="period"/> is
    /// given.</param>
    /// <param name="period">Images that the duty cycle covers, 1 or more.</param>
    /// <param name="boosting">How past wins weigh on the scores.</param>
    /// <param name="boostStrength">The strength of the boost, 0 or more.</param>
    /// <param name="boostDecay">What <c>EndEpoch</c> multiplies the strength with, in [0, 1].</param>
    /// <param name="inferenceFactor">How many times k win in evaluation mode, above 0.</param>
    /// <param name="local">Whether winners are chosen among the channels at each place.</param>
    /// <param name="straightThrough">Whether the gradient goes to all, not to winners only.</param>
    /// <param name="checkInput">Whether NaN and infinity are refused; else NaN counts as the largest number.</param>
    /// <param name="device">Where the buffers live; torch's default device if null.</param>
    /// <returns>The layer: input [N, C, H, W], output the same.</returns>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static KWinners2d KWinners2d(
        long channels,
        double sparsity = 0.65,
        int? k = null,
        double alpha = 0.1,
        int? period = null,
        Boosting boosting = Boosting.Exponential,
        double boostStrength = 1.5,
        double boostDecay = 1.0,
        double inferenceFactor = 1.0,
        bool local = false,
        bool straightThrough = false,
        bool checkInput = false,
        Device? device = null) =>
        KWinners2d(
            channels,
            KWinnersOptions.Create(
                sparsity,
                k,
                alpha,
                period,
                boosting,
                boostStrength,
                boostDecay,
                inferenceFactor,
                straightThrough,
                checkInput),
            local,
            device);

    /// <summary>K-winners of images by options that several layers may share.</summary>
    /// <param name="channels">C, 1 or more.</param>
    /// <param name="options">How the layer chooses: <c>KWinnersOptions.Create</c>.</param>
    /// <param name="local">Whether winners are chosen among the channels at each place.</param>
    /// <param name="device">Where the buffers live; torch's default device if null.</param>
    /// <returns>The layer: input [N, C, H, W], output the same.</returns>
    /// <exception cref="ArgumentException">A number is out of its range, or the options are null.</exception>
    public static KWinners2d KWinners2d(
        long channels,
        KWinnersOptions options,
        bool local = false,
        Device? device = null) =>
        new(Require.Units(channels), Require.NotNull(options).OrNone(), local, device.OrNone());

    public static partial class functional
    {
        /// <summary>The k largest elements of each sample, and 0 elsewhere.</summary>
        /// <param name="x">Shape [*, features], of a real floating dtype.</param>
        /// <param name="k">How many stay, 1..features; of equal elements, those of lower indices.</param>
        /// <returns>As x; differentiable, to any order.</returns>
        /// <exception cref="ArgumentException">k is outside 1..features, or x is null, has no features, or is of another
        /// dtype.</exception>
        public static Tensor kwinners(Tensor x, int k) => KWinnersOps.winners(k, x);
    }
}
