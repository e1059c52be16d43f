namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// The numbers of slots brought elsewhere: into a dense matrix, out of one, and to the slots that continue them.
module internal CpuSlotCopies =

    let private byRows (machine: ExecutionPolicy) (pattern: Connectivity) (body: CsrView -> RowRange -> unit) =
        CsrView.pinned pattern 1 -1L (fun p ->
            machine.Team.Run(
                machine.Threads,
                machine.Threads,
                fun part -> body p (RowPartition.ofWork 1 pattern.RowPtrArray part machine.Threads)
            ))

    /// w [rows, cols] = the values at the pattern, 0 elsewhere; w is overwritten.
    let spread (machine: ExecutionPolicy) (pattern: Connectivity) values (w: nativeptr<float32>) =
        let w = { Data = w; Stride = pattern.Cols }
        byRows machine pattern (fun p rows -> DenseConversion.spread p values rows w)

    /// values [nnz] = those of w [rows, cols] at the pattern; values is overwritten.
    let collect (machine: ExecutionPolicy) (pattern: Connectivity) (w: nativeptr<float32>) values =
        let w = { Data = w; Stride = pattern.Cols }
        byRows machine pattern (fun p rows -> DenseConversion.collect p w rows values)

    /// y [after] = the numbers of x [before, 1 or more] that slots continue, or the number of those that continue none.
    let carry (machine: ExecutionPolicy) (from: int[]) x (number: float32) y =
        use fromPin = fixed from
        let from, slots, parts = fromPin, from.Length, machine.Threads

        machine.Team.Run(
            parts,
            parts,
            fun part -> GatherSlots.constant from x number (RowPartition.range slots part parts) y
        )
