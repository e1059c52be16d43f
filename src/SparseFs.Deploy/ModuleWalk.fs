namespace SparseFs.Torch

open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>Describes modules as operations.</summary>
[<RequireQualifiedAccess>]
module internal ModuleWalk =

    let private kinds =
        "Sequential, Linear, Conv1d to 3d, BatchNorm1d to 3d, LayerNorm over the last dimension, Embedding, MaxPool, AvgPool, AdaptiveAvgPool, ReLU, "
        + "LeakyReLU, GELU, SiLU, Sigmoid, Tanh, Softmax and LogSoftmax over the last dimension, Flatten, Unflatten, Dropout, Identity, SparseLinear, SparseConv1d "
        + "to 3d, KWinners, KWinners2d, SparseFeedForward, SparseMultiheadAttention, SparseTransformerBlock, SparseTransformerEncoderLayer, SparseLSTM, "
        + "SparseGRU, SparseRNN, and modules that implement IDeployable"

    /// <summary>Adds what a module does.</summary>
    /// <param name="b">Where to.</param>
    /// <param name="place">Its dotted name.</param>
    /// <param name="m">The module, run as in evaluation.</param>
    /// <param name="x">What it takes.</param>
    let rec add (b: DescriptionBuilder) (place: string) (m: torch.nn.Module) (x: DescribedValue) : DescribedValue =
        match box m with
        | :? IDeployable as own ->
            let graph = DeployGraph(b, place, add b)

            match box (own.Describe(graph, DeployValue x)) with
            | :? DeployValue as y -> y.Value
            | _ -> TorchModules.refuse $"Describe of '{TorchModules.label place}' gave null"
        | :? Sequential as sequential ->
            // Every Sequential has one, its own or that of a class derived from it.
            let forward = nonNull (m.GetType().GetMethod("forward", [| typeof<torch.Tensor> |]))

            if forward.DeclaringType <> typeof<Sequential> then
                TorchModules.refuse
                    $"'{TorchModules.label place}' is a {m.GetType().Name} with a forward of its own, which nothing tells of: implement IDeployable; {kinds} can be deployed"

            sequential.named_children ()
            |> Seq.fold (fun x (struct (child, inner)) -> add b (TorchModules.tensorOf place child) inner x) x
        | _ ->
            let known =
                TorchModules.tryAdd b place m x
                |> ValueOption.orElseWith (fun () -> PoolingModules.tryAdd b place m x)
                |> ValueOption.orElseWith (fun () -> SparseModules.tryAdd b place m x)

            match known with
            | ValueSome y -> y
            | ValueNone ->
                TorchModules.refuse $"'{TorchModules.label place}' is a {m.GetType().Name}; {kinds} can be deployed"
