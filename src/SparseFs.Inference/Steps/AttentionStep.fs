namespace SparseFs.Inference

#nowarn "9"

open System
open Microsoft.FSharp.NativeInterop
open SparseFs
open SparseFs.Kernels

/// Where queries, keys or values of tokens lie.
[<Struct>]
type internal AttentionSource =
    {
        Buffer: int
        /// Numbers of a token in the buffer.
        Width: int
        /// The first of them.
        First: int
    }

/// <summary>softmax(scale · q kᵀ) v for each head; a session keeps keys and values of its tokens.</summary>
/// <param name="q">The queries.</param>
/// <param name="k">The keys.</param>
/// <param name="v">The values.</param>
/// <param name="heads">How many.</param>
/// <param name="features">Of all heads.</param>
/// <param name="isCausal">Whether tokens see none behind them.</param>
/// <param name="into">The buffer of outputs.</param>
/// <param name="logarithms">One with room for a number of each head and token.</param>
/// <param name="keys">The state that keeps keys.</param>
/// <param name="values">That which keeps values.</param>
/// <param name="threads">The most that a call uses.</param>
[<Sealed>]
type internal AttentionStep
    (
        q: AttentionSource,
        k: AttentionSource,
        v: AttentionSource,
        heads: int,
        features: int,
        isCausal: bool,
        into: int,
        logarithms: int,
        keys: int,
        values: int,
        threads: int
    ) =
    inherit Step()

    /// Work of a thread that is worth waking it.
    static let workOfThread = 200_000L

    let keep (w: Workspace) (source: AttentionSource) (state: int) =
        let x, kept = w.Buffer source.Buffer, w.State state

        for sample in 0 .. w.Samples - 1 do
            for token in 0 .. w.Tokens - 1 do
                let from = (sample * w.Tokens + token) * source.Width + source.First

                let place =
                    (int64 sample * int64 w.Capacity + int64 (w.Position + token)) * int64 features

                x.AsSpan(from, features).CopyTo(kept.AsSpan(int place, features))

    override _.Run w =
        let isSession = w.Capacity > 0
        let seen = w.Position + w.Tokens

        if isSession then
            keep w k keys
            keep w v values

        use qPin = fixed w.Buffer q.Buffer
        use kPin = fixed (if isSession then w.State keys else w.Buffer k.Buffer)
        use vPin = fixed (if isSession then w.State values else w.Buffer v.Buffer)
        use yPin = fixed w.Buffer into
        use logarithmsPin = fixed w.Buffer logarithms

        let view (data: nativeptr<float32>) (source: AttentionSource) : TokenView =
            { Data = NativePtr.add data source.First
              OfToken = source.Width
              OfSample = int64 w.Tokens * int64 source.Width }

        let kept (data: nativeptr<float32>) : TokenView =
            { Data = data
              OfToken = features
              OfSample = int64 w.Capacity * int64 features }

        let work =
            int64 w.Samples * int64 w.Tokens * int64 seen * int64 features / workOfThread

        AttentionForward.run
            { Width = Widths.widest
              Threads = int (max 1L (min (int64 threads) work))
              Team = ParallelFor.Workers }
            { Samples = w.Samples
              Heads = heads
              Queries = w.Tokens
              Keys = seen
              Features = features / heads
              IsCausal = isCausal
              Drop = DropoutDraw.None }
            (view qPin q)
            (if isSession then kept kPin else view kPin k)
            (if isSession then kept vPin else view vPin v)
            (view
                yPin
                { Buffer = into
                  Width = features
                  First = 0 })
            logarithmsPin
