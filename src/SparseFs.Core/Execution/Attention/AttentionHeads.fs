namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// Tokens of samples, of which each head has some neighbouring features: [samples, tokens, heads · features] with room between tokens and
/// between samples.
[<Struct>]
type internal TokenView =
    {
        Data: nativeptr<float32>
        /// Floats from a token to the next.
        OfToken: int
        /// Floats from a sample to the next.
        OfSample: int64
    }

    /// One head's tokens of a sample.
    member t.Head(sample: int, first: int) : MatrixView =
        { Data = Pointer.at t.Data (int64 sample * t.OfSample + int64 first)
          Stride = t.OfToken }

/// <summary>What attention is computed of: softmax(scale · q kᵀ) v for each head of each sample.</summary>
[<Struct>]
type internal AttentionShape =
    {
        Samples: int
        Heads: int
        Queries: int
        Keys: int
        /// Of a head.
        Features: int
        /// Whether a query sees no key behind its own place, where the last query's is the last key's. Keys are then no fewer than queries.
        IsCausal: bool
        /// Of the weights, whose places are those of [samples, heads, queries, keys].
        Drop: DropoutDraw
    }

    member s.Scale: float32 = 1.0f / sqrt (float32 s.Features)

    /// Drops weights of a head's query.
    member s.DropRow(head: int, query: int, row: nativeptr<float32>, count: int) : unit =
        if not s.Drop.IsNone then
            let first = (int64 head * int64 s.Queries + int64 query) * int64 s.Keys
            Dropout.apply s.Drop first count row row

    /// Keys that a query sees: the first ones.
    member s.Seen(query: int) : int =
        if s.IsCausal then
            query + 1 + s.Keys - s.Queries
        else
            s.Keys

/// A head's tokens as rows of whole vectors, for products that read them so.
[<RequireQualifiedAccess>]
module internal HeadRows =

    /// Features made up to whole vectors.
    let wide (lanes: int) (features: int) : int = (features + lanes - 1) / lanes * lanes

    /// Floats that the rows take, if they have to be copied.
    let room (lanes: int) (tokens: int) (features: int) : int64 =
        if features % lanes = 0 then
            0L
        else
            int64 tokens * int64 (wide lanes features)

    /// The rows as they are, or copied to that room, with zeros behind each.
    let ofTokens
        (kernels: AttentionKernels)
        (lanes: int)
        (tokens: int)
        (features: int)
        (rows: MatrixView)
        (room: nativeptr<float32>)
        : MatrixView =
        if features % lanes = 0 then
            rows
        else
            let wide = wide lanes features

            for t in 0 .. tokens - 1 do
                let into = Pointer.at room (int64 t * int64 wide)
                kernels.Scaled(rows.Row t, features, 1.0f, into)
                Pointer.clear (Pointer.at into (int64 features)) (int64 (wide - features))

            { Data = room; Stride = wide }
