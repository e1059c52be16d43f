namespace SparseFs

/// <summary>Scores that are computed in blocks side by side.</summary>
/// <param name="rowsOf">As RowScores.</param>
/// <param name="parts">Parts that run side by side.</param>
/// <param name="eachBlock">Hands all rows to a reader; of the order that EachBlock promises.</param>
[<Sealed>]
type internal BlockScores(rowsOf: int -> int -> float32[], parts: int, eachBlock: ScoreBlock -> unit) =
    inherit CellScores()

    override _.Rows(first, count) = rowsOf first count
    override _.Parts = parts
    override _.EachBlock(_, _, _, body) = eachBlock body
