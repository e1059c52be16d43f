using System;
using Microsoft.FSharp.Core;
using TorchSharp;
using static TorchSharp.torch;

namespace SparseFs.CSharp;

#pragma warning disable CS8981 // lower case, as torch, torch.nn and torch.nn.functional are

public static partial class sparsenn
{
    /// <summary>A transposed convolution of sequences that stores, multiplies and trains only the weights that exist.</summary>
    /// <param name="inChannels">Channels of the input, 1 or more.</param>
    /// <param name="outChannels">Channels of the output, 1 or more.</param>
    /// <param name="kernelSize">Size of a kernel, 1 or more: a number.</param>
    /// <param name="stride">Pixels of the output from one pixel of the input to the next, 1 or more; 1 if null.</param>
    /// <param name="padding">Pixels that are cut off on both sides: a number; none if null.</param>
    /// <param name="outputPadding">Pixels behind the smallest output, less than the stride or the dilation: a number; none if null.</param>
    /// <param name="dilation">Pixels from one cell of the kernel to the next, 1 or more; 1 if null.</param>
    /// <param name="groups">Groups of channels that see each other; it divides both numbers of channels.</param>
    /// <param name="hasBias">Whether the layer learns an additive bias.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1).</param>
    /// <param name="topology">Draws the pattern from rows (in_channels), columns (out_channels / groups · cells of the kernel), nnz and a
    /// seed, and gives back one of that shape and nnz; uniformly random if null.</param>
    /// <param name="seed">What the pattern is drawn from; one number of torch's generator if null.</param>
    /// <param name="init">How the weights are drawn, from the slots of each output channel; torch.manual_seed governs the draws.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="policy">How <c>Rewiring.Rewire(model, optimizer)</c> rewires the layer; not at all if null.</param>
    /// <returns>The layer: input [N, inChannels, length], or without N.</returns>
    /// <exception cref="ArgumentException">A size is out of its range or does not fit the others, the sparsity is outside [0, 1) or
    /// leaves no weight, nnz would exceed 2^31 − 1, the topology refuses these numbers or gives another pattern, dtype is not a real
    /// floating one, or a part of the policy is outside its range.</exception>
    public static SparseConvTranspose1d SparseConvTranspose1d(
        long inChannels,
        long outChannels,
        ConvSize kernelSize,
        ConvSize? stride = null,
        ConvSize? padding = null,
        ConvSize? outputPadding = null,
        ConvSize? dilation = null,
        long groups = 1,
        bool hasBias = true,
        double sparsity = 0.9,
        Func<int, int, int, Seed, Connectivity>? topology = null,
        Seed? seed = null,
        Initialization init = Initialization.FanIn,
        Device? device = null,
        ScalarType? dtype = null,
        Policy? policy = null) =>
        new(
            Require.Size(inChannels),
            Require.Size(outChannels),
            Require.NotNull(kernelSize),
            sparsity,
            seed.OrNone(),
            stride.OrNone(),
            padding.OrNone(),
            outputPadding.OrNone(),
            dilation.OrNone(),
            Require.Size(groups),
            hasBias,
            init.ToCore(),
            device.OrNone(),
            dtype.OrNone(),
            FuncConvert.FromFunc(topology ?? Topologies.Uniform),
            policy.OrNone());

