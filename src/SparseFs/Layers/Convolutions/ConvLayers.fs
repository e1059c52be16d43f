namespace SparseFs.Torch

open System
open SparseFs
open SparseFs.Kernels
open TorchSharp
open TorchSharp.Modules

/// <summary>Convolutions of any number of dimensions, sparse ones and torch's own.</summary>
module internal ConvLayers =

    /// A sparse one.
    let sparse (start: LayerStart) (settings: ConvSettings) : SparseConv =
        match settings.Dimensions, settings.IsTransposed with
        | 1, false -> new SparseConv1d(start, settings)
        | 2, false -> new SparseConv2d(start, settings)
        | _, false -> new SparseConv3d(start, settings)
        | 1, true -> new SparseConvTranspose1d(start, settings)
        | 2, true -> new SparseConvTranspose2d(start, settings)
        | _, true -> new SparseConvTranspose3d(start, settings)

    /// <summary>Why TorchSharp has no convolution of the same function; empty where it has.</summary>
    /// <remarks>TorchSharp 0.107 gives the margins of padding same to the wrong dimensions where they are made before, which is seen where
    /// they differ; and of an output_padding it reads the first number only. PyTorch has such convolutions.</remarks>
    let whyNotDense (s: ConvSettings) : string =
        let spans = s.SizeOf s.Geometry.Reach

        if
            s.Padding.IsSame
            && s.PaddingMode <> PaddingModes.Zeros
            && spans.Array |> Array.distinct |> Array.length > 1
        then
            $"TorchSharp pads the wrong dimensions where padding same is made by {s.PaddingMode} and the kernel spans {spans}: give the padding in "
            + "numbers"
        elif (s.SizeOf s.OutputPadding).Array |> Array.distinct |> Array.length > 1 then
            $"TorchSharp reads only the first number of an output_padding of {s.SizeOf s.OutputPadding}: give the same for all dimensions, or sizes at "
            + "each call"
        else
            ""

    /// <summary>The sizes of a convolution of torch's.</summary>
    /// <exception cref="T:System.ArgumentException">They are none that a sparse one can have.</exception>
    let settingsOf (dense: Convolution) : ConvSettings =
        let size (numbers: int64[]) =
            numbers
            |> Array.map (fun n -> int (min n (int64 Int32.MaxValue)))
            |> ConvSize.OfArray

        let kernel, stride, dilation =
            size dense.kernel_size, Some(size dense.stride), Some(size dense.dilation)

        let dimensions, groups = dense.kernel_size.Length, Some(int dense.groups)
        let inChannels, outChannels = int dense.in_channels, int dense.out_channels

        match dense with
        | :? ConvolutionTranspose when dense.padding_type.HasValue || dense.padding_mode <> PaddingModes.Zeros ->
            raise (
                ArgumentException("expected a transposed convolution whose padding is numbers of zeros", nameof dense)
            )
        | :? ConvolutionTranspose ->
            let sizeOf (numbers: int64[] | null) =
                numbers |> Option.ofObj |> Option.map size

            ConvTransposeSettings.make
                dimensions
                inChannels
                outChannels
                kernel
                stride
                (sizeOf dense.padding)
                (sizeOf dense.output_padding)
                dilation
                groups
        | _ ->
            let padding =
                match dense.padding with
                | _ when dense.padding_type.HasValue -> ConvPadding.op_Implicit dense.padding_type.Value
                | null -> ConvPadding.Valid
                | numbers -> ConvPadding.op_Implicit (size numbers)

            ConvSettings.make
                dimensions
                inChannels
                outChannels
                kernel
                stride
                (Some padding)
                dilation
                groups
                (Some dense.padding_mode)

    let private two (e: Extent) = struct (int64 e.Height, int64 e.Width)

    let private three (e: Extent) =
        struct (int64 e.Depth, int64 e.Height, int64 e.Width)

    let private convolution
        (s: ConvSettings)
        (hasBias: bool)
        (nowhere: torch.Device)
        (dtype: Nullable<torch.ScalarType>)
        : Convolution =
        let g = s.Geometry

        let inputs, outputs, groups =
            int64 g.InChannels, int64 g.OutChannels, int64 g.Groups

        match s.Dimensions, s.Padding.IsSame with
        | 1, true ->
            torch.nn.Conv1d(
                inputs,
                outputs,
                int64 g.Kernel.Width,
                Padding.Same,
                int64 g.Stride.Width,
                int64 g.Dilation.Width,
                s.PaddingMode,
                groups,
                hasBias,
                nowhere,
                dtype
            )
        | 1, false ->
            torch.nn.Conv1d(
                inputs,
                outputs,
                int64 g.Kernel.Width,
                int64 g.Stride.Width,
                int64 g.Before.Width,
                int64 g.Dilation.Width,
                s.PaddingMode,
                groups,
                hasBias,
                nowhere,
                dtype
            )
        | 2, true ->
            torch.nn.Conv2d(
                inputs,
                outputs,
                two g.Kernel,
                Padding.Same,
                two g.Stride,
                two g.Dilation,
                s.PaddingMode,
                groups,
                hasBias,
                nowhere,
                dtype
            )
        | 2, false ->
            torch.nn.Conv2d(
                inputs,
                outputs,
                two g.Kernel,
                two g.Stride,
                two g.Before,
                two g.Dilation,
                s.PaddingMode,
                groups,
                hasBias,
                nowhere,
                dtype
            )
        | _, true ->
            torch.nn.Conv3d(
                inputs,
                outputs,
                three g.Kernel,
                Padding.Same,
                three g.Stride,
                three g.Dilation,
                s.PaddingMode,
                groups,
                hasBias,
                nowhere,
                dtype
            )
        | _ ->
            torch.nn.Conv3d(
                inputs,
                outputs,
                three g.Kernel,
                three g.Stride,
                three g.Before,
                three g.Dilation,
                s.PaddingMode,
                groups,
                hasBias,
                nowhere,
                dtype
            )

    let private transposed
        (s: ConvSettings)
        (hasBias: bool)
        (nowhere: torch.Device)
        (dtype: Nullable<torch.ScalarType>)
        : Convolution =
        let g, behind = s.Geometry, s.OutputPadding

        let inputs, outputs, groups =
            int64 s.InChannels, int64 s.OutChannels, int64 g.Groups

        match s.Dimensions with
        | 1 ->
            torch.nn.ConvTranspose1d(
                inputs,
                outputs,
                int64 g.Kernel.Width,
                int64 g.Stride.Width,
                int64 g.Before.Width,
                int64 behind.Width,
                int64 g.Dilation.Width,
                PaddingModes.Zeros,
                groups,
                hasBias,
                nowhere,
                dtype
            )
        | 2 ->
            torch.nn.ConvTranspose2d(
                inputs,
                outputs,
                two g.Kernel,
                two g.Stride,
                two g.Before,
                two behind,
                two g.Dilation,
                PaddingModes.Zeros,
                groups,
                hasBias,
                nowhere,
                dtype
            )
        | _ ->
            torch.nn.ConvTranspose3d(
                inputs,
                outputs,
                three g.Kernel,
                three g.Stride,
                three g.Before,
                three behind,
                three g.Dilation,
                PaddingModes.Zeros,
                groups,
                hasBias,
                nowhere,
                dtype
            )

    /// <summary>One of torch's with a weight of its shape and a bias or null, which it takes over.</summary>
    /// <remarks>Torch draws initial numbers on a device that has none, so that its generator stays where it is.</remarks>
    let dense (s: ConvSettings) (weight: Parameter) (bias: Parameter | null) : Convolution =
        let make = if s.IsTransposed then transposed else convolution
        let made = make s (not (isNull bias)) torch.META (Nullable weight.dtype)
        made.weight <- weight

        match bias with
        | null -> ()
        | bias -> made.bias <- bias

        made
