namespace SparseFs.Torch

open System
open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>A convolution's sizes as its caller has given them, checked, and as its products take them.</summary>
[<NoComparison; NoEquality>]
type internal ConvSettings =
    {
        /// Spatial ones: 1, 2 or 3.
        Dimensions: int
        /// Of a transposed convolution: that of the convolution whose transpose it is, whose inputs are its outputs.
        Geometry: ConvGeometry
        IsTransposed: bool
        /// Pixels behind each dimension of a transposed convolution's output, beyond the smallest output.
        OutputPadding: Extent
        Padding: ConvPadding
        PaddingMode: PaddingModes
    }

    /// Channels of the layer's input.
    member s.InChannels: int =
        if s.IsTransposed then
            s.Geometry.OutChannels
        else
            s.Geometry.InChannels

    /// Channels of the layer's output.
    member s.OutChannels: int =
        if s.IsTransposed then
            s.Geometry.InChannels
        else
            s.Geometry.OutChannels

    /// The numbers of a size, one for each dimension.
    member s.SizeOf(e: Extent) : ConvSize =
        [| e.Depth; e.Height; e.Width |][3 - s.Dimensions ..] |> ConvSize.OfArray

[<RequireQualifiedAccess>]
module internal ConvSettings =

    /// Says what was expected of an argument.
    let refuse (argument: string) (expected: string) (got: obj) =
        raise (ArgumentException($"expected {expected}, got {got}", argument))

    /// A size of so many dimensions; what comes before has the other.
    let extent (dimensions: int) (argument: string) (least: int) (otherwise: int) (size: ConvSize) : Extent =
        if isNull (box size) then
            nullArg argument

        let numbers = size.Array

        if numbers.Length <> 1 && numbers.Length <> dimensions then
            let expected =
                if dimensions = 1 then
                    "one number"
                else
                    $"one number, or {dimensions} of them, one for each dimension"

            refuse argument expected size

        if numbers |> Array.exists (fun n -> n < least) then
            refuse argument $"{least} or more" size

        let at dimension =
            if dimension < 3 - dimensions then otherwise
            elif numbers.Length = 1 then numbers[0]
            else numbers[dimension - (3 - dimensions)]

        Extent.of3 (at 0) (at 1) (at 2)

    let checkChannels (inChannels: int) (outChannels: int) (groups: int) =
        let atLeastOne (argument: string) (n: int) =
            if n < 1 then
                refuse argument "1 or more" n

        atLeastOne "inChannels" inChannels
        atLeastOne "outChannels" outChannels
        atLeastOne "groups" groups

        if inChannels % groups <> 0 || outChannels % groups <> 0 then
            let expected =
                $"a number that divides the {inChannels} channels of the input and the {outChannels} of the output"

            refuse "groups" expected groups

    /// <exception cref="T:System.ArgumentException">A size is out of its range, or they do not fit each other.</exception>
    let make
        (dimensions: int)
        (inChannels: int)
        (outChannels: int)
        (kernelSize: ConvSize)
        (stride: ConvSize option)
        (padding: ConvPadding option)
        (dilation: ConvSize option)
        (groups: int option)
        (paddingMode: PaddingModes option)
        : ConvSettings =
        let groups = defaultArg groups 1
        checkChannels inChannels outChannels groups
        let mode = defaultArg paddingMode PaddingModes.Zeros

        match mode with
        | PaddingModes.Zeros
        | PaddingModes.Reflect
        | PaddingModes.Replicate
        | PaddingModes.Circular -> ()
        | other -> refuse "paddingMode" "Zeros, Reflect, Replicate or Circular" other

        let one = ConvSize.op_Implicit 1
        let kernel = extent dimensions "kernelSize" 1 1 kernelSize
        let strideSize, dilationSize = defaultArg stride one, defaultArg dilation one
        let stride = extent dimensions "stride" 1 1 strideSize
        let dilation = extent dimensions "dilation" 1 1 dilationSize
        let padding = defaultArg padding ConvPadding.Valid

        if isNull (box padding) then
            nullArg "padding"

        if
            bigint kernel.Depth
            * bigint kernel.Height
            * bigint kernel.Width
            * bigint (inChannels / groups)
                >
                bigint Int32.MaxValue
        then
            refuse "kernelSize" "at most 2^31 - 1 weights of a channel" kernelSize

        let largest = Int32.MaxValue / 4

        let reaches =
            Extent.map2
                (fun k d ->
                    if int64 (k - 1) * int64 d >= int64 largest then
                        -1
                    else
                        (k - 1) * d)
                kernel
                dilation

        if reaches.Depth < 0 || reaches.Height < 0 || reaches.Width < 0 then
            refuse "dilation" $"a kernel that spans fewer than {largest} pixels" dilationSize

        let before, after =
            if padding.IsSame then
                if stride <> Extent.all 1 then
                    refuse "stride" "1 where padding is same, as in torch" strideSize

                let before = Extent.map2 (fun reach _ -> reach / 2) reaches reaches
                before, Extent.map2 (-) reaches before
            else
                let size = extent dimensions "padding" 0 0 padding.Size

                if max size.Depth (max size.Height size.Width) > largest then
                    refuse "padding" $"at most {largest}" padding

                size, size

        { Dimensions = dimensions
          Geometry =
            { InChannels = inChannels
              OutChannels = outChannels
              Groups = groups
              Kernel = kernel
              Stride = stride
              Dilation = dilation
              Before = before
              After = after }
          IsTransposed = false
          OutputPadding = Extent.all 0
          Padding = padding
          PaddingMode = mode }

    /// Columns of a pattern: the cells of the kernels of an output channel.
    let columns (s: ConvSettings) : int =
        s.Geometry.InChannels / s.Geometry.Groups * s.Geometry.Cells

    /// Which slots of a pattern belong to a channel.
    let channels (s: ConvSettings) : LayerChannels =
        { Groups = s.Geometry.Groups
          Cells = s.Geometry.Cells
          RowsAreInputs = s.IsTransposed
          Gain = 1.0
          HasZeroBias = false }

    let checkColumns (connectivity: Connectivity) (s: ConvSettings) : ConvSettings =
        if connectivity.Cols <> columns s then
            let g = s.Geometry
            let name = if s.IsTransposed then "output" else "input"

            let expected =
                $"{columns s} columns, {g.Cells} cells for each of {g.InChannels / g.Groups} {name} channels"

            refuse (nameof connectivity) expected connectivity.Cols

        s

    /// <summary>Of a pattern that is given: as many output channels as it has rows.</summary>
    /// <exception cref="T:System.ArgumentException">A size is out of its range, or the pattern has another number of columns than the
    /// kernels of an output channel have cells.</exception>
    let ofPattern
        (dimensions: int)
        (connectivity: Connectivity)
        (inChannels: int)
        (kernelSize: ConvSize)
        (stride: ConvSize option)
        (padding: ConvPadding option)
        (dilation: ConvSize option)
        (groups: int option)
        (paddingMode: PaddingModes option)
        : ConvSettings =
        if isNull (box connectivity) then
            nullArg (nameof connectivity)

        make dimensions inChannels connectivity.Rows kernelSize stride padding dilation groups paddingMode
        |> checkColumns connectivity

    /// What a layer over a pattern that is drawn begins with.
    let start
        (layer: LayerSettings)
        (s: ConvSettings)
        (sparsity: float option)
        (topology: (int -> int -> int -> Seed -> Connectivity) option)
        (seed: Seed option)
        : LayerStart =
        LayerStart.ofTopology
            layer
            (channels s)
            (columns s)
            s.Geometry.OutChannels // rows of the pattern
            (defaultArg sparsity 0.9)
            (defaultArg topology Topology.uniform)
            seed

    /// Margins of another kind than zeros are made before, so that the convolution itself has none.
    let ownGeometry (s: ConvSettings) : ConvGeometry =
        if s.PaddingMode = PaddingModes.Zeros then
            s.Geometry
        else
            { s.Geometry with
                Before = Extent.all 0
                After = Extent.all 0 }
