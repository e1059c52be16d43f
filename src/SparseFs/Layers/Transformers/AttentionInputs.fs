namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp

/// <summary>What an attention is called with, checked, and with the batch first.</summary>
[<NoComparison; NoEquality>]
type internal AttentionInputs =
    {
        Query: torch.Tensor
        /// The query itself where keys are queries.
        Key: torch.Tensor
        /// The key itself where values are keys.
        Value: torch.Tensor
    }

[<RequireQualifiedAccess>]
module internal AttentionInputs =

    let private refuse (layer: obj) (name: string) (message: string) : unit =
        raise (ArgumentException($"{message}. The layer is {layer}", name))

    let private checkTokens (layer: obj) (isBatchFirst: bool) (name: string) (t: torch.Tensor) (features: int64) =
        if isNull (box t) then
            nullArg name

        let shape = t.shape

        if shape.Length <> 3 || shape[2] <> features then
            let form =
                if isBatchFirst then
                    "[batch, tokens, features]"
                else
                    "[tokens, batch, features]"

            refuse layer name $"expected {name} of shape {form} with {features} features, got {Shape.text shape}"

    /// <summary>Of queries, keys and values of so many features.</summary>
    let make
        (layer: obj)
        (isBatchFirst: bool)
        (features: int64[])
        (query: torch.Tensor)
        (key: torch.Tensor)
        (value: torch.Tensor)
        : AttentionInputs =
        let check = checkTokens layer isBatchFirst
        check (nameof query) query features[0]
        check (nameof key) key features[1]
        check (nameof value) value features[2]

        let batchFirst (t: torch.Tensor) =
            if isBatchFirst then t else t.transpose (0L, 1L)

        let first = batchFirst query

        let second =
            if obj.ReferenceEquals(key, query) then
                first
            else
                batchFirst key

        let third =
            if obj.ReferenceEquals(value, key) then second
            elif obj.ReferenceEquals(value, query) then first
            else batchFirst value

        let batch, keys = first.shape[0], second.shape[1]

        if second.shape[0] <> batch then
            refuse layer (nameof key) $"expected keys of the {batch} samples of queries, got {second.shape[0]}"

        if third.shape[0] <> batch || third.shape[1] <> keys then
            let got = $"got {third.shape[0]} and {third.shape[1]}"
            refuse layer (nameof value) $"expected values of {batch} samples and {keys} tokens, as keys, {got}"

        { Query = first
          Key = second
          Value = third }

    /// <summary>Refuses masks that do not fit.</summary>
    let checkMasks
        (layer: obj)
        (heads: int64)
        (i: AttentionInputs)
        (keyPaddingMask: torch.Tensor | null)
        (attnMask: torch.Tensor | null)
        : unit =
        let batch, queries, keys = i.Query.shape[0], i.Query.shape[1], i.Key.shape[1]

        match keyPaddingMask with
        | null -> ()
        | mask when mask.shape <> [| batch; keys |] ->
            let expected = Shape.text [| batch; keys |]
            let got = Shape.text mask.shape
            refuse layer (nameof keyPaddingMask) $"expected shape [batch, keys] = {expected}, got {got}"
        | _ -> ()

        let one, all = [| queries; keys |], [| batch * heads; queries; keys |]

        match attnMask with
        | null -> ()
        | mask when mask.shape <> one && mask.shape <> all ->
            let expected =
                $"[queries, keys] = {Shape.text one} or [batch · heads, queries, keys] = {Shape.text all}"

            refuse layer (nameof attnMask) $"expected shape {expected}, got {Shape.text mask.shape}"
        | _ -> ()
