namespace SparseFs

/// <summary>What an update did to a layer.</summary>
type RewireEvent =
    {
        /// <summary>The optimizer step, counted from 1.</summary>
        Step: int64
        /// <summary>The layer's name in its model; empty where none is known.</summary>
        Layer: string
        /// <summary>Slots after the update.</summary>
        Nnz: int
        /// <summary>Slots that were dropped and not grown again.</summary>
        Dropped: int
        /// <summary>Cells that were grown and had not been slots before.</summary>
        Grown: int
        /// <summary>Slots that were dropped and grown again by the same update.</summary>
        Regrown: int
        /// <summary>The part of the slots that are in other cells than before: Grown / Nnz, 0 without slots.</summary>
        Churn: float
        /// <summary>R_s: the part of all cells that have ever been slots.</summary>
        Explored: float
        /// <summary>Rows without a slot.</summary>
        DeadRows: int
        /// <summary>Columns without a slot.</summary>
        DeadCols: int
        /// <summary>What dropping and growing took, without carrying tensors over; layers that share a budget are timed
        /// from their common start.</summary>
        Seconds: float
        /// <summary>Why nothing was done, or null: a weight or a score that is not finite.</summary>
        Refusal: string
    }

    override e.ToString() =
        let layer = if e.Layer = "" then "" else e.Layer + ", "

        if isNull e.Refusal then
            invariant
                $"{layer}step {e.Step}: {e.Dropped} dropped, {e.Grown} grown, {e.Regrown} regrown; nnz {e.Nnz}, R_s {e.Explored:G3}"
        else
            invariant $"{layer}step {e.Step}: refused, {e.Refusal}"
