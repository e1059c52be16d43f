namespace SparseFs.Torch

open SparseFs
open TorchSharp

/// <summary>Attention by torch's operations: what queries make of keys and values. Heads come before tokens: [batch, heads, tokens, features of a
/// head].</summary>
/// <remarks>For masks, dropout, weights that are asked for, other dtypes and devices, and second derivatives. Vaswani et al. 2017, section 3.2, arXiv 1706.03762.</remarks>
[<RequireQualifiedAccess>]
module internal AttentionSteps =

    let private divided (heads: int64) (t: torch.Tensor) : torch.Tensor =
        let shape = t.shape
        t.view(shape[0], shape[1], heads, shape[2] / heads).transpose(1L, 2L)

    /// Queries, keys and values of [batch, tokens, 3 · features], without a copy; their gradients come together by one.
    let private split (heads: int64) (packed: torch.Tensor) : struct (torch.Tensor * torch.Tensor * torch.Tensor) =
        let shape = packed.shape

        let parts =
            packed.view(shape[0], shape[1], 3L, heads, shape[2] / 3L / heads).unbind 2

        struct (parts[0].transpose(1L, 2L), parts[1].transpose(1L, 2L), parts[2].transpose(1L, 2L))

    /// Queries, keys and values of each head.
    let byHeads (heads: int64) (t: AttentionTensors) : struct (torch.Tensor * torch.Tensor * torch.Tensor) =
        match t with
        | Packed ofAll -> split heads ofAll
        | Apart(query, key, value) -> struct (divided heads query, divided heads key, divided heads value)

    /// Back to [batch, tokens, features]; what torch's attention gives lies so already.
    let join (t: torch.Tensor) : torch.Tensor =
        let shape = t.shape
        t.transpose(1L, 2L).reshape(shape[0], shape[2], shape[1] * shape[3])

    /// What may not be seen, as numbers that are added: −∞ there.
    let private additive (like: torch.Tensor) (isHidden: torch.Tensor) : torch.Tensor =
        torch
            .zeros(isHidden.shape, dtype = like.dtype, device = like.device)
            .masked_fill_(isHidden, Scalars.Of -infinity)

    /// <summary>The masks of a call as one: booleans of what may be seen, or numbers that are added; null for none.</summary>
    /// <param name="heads">Heads of a batch.</param>
    /// <param name="like">Queries, [batch, tokens, features].</param>
    /// <param name="attnMask">[queries, keys] or [batch · heads, queries, keys]: true where a key may not be seen, or numbers that are added to the scores.</param>
    /// <param name="keyPaddingMask">[batch, keys]: likewise.</param>
    let mask
        (heads: int64)
        (like: torch.Tensor)
        (attnMask: torch.Tensor | null)
        (keyPaddingMask: torch.Tensor | null)
        : torch.Tensor | null =
        let padding: torch.Tensor | null =
            match keyPaddingMask with
            | null -> null
            | mask -> mask.unsqueeze(1L).unsqueeze 1L

        let wide (t: torch.Tensor) =
            if t.dim () = 3L then
                // [batch · heads, queries, keys], as torch takes it.
                t.view (like.shape[0], heads, t.shape[1], t.shape[2])
            else
                t

        let isBool (t: torch.Tensor) = t.dtype = torch.ScalarType.Bool
        // torch's attention takes what may be seen.
        let alone (t: torch.Tensor) =
            if isBool t then t.logical_not () else t

        match attnMask with
        | null ->
            match padding with
            | null -> null
            | padding -> alone padding
        | mask ->
            match padding with
            | null -> alone (wide mask)
            | padding when isBool mask && isBool padding -> (wide mask).logical_or(padding).logical_not()
            | padding ->
                let number (t: torch.Tensor) = if isBool t then additive like t else t
                (number (wide mask)).add(number padding)

    /// A mask of what a token may see: itself and what comes before, where the queries are the last of the keys.
    let private causal (queries: int64) (keys: int64) (device: torch.Device) : torch.Tensor =
        torch.ones([| queries; keys |], dtype = torch.ScalarType.Bool, device = device).tril(keys - queries)

    /// The weights [batch, heads, queries, keys]; a mask is of booleans of what may be seen, or numbers that are added.
    let private weightsOf (q: torch.Tensor) (k: torch.Tensor) (mask: torch.Tensor | null) : torch.Tensor =
        let scale = Scalars.Of(1.0 / sqrt (float q.shape[3]))
        let scores = q.mul(scale).matmul(k.transpose (-2L, -1L))

        let scores =
            match mask with
            | null -> scores
            | mask when mask.dtype = torch.ScalarType.Bool ->
                scores.masked_fill (mask.logical_not (), Scalars.Of -infinity)
            | mask -> scores.add mask

        scores.softmax -1L

    /// <summary>The outputs [batch, heads, queries, features] and, where they are wanted, the weights [batch, queries, keys], mean over the
    /// heads.</summary>
    let attend
        (q: torch.Tensor)
        (k: torch.Tensor)
        (v: torch.Tensor)
        (mask: torch.Tensor | null)
        (isCausal: bool)
        (dropout: float)
        (needWeights: bool)
        : struct (torch.Tensor * (torch.Tensor | null)) =
        let queries, keys = q.shape[2], k.shape[2]
        let isSquare = queries = keys
        // The last token sees all.
        let isCausal = isCausal && queries > 1L

        if not needWeights && (not isCausal || isSquare && isNull mask) then
            struct (torch.nn.functional.scaled_dot_product_attention (q, k, v, mask, dropout, isCausal), null)
        else
            let hidden: torch.Tensor | null =
                if not isCausal then
                    mask
                else
                    let seen = causal queries keys q.device

                    match mask with
                    | null -> seen
                    | mask when mask.dtype = torch.ScalarType.Bool -> mask.logical_and seen
                    | mask -> mask.add (additive q (seen.logical_not ()))

            if not needWeights then
                struct (torch.nn.functional.scaled_dot_product_attention (q, k, v, hidden, dropout, false), null)
            else
                let weights = weightsOf q k hidden

                let dropped = Dropping.apply dropout weights

                struct (dropped.matmul v, weights.mean [| 1L |])

    /// <summary>The outputs [batch, queries, features] of a call without masks, by operations that have derivatives of any order; torch's attention
    /// has not.</summary>
    let plain (call: AttentionCall) (t: AttentionTensors) : torch.Tensor =
        let struct (q, k, v) = byHeads call.Heads t

        let seen: torch.Tensor | null =
            if call.IsCausal then
                causal q.shape[2] k.shape[2] q.device
            else
                null

        let weights = weightsOf q k seen

        let dropped =
            match (Backends.ofTensor weights).Dropout with
            | ValueSome run when not call.Drop.IsNone -> DropoutFunction.Apply({ Draw = call.Drop; Run = run }, weights)
            | _ -> weights

        join (dropped.matmul v)
