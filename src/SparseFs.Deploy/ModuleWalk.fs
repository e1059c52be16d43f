namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>Describes modules as operations.</summary>
[<RequireQualifiedAccess>]
module internal ModuleWalk =

    let private kinds =
        "Sequential, Linear, SparseLinear, BatchNorm1d, LayerNorm over the last dimension, ReLU, LeakyReLU, GELU, SiLU, Sigmoid, Tanh, Softmax and LogSoftmax over the last dimension, "
        + "Flatten, Dropout and Identity"

    let private refuse (message: string) : 'a =
        raise (DescriptionBuilder.Refusal message)

    let private checkFloat32 (name: string) (weight: torch.Tensor) =
        if weight.dtype <> torch.ScalarType.Float32 then
            let got = $"got {weight.dtype} in '{DescriptionBuilder.Label name}'"
            refuse $"expected weights of float32, {got}: convert a copy of the model with .``to``(torch.float32)"

    let private checkLast (name: string) (dim: int64) (rank: int) =
        if dim <> -1L && dim <> int64 rank - 1L then
            refuse $"expected the last dimension in '{DescriptionBuilder.Label name}', got dim={dim}"

    /// <summary>Adds what a module does.</summary>
    /// <param name="b">Where to.</param>
    /// <param name="rank">Dimensions of what it takes, with the batch.</param>
    /// <param name="name">Its dotted name.</param>
    /// <param name="m">The module, run as in evaluation.</param>
    let rec add (b: DescriptionBuilder) (rank: int) (name: string) (m: torch.nn.Module) : unit =
        let alone (operator': string) = b.Add(name, operator', [], [])

        match m with
        | :? Sequential as sequential ->
            // Every Sequential has one, its own or that of a class derived from it.
            let forward = nonNull (m.GetType().GetMethod("forward", [| typeof<torch.Tensor> |]))

            if forward.DeclaringType <> typeof<Sequential> then
                refuse
                    $"'{DescriptionBuilder.Label name}' is a {m.GetType().Name} with a forward of its own, which nothing tells of; {kinds} can be deployed"

            for struct (child, inner) in sequential.named_children () do
                add b rank (if name = "" then child else $"{name}.{child}") inner
        | :? Dropout
        | :? Identity -> ()
        | :? Linear as layer ->
            checkFloat32 name layer.weight

            b.Add(
                name,
                "linear",
                [ "in_features", float layer.in_features
                  "out_features", float layer.out_features ],
                [ "weight", layer.weight; "bias", layer.bias ]
            )
        | :? SparseLinear as layer ->
            checkFloat32 name layer.weight

            b.Add(
                name,
                "sparse_linear",
                [ "in_features", float layer.in_features
                  "out_features", float layer.out_features ],
                [ "weight", layer.weight
                  "row_ptr", layer.weight
                  "col_idx", layer.weight
                  "bias", layer.bias ]
            )
        | :? BatchNorm1d as norm ->
            match norm.running_mean, norm.running_var with
            | null, _
            | _, null ->
                refuse
                    $"expected running statistics of '{DescriptionBuilder.Label name}', which a BatchNorm1d with track_running_stats=false has not"
            | mean, variance ->
                checkFloat32 name mean

                b.Add(
                    name,
                    "batch_norm",
                    [ "features", float (mean.numel ()); "epsilon", norm.eps ],
                    [ "running_mean", mean
                      "running_var", variance
                      "weight", fst (TorchNulls.affineOf norm)
                      "bias", snd (TorchNulls.affineOf norm) ]
                )
        | :? LayerNorm as norm ->
            if norm.normalized_shape.Length <> 1 then
                refuse $"expected a LayerNorm over one dimension in '{DescriptionBuilder.Label name}'"

            b.Add(
                name,
                "layer_norm",
                [ "features", float norm.normalized_shape[0]; "epsilon", norm.eps ],
                [ "weight", TorchNulls.scaleOf norm; "bias", norm.bias ]
            )
        | :? ReLU -> alone "relu"
        | :? LeakyReLU as relu -> b.Add(name, "leaky_relu", [ "slope", relu.negative_slope ], [])
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
            checkLast name softmax.dim rank
            alone "softmax"
        | :? LogSoftmax as softmax ->
            checkLast name softmax.dim rank
            alone "log_softmax"
        | :? Flatten as flatten ->
            if flatten.start_dim <> 1L || flatten.end_dim <> -1L then
                refuse $"expected Flatten from 1 to -1 in '{DescriptionBuilder.Label name}'"

            alone "flatten"
        | other -> refuse $"'{DescriptionBuilder.Label name}' is a {other.GetType().Name}; {kinds} can be deployed"
