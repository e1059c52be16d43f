namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// What attention was computed of, and what came of it.
[<NoEquality; NoComparison>]
type internal AttentionTape =
    {
        Query: TokenView
        Key: TokenView
        Value: TokenView
        Output: TokenView
        /// [samples, heads, queries]
        Logarithms: nativeptr<float32>
    }

/// <summary>The gradients of attention, on the CPU.</summary>
/// <remarks>The weights are computed once more, a block of queries at a time: Dao et al. 2022, arXiv 2205.14135, section 3.2 and algorithm 4.
/// Threads share the heads, so results do not depend on their number, to the bit.</remarks>
module internal AttentionBackward =

    /// Queries of a block: the gradients of keys and values are read and written once for each.
    [<Literal>]
    let private Block = 32

    /// Tokens' gradients of whole vectors, brought to their place.
    let private put
        (kernels: AttentionKernels)
        (rows: nativeptr<float32>)
        (wide: int)
        (count: int)
        (features: int)
        (into: MatrixView)
        (first: int)
        =
        for i in 0 .. count - 1 do
            kernels.Scaled(Pointer.at rows (int64 i * int64 wide), features, 1.0f, into.Row(first + i))

    let private head
        (width: Width)
        (s: AttentionShape)
        (index: int)
        (tape: struct (MatrixView * MatrixView * MatrixView * MatrixView))
        (logarithms: nativeptr<float32>)
        (dy: MatrixView)
        (dq: MatrixView)
        (dk: MatrixView)
        (dv: MatrixView)
        =
        let struct (q, k, v, y) = tape
        let kernels, lanes = AttentionTable.ofWidth width, int width
        let keys, features = HeadRows.wide lanes s.Keys, HeadRows.wide lanes s.Features
        let columnFloats = int64 s.Features * int64 keys
        let keyFloats, blockFloats = int64 s.Keys * int64 features, int64 Block * int64 keys

        let ofKeys, ofQueries =
            HeadRows.room lanes s.Keys s.Features, HeadRows.room lanes s.Queries s.Features

        let scratch =
            ScratchPool.rent (
                2L * (columnFloats + keyFloats + blockFloats + ofQueries)
                + ofKeys
                + int64 Block * int64 features
            )

        let mutable next = scratch.Floats

        let take (floats: int64) =
            let own = next
            next <- Pointer.at next floats
            own

        let ofK, ofV = take columnFloats, take columnFloats
        let sumsK, sumsV = take keyFloats, take keyFloats
        let weights, gradients = take blockFloats, take blockFloats
        let rows = HeadRows.ofTokens kernels lanes
        let kRows = rows s.Keys s.Features k (take ofKeys)
        let qRows = rows s.Queries s.Features q (take ofQueries)
        let dyRows = rows s.Queries s.Features dy (take ofQueries)
        let sumsQ = take (int64 Block * int64 features)
        kernels.Transpose(k, s.Keys, s.Features, ofK, keys)
        kernels.Transpose(v, s.Keys, s.Features, ofV, keys)
        let vectors, wideKeys, wideFeatures = features / lanes, int64 keys, int64 features
        let mutable first = 0
        let mutable seenBefore = 0

        /// Adds a block's part to the sums of the keys that were seen before, and gives the others their first part.
        let add
            (a: nativeptr<float32>)
            (b: MatrixView)
            (count: int)
            (seenBefore: int)
            (seen: int)
            (sums: nativeptr<float32>)
            =
            let product from until accumulate =
                let ofKeys =
                    { Data = Pointer.at a (int64 from)
                      Row = 1L
                      Column = wideKeys }

                let into = Pointer.at sums (int64 from * wideFeatures)

                kernels.Product(
                    ofKeys,
                    b.Data,
                    int64 b.Stride,
                    until - from,
                    count,
                    vectors,
                    accumulate,
                    into,
                    wideFeatures
                )

            if seenBefore > 0 then
                product 0 seenBefore true

            if seen > seenBefore then
                product seenBefore seen false

        while first < s.Queries do
            let count = min Block (s.Queries - first)
            let seen = s.Seen(first + count - 1)
            let wide = HeadRows.wide lanes seen

            let of' (m: MatrixView) =
                { Data = m.Row first
                  Row = int64 m.Stride
                  Column = 1L }

            kernels.Product(of' q, ofK, wideKeys, count, s.Features, wide / lanes, false, weights, wideKeys)
            kernels.Product(of' dy, ofV, wideKeys, count, s.Features, wide / lanes, false, gradients, wideKeys)

            for i in 0 .. count - 1 do
                let query = first + i

                let weights, gradients =
                    Pointer.at weights (int64 i * wideKeys), Pointer.at gradients (int64 i * wideKeys)

                kernels.Weights(weights, s.Seen query, wide, s.Scale, Pointer.get logarithms query)
                // Σ weight · gradient of the weight over the keys is the same as output · its gradient.
                let mean = kernels.Dot(y.Row query, dy.Row query, s.Features)
                s.DropRow(index, query, gradients, s.Seen query)
                kernels.Backward(weights, wide, s.Scale, mean, gradients)
                s.DropRow(index, query, weights, s.Seen query)

            let rest (m: MatrixView) = { m with Data = m.Row first }

            let ofScores =
                { Data = gradients
                  Row = wideKeys
                  Column = 1L }

            if features = s.Features then
                let into = rest dq

                kernels.Product(
                    ofScores,
                    kRows.Data,
                    int64 kRows.Stride,
                    count,
                    seen,
                    vectors,
                    false,
                    into.Data,
                    int64 into.Stride
                )
            else
                kernels.Product(
                    ofScores,
                    kRows.Data,
                    int64 kRows.Stride,
                    count,
                    seen,
                    vectors,
                    false,
                    sumsQ,
                    wideFeatures
                )

                put kernels sumsQ features count s.Features dq first

            add gradients (rest qRows) count seenBefore seen sumsK
            add weights (rest dyRows) count seenBefore seen sumsV
            seenBefore <- seen
            first <- first + count

        put kernels sumsK features s.Keys s.Features dk 0
        put kernels sumsV features s.Keys s.Features dv 0
        ScratchPool.giveBack scratch

    /// <summary>The gradients of queries, keys and values for one of the output; all are overwritten.</summary>
    let run
        (policy: ExecutionPolicy)
        (s: AttentionShape)
        (tape: AttentionTape)
        (dy: TokenView)
        (dq: TokenView)
        (dk: TokenView)
        (dv: TokenView)
        : unit =
        policy.Team.Run(
            policy.Threads,
            s.Samples * s.Heads,
            fun index ->
                let sample, first = index / s.Heads, index % s.Heads * s.Features
                let own = Pointer.at tape.Logarithms (int64 index * int64 s.Queries)
                let of' (t: TokenView) = t.Head(sample, first)

                head
                    policy.Width
                    s
                    index
                    (struct (of' tape.Query, of' tape.Key, of' tape.Value, of' tape.Output))
                    own
                    (of' dy)
                    (of' dq)
                    (of' dk)
                    (of' dv)
        )
