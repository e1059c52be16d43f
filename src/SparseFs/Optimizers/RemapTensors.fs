namespace SparseFs.Torch

open System
open SparseFs
open SparseFs.Kernels
open TorchSharp
open TorchSharp.Modules

/// <summary>A remap as index tensors, on one device, to be applied to many tensors.</summary>
/// <remarks>Every new slot takes from the old numbers, followed by what grown slots get.</remarks>
[<Sealed>]
type internal RemapTensors(remap: Remap, after: Connectivity, device: torch.Device) =
    let indexed (ofGrown: int -> int -> int64) =
        let from = remap.FromArray
        let index: int64[] = Array.zeroCreate from.Length
        let mutable grown = 0

        for slot in 0 .. from.Length - 1 do
            if from[slot] >= 0 then
                index[slot] <- int64 from[slot]
            else
                index[slot] <- int64 remap.Before + ofGrown slot grown
                grown <- grown + 1

        torch.tensor(index).``to`` device

    let take (values: torch.Tensor) (extra: torch.Tensor) (index: torch.Tensor) =
        torch.cat([| values; extra |], 0L).index_select(0L, index)

    let constant = lazy (indexed (fun _ _ -> 0L))
    let numbered = lazy (indexed (fun _ number -> int64 number))
    let rowOf = lazy (Connectivity.rowIndices after)
    let byRow = lazy (indexed (fun slot _ -> int64 rowOf.Value[slot]))

    let carried (values: torch.Tensor) (number: float32) =

        let y =
            torch.empty ([| int64 remap.After |], dtype = torch.ScalarType.Float32, device = torch.CPU)

        CpuSlotCopies.carry
            (OpenMpTeam.machineFor remap.After 1)
            remap.FromArray
            (TensorView.floats "values" values)
            number
            (TensorView.floats "y" y)

        GC.KeepAlive values
        y

    /// Grown slots get one number.
    member _.Constant(values: torch.Tensor, number: float) =
        if
            values.dtype = torch.ScalarType.Float32
            && values.device_type = DeviceType.CPU
            && values.is_contiguous ()
            && remap.Before > 0
        then
            carried values (float32 number)
        else
            let extra =
                torch.full ([| 1L |], Scalars.Of number, dtype = values.dtype, device = values.device)

            take values extra constant.Value

    /// Each grown slot gets its own number.
    member _.Numbers(values: torch.Tensor, grown: float32[]) =
        let extra = torch.tensor(grown).``to``(values.dtype, values.device)
        take values extra numbered.Value

    /// Grown slots get the mean over the row's slots that stay, or a number where none stays.
    member _.RowMeans(values: torch.Tensor, otherwise: float) =
        let kept =
            [| for slot in 0 .. remap.After - 1 do
                   if remap.FromArray[slot] >= 0 then
                       slot |]

        let tensorOf (numbers: int[]) =
            torch.tensor(Array.map int64 numbers).``to`` device

        let rows = tensorOf (kept |> Array.map (fun slot -> rowOf.Value[slot]))

        let ofKept =
            values.index_select (0L, tensorOf (kept |> Array.map (fun slot -> remap.FromArray[slot])))

        let zeros () =
            torch.zeros ([| int64 after.Rows |], dtype = values.dtype, device = values.device)

        let sums = zeros().index_add(0L, rows, ofKept, Scalars.Of 1.0)
        let counts = zeros().index_add(0L, rows, torch.ones_like ofKept, Scalars.Of 1.0)
        let means = sums / counts.clamp_min (Scalars.Of 1.0)
        let fill = torch.full_like (means, Scalars.Of otherwise)
        take values (torch.where (counts.gt (Scalars.Of 0.0), means, fill)) byRow.Value