    /// <summary>A transposed convolution of sequences over a pattern that is given.</summary>
    /// <param name="connectivity">Which weights exist; shape [in_channels, out_channels / groups · cells of the kernel].</param>
    /// <param name="outChannels">Channels of the output, 1 or more.</param>
    /// <param name="kernelSize">Size of a kernel, 1 or more: a number.</param>
    /// <param name="stride">Pixels of the output from one pixel of the input to the next, 1 or more; 1 if null.</param>
    /// <param name="padding">Pixels that are cut off on both sides: a number; none if null.</param>
    /// <param name="outputPadding">Pixels behind the smallest output, less than the stride or the dilation: a number; none if null.</param>
    /// <param name="dilation">Pixels from one cell of the kernel to the next, 1 or more; 1 if null.</param>
    /// <param name="groups">Groups of channels that see each other; it divides both numbers of channels.</param>
    /// <param name="hasBias">Whether the layer learns an additive bias.</param>
    /// <param name="init">How the weights are drawn, from the slots of each output channel; torch.manual_seed governs the draws.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="policy">How <c>Rewiring.Rewire(model, optimizer)</c> rewires the layer; not at all if null.</param>
    /// <returns>The layer: input [N, the rows of the pattern, length], or without N.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    /// <exception cref="ArgumentException">A size is out of its range or does not fit the others or the pattern, dtype is not a real
    /// floating one, or a part of the policy is outside its range.</exception>
    public static SparseConvTranspose1d SparseConvTranspose1d(
        Connectivity connectivity,
        long outChannels,
        ConvSize kernelSize,
        ConvSize? stride = null,
        ConvSize? padding = null,
        ConvSize? outputPadding = null,
        ConvSize? dilation = null,
        long groups = 1,
        bool hasBias = true,
        Initialization init = Initialization.FanIn,
        Device? device = null,
        ScalarType? dtype = null,
        Policy? policy = null) =>
        new(
            Require.NotNull(connectivity),
            Require.Size(outChannels),
            Require.NotNull(kernelSize),
            stride.OrNone(),
            padding.OrNone(),
            outputPadding.OrNone(),
            dilation.OrNone(),
            Require.Size(groups),
            hasBias,
            init.ToCore(),
            device.OrNone(),
            dtype.OrNone(),
            policy.OrNone());

    /// <summary>A transposed convolution of images that stores, multiplies and trains only the weights that exist.</summary>
    /// <param name="inChannels">Channels of the input, 1 or more.</param>
    /// <param name="outChannels">Channels of the output, 1 or more.</param>
    /// <param name="kernelSize">Size of a kernel, 1 or more: a number, or (height, width).</param>
    /// <param name="stride">Pixels of the output from one pixel of the input to the next, 1 or more; 1 if null.</param>
    /// <param name="padding">Pixels that are cut off on both sides: a number, or (height, width); none if null.</param>
    /// <param name="outputPadding">Pixels behind the smallest output, less than the stride or the dilation: a number, or (height, width); none if null.</param>
    /// <param name="dilation">Pixels from one cell of the kernel to the next, 1 or more; 1 if null.</param>
    /// <param name="groups">Groups of channels that see each other; it divides both numbers of channels.</param>
    /// <param name="hasBias">Whether the layer learns an additive bias.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1).</param>
    /// <param name="topology">Draws the pattern from rows (in_channels), columns (out_channels / groups · cells of the kernel), nnz and a
    /// seed, and gives back one of that shape and nnz; uniformly random if null.</param>
    /// <param name="seed">What the pattern is drawn from; one number of torch's generator if null.</param>
    /// <param name="init">How the weights are drawn, from the slots of each output channel; torch.manual_seed governs the draws.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="policy">How <c>Rewiring.Rewire(model, optimizer)</c> rewires the layer; not at all if null.</param>
    /// <returns>The layer: input [N, inChannels, height, width], or without N.</returns>
    /// <exception cref="ArgumentException">A size is out of its range or does not fit the others, the sparsity is outside [0, 1) or
    /// leaves no weight, nnz would exceed 2^31 − 1, the topology refuses these numbers or gives another pattern, dtype is not a real
    /// floating one, or a part of the policy is outside its range.</exception>
    public static SparseConvTranspose2d SparseConvTranspose2d(
        long inChannels,
        long outChannels,
        ConvSize kernelSize,
        ConvSize? stride = null,
        ConvSize? padding = null,
        ConvSize? outputPadding = null,
        ConvSize? dilation = null,
        long groups = 1,
        bool hasBias = true,
        double sparsity = 0.9,
        Func<int, int, int, Seed, Connectivity>? topology = null,
        Seed? seed = null,
        Initialization init = Initialization.FanIn,
        Device? device = null,
        ScalarType? dtype = null,
        Policy? policy = null) =>
        new(
            Require.Size(inChannels),
            Require.Size(outChannels),
            Require.NotNull(kernelSize),
            sparsity,
            seed.OrNone(),
            stride.OrNone(),
            padding.OrNone(),
            outputPadding.OrNone(),
            dilation.OrNone(),
            Require.Size(groups),
            hasBias,
            init.ToCore(),
            device.OrNone(),
            dtype.OrNone(),
            FuncConvert.FromFunc(topology ?? Topologies.Uniform),
            policy.OrNone());

