namespace SparseFs

/// <summary>Scores made of others, cell by cell, and of their cells' places.</summary>
/// <param name="map">From row, column and score to a score; called by the parts of the source side by side.</param>
/// <param name="source">Whose blocks these are too.</param>
[<Sealed>]
type internal MappedScores(map: OptimizedClosures.FSharpFunc<int, int, float32, float32>, source: CellScores) =
    inherit CellScores()

    override _.Rows(first, count) =
        let scores = source.Rows(first, count)
        let cols = if count = 0 then 0 else scores.Length / count

        Array.init scores.Length (fun i -> map.Invoke(first + i / cols, i % cols, scores[i]))

    override _.Parts = source.Parts

    override _.EachBlock(name, rows, cols, body) =
        // One array a part: the blocks of a part come one after the other.
        let own: float32[][] = Array.create source.Parts [||]

        source.EachBlock(
            name,
            rows,
            cols,
            ScoreBlock(fun part first count scores stride ->
                if own[part].Length < count * cols then
                    own[part] <- Array.zeroCreate (count * cols)

                let mapped = own[part]

                for row in 0 .. count - 1 do
                    for col in 0 .. cols - 1 do
                        mapped[row * cols + col] <- map.Invoke(first + row, col, scores[row * stride + col])

                body.Invoke(part, first, count, mapped, cols))
        )
