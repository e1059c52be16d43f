namespace SparseFs

open SparseFs.Torch
open TorchSharp

/// <summary>A convolution of sequences that stores, multiplies and trains only the weights that exist.</summary>
/// <remarks>Input [N, in_channels, length] or without N, as torch.nn.Conv1d. What SparseConv says holds for it.</remarks>
[<Sealed>]
type SparseConv1d internal (start: LayerStart, settings: ConvSettings) =
    inherit SparseConv(start, settings)

    /// <summary>A layer over a pattern that is given.</summary>
    /// <param name="connectivity">Which weights exist; shape [out_channels, in_channels / groups · cells of the kernel].</param>
    /// <param name="inChannels">Channels of the input, 1 or more.</param>
    /// <param name="kernelSize">Size of a kernel, 1 or more: a number.</param>
    /// <param name="stride">Pixels from one place of the kernel to the next, 1 or more; 1 by default.</param>
    /// <param name="padding">What stands around the input: a number, ConvPadding.Same or ConvPadding.Valid; none by default.</param>
    /// <param name="dilation">Pixels from one cell of the kernel to the next, 1 or more; 1 by default.</param>
    /// <param name="groups">Groups of channels that see each other; 1 by default. It divides both numbers of channels.</param>
    /// <param name="paddingMode">Zeros (by default), Reflect, Replicate or Circular.</param>
    /// <param name="hasBias">Whether the layer learns an additive bias; true by default.</param>
    /// <param name="init">How the weights are drawn, from the slots of each output channel; Init.FanIn by default.</param>
    /// <param name="device">Where the parameters live; torch's default device if not given.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if not given.</param>
    /// <param name="policy">How a Rewirer that follows its layers rewires this one; not at all by default.</param>
    /// <exception cref="T:System.ArgumentException">A size is out of its range or does not fit the others, connectivity is null or of
    /// another shape, dtype is not a real floating one, or a part of the policy is outside its range.</exception>
    /// <example><code>
    /// let pattern = Topology.constantFanIn 32 (16 * 5) 8 (Seed.ofInt 1)
    /// new SparseConv1d(pattern, 16, 5)
    /// </code></example>
    new
        (
            connectivity: Connectivity,
            inChannels: int,
            kernelSize: ConvSize,
            ?stride: ConvSize,
            ?padding: ConvPadding,
            ?dilation: ConvSize,
            ?groups: int,
            ?paddingMode: PaddingModes,
            ?hasBias: bool,
            ?init: Init,
            ?device: torch.Device,
            ?dtype: torch.ScalarType,
            ?policy: Policy
        ) =
        let settings =
            ConvSettings.ofPattern 1 connectivity inChannels kernelSize stride padding dilation groups paddingMode

        let layer = LayerSettings.Of(hasBias, init, device, dtype, policy)
        new SparseConv1d(LayerStart.ofPattern layer (ConvSettings.channels settings) connectivity, settings)

    /// <summary>A layer over a pattern that is drawn: uniformly random connections, or those of a topology.</summary>
    /// <param name="inChannels">Channels of the input, 1 or more.</param>
    /// <param name="outChannels">Channels of the output, 1 or more.</param>
    /// <param name="kernelSize">Size of a kernel, 1 or more: a number.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1); 0.9 by default.</param>
    /// <param name="seed">What the pattern is drawn from; one number of torch's generator if not given.</param>
    /// <param name="stride">Pixels from one place of the kernel to the next, 1 or more; 1 by default.</param>
    /// <param name="padding">What stands around the input: a number, ConvPadding.Same or ConvPadding.Valid; none by default.</param>
    /// <param name="dilation">Pixels from one cell of the kernel to the next, 1 or more; 1 by default.</param>
    /// <param name="groups">Groups of channels that see each other; 1 by default. It divides both numbers of channels.</param>
    /// <param name="paddingMode">Zeros (by default), Reflect, Replicate or Circular.</param>
    /// <param name="hasBias">Whether the layer learns an additive bias; true by default.</param>
    /// <param name="init">How the weights are drawn, from the slots of each output channel; Init.FanIn by default.</param>
    /// <param name="device">Where the parameters live; torch's default device if not given.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if not given.</param>
    /// <param name="topology">Draws the pattern from rows (out_channels), columns (in_channels / groups · cells of the kernel), nnz and
    /// a seed, and gives back one of that shape and nnz; Topology.uniform by default.</param>
    /// <param name="policy">How a Rewirer that follows its layers rewires this one; not at all by default.</param>
    /// <exception cref="T:System.ArgumentException">A size is out of its range or does not fit the others, the sparsity is outside [0, 1)
    /// or leaves no weight, nnz would exceed 2^31 − 1, the topology refuses them or gives another pattern, or dtype or policy are not
    /// as said above.</exception>
    /// <example><code>new SparseConv1d(16, 32, 5, sparsity = 0.9, padding = 2)</code></example>
    new
        (
            inChannels: int,
            outChannels: int,
            kernelSize: ConvSize,
            ?sparsity: float,
            ?seed: Seed,
            ?stride: ConvSize,
            ?padding: ConvPadding,
            ?dilation: ConvSize,
            ?groups: int,
            ?paddingMode: PaddingModes,
            ?hasBias: bool,
            ?init: Init,
            ?device: torch.Device,
            ?dtype: torch.ScalarType,
            ?topology: int -> int -> int -> Seed -> Connectivity,
            ?policy: Policy
        ) =
        let settings =
            ConvSettings.make 1 inChannels outChannels kernelSize stride padding dilation groups paddingMode

        let layer = LayerSettings.Of(hasBias, init, device, dtype, policy)
        new SparseConv1d(ConvSettings.start layer settings sparsity topology seed, settings)
