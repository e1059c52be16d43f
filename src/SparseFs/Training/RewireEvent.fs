namespace SparseFs

/// <summary>Event of one layer's update in a training loop.</summary>
[<StructuredFormatDisplay("{Text}")>]
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

        let seconds =
            match e.Outcome with
            | RewireOutcome.Done _ -> invariant $", {e.Seconds:F3} s"
            | RewireOutcome.Refused _ -> ""

        invariant $"{layer}step {e.Step}: {e.Outcome}{seconds}"

    /// Why nothing was done, if nothing was.
    member internal e.Reason: string option =
        match e.Outcome with
        | RewireOutcome.Refused reason -> Some reason
        | RewireOutcome.Done _ -> None

    /// What %A prints.
    member internal e.Text: string = e.ToString()
