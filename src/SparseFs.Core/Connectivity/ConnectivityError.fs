namespace SparseFs

/// <summary>The first rule that a set of buffers breaks.</summary>
[<RequireQualifiedAccess>]
type ConnectivityError =
    /// <summary>A size is negative, or more than an array can hold.</summary>
    | Shape of rows: int * cols: int
    /// <summary>rowPtr does not have rows + 1 entries.</summary>
    | RowPtrLength of expected: int * actual: int
    /// <summary>rowPtr must start at 0, never fall, and end at nnz; this is the first entry that does not.</summary>
    | RowPtr of entry: int * value: int * nnz: int
    /// <summary>A row index is outside 0..rows − 1 (COO input only).</summary>
    | Row of pair: int * row: int * rows: int
    /// <summary>A column index is outside 0..cols − 1.</summary>
    | Column of row: int * col: int * cols: int
    /// <summary>A column does not come after the one before it in its row (CSR input only).</summary>
    | Order of row: int * col: int * previous: int
    /// <summary>The same cell is named twice.</summary>
    | Duplicate of row: int * col: int
    /// <summary>The two index arrays of a COO input differ in length.</summary>
    | Lengths of rowIdx: int * colIdx: int

    /// <summary>The rule in words: what was expected and what came.</summary>
    member e.Message =
        match e with
        | Shape(rows, cols) -> (invariant $"expected sizes in 0..{Sparsity.maxSize}, got [{rows}, {cols}]")
        | RowPtrLength(expected, actual) -> (invariant $"expected rows + 1 = {expected} entries, got {actual}")
        | RowPtr(entry, value, nnz) ->
            (invariant
                $"expected entries that start at 0, never fall and end at nnz = {nnz}, got {value} as entry {entry}")
        | Row(pair, row, rows) -> (invariant $"expected 0..{rows - 1}, got row {row} in pair {pair}")
        | Column(row, col, cols) -> (invariant $"expected 0..{cols - 1}, got column {col} in row {row}")
        | Order(row, col, previous) -> (invariant $"expected rising columns in row {row}, got {col} after {previous}")
        | Duplicate(row, col) -> (invariant $"expected each cell at most once, got ({row}, {col}) twice")
        | Lengths(rowIdx, colIdx) -> (invariant $"expected as many columns as rows ({rowIdx}), got {colIdx}")

    /// <summary>The argument that breaks the rule.</summary>
    member e.ParamName =
        match e with
        | Shape(rows, _) -> if Sparsity.isSize rows then "cols" else "rows"
        | RowPtrLength _
        | RowPtr _ -> "rowPtr"
        | Row _ -> "rowIdx"
        | Column _
        | Order _
        | Duplicate _
        | Lengths _ -> "colIdx"

    override e.ToString() = e.Message
