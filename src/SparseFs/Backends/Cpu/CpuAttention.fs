namespace SparseFs.Torch

#nowarn "9" // here tensors become addresses; the layers have checked every size

open System
open Microsoft.FSharp.NativeInterop
open SparseFs.Kernels
open TorchSharp

/// <summary>Attention on the library's kernels: float32 on the CPU.</summary>
[<RequireQualifiedAccess>]
module internal CpuAttention =

    /// Keys of which a block of queries' scores are kept at once.
    [<Literal>]
    let private MostKeys = 16_384L

    let private shapeOf (call: AttentionCall) (t: AttentionTensors) : AttentionShape =
        let struct (batch, queries, keys, features) = t.Sizes

        { Samples = int batch
          Heads = int call.Heads
          Queries = int queries
          Keys = int keys
          Features = int (features / call.Heads)
          IsCausal = call.IsCausal
          Drop = call.Drop }

    let private policyOf (policies: CpuPolicies) (s: AttentionShape) : ExecutionPolicy =
        let ofQuery = 2L * int64 s.Heads * int64 s.Keys * int64 s.Features
        policies.Products (int (min ofQuery (int64 Int32.MaxValue))) (s.Samples * s.Queries)

    /// Features from a first one on.
    let private view (name: string) (t: torch.Tensor) (first: int) : TokenView =
        { Data = NativePtr.add (TensorView.rows name t) first
          OfToken = int (t.stride 1)
          OfSample = t.stride 0 }

    /// Where queries, keys and values lie.
    let private views (s: AttentionShape) (t: AttentionTensors) : struct (TokenView * TokenView * TokenView) =
        let features = s.Heads * s.Features

        match t with
        | Packed ofAll ->
            let part index = view "packed" ofAll (index * features)

            struct (part 0, part 1, part 2)
        | Apart(query, key, value) -> struct (view "query" query 0, view "key" key 0, view "value" value 0)

    /// Tokens of samples may lie anywhere; their features lie side by side.
    let private inRows (t: AttentionTensors) : AttentionTensors =
        let inRows (t: torch.Tensor) =
            if t.stride 2 = 1L then t else TensorView.contiguous t

        AttentionTensors.Of(t.List |> List.map inRows)

    let private suits (call: AttentionCall) (t: AttentionTensors) : bool =
        let struct (batch, queries, keys, features) = t.Sizes

        batch > 0L
        && queries > 0L
        && keys > 0L
        && keys <= MostKeys
        && features > 0L
        && (not call.IsCausal || keys >= queries)
        // Queries of all samples, and a token's features, are counted by 32 bits.
        && batch * queries * call.Heads < int64 Int32.MaxValue
        && t.List |> List.forall (fun t -> t.dtype = torch.ScalarType.Float32)

    let private forward (policies: CpuPolicies) (call: AttentionCall) (t: AttentionTensors) =
        let t = inRows t
        let s = shapeOf call t
        let struct (batch, queries, _, features) = t.Sizes

        let empty (shape: int64[]) =
            torch.empty (shape, dtype = torch.ScalarType.Float32, device = torch.CPU)

        let y, logarithms =
            empty [| batch; queries; features |], empty [| batch; call.Heads; queries |]

        let struct (q, k, v) = views s t
        let toY = view "y" y 0
        let toLogarithms = TensorView.floats "logarithms" logarithms

        ExecutionPolicy.call (policyOf policies s) (fun granted ->
            AttentionForward.run granted s q k v toY toLogarithms)

        GC.KeepAlive t
        struct (y, logarithms)

    let private backward
        (policies: CpuPolicies)
        (call: AttentionCall)
        (t: AttentionTensors)
        (y: torch.Tensor)
        (logarithms: torch.Tensor)
        (dy: torch.Tensor)
        : AttentionTensors =
        let t, dy = inRows t, TensorView.contiguous dy
        let s = shapeOf call t

        let gradients =
            AttentionTensors.Of(
                t.List
                |> List.map (fun t -> torch.empty (t.shape, dtype = t.dtype, device = t.device))
            )

        let struct (q, k, v) = views s t
        let struct (dq, dk, dv) = views s gradients

        let tape =
            { Query = q
              Key = k
              Value = v
              Output = view "y" y 0
              Logarithms = TensorView.floats "logarithms" logarithms }

        let ofDY = view "dy" dy 0

        ExecutionPolicy.call (policyOf policies s) (fun granted -> AttentionBackward.run granted s tape ofDY dq dk dv)

        GC.KeepAlive(struct (t, y, logarithms, dy))
        gradients

    /// <summary>On so many threads as the work keeps busy.</summary>
    let backend (policies: CpuPolicies) : AttentionBackend =
        { Suits = suits
          Forward = forward policies
          Backward = backward policies }
