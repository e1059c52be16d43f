namespace SparseFs

open System
open System.Collections.Generic
open System.Diagnostics.Metrics
open TorchSharp

/// <summary>Outlets of a rewirer's events beside its own: the meter "SparseFs", and TensorBoard.</summary>
[<RequireQualifiedAccess>]
module Telemetry =

    let private meter = new Meter("SparseFs")
    let private updates = meter.CreateCounter<int64>("sparsefs.updates", "{update}")
    let private refused = meter.CreateCounter<int64>("sparsefs.refused", "{update}")
    let private dropped = meter.CreateCounter<int64>("sparsefs.dropped", "{slot}")
    let private grown = meter.CreateCounter<int64>("sparsefs.grown", "{slot}")
    let private seconds = meter.CreateHistogram<float>("sparsefs.update.duration", "s")

    let internal count (e: RewireEvent) =
        let layer = KeyValuePair<string, obj>("layer", e.Layer)

        match e.Outcome with
        | RewireOutcome.Done counts ->
            updates.Add(1L, layer)
            dropped.Add(int64 counts.Dropped, layer)
            grown.Add(int64 counts.Grown, layer)
            seconds.Record(e.Seconds, layer)
        | RewireOutcome.Refused _ -> refused.Add(1L, layer)

    /// <summary>Writes an event to TensorBoard: nnz, churn, R_s and dead rows and columns under the layer's name; nothing of
    /// an update that was refused.</summary>
    /// <param name="writer">TorchSharp's writer.</param>
    /// <param name="e">The event.</param>
    /// <example><code>
    /// let writer = torch.utils.tensorboard.SummaryWriter("runs")
    /// use rewirer = new Rewirer(model, optimizer, Policy.rigL (Schedule.cosine 0.3 100L 75_000L))
    /// use subscription = rewirer.Events.Subscribe(Telemetry.toSummary writer)
    /// </code></example>
    [<CompiledName "ToSummary">]
    let toSummary (writer: Modules.SummaryWriter) (e: RewireEvent) : unit =
        ArgumentNullException.ThrowIfNull(writer, nameof writer)

        match e.Outcome with
        | RewireOutcome.Refused _ -> ()
        | RewireOutcome.Done counts ->
            for name, value in
                [ "nnz", float32 counts.Nnz
                  "churn", float32 counts.Churn
                  "explored", float32 counts.Explored
                  "dead_rows", float32 counts.DeadRows
                  "dead_cols", float32 counts.DeadCols ] do
                writer.add_scalar ($"sparsefs/{e.Layer}/{name}", value, int e.Step)
