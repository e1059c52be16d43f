namespace SparseFs

open System

/// Some rows of scores: which part of the work they belong to, the first row, the number of rows, and their scores, each
/// row as many places behind the one before as the stride says.
type internal ScoreBlock = delegate of part: int * first: int * count: int * block: float32[] * stride: int -> unit

/// <summary>Scores of a dense matrix [rows, cols] that is never held as a whole: computed some rows at a time.</summary>
[<Sealed; AllowNullLiteral>]
type CellScores internal (rowsOf: Func<int, int, float32[]>, parts: int, inParts: ScoreBlock -> unit) =

    /// Cells that are looked at together: 4 MB of them, or 64 rows.
    static let blockCells = 1_048_576L

    /// <summary>Scores from a function.</summary>
    /// <param name="rowsOf">Gives the row-major scores of whole rows, from their first row and their number: length
    /// count · cols. The array is copied or done with before the next call, so it may be used again.</param>
    /// <exception cref="T:System.ArgumentNullException">rowsOf is null.</exception>
    new(rowsOf: Func<int, int, float32[]>) =
        ArgumentNullException.ThrowIfNull(rowsOf, nameof rowsOf)
        CellScores(rowsOf, 1, Unchecked.defaultof<_>)

    /// <summary>The scores of some whole rows.</summary>
    /// <param name="first">The first row.</param>
    /// <param name="count">How many rows.</param>
    /// <returns>Length count · cols, columns running fastest; good until the next call.</returns>
    member _.Invoke(first: int, count: int) : float32[] = rowsOf.Invoke(first, count)

    /// How many parts compute side by side; a part's rows come in order, and before those of the next part.
    member internal _.Parts = parts

    /// <summary>Calls body with all rows, a block at a time, on this thread and in order.</summary>
    /// <exception cref="T:System.ArgumentException">The function gives another number of scores than it should.</exception>
    member internal _.Each(what: string, rows: int, cols: int, body: ScoreBlock) =
        // A product of few rows reads the whole input for little work.
        let perBlock =
            int (max 1L (min (int64 rows) (max 64L (blockCells / max 1L (int64 cols)))))

        let mutable first = 0

        while first < rows do
            let count = min perBlock (rows - first)
            let given = rowsOf.Invoke(first, count)

            if isNull given || given.LongLength <> int64 count * int64 cols then
                let got =
                    if isNull given then
                        "null"
                    else
                        (invariant $"{given.LongLength}")

                let message =
                    (invariant $"expected {int64 count * int64 cols} scores for {count} rows, got {got}")

                raise (ArgumentException(message, what))

            body.Invoke(0, first, count, given, cols)
            first <- first + count

    /// As Each, the parts side by side.
    member internal s.EachInParts(what: string, rows: int, cols: int, body: ScoreBlock) =
        if isNull (box inParts) then
            s.Each(what, rows, cols, body)
        else
            inParts body
