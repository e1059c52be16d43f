namespace SparseFs.Torch

open System
open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>What a transposed convolution makes of a batch: the product by which a convolution takes a gradient back to its input.</summary>
[<RequireQualifiedAccess>]
module internal ConvTransposeForward =

    /// Sizes of the smallest output, of 0 or less where there is none.
    let smallest (g: ConvGeometry) (input: Extent) : int64[] =
        let along size stride before after reach =
            (int64 size - 1L) * int64 stride - int64 before - int64 after + int64 reach

        let s, b, a, reach = g.Stride, g.Before, g.After, g.Reach

        [| along input.Depth s.Depth b.Depth a.Depth reach.Depth
           along input.Height s.Height b.Height a.Height reach.Height
           along input.Width s.Width b.Width a.Width reach.Width |]

    let private array (e: Extent) : int64[] =
        [| int64 e.Depth; int64 e.Height; int64 e.Width |]

    /// Pixels behind the smallest output, for an output of a size.
    let private behindFor (s: ConvSettings) (layer: LayerName) (least: int64[]) (outputSize: int64[]) : int64[] =
        let refuse (expected: string) =
            raise (
                ArgumentException(
                    $"{layer}: expected {expected}, got [{ConvInputs.shown outputSize}]",
                    nameof outputSize
                )
            )

        let own = 3 - s.Dimensions

        if outputSize.Length <> s.Dimensions then
            refuse $"{s.Dimensions} sizes, those of the output's pixels"

        let stride = array s.Geometry.Stride
        let behind = Array.append (Array.zeroCreate own) outputSize

        for i in own..2 do
            behind[i] <- outputSize[i - own] - least[i]

            if behind[i] < 0L || behind[i] >= stride[i] then
                let most = Array.map2 (fun least stride -> least + stride - 1L) least stride

                refuse
                    $"sizes from [{ConvInputs.shown least[own..]}] to [{ConvInputs.shown most[own..]}], which give inputs of this size"

        behind

    /// The product of a batch, whose shape the caller gave so, with outputs of a size or null.
    let product
        (s: ConvSettings)
        (layer: SparseLayer)
        (x: torch.Tensor)
        (given: int64[])
        (outputSize: int64[] | null)
        : torch.Tensor =
        let name, g = layer.Name, s.Geometry
        let input = ConvInputs.sizes s name x given
        let refuse expected = ConvInputs.refuse name given expected

        if input.Pixels = 0L then
            refuse "sizes of 1 or more"

        let least = smallest g input

        let behind =
            match outputSize with
            | null -> array s.OutputPadding
            | sizes -> behindFor s name least sizes

        let sizes = Array.map2 (+) least behind

        if sizes |> Array.exists (fun size -> size < 1L) then
            refuse $"sizes that leave an output, which would have [{ConvInputs.shown sizes[3 - s.Dimensions ..]}]"

        if sizes |> Array.exists (fun size -> size > ConvInputs.most / 2L) then
            refuse ConvInputs.TooLarge

        let output = Extent.of3 (int sizes[0]) (int sizes[1]) (int sizes[2])

        // Where the output has a stride more behind, no input would reach it: zeros stand there.
        let stride = array g.Stride
        let zeros = Array.map2 (fun behind stride -> behind / stride) behind stride
        let own = g.For output

        if own.MostFloats output > float ConvInputs.most then
            refuse ConvInputs.TooLarge

        let x =
            if zeros |> Array.forall ((=) 0L) then
                x
            else
                TensorView.checkFloating "x" x

                torch.nn.functional.pad (
                    x,
                    [| for i in 2 .. -1 .. 3 - s.Dimensions do
                           0L
                           zeros[i] |]
                )

        let input = ConvInputs.extentOf s.Dimensions x.shape[2..]

        layer.Call(
            own,
            output,
            fun name operator numbers ->
                TensorView.checkPlace "x" x name "weight" numbers.Dtype numbers.Device
                BackwardFailure.Raise numbers.Failure
                DeferredDispose.Release()
                use _ = torch.NewDisposeScope()

                let product =
                    BilinearFunction<SpmmT>.Apply(operator, numbers.Leaf, ConvInputs.volumes x input)

                let y =
                    match numbers.BiasLeaf with
                    | null -> product
                    | bias -> ChannelBias.Apply(operator, bias, product)

                (ConvInputs.ofVolumes s.Dimensions y).MoveToOuterDisposeScope()
        )
