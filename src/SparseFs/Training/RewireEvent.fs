namespace SparseFs

/// <summary>Event of one layer's update in a training loop.</summary>
type RewireEvent =
    {
        /// <summary>The optimizer step, counted from 1.</summary>
        Step: int64
        /// <summary>The layer's name in its model; empty where the layer is the model.</summary>
        Layer: string
        /// <summary>Seconds that dropping and growing took, without carrying tensors over; 0 where neither was begun.
        /// Layers that share a budget are timed together.</summary>
        Seconds: float
        /// <summary>Counts of what was done, or the reason why nothing was.</summary>
        Outcome: RewireOutcome
    }

    override e.ToString() =
        let layer = if e.Layer = "" then "" else e.Layer + ", "
        invariant $"{layer}step {e.Step}: {e.Outcome}"
