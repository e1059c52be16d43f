namespace SparseFs.Torch

open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>What a convolution makes of a batch.</summary>
[<RequireQualifiedAccess>]
module internal ConvForward =

    /// A margin for each side of each dimension, the last dimension first, as torch asks for them.
    let private marginsOf (s: ConvSettings) : int64[] =
        let b, a = s.Geometry.Before, s.Geometry.After

        [| for dimension, before, after in [ 1, b.Width, a.Width; 2, b.Height, a.Height; 3, b.Depth, a.Depth ] do
               if dimension <= s.Dimensions then
                   int64 before
                   int64 after |]

    /// Refuses an input that the convolution cannot take.
    let private check (s: ConvSettings) (layer: LayerName) (x: torch.Tensor) (given: int64[]) : unit =
        let input = ConvInputs.sizes s layer x given
        let refuse expected = ConvInputs.refuse layer given expected
        let geometry, most = s.Geometry, ConvInputs.most
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
            refuse ConvInputs.TooLarge

        if (geometry.Output input).Pixels = 0L then
            let reach = ConvInputs.shown ((s.SizeOf geometry.Reach).Array |> Seq.map int64)

            refuse $"sizes that are, with padding, [{reach}] or more, which the kernel spans"

        let fits (size: int) (before: int) (after: int) =
            match s.PaddingMode with
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
                match s.PaddingMode with
                | PaddingModes.Reflect -> "larger than the padding that reflects them"
                | PaddingModes.Circular -> "at least as large as the padding that wraps around"
                | _ -> "of 1 or more, whose borders are repeated"

            refuse $"sizes {bound}"

    /// The product of a batch, whose shape the caller gave so.
    let product (s: ConvSettings) : SparseLayer -> torch.Tensor -> int64[] -> torch.Tensor =
        /// Of an input with its margins, where those are made before.
        let own = ConvSettings.ownGeometry s
        let margins = marginsOf s

        fun layer x given ->
            check s layer.Name x given

            let x =
                if s.PaddingMode = PaddingModes.Zeros then
                    x
                else
                    // Torch's own padding comes before the product, which checks it too.
                    TensorView.checkFloating "x" x
                    torch.nn.functional.pad (x, margins, s.PaddingMode)

            let input = ConvInputs.extentOf s.Dimensions x.shape[2..]

            layer.Call(
                own.For input,
                input,
                fun name operator numbers ->
                    TensorView.checkPlace "x" x name "weight" numbers.Dtype numbers.Device
                    BackwardFailure.Raise numbers.Failure
                    DeferredDispose.Release()
                    use _ = torch.NewDisposeScope()

                    let y =
                        SpmmFunction.Apply(operator, numbers.Leaf, numbers.BiasLeaf, ConvInputs.volumes x input)

                    (ConvInputs.ofVolumes s.Dimensions y).MoveToOuterDisposeScope()
            )
