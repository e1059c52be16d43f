namespace SparseFs.Torch

open System.Collections.Concurrent
open System.Runtime.CompilerServices
open SparseFs
open TorchSharp

/// Row and column of each slot, as index tensors on one device.
[<Sealed>]
type private DeviceIndices(c: Connectivity, device: torch.Device) =
    let toIndex (values: int[]) =
        use onCpu = torch.tensor(values, device = torch.CPU).to_type(torch.ScalarType.Int64)
        onCpu.``to``(device, copy = true).DetachFromDisposeScope()

    let rows = toIndex (Connectivity.rowIndices c)
    let cols = toIndex c.ColIdxArray

    member _.Rows: torch.Tensor = rows
    member _.Cols: torch.Tensor = cols
    member val Shared: SharedTensors = SharedTensors [| rows; cols |]

/// <summary>Where the slots of patterns are, for torch's operations.</summary>
/// <remarks>16 bytes a slot and device, made when first asked for. They go with their pattern: a layer that exchanges its
/// pattern, moves or is disposed of releases them, so that device memory does not wait for the collector; a pattern that
/// somebody still uses gets them anew.</remarks>
module internal SlotCells =

    let private cache =
        ConditionalWeakTable<Connectivity, ConcurrentDictionary<struct (DeviceType * int), DeviceIndices>>()

    /// Calls body with the row and the column of each slot, Int64 of [nnz] on the device.
    let rec withIndices (c: Connectivity) (device: torch.Device) (body: torch.Tensor -> torch.Tensor -> 'a) : 'a =
        let perDevice = cache.GetValue(c, (fun _ -> ConcurrentDictionary()))
        let key = struct (device.``type``, device.index)

        let indices =
            match perDevice.TryGetValue key with
            | true, known -> known
            | _ ->
                lock perDevice (fun () ->
                    use _ = torch.no_grad ()
                    perDevice.GetOrAdd(key, (fun _ -> DeviceIndices(c, device))))

        if indices.Shared.TryEnter() then
            try
                body indices.Rows indices.Cols
            finally
                indices.Shared.Exit()
        else
            withIndices c device body // released this moment

    /// Frees them, when the last call that uses them has ended.
    let release (c: Connectivity) : unit =
        match cache.TryGetValue c with
        | true, perDevice ->
            for entry in perDevice do
                match perDevice.TryRemove entry.Key with
                | true, indices -> indices.Shared.Retire()
                | _ -> ()
        | _ -> ()
