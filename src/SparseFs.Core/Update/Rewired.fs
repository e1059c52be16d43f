namespace SparseFs

/// <summary>A layer after an update; where the outcome is a refusal, as it was before.</summary>
type Rewired =
    {
        /// <summary>The pattern after the update.</summary>
        Connectivity: Connectivity
        /// <summary>The old slot that each slot continues, or none.</summary>
        Remap: Remap
        /// <summary>The weights that grown slots start with, in slot order; length Remap.Grown.</summary>
        GrownWeights: float32[]
        /// <summary>The loss's gradient of grown slots, in slot order; empty unless the policy seeds moments with it.</summary>
        GrownGradients: float32[]
        /// <summary>Cells that have ever been slots.</summary>
        Explored: ExploredCells
        /// <summary>Counts of what was done, or the reason why nothing was.</summary>
        Outcome: RewireOutcome
    }

    override r.ToString() = r.Outcome.ToString()
