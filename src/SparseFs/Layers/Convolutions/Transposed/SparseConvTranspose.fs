namespace SparseFs

open System
open SparseFs.Torch
open TorchSharp

/// <summary>A transposed convolution that stores, multiplies and trains only the weights that exist: it makes images larger, as
/// generators and decoders do.</summary>
/// <remarks>
/// As torch.nn.ConvTranspose: what a convolution with these kernels does to the gradient of its output. Parameters: <c>weight</c> [nnz] in
/// slot order and <c>bias</c> [out_channels]. The pattern is [in_channels, out_channels / groups · cells of the kernel], the cells in the
/// order of torch's weight [in_channels, out_channels / groups, *kernel_size]: its rows are the layer's inputs, so that what policies and
/// topologies say of rows (a constant fan-in, row groups) holds for what an input channel reaches. Initial weights go by the slots of each
/// output channel; torch's own go by the cells of an input channel.
/// </remarks>
[<AbstractClass>]
type SparseConvTranspose internal (start: LayerStart, settings: ConvSettings) =
    inherit SparseConv(start, settings)

    /// <summary>Pixels behind each dimension of the smallest output.</summary>
    member _.output_padding: ConvSize = settings.SizeOf settings.OutputPadding

    /// <summary>The transposed convolution with outputs of a size, of the sizes whose convolution gives inputs of this one's.</summary>
    /// <param name="x">Shape [N, in_channels, *] or [in_channels, *], of the dtype and on the device of the weight.</param>
    /// <param name="outputSize">A size for each dimension of the convolution; output_padding is not read.</param>
    /// <returns>Shape [N, out_channels, *outputSize] or [out_channels, *outputSize].</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said, or outputSize is not from the smallest output
    /// to one that is a stride − 1 larger.</exception>
    /// <exception cref="T:System.ObjectDisposedException">The layer has been disposed of.</exception>
    /// <example><code>
    /// let up = new SparseConvTranspose2d(64, 32, 3, stride = 2, padding = 1, sparsity = 0.8)
    /// let images = torch.randn (8L, 64L, 7L, 7L)
    /// (up.call images).shape // = [|8L; 32L; 13L; 13L|]
    /// (up.forward (images, [| 14L; 14L |])).shape // = [|8L; 32L; 14L; 14L|]
    /// </code></example>
    member this.forward(x: torch.Tensor, outputSize: int64[]) : torch.Tensor =
        ArgumentNullException.ThrowIfNull(outputSize, nameof outputSize)
        this.OfInput(x, (fun x given -> ConvTransposeForward.product settings this x given outputSize))
