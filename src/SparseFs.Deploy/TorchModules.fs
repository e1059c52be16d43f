namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>Describes torch's modules as operations.</summary>
[<RequireQualifiedAccess>]
module internal TorchModules =

    let refuse (message: string) : 'a =
        raise (DescriptionBuilder.Refusal message)

    let label (place: string) : string = DescriptionBuilder.Label place

    let checkFloat32 (place: string) (weight: torch.Tensor) : unit =
        if weight.dtype <> torch.ScalarType.Float32 then
            let got = $"got {weight.dtype} in '{label place}'"
            refuse $"expected weights of float32, {got}: convert a copy of the model with .``to``(torch.float32)"

    /// The name of a module's own tensor in the model's state.
    let tensorOf (place: string) (name: string) : string =
        if place = "" then name else $"{place}.{name}"

    /// Roles and names of those tensors of a module that there are.
    let tensors (place: string) (all: (string * (torch.Tensor | null)) list) : (string * string) list =
        [ for role, tensor in all do
              if not (isNull tensor) then
                  role, tensorOf place role ]

    let private checkLast (place: string) (dim: int64) (rank: int) =
        if dim <> -1L && dim <> int64 rank - 1L then
            refuse $"expected the last dimension in '{label place}', got dim={dim}"

    let checkRank (place: string) (x: DescribedValue) (rank: int) (expected: string) =
        if x.Rank <> rank || x.HasTokens then
            let got =
                $"""got {x.Rank} dimensions{if x.HasTokens then ", of which one is of tokens" else ""}"""

            refuse $"expected {expected} in '{label place}', {got}"

    let linear (b: DescriptionBuilder) (place: string) (layer: Linear) (x: DescribedValue) : DescribedValue =
        checkFloat32 place layer.weight

        b.Keep(
            place,
            x,
            { Operation.Named "linear" with
                Numbers =
                    [ "in_features", float layer.in_features
                      "out_features", float layer.out_features ]
                Tensors = tensors place [ "weight", layer.weight; "bias", layer.bias ] }
        )

    let private sizesOf (s: ConvSettings) (e: Kernels.Extent) : int[] = (s.SizeOf e).Array

    /// <summary>A convolution, sparse or not, whose padding may be of other pixels than zeros.</summary>
    /// <param name="b">Where to.</param>
    /// <param name="place">The module's path.</param>
    /// <param name="s">Its sizes.</param>
    /// <param name="operator'">conv or sparse_conv.</param>
    /// <param name="tensors">Its tensors.</param>
    /// <param name="x">What it takes.</param>
    let convolution
        (b: DescriptionBuilder)
        (place: string)
        (s: ConvSettings)
        (operator': string)
        (tensors: (string * string) list)
        (x: DescribedValue)
        : DescribedValue =
        if s.IsTransposed then
            refuse $"'{label place}' is a transposed convolution, which cannot be deployed"

        checkRank place x (s.Dimensions + 2) $"a batch of channels of {s.Dimensions} dimensions"
        let g = s.Geometry

        let x, own =
            match s.PaddingMode with
            | PaddingModes.Zeros -> x, g
            | mode ->
                let padded =
                    b.Keep(
                        $"{label place}.padding",
                        x,
                        { Operation.Named("pad_" + (string mode).ToLowerInvariant()) with
                            Sizes = [ "before", sizesOf s g.Before; "after", sizesOf s g.After ] }
                    )

                padded, ConvSettings.ownGeometry s

        b.Keep(
            place,
            x,
            { Operator = operator'
              Numbers =
                [ "in_channels", float g.InChannels
                  "out_channels", float g.OutChannels
                  "groups", float g.Groups ]
              Sizes =
                [ "kernel", sizesOf s own.Kernel
                  "stride", sizesOf s own.Stride
                  "dilation", sizesOf s own.Dilation
                  "before", sizesOf s own.Before
                  "after", sizesOf s own.After ]
              Tensors = tensors }
        )

    let private batchNorm (b: DescriptionBuilder) (place: string) (norm: NormBase) (x: DescribedValue) =
        match norm.running_mean, norm.running_var with
        | null, _
        | _, null ->
            refuse $"expected running statistics of '{label place}', which one with track_running_stats=false has not"
        | mean, variance ->
            checkFloat32 place mean
            let weight, bias = TorchNulls.affineOf norm

            b.Keep(
                place,
                x,
                { Operation.Named "batch_norm" with
                    Numbers = [ "features", float (mean.numel ()); "epsilon", norm.eps ]
                    Tensors =
                        tensors
                            place
                            [ "running_mean", mean
                              "running_var", variance
                              "weight", weight
                              "bias", bias ] }
            )

    let layerNorm (b: DescriptionBuilder) (place: string) (norm: LayerNorm) (x: DescribedValue) : DescribedValue =
        if norm.normalized_shape.Length <> 1 then
            refuse $"expected a LayerNorm over one dimension in '{label place}'"

        b.Keep(
            place,
            x,
            { Operation.Named "layer_norm" with
                Numbers = [ "features", float norm.normalized_shape[0]; "epsilon", norm.eps ]
                Tensors = tensors place [ "weight", TorchNulls.scaleOf norm; "bias", norm.bias ] }
        )

    /// What one of torch's modules makes of a value, if it can be deployed.
    let tryAdd
        (b: DescriptionBuilder)
        (place: string)
        (m: torch.nn.Module)
        (x: DescribedValue)
        : DescribedValue voption =
        let alone (operator': string) =
            ValueSome(b.Keep(place, x, Operation.Named operator'))

        match m with
        | :? Dropout
        | :? Dropout1d
        | :? Dropout2d
        | :? Dropout3d
        | :? AlphaDropout
        | :? FeatureAlphaDropout
        | :? Identity -> ValueSome x
        | :? Linear as layer -> ValueSome(linear b place layer x)
        | :? Convolution as conv ->
            if conv.transposed then
                refuse $"'{label place}' is a transposed convolution, which cannot be deployed"

            checkFloat32 place conv.weight
            let own = tensors place [ "weight", conv.weight; "bias", conv.bias ]
            ValueSome(convolution b place (ConvLayers.settingsOf conv) "conv" own x)
        | :? BatchNorm1d
        | :? BatchNorm2d
        | :? BatchNorm3d -> ValueSome(batchNorm b place (m :?> NormBase) x)
        | :? LayerNorm as norm -> ValueSome(layerNorm b place norm x)
        | :? ReLU -> alone "relu"
        | :? LeakyReLU as relu ->
            b.Keep(
                place,
                x,
                { Operation.Named "leaky_relu" with
                    Numbers = [ "slope", relu.negative_slope ] }
            )
            |> ValueSome
        | :? GELU as gelu ->
            alone (
                if gelu.approximate = GELU.Approximate.tanh then
                    "gelu_tanh"
                else
                    "gelu"
            )
        | :? SiLU -> alone "silu"
        | :? Sigmoid -> alone "sigmoid"
        | :? Tanh -> alone "tanh"
        | :? Softmax as softmax ->
            checkLast place softmax.dim x.Rank
            alone "softmax"
        | :? LogSoftmax as softmax ->
            checkLast place softmax.dim x.Rank
            alone "log_softmax"
        | :? Flatten as flatten ->
            if flatten.start_dim <> 1L || flatten.end_dim <> -1L then
                refuse $"expected Flatten from 1 to -1 in '{label place}'"

            ValueSome(b.Add(place, [ x ], Operation.Named "flatten", 2, x.HasTokens))
        | :? Unflatten as m ->
            let isSample = x.Rank = 2 && not x.HasTokens && (m.dim = 1L || m.dim = -1L)

            if
                not isSample
                || m.unflattened_size.Length > 3
                || Array.exists (fun size -> size < 1L) m.unflattened_size
            then
                refuse $"expected Unflatten of samples' one dimension into at most three sizes in '{label place}'"

            b.Add(
                place,
                [ x ],
                { Operation.Named "reshape" with
                    Sizes = [ "shape", m.unflattened_size |> Array.map int ] },
                1 + m.unflattened_size.Length,
                false
            )
            |> ValueSome
        | :? Embedding as embedding ->
            let table = TorchNulls.tableOf embedding
            checkFloat32 place table

            b.Add(
                place,
                [ x ],
                { Operation.Named "embedding" with
                    Numbers = [ "count", float table.shape[0]; "features", float table.shape[1] ]
                    Tensors = tensors place [ "weight", table ] },
                x.Rank + 1,
                x.HasTokens
            )
            |> ValueSome
        | _ -> ValueNone
