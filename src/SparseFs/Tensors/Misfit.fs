namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp

/// <summary>What is said of a tensor that does not fit, with what mends it.</summary>
/// <remarks>A layer, where there is one, is given as an object that is asked for its text only here.</remarks>
module internal Misfit =

    let private error (name: string) (layer: obj | null) (text: string) : exn =
        match layer with
        | null -> ArgumentException(text, name)
        | layer -> ArgumentException($"{text}. The layer is {layer}", name)

    /// What the tensor is held against: a layer, or another argument by its name.
    let private against (layer: obj | null) (reference: string) : struct (string * string) =
        match layer with
        | null -> struct (reference, reference)
        | _ -> struct ("the layer", "layer")

    let private isFloating (dtype: torch.ScalarType) =
        match dtype with
        | torch.ScalarType.Float16
        | torch.ScalarType.BFloat16
        | torch.ScalarType.Float32
        | torch.ScalarType.Float64 -> true
        | _ -> false

    /// In F# a method's name that is a keyword of the language stands in backquotes.
    [<Literal>]
    let FSharpTo = "F# writes ``to``"

    /// The name that torch gives a dtype of floats.
    let nameOf (dtype: torch.ScalarType) : string =
        $"torch.{dtype.ToString().ToLowerInvariant()}"

    /// <summary>A tensor of another dtype.</summary>
    /// <param name="name">The argument.</param>
    /// <param name="found">Its dtype.</param>
    /// <param name="layer">The layer, or null.</param>
    /// <param name="reference">The tensor that it should be like, or that of the layer.</param>
    /// <param name="expected">The dtype of that.</param>
    let dtype
        (name: string)
        (found: torch.ScalarType)
        (layer: obj | null)
        (reference: string)
        (expected: torch.ScalarType)
        : exn =
        let struct (other, variable) = against layer reference
        let cast = $"{name} is {found}, {other} {expected}: {name}.to({nameOf expected})"

        error
            name
            layer
            (if isFloating found then
                 $"{cast}, or {variable}.to({nameOf found}); {FSharpTo}"
             else
                 $"{cast}; {FSharpTo}")

    /// <summary>A tensor on another device.</summary>
    /// <param name="name">The argument.</param>
    /// <param name="found">Its device.</param>
    /// <param name="layer">The layer, or null.</param>
    /// <param name="reference">The tensor that it should be beside, or that of the layer.</param>
    /// <param name="expected">The device of that.</param>
    let device
        (name: string)
        (found: torch.Device)
        (layer: obj | null)
        (reference: string)
        (expected: torch.Device)
        : exn =
        let struct (other, variable) = against layer reference

        let place =
            match layer with
            | null -> reference
            | _ -> $"layer.{reference}"

        error
            name
            layer
            $"{name} is on {found}, {other} on {expected}: {name}.to({place}.device), or {variable}.to({name}.device); {FSharpTo}"

    /// How a tensor of such a shape comes to have so many features; empty where nothing simple helps.
    let private cure (name: string) (layer: obj | null) (shape: int64[]) (features: int64) : string =
        let rank = shape.Length

        /// The product of the last so many sizes.
        let trailing (count: int) = Array.reduce (*) shape[rank - count ..]

        let flattened =
            [ if rank > 2 then
                  rank - 1
              yield! [ 2..rank ] ]
            |> List.tryFind (fun count -> count <= rank && trailing count = features)

        match flattened with
        | Some count when count = rank -> $": {name}.flatten()"
        | Some count when count = rank - 1 && isNull layer -> $": {name}.flatten(1)"
        | Some count when count = rank - 1 -> $": {name}.flatten(1), or torch.nn.Flatten() before the layer"
        | Some count -> $": {name}.flatten(-{count})"
        | None when rank = 2 && shape[0] = features -> $": its rows are columns, {name}.t()"
        | None -> ""

    /// <summary>A tensor whose last dimension is not the features.</summary>
    /// <param name="name">The argument.</param>
    /// <param name="shape">Its shape.</param>
    /// <param name="layer">The layer, or null.</param>
    /// <param name="features">How many were expected.</param>
    /// <param name="called">What they are called: in_features.</param>
    let features (name: string) (shape: int64[]) (layer: obj | null) (features: int) (called: string) : exn =
        let expected = $"expected {name} of shape [*, {called}] = [*, {features}]"
        error name layer $"{expected}, got {Shape.text shape}{cure name layer shape features}"
