namespace SparseFs

/// <summary>Reader of some rows of scores.</summary>
/// <param name="part">The part of the work that the rows belong to, from 0; parts may call side by side.</param>
/// <param name="first">The first row.</param>
/// <param name="count">The number of rows, 1 or more.</param>
/// <param name="scores">Row-major with a stride: row first + i begins at i · stride. Good until the call returns.</param>
/// <param name="stride">Places from one row to the next, cols or more.</param>
type ScoreBlock = delegate of part: int * first: int * count: int * scores: float32[] * stride: int -> unit
