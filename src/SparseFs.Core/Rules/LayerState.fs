namespace SparseFs

/// <summary>State of a layer before an update, as rules see it.</summary>
type LayerState =
    {
        /// <summary>The pattern, shape [rows, cols].</summary>
        Connectivity: Connectivity
        /// <summary>The weights, length nnz, in slot order.</summary>
        Weight: float32[]
        /// <summary>The loss's gradient for every cell, signed, also where there is no slot: only for rules that say that
        /// they need it, and asked for in rising order of rows.</summary>
        Gradient: CellScores
        /// <summary>The running mean of that gradient, for rules that say that they need it.</summary>
        Momentum: CellScores
        /// <summary>Cells that have ever been slots.</summary>
        Explored: ExploredCells
        /// <summary>Groups of channels of a convolution: the rows of each see inputs of their own, so that no row group has rows of two
        /// of them; 1 of others.</summary>
        ChannelGroups: int
        /// <summary>Columns of a kernel: of a convolution the cells that a pair of channels has, side by side; 1 of others. Policies
        /// of whole kernels look at it, and no others.</summary>
        KernelCells: int
        /// <summary>The optimizer step, counted from 1.</summary>
        Step: int64
        /// <summary>Randomness for this layer and this step alone.</summary>
        Seed: Seed
    }

    override s.ToString() =
        invariant $"{s.Connectivity}, step {s.Step}"
