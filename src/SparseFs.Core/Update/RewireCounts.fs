namespace SparseFs

/// <summary>Counts of an update that was done, and of the pattern after it.</summary>
type RewireCounts =
    {
        /// <summary>Slots after the update.</summary>
        Nnz: int
        /// <summary>Slots that were dropped and not grown again.</summary>
        Dropped: int
        /// <summary>Cells that were grown and had not been slots before.</summary>
        Grown: int
        /// <summary>Slots that were dropped and grown again by the same update.</summary>
        Regrown: int
        /// <summary>R_s: the part of all cells that have ever been slots.</summary>
        Explored: float
        /// <summary>Rows without a slot.</summary>
        DeadRows: int
        /// <summary>Columns without a slot.</summary>
        DeadCols: int
    }

    /// <summary>The part of the slots that are in other cells than before: Grown / Nnz, 0 without slots.</summary>
    member c.Churn: float = if c.Nnz = 0 then 0.0 else float c.Grown / float c.Nnz

    override c.ToString() =
        let moved = invariant $"{c.Dropped} dropped, {c.Grown} grown, {c.Regrown} regrown"
        invariant $"{moved}; nnz {c.Nnz}, churn {c.Churn:G3}, R_s {c.Explored:G3}"
