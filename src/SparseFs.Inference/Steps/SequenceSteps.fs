namespace SparseFs.Inference

open System
open System.Runtime.InteropServices
open SparseFs

/// <summary>The row of a table that each token asks for.</summary>
/// <param name="table">[count, features]</param>
/// <param name="features">Of a row.</param>
/// <param name="from">The buffer of tokens: whole numbers of 32 bits.</param>
/// <param name="into">That of rows.</param>
/// <param name="tokens">How many there are.</param>
[<Sealed>]
type internal EmbeddingStep(table: float32[], features: int, from: int, into: int, tokens: RowCount) =
    inherit Step()

    override _.Run w =
        let tokens =
            MemoryMarshal.Cast<float32, int>(Span.op_Implicit (w.Buffer(from).AsSpan(0, tokens.Of w)): ReadOnlySpan<_>)

        let y = w.Buffer into
        let count = table.Length / features

        for i in 0 .. tokens.Length - 1 do
            let token = tokens[i]

            if token < 0 || token >= count then
                raise (
                    ArgumentException(
                        invariant $"expected tokens from 0 to {count - 1}, got {token} as number {i}",
                        "tokens"
                    )
                )

            Array.Copy(table, token * features, y, i * features, features)

/// <summary>Adds the row of a table that each token's place asks for.</summary>
/// <param name="table">[count, features]</param>
/// <param name="features">Of a row.</param>
/// <param name="buffer">Of tokens' rows, changed in place.</param>
[<Sealed>]
type internal PositionStep(table: float32[], features: int, buffer: int) =
    inherit Step()

    override _.Run w =
        let x = w.Buffer buffer

        for sample in 0 .. w.Samples - 1 do
            for token in 0 .. w.Tokens - 1 do
                let row = x.AsSpan((sample * w.Tokens + token) * features, features)
                Elements.add row (ReadOnlySpan(table, (w.Position + token) * features, features))

/// <summary>The last token of each sample, or the mean of all.</summary>
[<Sealed>]
type internal TokenStep(from: int, into: int, features: int, isMean: bool) =
    inherit Step()

    override _.Run w =
        let x, y = w.Buffer from, w.Buffer into

        for sample in 0 .. w.Samples - 1 do
            let last = (sample + 1) * w.Tokens - 1
            let sum = y.AsSpan(sample * features, features)
            x.AsSpan(last * features, features).CopyTo sum

            if isMean then
                for token in sample * w.Tokens .. last - 1 do
                    Elements.add sum (ReadOnlySpan(x, token * features, features))

                Elements.scale (1.0f / float32 w.Tokens) 0.0f sum
