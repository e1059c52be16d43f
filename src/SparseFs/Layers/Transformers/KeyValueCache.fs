namespace SparseFs

open System
open SparseFs.Torch
open TorchSharp

/// <summary>Keys and values of the tokens that an attention has seen, for generation one token after the other.</summary>
/// <remarks>One for each attention and each batch of sequences. It keeps no gradient, and is not for two threads at once.</remarks>
/// <example><code>
/// let block = new SparseTransformerBlock(64, 4)
/// block.eval ()
/// let cache = new KeyValueCache(128)
/// let first = block.call (torch.randn (1L, 10L, 64L), cache) // ten tokens at once
/// let next = block.call (torch.randn (1L, 1L, 64L), cache) // the eleventh
/// cache.Length // = 11
/// </code></example>
[<Sealed>]
type KeyValueCache
    /// <summary>An empty cache.</summary>
    /// <param name="capacity">The most tokens that it holds, 1 or more.</param>
    /// <exception cref="T:System.ArgumentException">capacity is below 1.</exception>
    (capacity: int) =
    do TransformerSizes.check (nameof capacity) capacity
    let mutable keys: torch.Tensor | null = null
    let mutable values: torch.Tensor | null = null
    let mutable length = 0

    let room (like: torch.Tensor) =
        let shape = like.shape

        torch
            .empty([| shape[0]; int64 capacity; shape[2] |], dtype = like.dtype, device = like.device)
            .DetachFromDisposeScope()

    /// <summary>The most tokens that it holds.</summary>
    member _.Capacity: int = capacity

    /// <summary>Tokens that it holds.</summary>
    member _.Length: int = length

    /// <summary>Forgets all tokens.</summary>
    member _.Reset() : unit = length <- 0

    /// All keys and values with new ones [batch, tokens, features] behind them.
    member internal _.Append(key: torch.Tensor, value: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        use _ = torch.no_grad ()
        let shape = key.shape
        let tokens = int shape[1]

        if length + tokens > capacity then
            let got = $"{length} and {tokens} more"

            raise (
                ArgumentException($"expected at most the {capacity} tokens that the cache holds, got {got}", "cache")
            )

        match keys, values with
        | NonNull k, NonNull v when length > 0 ->
            let expected = k.shape

            if expected[0] <> shape[0] || expected[2] <> shape[2] then
                let what = $"a cache of the same attention and batch, {Shape.text expected}"
                raise (ArgumentException($"expected {what}, got keys of {Shape.text shape}", "cache"))

            k.narrow(1L, int64 length, int64 tokens).copy_ key |> ignore
            v.narrow(1L, int64 length, int64 tokens).copy_ value |> ignore
        | _ ->
            for t in [ keys; values ] do
                match t with
                | null -> ()
                | t -> t.Dispose()

            let k, v = room key, room value
            k.narrow(1L, 0L, int64 tokens).copy_ key |> ignore
            v.narrow(1L, 0L, int64 tokens).copy_ value |> ignore
            keys <- k
            values <- v

        length <- length + tokens

        match keys, values with
        | NonNull k, NonNull v -> struct (k.narrow (1L, 0L, int64 length), v.narrow (1L, 0L, int64 length))
        | _ -> invalidOp "a cache that was filled is empty"

    /// Attention of new tokens over all that a cache holds then, or over themselves where there is none: [batch, tokens, features].
    static member internal Attend
        (
            cache: KeyValueCache | null,
            call: AttentionCall,
            tokens: AttentionTensors,
            mask: torch.Tensor | null,
            dropout: float
        ) : torch.Tensor =
        match cache with
        | null ->
            let struct (y, _) = Attention.run call tokens mask dropout false
            y
        | cache ->
            let struct (query, key, value) = tokens.Parts
            let struct (keys, values) = cache.Append(key, value)

            let struct (y, _) =
                Attention.run call (Apart(query, keys, values)) mask dropout false

            y

    override _.ToString() =
        $"KeyValueCache({length} of {capacity} tokens)"

    interface IDisposable with
        member _.Dispose() =
            for t in [ keys; values ] do
                match t with
                | null -> ()
                | t -> t.Dispose()

            keys <- null
            values <- null
            length <- 0
