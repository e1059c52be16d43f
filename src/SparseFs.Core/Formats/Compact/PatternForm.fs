namespace SparseFs

/// How the columns of a stored pattern lie in bytes.
type internal PatternForm =
    /// Differences of ascending columns, a byte each where they are small.
    | Deltas = 0
    /// Columns within blocks of 65,536, two bytes each.
    | Offsets = 1
    /// A bit a cell.
    | Bitmap = 2

/// <summary>A pattern in bytes; the shape is told elsewhere.</summary>
/// <remarks>Rows come in groups of so many that share their columns, which are stored once; the last group may have fewer rows.</remarks>
[<NoComparison; NoEquality>]
type internal EncodedPattern =
    {
        Form: PatternForm
        /// Rows of a group, 1 to 16.
        Group: int
        /// Slots of a row of each group, as RowCounts has them; none in a bitmap.
        Counts: byte[]
        Columns: byte[]
    }

    member e.Bytes: int64 = e.Counts.LongLength + e.Columns.LongLength

    override e.ToString() =
        invariant $"EncodedPattern({int e.Form}, groups of {e.Group}, {e.Bytes} bytes)"
