namespace SparseFs

open SparseFs.Torch
open TorchSharp

/// <summary>A convolution that stores, multiplies and trains only the weights that exist.</summary>
/// <remarks>
/// Input [N, in_channels, *] or [in_channels, *], with as many sizes as the convolution has dimensions; output [N, out_channels, *] or
/// [out_channels, *], as torch.nn.Conv. Parameters: <c>weight</c> [nnz] in slot order and <c>bias</c> [out_channels]. The pattern is
/// [out_channels, in_channels / groups · cells of the kernel], a kernel's cells in the order of torch's weight [out_channels,
/// in_channels / groups, *kernel_size]; that of a transposed convolution is [in_channels, out_channels / groups · cells]. A convolution
/// of float32 on the CPU runs on SparseFs's kernels, one of another dtype or on another device by way of a dense kernel.
/// </remarks>
[<AbstractClass>]
type SparseConv internal (start: LayerStart, settings: ConvSettings) =
    inherit SparseLayer(ConvDescription.ofSettings settings, start)

    let geometry = settings.Geometry

    let product =
        if settings.IsTransposed then
            fun layer x given -> ConvTransposeForward.product settings layer x given null
        else
            ConvForward.product settings

    member internal _.Settings: ConvSettings = settings

    /// <summary>Channels of the input.</summary>
    member _.in_channels: int64 = int64 settings.InChannels

    /// <summary>Channels of the output.</summary>
    member _.out_channels: int64 = int64 settings.OutChannels

    /// <summary>Size of a kernel.</summary>
    member _.kernel_size: ConvSize = settings.SizeOf geometry.Kernel

    /// <summary>Pixels from one place of the kernel to the next: of the input, or of a transposed convolution's output.</summary>
    member _.stride: ConvSize = settings.SizeOf geometry.Stride

    /// <summary>What stands around the input; what is cut off around the output of a transposed convolution.</summary>
    member _.padding: ConvPadding = settings.Padding

    /// <summary>Pixels from one cell of the kernel to the next.</summary>
    member _.dilation: ConvSize = settings.SizeOf geometry.Dilation

    /// <summary>Channels are divided into so many groups, each of which sees its own inputs only.</summary>
    member _.groups: int64 = int64 geometry.Groups

    /// <summary>What the padding is made of.</summary>
    member _.padding_mode: PaddingModes = settings.PaddingMode

    /// A product of a batch, for inputs with or without one.
    member internal _.OfInput(x: torch.Tensor, product: torch.Tensor -> int64[] -> torch.Tensor) : torch.Tensor =
        if isNull (box x) then
            nullArg (nameof x)

        use _ = torch.NewDisposeScope()

        if x.dim () = int64 (settings.Dimensions + 1) then
            (product (x.unsqueeze 0L) x.shape).squeeze(0L).MoveToOuterDisposeScope()
        else
            (product x x.shape).MoveToOuterDisposeScope()

    /// <summary>The convolution of x with the kernels, + bias.</summary>
    /// <param name="x">Shape [N, in_channels, *] or [in_channels, *], of the dtype and on the device of the weight.</param>
    /// <returns>Shape [N, out_channels, *] or [out_channels, *]; each size is torch's: ⌊(size + 2 · padding − dilation · (kernel − 1) − 1)
    /// / stride⌋ + 1, and of a transposed convolution (size − 1) · stride − 2 · padding + dilation · (kernel − 1) + output_padding +
    /// 1.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said, or a pattern was loaded
    /// that is not one.</exception>
    /// <exception cref="T:System.ObjectDisposedException">The layer has been disposed of.</exception>
    override this.forward(x: torch.Tensor) : torch.Tensor = this.OfInput(x, product this)
