namespace SparseFs.Torch

open SparseFs
open SparseFs.Kernels

/// <summary>What a sparse layer is, beside its pattern and its numbers.</summary>
[<NoComparison; NoEquality>]
type internal LayerDescription =
    {
        /// The name of its type.
        Kind: string
        /// What its constructor says of sizes, by PyTorch's names and in their order; files hold it.
        Sizes: struct (string * string) list
        /// The shape of its dense twin's weight: [rows, ...], whose other sizes multiply to the pattern's columns.
        DenseShape: int64[]
        /// The sizes of a convolution, as its products take them; of a transposed one, those of the convolution whose transpose it is.
        Convolution: ConvGeometry voption
        Channels: LayerChannels
        Text: LayerText
    }

[<RequireQualifiedAccess>]
module internal LayerDescription =

    let ofLinear (channels: LayerChannels) (c: Connectivity) : LayerDescription =
        { Kind = "SparseLinear"
          Sizes =
            [ struct ("in_features", string c.Cols)
              struct ("out_features", string c.Rows) ]
          DenseShape = [| int64 c.Rows; int64 c.Cols |]
          Convolution = ValueNone
          Channels = channels
          Text = LayerText.ofLinear }
