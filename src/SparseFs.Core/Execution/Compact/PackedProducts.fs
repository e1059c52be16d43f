namespace SparseFs.Kernels

#nowarn "9"

open System
open Microsoft.FSharp.NativeInterop
open SparseFs

/// What the parts of one product share.
[<Struct>]
type internal PackedCall =
    { Weights: PackedRows
      View: PackedView
      Kernels: PackedKernels
      X: nativeptr<float32>
      Samples: int
      Y: nativeptr<float32> }

/// <summary>Products with packed weights: threads, samples, checks.</summary>
/// <remarks>Results do not depend on the number of threads, to the bit: each row is summed by one of them.</remarks>
[<RequireQualifiedAccess>]
module internal PackedProducts =

    /// A part's own rows of all samples: they are read from memory once, where they fit a cache.
    let private part (call: PackedCall) (groups: RowRange) =
        for n in 0 .. call.Samples - 1 do
            let x = Pointer.at call.X (int64 n * int64 call.Weights.Cols)
            let y = Pointer.at call.Y (int64 n * int64 call.Weights.Rows)
            call.Kernels.Multiply(call.Weights.Group, call.View, x, groups, y)

    /// On threads, which takes a closure.
    let private shared (machine: ExecutionPolicy) (call: PackedCall) =
        let parts = machine.Threads

        machine.Team.Run(
            parts,
            parts,
            fun index -> part call (RowPartition.ofWork 1 call.Weights.Layout.Starts index parts)
        )

    /// <summary>y [n, rows] = x [n, cols] · Wᵀ + bias; y is overwritten.</summary>
    /// <remarks>bias is [rows] or null. All are row-major, and the caller has checked every size. One thread allocates nothing.</remarks>
    let multiply
        (machine: ExecutionPolicy)
        (weights: PackedRows)
        (bias: nativeptr<float32>)
        (x: nativeptr<float32>)
        (n: int)
        (y: nativeptr<float32>)
        =
        use starts = fixed weights.Layout.Starts
        use counts = fixed weights.Layout.Counts
        use scales = fixed weights.Scales

        let call =
            { Weights = weights
              View =
                { Rows = weights.Rows
                  Columns = weights.ColumnsAddress
                  Values = weights.ValuesAddress
                  Begin = starts
                  Counts = counts
                  Scales = scales
                  Bias = bias }
              Kernels = PackedTable.find machine.Width weights
              X = x
              Samples = n
              Y = y }

        if machine.Threads = 1 then
            part
                call
                { From = 0
                  To = weights.Layout.Counts.Length }
        else
            shared machine call

        // The addresses above do not keep the weights alive.
        GC.KeepAlive weights
