namespace SparseFs.Torch

open System
open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>K-winners and their duty cycles on the library's kernels: float32 on the CPU.</summary>
/// <remarks>As CpuBackend, of which they are the part that has no pattern.</remarks>
module internal CpuWinners =

    let topK (policies: CpuPolicies) (top: TopK) (x: torch.Tensor) : TopKResult =
        let x, terms = TensorView.contiguous x, TensorView.contiguousOrNull top.Terms
        let rows, n = int x.shape[0], int x.shape[1]
        let y = torch.empty_like x

        let mask =
            torch.empty (
                [| int64 rows; int64 (TopKRows.blocks n) |],
                dtype = torch.ScalarType.Int32,
                device = torch.CPU
            )

        let wins: torch.Tensor | null =
            if top.Counts then
                torch.empty ([| int64 n |], dtype = torch.ScalarType.Int32, device = torch.CPU)
            else
                null

        let request =
            { X = TensorView.floats "x" x
              Form = top.Form
              Terms = TensorView.floatsOrNull "terms" terms
              Rows = rows
              N = n
              K = top.K
              Y = TensorView.floats "y" y
              Mask = TensorView.ints "mask" mask
              Wins = TensorView.intsOrNull "wins" wins }

        ExecutionPolicy.call (policies.TopK rows n) (fun policy -> CpuTopK.select policy request)

        GC.KeepAlive(struct (x, terms))

        { Values = y; Mask = mask; Wins = wins }

    let keep (policies: CpuPolicies) (mask: torch.Tensor) (u: torch.Tensor) : torch.Tensor =
        let u = TensorView.contiguous u
        let rows, n = int u.shape[0], int u.shape[1]
        let d = torch.empty_like u

        let bits, source, target =
            TensorView.ints "mask" mask, TensorView.floats "u" u, TensorView.floats "d" d

        ExecutionPolicy.call (policies.TopK rows n) (fun policy -> CpuTopK.keep policy bits source rows n target)

        GC.KeepAlive(struct (mask, u))
        d

    let dutyDeficit (duty: torch.Tensor) (strength: torch.Tensor) (target: float) : torch.Tensor =
        let units = int duty.shape[0]

        let deficit =
            torch.empty ([| int64 units |], dtype = torch.ScalarType.Float32, device = torch.CPU)

        DutyCycleUpdate.deficit
            (TensorView.floats "duty_cycle" duty)
            (float32 target)
            (strength.item<float32>())
            units
            (TensorView.floats "deficit" deficit)

        deficit

    let dutyUpdate (duty: torch.Tensor) (wins: torch.Tensor) (all: float) (weight: float) : unit =
        if wins.dtype <> torch.ScalarType.Int32 then
            PortableBackend.backend.DutyUpdate duty wins all weight // sums over places are int64
        else
            DutyCycleUpdate.update
                (TensorView.ints "wins" wins)
                (float32 all)
                (float32 weight)
                (int duty.shape[0])
                (TensorView.floats "duty_cycle" duty)
