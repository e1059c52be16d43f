namespace SparseFs.Torch

open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>What a convolution is, as text and as files have it.</summary>
[<RequireQualifiedAccess>]
module internal ConvDescription =

    /// As Python writes a tuple.
    let private tuple (s: ConvSettings) (size: Extent) =
        match (s.SizeOf size).Array with
        | [| one |] -> $"({one},)"
        | all -> string (ConvSize.OfArray all)

    let private modeOf (s: ConvSettings) =
        (string s.PaddingMode).ToLowerInvariant()

    /// As PyTorch writes the layer: what has its usual value is not said.
    let private text (s: ConvSettings) : string list =
        let g, tuple = s.Geometry, tuple s

        [ string s.InChannels
          string s.OutChannels
          $"kernel_size={tuple g.Kernel}"
          $"stride={tuple g.Stride}"
          if s.Padding.IsSame then
              "padding=same"
          elif g.Before <> Extent.all 0 then
              $"padding={tuple g.Before}"
          if s.OutputPadding <> Extent.all 0 then
              $"output_padding={tuple s.OutputPadding}"
          if g.Dilation <> Extent.all 1 then
              $"dilation={tuple g.Dilation}"
          if g.Groups <> 1 then
              $"groups={g.Groups}"
          if s.PaddingMode <> PaddingModes.Zeros then
              $"padding_mode={modeOf s}" ]

    /// What a layer of these sizes is.
    let ofSettings (s: ConvSettings) : LayerDescription =
        let g, tuple = s.Geometry, tuple s
        let transpose = if s.IsTransposed then "Transpose" else ""
        let kind = $"SparseConv{transpose}{s.Dimensions}d"

        { Kind = kind
          Sizes =
            [ struct ("in_channels", string s.InChannels)
              struct ("out_channels", string s.OutChannels)
              struct ("kernel_size", tuple g.Kernel)
              struct ("stride", tuple g.Stride)
              struct ("padding", (if s.Padding.IsSame then "same" else tuple g.Before))
              if s.IsTransposed then
                  struct ("output_padding", tuple s.OutputPadding)
              struct ("dilation", tuple g.Dilation)
              struct ("groups", string g.Groups)
              struct ("padding_mode", modeOf s) ]
          DenseShape =
            Array.append
                [| int64 g.OutChannels; int64 (g.InChannels / g.Groups) |]
                ((s.SizeOf g.Kernel).Array |> Array.map int64)
          Convolution = ValueSome(ConvSettings.ownGeometry s)
          Channels = ConvSettings.channels s
          Text = LayerText.ofConvolution kind (text s) }
