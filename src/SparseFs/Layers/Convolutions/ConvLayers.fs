namespace SparseFs.Torch

open SparseFs
open SparseFs.Kernels
open TorchSharp
open TorchSharp.Modules

/// <summary>Convolutions of any number of dimensions, sparse ones and torch's own.</summary>
module internal ConvLayers =

    /// A sparse one.
    let sparse (start: LayerStart) (settings: ConvSettings) : SparseConv =
        match settings.Dimensions with
        | 1 -> new SparseConv1d(start, settings)
        | 2 -> new SparseConv2d(start, settings)
        | _ -> new SparseConv3d(start, settings)

    /// <summary>Why TorchSharp has no convolution of the same function; empty where it has.</summary>
    /// <remarks>TorchSharp 0.107 gives the margins of padding same to the wrong dimensions where they are made before, which is seen where
    /// they differ. PyTorch has such convolutions.</remarks>
    let whyNotDense (s: ConvSettings) : string =
        let spans = s.SizeOf s.Geometry.Reach

        if
            s.Padding.IsSame
            && s.PaddingMode <> PaddingModes.Zeros
            && spans.Array |> Array.distinct |> Array.length > 1
        then
            $"TorchSharp pads the wrong dimensions where padding same is made by {s.PaddingMode} and the kernel spans {spans}: give the padding in "
            + "numbers"
        else
            ""

    /// <summary>The sizes of a convolution of torch's.</summary>
    /// <exception cref="T:System.ArgumentException">They are none that a sparse one can have.</exception>
    let settingsOf (dense: Convolution) : ConvSettings =
        let size (numbers: int64[]) =
            numbers
            |> Array.map (fun n -> int (min n (int64 System.Int32.MaxValue)))
            |> ConvSize.OfArray

        let padding =
            match dense.padding with
            | _ when dense.padding_type.HasValue -> ConvPadding.op_Implicit dense.padding_type.Value
            | null -> ConvPadding.Valid
            | numbers -> ConvPadding.op_Implicit (size numbers)

        ConvSettings.make
            dense.kernel_size.Length
            (int dense.in_channels)
            (int dense.out_channels)
            (size dense.kernel_size)
            (Some(size dense.stride))
            (Some padding)
            (Some(size dense.dilation))
            (Some(int dense.groups))
            (Some dense.padding_mode)

    /// <summary>One of torch's with a weight [out, in / groups, *kernel] and a bias or null, which it takes over.</summary>
    /// <remarks>Torch draws initial numbers on a device that has none, so that its generator stays where it is.</remarks>
    let dense (s: ConvSettings) (weight: Parameter) (bias: Parameter | null) : Convolution =
        let g = s.Geometry
        let nowhere, hasBias = torch.META, not (isNull bias)

        let inputs, outputs, groups =
            int64 g.InChannels, int64 g.OutChannels, int64 g.Groups

        let two (e: Extent) = struct (int64 e.Height, int64 e.Width)

        let three (e: Extent) =
            struct (int64 e.Depth, int64 e.Height, int64 e.Width)

        let dtype = System.Nullable weight.dtype

        let made: Convolution =
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

        made.weight <- weight

        match bias with
        | null -> ()
        | bias -> made.bias <- bias

        made
