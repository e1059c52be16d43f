namespace SparseFs

open System
open System.Collections.Generic
open System.Diagnostics.Metrics
open TorchSharp

/// <summary>Where the events of rewiring go beside the rewirer's own: the meter "SparseFs", and TensorBoard.</summary>
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

        if isNull e.Refusal then
            updates.Add(1L, layer)
            dropped.Add(int64 e.Dropped, layer)
            grown.Add(int64 e.Grown, layer)
            seconds.Record(e.Seconds, layer)
        else
            refused.Add(1L, layer)

    /// <summary>Writes an event to TensorBoard: nnz, churn, R_s and dead rows and columns under the layer's name.</summary>
    /// <param name="writer">TorchSharp's writer.</param>
    /// <param name="e">The event.</param>
    let toSummary (writer: Modules.SummaryWriter) (e: RewireEvent) : unit =
        ArgumentNullException.ThrowIfNull(writer, nameof writer)

        for name, value in
            [ "nnz", float32 e.Nnz
              "churn", float32 e.Churn
              "explored", float32 e.Explored
              "dead_rows", float32 e.DeadRows
              "dead_cols", float32 e.DeadCols ] do
            writer.add_scalar ($"sparsefs/{e.Layer}/{name}", value, int e.Step)
