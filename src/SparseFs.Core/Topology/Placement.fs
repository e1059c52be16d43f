namespace SparseFs

/// <summary>How the rows of a pattern are laid over its columns, where a distance between the two counts.</summary>
type Placement =
    /// Side by side, their middles together: row r is at column r + ⌊(cols − rows) / 2⌋, as SparseLinear has it. Where there
    /// are more rows than columns, the outer rows lie outside.
    | Centred = 0
    /// Spread over all columns: row r is at column ⌊(2r + 1) · cols / (2 · rows)⌋.
    | Stretched = 1
