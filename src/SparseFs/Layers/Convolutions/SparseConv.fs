namespace SparseFs.Torch

open System
open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>A convolution that stores, multiplies and trains only the weights that exist.</summary>
/// <remarks>
/// Input [N, in_channels, *] or [in_channels, *], with as many sizes as the convolution has dimensions; output [N, out_channels, *] or
/// [out_channels, *], as torch.nn.Conv. The pattern is [out_channels, in_channels / groups · cells of the kernel], a kernel's cells in
/// the order of torch's weight [out_channels, in_channels / groups, *kernel_size]. Margins that are not zeros are torch's to make.
/// </remarks>
[<Sealed>]
type internal SparseConv
    (dimensions: int, start: LayerStart, geometry: ConvGeometry, paddingMode: PaddingModes, describe: LayerText) =
    inherit SparseLayer($"SparseConv{dimensions}d", start, describe)

    /// Margins of another kind are made before, so that the convolution itself has none.
    let own =
        if paddingMode = PaddingModes.Zeros then
            geometry
        else
            { geometry with
                Before = Extent.all 0
                After = Extent.all 0 }

    /// A margin for each side of each dimension, the last dimension first, as torch asks for them.
    let margins =
        [| let b, a = geometry.Before, geometry.After

           for dimension, before, after in [ 1, b.Width, a.Width; 2, b.Height, a.Height; 3, b.Depth, a.Depth ] do
               if dimension <= dimensions then
                   int64 before
                   int64 after |]

    let refuse (x: torch.Tensor) (expected: string) (layer: LayerName) =
        let got = x.shape |> Array.map string |> String.concat ", "
        raise (ArgumentException($"{layer}: expected {expected}, got [{got}]", "x"))

    member _.Geometry: ConvGeometry = geometry

    /// x as [N, in, depth, height, width], with 1 where it has no such dimension.
    member private _.Volumes(x: torch.Tensor, layer: LayerName) : torch.Tensor =
        let sizes = x.shape

        if sizes.Length <> dimensions + 2 then
            refuse x $"{dimensions + 1} or {dimensions + 2} dimensions" layer

        if sizes[1] <> int64 geometry.InChannels then
            refuse x $"{geometry.InChannels} channels, in_channels" layer

        let spatial = Array.append (Array.create (3 - dimensions) 1L) sizes[2..]
        x.reshape (Array.append sizes[..1] spatial)

    /// The product of a batch.
    member private this.OfBatch(x: torch.Tensor) : torch.Tensor =
        let x =
            if paddingMode = PaddingModes.Zeros then
                x
            else
                torch.nn.functional.pad (x, margins, paddingMode)

        // Sizes are known before the call, whose version of the pattern is not.
        let sizeOf i =
            if x.dim () > int64 i && i >= 0 then int x.shape[i] else 1

        let last = int (x.dim ()) - 1

        let size k =
            if k < dimensions then sizeOf (last - k) else 1

        let input = Extent.of3 (size 2) (size 1) (size 0)
        let output = own.Output input

        this.Call(
            own,
            input,
            fun layer operator numbers ->
                TensorView.checkPlace "x" x layer "weight" numbers.Dtype numbers.Device
                BackwardFailure.Raise numbers.Failure
                let volumes = this.Volumes(x, layer)

                if output.Pixels = 0L then
                    refuse x $"sizes of {own.Reach.Depth} x {own.Reach.Height} x {own.Reach.Width} pixels or more" layer

                DeferredDispose.Release()
                use _ = torch.NewDisposeScope()
                let y = SpmmFunction.Apply(operator, numbers.Leaf, numbers.BiasLeaf, volumes)
                let sizes = [| int64 output.Depth; int64 output.Height; int64 output.Width |]

                y.view(Array.append y.shape[..1] sizes[3 - dimensions ..]).MoveToOuterDisposeScope()
        )

    override this.forward(x: torch.Tensor) : torch.Tensor =
        if isNull (box x) then
            nullArg (nameof x)

        use _ = torch.NewDisposeScope()

        if x.dim () = int64 (dimensions + 1) then
            this.OfBatch(x.unsqueeze 0L).squeeze(0L).MoveToOuterDisposeScope()
        else
            this.OfBatch(x).MoveToOuterDisposeScope()