    /// <summary>A transposed convolution of images over a pattern that is given.</summary>
    /// <param name="connectivity">Which weights exist; shape [in_channels, out_channels / groups · cells of the kernel].</param>
    /// <param name="outChannels">Channels of the output, 1 or more.</param>
    /// <param name="kernelSize">Size of a kernel, 1 or more: a number, or (height, width).</param>
    /// <param name="stride">Pixels of the output from one pixel of the input to the next, 1 or more; 1 if null.</param>
    /// <param name="padding">Pixels that are cut off on both sides: a number, or (height, width); none if null.</param>
    /// <param name="outputPadding">Pixels behind the smallest output, less than the stride or the dilation: a number, or (height, width); none if null.</param>
    /// <param name="dilation">Pixels from one cell of the kernel to the next, 1 or more; 1 if null.</param>
    /// <param name="groups">Groups of channels that see each other; it divides both numbers of channels.</param>
    /// <param name="hasBias">Whether the layer learns an additive bias.</param>
    /// <param name="init">How the weights are drawn, from the slots of each output channel; torch.manual_seed governs the draws.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="policy">How <c>Rewiring.Rewire(model, optimizer)</c> rewires the layer; not at all if null.</param>
    /// <returns>The layer: input [N, the rows of the pattern, height, width], or without N.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    /// <exception cref="ArgumentException">A size is out of its range or does not fit the others or the pattern, dtype is not a real
    /// floating one, or a part of the policy is outside its range.</exception>
    public static SparseConvTranspose2d SparseConvTranspose2d(
        Connectivity connectivity,
        long outChannels,
        ConvSize kernelSize,
        ConvSize? stride = null,
        ConvSize? padding = null,
        ConvSize? outputPadding = null,
        ConvSize? dilation = null,
        long groups = 1,
        bool hasBias = true,
        Initialization init = Initialization.FanIn,
        Device? device = null,
        ScalarType? dtype = null,
        Policy? policy = null) =>
        new(
            Require.NotNull(connectivity),
            Require.Size(outChannels),
            Require.NotNull(kernelSize),
            stride.OrNone(),
            padding.OrNone(),
            outputPadding.OrNone(),
            dilation.OrNone(),
            Require.Size(groups),
            hasBias,
            init.ToCore(),
            device.OrNone(),
            dtype.OrNone(),
            policy.OrNone());

