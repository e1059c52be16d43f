namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>Attention forward, on the CPU.</summary>
/// <remarks>A block of queries at a time, whose scores stay in the near memory; keys that none of them sees are not multiplied. Threads share the
/// heads, so results do not depend on their number, to the bit. Dao et al. 2022, arXiv 2205.14135, section 3.1, for what the backward needs: the
/// logarithm of each query's sum. Oracle: the operations in float64, in the tests of attention.</remarks>
module internal AttentionForward =

    /// Queries of a block.
    [<Literal>]
    let private Block = 16

    /// Queries that are too few to be worth bringing keys into columns: one, where tokens are generated one after the other.
    [<Literal>]
    let private Few = 2

    let private head
        (width: Width)
        (s: AttentionShape)
        (index: int)
        (q: MatrixView)
        (k: MatrixView)
        (v: MatrixView)
        (y: MatrixView)
        (logarithms: nativeptr<float32>)
        =
        let kernels, lanes = AttentionTable.ofWidth width, int width
        let keys, features = HeadRows.wide lanes s.Keys, HeadRows.wide lanes s.Features
        let ofValues = HeadRows.room lanes s.Keys s.Features

        let scratch =
            ScratchPool.rent (int64 s.Features * int64 keys + ofValues + int64 Block * int64 (keys + features))

        let columns = scratch.Floats
        let room = Pointer.at columns (int64 s.Features * int64 keys)
        let scores = Pointer.at room ofValues
        let sums = Pointer.at scores (int64 Block * int64 keys)

        if s.Queries > Few then
            kernels.Transpose(k, s.Keys, s.Features, columns, keys)

        let v = HeadRows.ofTokens kernels lanes s.Keys s.Features v room
        let factors = NativePtr.stackalloc<float32> Block
        let mutable first = 0

        while first < s.Queries do
            let count = min Block (s.Queries - first)
            let seen = s.Seen(first + count - 1)
            let wide = HeadRows.wide lanes seen

            let queries =
                { Data = q.Row first
                  Row = int64 q.Stride
                  Column = 1L }

            if s.Queries > Few then
                kernels.Product(
                    queries,
                    columns,
                    int64 keys,
                    count,
                    s.Features,
                    wide / lanes,
                    false,
                    scores,
                    int64 keys
                )
            else
                for i in 0 .. count - 1 do
                    let row = Pointer.at scores (int64 i * int64 keys)

                    for j in 0 .. seen - 1 do
                        Pointer.set row j (kernels.Dot(q.Row(first + i), k.Row j, s.Features))

            for i in 0 .. count - 1 do
                let row = Pointer.at scores (int64 i * int64 keys)

                let struct (logarithm, factor) =
                    kernels.Exponentials(row, s.Seen(first + i), wide, s.Scale)

                Pointer.set logarithms (first + i) logarithm
                Pointer.set factors i factor
                s.DropRow(index, first + i, row, s.Seen(first + i))

            let weights =
                { Data = scores
                  Row = int64 keys
                  Column = 1L }

            kernels.Product(weights, v.Data, int64 v.Stride, count, seen, features / lanes, false, sums, int64 features)

            for i in 0 .. count - 1 do
                let row = Pointer.at sums (int64 i * int64 features)
                kernels.Scaled(row, s.Features, Pointer.get factors i, y.Row(first + i))

            first <- first + count

        ScratchPool.giveBack scratch

    /// A head of a sample.
    let private part
        (width: Width)
        (s: AttentionShape)
        (q: TokenView)
        (k: TokenView)
        (v: TokenView)
        (y: TokenView)
        (logarithms: nativeptr<float32>)
        (index: int)
        =
        let sample, first = index / s.Heads, index % s.Heads * s.Features
        let own = Pointer.at logarithms (int64 index * int64 s.Queries)
        let inline of' (t: TokenView) = t.Head(sample, first)
        head width s index (of' q) (of' k) (of' v) (of' y) own

    /// On threads, which takes a closure.
    let private shared (policy: ExecutionPolicy) (s: AttentionShape) q k v y logarithms =
        policy.Team.Run(policy.Threads, s.Samples * s.Heads, fun index -> part policy.Width s q k v y logarithms index)

    /// <summary>y = attention of q, k and v, and the logarithms [samples, heads, queries] of each query's sum of exponentials; both are
    /// overwritten. One thread allocates nothing.</summary>
    let run
        (policy: ExecutionPolicy)
        (s: AttentionShape)
        (q: TokenView)
        (k: TokenView)
        (v: TokenView)
        (y: TokenView)
        (logarithms: nativeptr<float32>)
        : unit =
        if policy.Threads = 1 then
            for index in 0 .. s.Samples * s.Heads - 1 do
                part policy.Width s q k v y logarithms index
        else
            shared policy s q k v y logarithms
