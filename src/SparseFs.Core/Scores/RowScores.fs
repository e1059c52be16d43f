namespace SparseFs

open System

/// <summary>Scores from a function over rows.</summary>
/// <example><code>
/// let scores, cols = Array.init (300 * 784) float32, 784
/// let rows = RowScores(fun first count -> Array.sub scores (first * cols) (count * cols))
/// </code></example>
[<Sealed>]
type RowScores
    /// <summary>Scores from a function over rows.</summary>
    /// <param name="rowsOf">Gives the row-major scores of whole rows, from their first row and their number: length
    /// count · cols. The array is copied or done with before the next call, so it may be used again.</param>
    /// <exception cref="T:System.ArgumentNullException">rowsOf is null.</exception>
    (rowsOf: Func<int, int, float32[]>) =
    inherit CellScores()

    do ArgumentNullException.ThrowIfNull(rowsOf, nameof rowsOf)

    override _.Rows(first, count) = rowsOf.Invoke(first, count)
