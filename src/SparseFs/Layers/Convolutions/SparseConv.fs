namespace SparseFs

open System
open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp

/// <summary>A convolution that stores, multiplies and trains only the weights that exist.</summary>
/// <remarks>
/// Input [N, in_channels, *] or [in_channels, *], with as many sizes as the convolution has dimensions; output [N, out_channels, *] or
/// [out_channels, *], as torch.nn.Conv. Parameters: <c>weight</c> [nnz] in slot order and <c>bias</c> [out_channels]. The pattern is
/// [out_channels, in_channels / groups · cells of the kernel], a kernel's cells in the order of torch's weight [out_channels,
/// in_channels / groups, *kernel_size]. A convolution of float32 on the CPU runs on SparseFs's kernels, one of another dtype or on
/// another device by way of a dense kernel.
/// </remarks>
[<AbstractClass>]
type SparseConv internal (start: LayerStart, settings: ConvSettings) =
    inherit SparseLayer(ConvSettings.describe settings, start)

    let dimensions, geometry, paddingMode =
        settings.Dimensions, settings.Geometry, settings.PaddingMode

    /// Of an input with its margins, where those are made before.
    let own = ConvSettings.ownGeometry settings

    /// A margin for each side of each dimension, the last dimension first, as torch asks for them.
    let margins =
        [| let b, a = geometry.Before, geometry.After

           for dimension, before, after in [ 1, b.Width, a.Width; 2, b.Height, a.Height; 3, b.Depth, a.Depth ] do
               if dimension <= dimensions then
                   int64 before
                   int64 after |]

    /// The most pixels of all channels of a sample, and the most samples.
    let most = int64 Int32.MaxValue

    let shown (sizes: int64 seq) =
        sizes |> Seq.map string |> String.concat ", "

    /// The size of an input [N, in_channels, *], if the convolution can take it; its shape as the caller gave it.
    let sizeOf (layer: LayerName) (x: torch.Tensor) (given: int64[]) : Extent =
        let refuse (expected: string) =
            raise (ArgumentException($"{layer}: expected {expected}, got [{shown given}]", "x"))

        let sizes = x.shape

        if sizes.Length <> dimensions + 2 then
            let names = [ "D"; "H"; "W" ][3 - dimensions ..] |> String.concat ", "
            let channels = geometry.InChannels
            refuse $"[N, {channels}, {names}] or [{channels}, {names}]"

        if sizes[1] <> int64 geometry.InChannels then
            refuse $"{geometry.InChannels} channels (in_channels)"

        if sizes |> Array.exists (fun size -> size > most) then
            refuse "sizes below 2^31"

        let sizeAt dimension =
            if dimension < 3 - dimensions then
                1
            else
                int sizes[dimension - (3 - dimensions) + 2]

        let input = Extent.of3 (sizeAt 0) (sizeAt 1) (sizeAt 2)

        let b, a = geometry.Before, geometry.After
        // Sizes of 32 bits have sums of more; no kernel spans more pixels than this.
        let isHuge size before after =
            int64 size + int64 before + int64 after > most

        if
            isHuge input.Depth b.Depth a.Depth
            || isHuge input.Height b.Height a.Height
            || isHuge input.Width b.Width a.Width
            || geometry.For(input).MostFloats input > float most
        then
            refuse
                "fewer than 2^31 numbers of a sample, with its padding and what the kernel spans, in all channels of input or output"

        if (geometry.Output input).Pixels = 0L then
            let reach = shown ((settings.SizeOf geometry.Reach).Array |> Seq.map int64)
            refuse $"sizes that are, with padding, [{reach}] or more, which the kernel spans"

        let fits (size: int) (before: int) (after: int) =
            match paddingMode with
            | PaddingModes.Reflect -> before < size && after < size
            | PaddingModes.Circular -> before <= size && after <= size
            | PaddingModes.Replicate -> size > 0
            | _ -> true

        if
            not (
                fits input.Depth b.Depth a.Depth
                && fits input.Height b.Height a.Height
                && fits input.Width b.Width a.Width
            )
        then
            let bound =
                match paddingMode with
                | PaddingModes.Reflect -> "larger than the padding that reflects them"
                | PaddingModes.Circular -> "at least as large as the padding that wraps around"
                | _ -> "of 1 or more, whose borders are repeated"

            refuse $"sizes {bound}"

        input

    member internal _.Settings: ConvSettings = settings

    /// <summary>Channels of the input.</summary>
    member _.in_channels: int64 = int64 geometry.InChannels

    /// <summary>Channels of the output.</summary>
    member _.out_channels: int64 = int64 geometry.OutChannels

    /// <summary>Size of a kernel.</summary>
    member _.kernel_size: ConvSize = settings.SizeOf geometry.Kernel

    /// <summary>Pixels from one place of the kernel to the next.</summary>
    member _.stride: ConvSize = settings.SizeOf geometry.Stride

    /// <summary>What stands around the input.</summary>
    member _.padding: ConvPadding = settings.Padding

    /// <summary>Pixels from one cell of the kernel to the next.</summary>
    member _.dilation: ConvSize = settings.SizeOf geometry.Dilation

    /// <summary>Channels are divided into so many groups, each of which sees its own inputs only.</summary>
    member _.groups: int64 = int64 geometry.Groups

    /// <summary>What the padding is made of.</summary>
    member _.padding_mode: PaddingModes = paddingMode

    /// The product of a batch.
    member private this.OfBatch(x: torch.Tensor, given: int64[]) : torch.Tensor =
        sizeOf this.Name x given |> ignore

        if paddingMode <> PaddingModes.Zeros then
            // Torch's own padding comes before the product, which checks it too.
            TensorView.checkFloating "x" x

        let x =
            if paddingMode = PaddingModes.Zeros then
                x
            else
                torch.nn.functional.pad (x, margins, paddingMode)

        let sizes = x.shape
        let ones = Array.create (3 - dimensions) 1L
        let spatial = Array.append ones sizes[2..]
        let input = Extent.of3 (int spatial[0]) (int spatial[1]) (int spatial[2])
        let own = own.For input
        let output = own.Output input

        this.Call(
            own,
            input,
            fun layer operator numbers ->
                TensorView.checkPlace "x" x layer "weight" numbers.Dtype numbers.Device
                BackwardFailure.Raise numbers.Failure
                DeferredDispose.Release()
                use _ = torch.NewDisposeScope()
                let volumes = x.reshape (Array.append sizes[..1] spatial)
                let y = SpmmFunction.Apply(operator, numbers.Leaf, numbers.BiasLeaf, volumes)
                let sizes = [| int64 output.Depth; int64 output.Height; int64 output.Width |]

                y.view(Array.append y.shape[..1] sizes[3 - dimensions ..]).MoveToOuterDisposeScope()
        )

    /// <summary>The convolution of x with the kernels, + bias.</summary>
    /// <param name="x">Shape [N, in_channels, *] or [in_channels, *], of the dtype and on the device of the weight.</param>
    /// <returns>Shape [N, out_channels, *] or [out_channels, *]; each size is torch's: ⌊(size + 2 · padding − dilation · (kernel − 1) − 1)
    /// / stride⌋ + 1.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said, or a pattern was loaded
    /// that is not one.</exception>
    /// <exception cref="T:System.ObjectDisposedException">The layer has been disposed of.</exception>
    override this.forward(x: torch.Tensor) : torch.Tensor =
        if isNull (box x) then
            nullArg (nameof x)

        use _ = torch.NewDisposeScope()

        if x.dim () = int64 (dimensions + 1) then
            this.OfBatch(x.unsqueeze 0L, x.shape).squeeze(0L).MoveToOuterDisposeScope()
        else
            this.OfBatch(x, x.shape).MoveToOuterDisposeScope()
