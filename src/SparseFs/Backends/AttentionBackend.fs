namespace SparseFs.Torch

open SparseFs.Kernels
open TorchSharp

/// <summary>What attention has, beside its tensors.</summary>
[<Struct>]
type internal AttentionCall =
    {
        Heads: int64
        IsCausal: bool
        /// Of the weights, whose places are those of [batch, heads, queries, keys].
        Drop: DropoutDraw
    }

    /// Without dropout.
    static member Of(heads: int64, isCausal: bool) : AttentionCall =
        { Heads = heads
          IsCausal = isCausal
          Drop = DropoutDraw.None }

/// <summary>The tensors of a call of attention, [batch, tokens, features], before they are divided among the heads.</summary>
[<NoEquality; NoComparison>]
type internal AttentionTensors =
    | Packed of ofAll: torch.Tensor // queries, keys and values beside each other: [batch, tokens, 3 · features]
    | Apart of query: torch.Tensor * key: torch.Tensor * value: torch.Tensor

    member t.List: torch.Tensor list =
        match t with
        | Packed ofAll -> [ ofAll ]
        | Apart(query, key, value) -> [ query; key; value ]

    static member Of(tensors: torch.Tensor list) : AttentionTensors =
        match tensors with
        | [ query; key; value ] -> Apart(query, key, value)
        | tensors -> Packed tensors.Head

    member t.Query: torch.Tensor = t.List.Head

    /// Queries, keys and values by themselves.
    member t.Parts: struct (torch.Tensor * torch.Tensor * torch.Tensor) =
        match t with
        | Packed ofAll ->
            let size = ofAll.shape[2] / 3L

            struct (ofAll.narrow (2L, 0L, size), ofAll.narrow (2L, size, size), ofAll.narrow (2L, 2L * size, size))
        | Apart(query, key, value) -> struct (query, key, value)

    /// Batch, queries, keys and features of all heads.
    member t.Sizes: struct (int64 * int64 * int64 * int64) =
        match t with
        | Packed ofAll ->
            let shape = ofAll.shape
            struct (shape[0], shape[1], shape[1], shape[2] / 3L)
        | Apart(query, key, _) ->
            let shape = query.shape
            struct (shape[0], shape[1], key.shape[1], shape[2])

/// <summary>Attention without masks, but for the causal one, in one go.</summary>
[<NoEquality; NoComparison>]
type internal AttentionBackend =
    {
        /// Whether it computes tensors of these sizes.
        Suits: AttentionCall -> AttentionTensors -> bool
        /// The outputs [batch, queries, features], and what a backward needs beside them.
        Forward: AttentionCall -> AttentionTensors -> struct (torch.Tensor * torch.Tensor)
        /// The gradients of the tensors, from these, the outputs, what a backward needs and the outputs' gradient.
        Backward: AttentionCall -> AttentionTensors -> torch.Tensor -> torch.Tensor -> torch.Tensor -> AttentionTensors
    }
