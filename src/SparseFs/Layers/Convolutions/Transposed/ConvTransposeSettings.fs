namespace SparseFs.Torch

open SparseFs
open SparseFs.Kernels

/// <summary>A transposed convolution's sizes as its caller has given them, checked.</summary>
[<RequireQualifiedAccess>]
module internal ConvTransposeSettings =

    /// <summary>Of a transposed convolution.</summary>
    /// <exception cref="T:System.ArgumentException">A size is out of its range, or they do not fit each other.</exception>
    let make
        (dimensions: int)
        (inChannels: int)
        (outChannels: int)
        (kernelSize: ConvSize)
        (stride: ConvSize option)
        (padding: ConvSize option)
        (outputPadding: ConvSize option)
        (dilation: ConvSize option)
        (groups: int option)
        : ConvSettings =
        ConvSettings.checkChannels inChannels outChannels (defaultArg groups 1)

        let s =
            let padding = padding |> Option.map ConvPadding.op_Implicit
            ConvSettings.make dimensions outChannels inChannels kernelSize stride padding dilation groups None

        let behindSize = defaultArg outputPadding (ConvSize.op_Implicit 0)
        let behind = ConvSettings.extent dimensions "outputPadding" 0 0 behindSize
        let g = s.Geometry
        // As in torch: what is longer would be a border that no input reaches.
        let isShort (behind: int) (stride: int) (dilation: int) =
            behind = 0 || behind < max stride dilation

        if
            not (
                isShort behind.Depth g.Stride.Depth g.Dilation.Depth
                && isShort behind.Height g.Stride.Height g.Dilation.Height
                && isShort behind.Width g.Stride.Width g.Dilation.Width
            )
        then
            let expected =
                $"less than the stride {s.SizeOf g.Stride} or the dilation {s.SizeOf g.Dilation}"

            ConvSettings.refuse "outputPadding" expected behindSize

        { s with
            IsTransposed = true
            OutputPadding = behind }

    /// <summary>Of a transposed convolution with a pattern that is given: as many input channels as it has rows.</summary>
    /// <exception cref="T:System.ArgumentException">A size is out of its range, or the pattern has another number of columns than the
    /// kernels of an input channel have cells.</exception>
    let ofPattern
        (dimensions: int)
        (connectivity: Connectivity)
        (outChannels: int)
        (kernelSize: ConvSize)
        (stride: ConvSize option)
        (padding: ConvSize option)
        (outputPadding: ConvSize option)
        (dilation: ConvSize option)
        (groups: int option)
        : ConvSettings =
        if isNull (box connectivity) then
            nullArg (nameof connectivity)

        make dimensions connectivity.Rows outChannels kernelSize stride padding outputPadding dilation groups
        |> ConvSettings.checkColumns connectivity
