namespace SparseFs

open SparseFs.Torch
open TorchSharp

/// <summary>A transposed convolution of volumes that stores, multiplies and trains only the weights that exist.</summary>
/// <remarks>Input [N, in_channels, depth, height, width] or without N, as torch.nn.ConvTranspose3d. What SparseConvTranspose says holds for it.</remarks>
[<Sealed>]
type SparseConvTranspose3d internal (start: LayerStart, settings: ConvSettings) =
    inherit SparseConvTranspose(start, settings)

    /// <summary>A layer over a pattern that is given.</summary>
    /// <param name="connectivity">Which weights exist; shape [in_channels, out_channels / groups · cells of the kernel].</param>
    /// <param name="outChannels">Channels of the output, 1 or more.</param>
    /// <param name="kernelSize">Size of a kernel, 1 or more: a number, or (depth, height, width).</param>
    /// <param name="stride">Pixels of the output from one pixel of the input to the next, 1 or more; 1 by default.</param>
    /// <param name="padding">Pixels that are cut off on both sides: a number, or (depth, height, width); none by default.</param>
    /// <param name="outputPadding">Pixels behind the smallest output, less than the stride or the dilation: a number, or (depth, height, width); none by default.</param>
    /// <param name="dilation">Pixels from one cell of the kernel to the next, 1 or more; 1 by default.</param>
    /// <param name="groups">Groups of channels that see each other; 1 by default. It divides both numbers of channels.</param>
    /// <param name="hasBias">Whether the layer learns an additive bias; true by default.</param>
    /// <param name="init">How the weights are drawn, from the slots of each output channel; Init.FanIn by default.</param>
    /// <param name="device">Where the parameters live; torch's default device if not given.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if not given.</param>
    /// <param name="policy">How a Rewirer that follows its layers rewires this one; not at all by default.</param>
    /// <exception cref="T:System.ArgumentException">A size is out of its range or does not fit the others, connectivity is null or of
    /// another shape, dtype is not a real floating one, or a part of the policy is outside its range.</exception>
    /// <example><code>
    /// let pattern = Topology.uniform 32 (16 * 64) 3_277 (Seed.ofInt 1)
    /// new SparseConvTranspose3d(pattern, 16, 4, stride = 2, padding = 1)
    /// </code></example>
    new
        (
            connectivity: Connectivity,
            outChannels: int,
            kernelSize: ConvSize,
            ?stride: ConvSize,
            ?padding: ConvSize,
            ?outputPadding: ConvSize,
            ?dilation: ConvSize,
            ?groups: int,
            ?hasBias: bool,
            ?init: Init,
            ?device: torch.Device,
            ?dtype: torch.ScalarType,
            ?policy: Policy
        ) =
        let settings =
            ConvTransposeSettings.ofPattern
                3
                connectivity
                outChannels
                kernelSize
                stride
                padding
                outputPadding
                dilation
                groups

        let layer = LayerSettings.Of(hasBias, init, device, dtype, policy)
        new SparseConvTranspose3d(LayerStart.ofPattern layer (ConvSettings.channels settings) connectivity, settings)

    /// <summary>A layer over a pattern that is drawn: uniformly random connections, or those of a topology.</summary>
    /// <param name="inChannels">Channels of the input, 1 or more.</param>
    /// <param name="outChannels">Channels of the output, 1 or more.</param>
    /// <param name="kernelSize">Size of a kernel, 1 or more: a number, or (depth, height, width).</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1); 0.9 by default.</param>
    /// <param name="seed">What the pattern is drawn from; one number of torch's generator if not given.</param>
    /// <param name="stride">Pixels of the output from one pixel of the input to the next, 1 or more; 1 by default.</param>
    /// <param name="padding">Pixels that are cut off on both sides: a number, or (depth, height, width); none by default.</param>
    /// <param name="outputPadding">Pixels behind the smallest output, less than the stride or the dilation: a number, or (depth, height, width); none by default.</param>
    /// <param name="dilation">Pixels from one cell of the kernel to the next, 1 or more; 1 by default.</param>
    /// <param name="groups">Groups of channels that see each other; 1 by default. It divides both numbers of channels.</param>
    /// <param name="hasBias">Whether the layer learns an additive bias; true by default.</param>
    /// <param name="init">How the weights are drawn, from the slots of each output channel; Init.FanIn by default.</param>
    /// <param name="device">Where the parameters live; torch's default device if not given.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if not given.</param>
    /// <param name="topology">Draws the pattern from rows (in_channels), columns (out_channels / groups · cells of the kernel), nnz and
    /// a seed, and gives back one of that shape and nnz; Topology.uniform by default.</param>
    /// <param name="policy">How a Rewirer that follows its layers rewires this one; not at all by default.</param>
    /// <exception cref="T:System.ArgumentException">A size is out of its range or does not fit the others, the sparsity is outside [0, 1)
    /// or leaves no weight, nnz would exceed 2^31 − 1, the topology refuses them or gives another pattern, or dtype or policy are not
    /// as said above.</exception>
    /// <example><code>new SparseConvTranspose3d(32, 16, 4, sparsity = 0.9, stride = 2, padding = 1)</code></example>
    new
        (
            inChannels: int,
            outChannels: int,
            kernelSize: ConvSize,
            ?sparsity: float,
            ?seed: Seed,
            ?stride: ConvSize,
            ?padding: ConvSize,
            ?outputPadding: ConvSize,
            ?dilation: ConvSize,
            ?groups: int,
            ?hasBias: bool,
            ?init: Init,
            ?device: torch.Device,
            ?dtype: torch.ScalarType,
            ?topology: int -> int -> int -> Seed -> Connectivity,
            ?policy: Policy
        ) =
        let settings =
            ConvTransposeSettings.make 3 inChannels outChannels kernelSize stride padding outputPadding dilation groups

        let layer = LayerSettings.Of(hasBias, init, device, dtype, policy)
        new SparseConvTranspose3d(ConvSettings.start layer settings sparsity topology seed, settings)
