namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// Between the values of a pattern and a dense matrix [rows, cols], for some rows; oracle: Connectivity.toMask.
module internal DenseConversion =

    /// w[r, ColIdx[s]] = values[s] for the slots s of each row r, and 0 elsewhere; w is overwritten.
    [<AggressiveOptimization>]
    let spread (p: CsrView) (values: nativeptr<float32>) (rows: RowRange) (w: MatrixView) =
        p.ForRows(
            rows,
            fun r slotFrom slotTo ->
                let row = w.Row r
                Pointer.clear row (int64 w.Stride)
                let mutable s = slotFrom

                while s < slotTo do
                    NativePtr.write (p.Input(row, 1L, s)) (NativePtr.read (Pointer.at values s))
                    s <- s + 1L
        )

    /// values[s] = w[r, ColIdx[s]] for the slots s of each row r; values is overwritten.
    [<AggressiveOptimization>]
    let collect (p: CsrView) (w: MatrixView) (rows: RowRange) (values: nativeptr<float32>) =
        p.ForRows(
            rows,
            fun r slotFrom slotTo ->
                let row = w.Row r
                let mutable s = slotFrom

                while s < slotTo do
                    NativePtr.write (Pointer.at values s) (NativePtr.read (p.Input(row, 1L, s)))
                    s <- s + 1L
        )
