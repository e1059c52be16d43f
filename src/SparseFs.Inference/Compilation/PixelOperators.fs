namespace SparseFs.Inference

open System
open SparseFs
open SparseFs.Kernels

/// <summary>Operators over [channels, pixels...] of each sample.</summary>
[<RequireQualifiedAccess>]
module internal PixelOperators =

    let private volume (sizes: int[]) (otherwise: int) : Extent =
        let at index =
            if index < 3 - sizes.Length then
                otherwise
            else
                sizes[index - (3 - sizes.Length)]

        Extent.of3 (at 0) (at 1) (at 2)

    /// Pixels of a value, in as many dimensions as a node's sizes have.
    let private pixelsOf (l: Lowering) (node: NetworkNode) (value: Value) : Extent =
        let struct (_, first) = node.Sizes[0]
        let dimensions = first.Length

        for struct (name, own) in node.Sizes do
            if own.Length <> dimensions then
                l.Refuse(
                    node,
                    invariant $"expected {dimensions} numbers in each list of sizes, got {own.Length} as '{name}'"
                )

        if value.Shape.HasTokens || value.Shape.Sizes.Length <> dimensions + 1 then
            l.Refuse(
                node,
                invariant $"expected [channels] and {dimensions} dimensions of pixels, got {value.Shape.Text}"
            )

        volume value.Shape.Sizes[1..] 1

    let private extent (l: Lowering) (node: NetworkNode) (name: string) (least: int) (otherwise: int) : Extent =
        let sizes = (node.TrySizes name).Value

        if sizes |> Array.exists (fun size -> size < least) then
            l.Refuse(node, invariant $"expected {least} or more as '{name}'")

        volume sizes otherwise

    /// The shape of channels of so many pixels.
    let private shapeOf (value: Value) (channels: int) (e: Extent) : ValueShape =
        let dimensions = value.Shape.Sizes.Length - 1
        let sizes = [| e.Depth; e.Height; e.Width |]
        value.Shape.With(Array.append [| channels |] sizes[3 - dimensions ..])

    let convolution (l: Lowering) (node: NetworkNode) : unit =
        let inputs, outputs, groups =
            l.Size(node, "in_channels"), l.Size(node, "out_channels"), l.Size(node, "groups")

        let struct (value, release) = l.Input(node, 0)
        let input = pixelsOf l node value

        if value.Shape.Sizes[0] <> inputs || inputs % groups <> 0 || outputs % groups <> 0 then
            l.Refuse(
                node,
                invariant
                    $"expected {inputs} channels, and {groups} groups that divide them and {outputs} outputs, got {value.Shape.Text}"
            )

        let geometry =
            { InChannels = inputs
              OutChannels = outputs
              Groups = groups
              Kernel = extent l node "kernel" 1 1
              Stride = extent l node "stride" 1 1
              Dilation = extent l node "dilation" 1 1
              Before = extent l node "before" 0 0
              After = extent l node "after" 0 0 }

        // In float64: the sizes of a file may exceed what integers hold.
        let reach (kernel: int) (dilation: int) =
            float (kernel - 1) * float dilation + 1.0

        let most =
            max
                (reach geometry.Kernel.Depth geometry.Dilation.Depth)
                (max
                    (reach geometry.Kernel.Height geometry.Dilation.Height)
                    (reach geometry.Kernel.Width geometry.Dilation.Width))

        let cells =
            float geometry.Kernel.Depth
            * float geometry.Kernel.Height
            * float geometry.Kernel.Width

        if most > float (1 <<< 30) || cells * float inputs > float (1 <<< 30) then
            l.Refuse(node, "expected a kernel of at most 2^30 weights and pixels")

        if not (geometry.Takes input) then
            l.Refuse(
                node,
                invariant
                    $"expected pixels that the kernel fits into, and a layout of at most 2^31 numbers, got {value.Shape.Text}"
            )

        let kernel = (node.TrySizes "kernel").Value |> Array.map int64
        let columns = inputs / groups * geometry.Cells
        let shape = Array.append [| int64 outputs; int64 (inputs / groups) |] kernel
        let product = l.Product(node, "", shape, outputs, columns, "bias")
        let output = (geometry.For input).Output input
        let into = l.Room(node, shapeOf value outputs output)
        release ()
        l.Add(ConvolutionStep(product, geometry, input, l.Threads, value.Buffer, into))
        l.Products[node.Name] <- product

    /// Outputs of a pooling in one dimension, as torch counts them; 0 where no window fits.
    let private outputs (isCeil: bool) (size: int) (kernel: int) (stride: int) (dilation: int) (padding: int) : int64 =
        let span = int64 dilation * int64 (kernel - 1) + 1L
        let up = if isCeil then int64 stride - 1L else 0L
        let left = int64 size + 2L * int64 padding - span + up

        if left < 0L then
            0L
        else
            let count = left / int64 stride + 1L

            // The last window has to begin in the input or before it.
            if isCeil && (count - 1L) * int64 stride >= int64 size + int64 padding then
                count - 1L
            else
                count

    let pooling (l: Lowering) (node: NetworkNode) : unit =
        let isMax = node.Operator = "max_pool"
        let struct (value, release) = l.Input(node, 0)
        let input = pixelsOf l node value
        let kernel, stride = extent l node "kernel" 1 1, extent l node "stride" 1 1
        let padding = extent l node "padding" 0 0

        let dilation = if isMax then extent l node "dilation" 1 1 else Extent.all 1

        let half =
            Extent.map2 (fun kernel padding -> if 2L * int64 padding > int64 kernel then 0 else 1) kernel padding

        if half.Pixels = 0L then
            l.Refuse(node, "expected a padding of at most half of the kernel")

        let isCeil = l.Flag(node, "ceil")

        let along (size: Extent -> int) =
            let count =
                outputs isCeil (size input) (size kernel) (size stride) (size dilation) (size padding)

            if count < 1L || count > int64 (1 <<< 21) then
                l.Refuse(
                    node,
                    invariant $"expected pixels that 1 to 2^21 windows of a dimension fit into, got {value.Shape.Text}"
                )

            int count

        let output = Extent.of3 (along _.Depth) (along _.Height) (along _.Width)
        let channels = value.Shape.Sizes[0]

        let pooling =
            { Input = input
              Output = output
              Kernel = kernel
              Stride = stride
              Dilation = dilation
              Padding = padding
              IsMax = isMax
              CountsPadding = not isMax && l.Flag(node, "count_include_pad") }

        let rows = PoolingStep.Room pooling

        if rows > (1L <<< 30) then
            l.Refuse(node, "expected windows that span at most 2^30 pixels")

        let channels = value.Shape.Sizes[0]
        let row = l.Acquire(rows, false)
        let into = l.Room(node, shapeOf value channels output)
        release ()
        l.Release row
        l.Add(PoolingStep(pooling, channels, value.Buffer, into, row))

    let adaptive (l: Lowering) (node: NetworkNode) : unit =
        let struct (value, release) = l.Input(node, 0)
        let input, output = pixelsOf l node value, extent l node "output" 1 1
        let channels = value.Shape.Sizes[0]
        let into = l.Room(node, shapeOf value channels output)
        release ()
        l.Add(AdaptiveMeanStep(input, output, channels, value.Buffer, into))

    let pad (l: Lowering) (node: NetworkNode) : unit =
        let struct (value, release) = l.Input(node, 0)
        let input = pixelsOf l node value
        let before, after = extent l node "before" 0 0, extent l node "after" 0 0

        let most (size: int) =
            match node.Operator with
            | "pad_reflect" -> size - 1
            | "pad_circular" -> size
            | _ -> 1 <<< 20

        let fits (size: Extent -> int) =
            max (size before) (size after) <= most (size input)

        if not (fits _.Depth && fits _.Height && fits _.Width) then
            l.Refuse(node, invariant $"expected less padding than there are pixels, got {value.Shape.Text}")

        let output =
            Extent.map3 (fun size before after -> size + before + after) input before after

        let channels = value.Shape.Sizes[0]
        let into = l.Room(node, shapeOf value channels output)

        let padding =
            { Input = input
              Output = output
              Before = before
              Operator = node.Operator }

        release ()
        l.Add(PadStep(padding, channels, value.Buffer, into))
