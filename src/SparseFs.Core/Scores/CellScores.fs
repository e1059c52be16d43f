namespace SparseFs

open System

/// <summary>Scores of a dense matrix [rows, cols] that is never held as a whole: computed some rows at a time.</summary>
/// <remarks>To inherit, give <c>Rows</c>. All else has a default that calls it for one block after the other, on the
/// calling thread and in rising order: what a sum over machines needs, which each has to begin at the same block. A source
/// that computes rows side by side gives <c>Parts</c> and <c>EachBlock</c> too.</remarks>
[<AbstractClass>]
type CellScores
    /// <summary>For those who inherit.</summary>
    () =

    /// Cells that are looked at together: 4 MB of them, or 64 rows.
    static let blockCells = 1_048_576L

    /// <summary>Scores of some whole rows.</summary>
    /// <param name="first">The first row.</param>
    /// <param name="count">The number of rows, 1 or more.</param>
    /// <returns>Length count · cols, row-major. Readers are done with it before they ask again, so the array may be used
    /// again.</returns>
    abstract Rows: first: int * count: int -> float32[]

    /// <summary>The number of parts that <c>EachBlock</c> may run side by side; 1 by default.</summary>
    abstract Parts: int

    default _.Parts = 1

    /// <summary>Hands all rows to a reader, a block at a time.</summary>
    /// <param name="name">What errors call the scores.</param>
    /// <param name="rows">Rows of the matrix.</param>
    /// <param name="cols">Columns of the matrix.</param>
    /// <param name="body">Called once with each row; the rows of a part come in rising order, and before those of the next
    /// part.</param>
    /// <exception cref="T:System.ArgumentException"><c>Rows</c> gives another number of scores than it should.</exception>
    abstract EachBlock: name: string * rows: int * cols: int * body: ScoreBlock -> unit

    default scores.EachBlock(name, rows, cols, body) = scores.InOrder(name, rows, cols, body)

    /// Hands all rows to a reader by Rows alone, on this thread and in order, as part 0.
    member internal scores.InOrder(name: string, rows: int, cols: int, body: ScoreBlock) : unit =
        // A product of few rows reads the whole input for little work.
        let perBlock =
            int (max 1L (min (int64 rows) (max 64L (blockCells / max 1L (int64 cols)))))

        let mutable first = 0

        while first < rows do
            let count = min perBlock (rows - first)
            let given = scores.Rows(first, count)

            if isNull (box given) || given.LongLength <> int64 count * int64 cols then
                let got =
                    if isNull (box given) then
                        "null"
                    else
                        (invariant $"{given.LongLength}")

                let message =
                    (invariant $"expected {int64 count * int64 cols} scores for {count} rows, got {got}")

                raise (ArgumentException(message, name))

            body.Invoke(0, first, count, given, cols)
            first <- first + count