    /// <summary>A transposed convolution of volumes that stores, multiplies and trains only the weights that exist.</summary>
    /// <param name="inChannels">Channels of the input, 1 or more.</param>
    /// <param name="outChannels">Channels of the output, 1 or more.</param>
    /// <param name="kernelSize">Size of a kernel, 1 or more: a number, or (depth, height, width).</param>
    /// <param name="stride">Pixels of the output from one pixel of the input to the next, 1 or more; 1 if null.</param>
    /// <param name="padding">Pixels that are cut off on both sides: a number, or (depth, height, width); none if null.</param>
    /// <param name="outputPadding">Pixels behind the smallest output, less than the stride or the dilation: a number, or (depth, height, width); none if null.</param>
    /// <param name="dilation">Pixels from one cell of the kernel to the next, 1 or more; 1 if null.</param>
    /// <param name="groups">Groups of channels that see each other; it divides both numbers of channels.</param>
    /// <param name="hasBias">Whether the layer learns an additive bias.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1).</param>
    /// <param name="topology">Draws the pattern from rows (in_channels), columns (out_channels / groups · cells of the kernel), nnz and a
    /// seed, and gives back one of that shape and nnz; uniformly random if null.</param>
    /// <param name="seed">What the pattern is drawn from; one number of torch's generator if null.</param>
    /// <param name="init">How the weights are drawn, from the slots of each output channel; torch.manual_seed governs the draws.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="policy">How <c>Rewiring.Rewire(model, optimizer)</c> rewires the layer; not at all if null.</param>
    /// <returns>The layer: input [N, inChannels, depth, height, width], or without N.</returns>
    /// <exception cref="ArgumentException">A size is out of its range or does not fit the others, the sparsity is outside [0, 1) or
    /// leaves no weight, nnz would exceed 2^31 − 1, the topology refuses these numbers or gives another pattern, dtype is not a real
    /// floating one, or a part of the policy is outside its range.</exception>
    public static SparseConvTranspose3d SparseConvTranspose3d(
        long inChannels,
        long outChannels,
        ConvSize kernelSize,
        ConvSize? stride = null,
        ConvSize? padding = null,
        ConvSize? outputPadding = null,
        ConvSize? dilation = null,
        long groups = 1,
        bool hasBias = true,
        double sparsity = 0.9,
        Func<int, int, int, Seed, Connectivity>? topology = null,
        Seed? seed = null,
        Initialization init = Initialization.FanIn,
        Device? device = null,
        ScalarType? dtype = null,
        Policy? policy = null) =>
        new(
            Require.Size(inChannels),
            Require.Size(outChannels),
            Require.NotNull(kernelSize),
            sparsity,
            seed.OrNone(),
            stride.OrNone(),
            padding.OrNone(),
            outputPadding.OrNone(),
            dilation.OrNone(),
            Require.Size(groups),
            hasBias,
            init.ToCore(),
            device.OrNone(),
            dtype.OrNone(),
            FuncConvert.FromFunc(topology ?? Topologies.Uniform),
            policy.OrNone());

    /// <summary>A transposed convolution of volumes over a pattern that is given.</summary>
    /// <param name="connectivity">Which weights exist; shape [in_channels, out_channels / groups · cells of the kernel].</param>
    /// <param name="outChannels">Channels of the output, 1 or more.</param>
    /// <param name="kernelSize">Size of a kernel, 1 or more: a number, or (depth, height, width).</param>
    /// <param name="stride">Pixels of the output from one pixel of the input to the next, 1 or more; 1 if null.</param>
    /// <param name="padding">Pixels that are cut off on both sides: a number, or (depth, height, width); none if null.</param>
    /// <param name="outputPadding">Pixels behind the smallest output, less than the stride or the dilation: a number, or (depth, height, width); none if null.</param>
    /// <param name="dilation">Pixels from one cell of the kernel to the next, 1 or more; 1 if null.</param>
    /// <param name="groups">Groups of channels that see each other; it divides both numbers of channels.</param>
    /// <param name="hasBias">Whether the layer learns an additive bias.</param>
    /// <param name="init">How the weights are drawn, from the slots of each output channel; torch.manual_seed governs the draws.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="policy">How <c>Rewiring.Rewire(model, optimizer)</c> rewires the layer; not at all if null.</param>
    /// <returns>The layer: input [N, the rows of the pattern, depth, height, width], or without N.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    /// <exception cref="ArgumentException">A size is out of its range or does not fit the others or the pattern, dtype is not a real
    /// floating one, or a part of the policy is outside its range.</exception>
    public static SparseConvTranspose3d SparseConvTranspose3d(
        Connectivity connectivity,
        long outChannels,
        ConvSize kernelSize,
        ConvSize? stride = null,
        ConvSize? padding = null,
        ConvSize? outputPadding = null,
        ConvSize? dilation = null,
        long groups = 1,
        bool hasBias = true,
        Initialization init = Initialization.FanIn,
        Device? device = null,
        ScalarType? dtype = null,
        Policy? policy = null) =>
        new(
            Require.NotNull(connectivity),
            Require.Size(outChannels),
            Require.NotNull(kernelSize),
            stride.OrNone(),
            padding.OrNone(),
            outputPadding.OrNone(),
            dilation.OrNone(),
            Require.Size(groups),
            hasBias,
            init.ToCore(),
            device.OrNone(),
            dtype.OrNone(),
            policy.OrNone());
}
