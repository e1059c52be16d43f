namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>x[ColIdx[s], i] += values[s] · g[r, i] for the slots s of every row r that lie in some columns.</summary>
/// <remarks>
/// g is [rows, W] and x is [cols, W], both feature-major, where W is 4, 2 or 1 vectors; x is added to, in those columns
/// only, and overlaps nothing. Order of summation: the rows in turn. It needs no transposed pattern, and pays for that
/// with a store for each multiply-add. Oracle: the dense product in float64, Wanted.spmmT of the tests.
/// </remarks>
module internal SpmmTranspose =

    /// The first slot of a row whose column is not below this one.
    let inline private firstSlot (p: CsrView) (slotFrom: int64) (slotTo: int64) (col: int) : int64 =
        let mutable low = slotFrom
        let mutable high = slotTo

        while low < high do
            let mid = (low + high) >>> 1

            if NativePtr.read (Pointer.at p.ColIdx mid) < col then
                low <- mid + 1L
            else
                high <- mid

        low

    let inline private overSlots
        (p: CsrView)
        (rows: int)
        (cols: int)
        (columns: RowRange)
        ([<InlineIfLambda>] body: int -> int64 -> int64 -> unit)
        =
        p.ForRows(
            { From = 0; To = rows },
            fun r slotFrom slotTo ->
                let slotFrom =
                    if columns.From = 0 then
                        slotFrom
                    else
                        firstSlot p slotFrom slotTo columns.From

                let slotTo =
                    if columns.To = cols then
                        slotTo
                    else
                        firstSlot p slotFrom slotTo columns.To

                body r slotFrom slotTo
        )

    let inline private add<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (w: 'V)
        (g: 'V)
        (x: nativeptr<float32>)
        =
        'L.Store(x, 'L.MultiplyAdd(w, g, 'L.Load x))

    /// Four vectors of samples.
    [<AggressiveOptimization>]
    let rows4<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (p: CsrView)
        (values: nativeptr<float32>)
        (g: nativeptr<float32>)
        (rows: int)
        (cols: int)
        (columns: RowRange)
        (x: nativeptr<float32>)
        =
        let lanes = int64 'L.Count

        overSlots p rows cols columns (fun r slotFrom slotTo ->
            let gRow = Pointer.at g (int64 r * 4L * lanes)
            let g0 = 'L.Load gRow
            let g1 = 'L.Load(Pointer.at gRow lanes)
            let g2 = 'L.Load(Pointer.at gRow (2L * lanes))
            let g3 = 'L.Load(Pointer.at gRow (3L * lanes))
            let mutable s = slotFrom

            while s < slotTo do
                let w = 'L.Broadcast(NativePtr.read (Pointer.at values s))
                let x = p.Input(x, 4L * lanes, s)
                add<'L, 'V> w g0 x
                add<'L, 'V> w g1 (Pointer.at x lanes)
                add<'L, 'V> w g2 (Pointer.at x (2L * lanes))
                add<'L, 'V> w g3 (Pointer.at x (3L * lanes))
                s <- s + 1L)

    /// Two vectors of samples.
    [<AggressiveOptimization>]
    let rows2<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (p: CsrView)
        (values: nativeptr<float32>)
        (g: nativeptr<float32>)
        (rows: int)
        (cols: int)
        (columns: RowRange)
        (x: nativeptr<float32>)
        =
        let lanes = int64 'L.Count

        overSlots p rows cols columns (fun r slotFrom slotTo ->
            let gRow = Pointer.at g (int64 r * 2L * lanes)
            let g0 = 'L.Load gRow
            let g1 = 'L.Load(Pointer.at gRow lanes)
            let mutable s = slotFrom

            while s < slotTo do
                let w = 'L.Broadcast(NativePtr.read (Pointer.at values s))
                let x = p.Input(x, 2L * lanes, s)
                add<'L, 'V> w g0 x
                add<'L, 'V> w g1 (Pointer.at x lanes)
                s <- s + 1L)

    /// One vector of samples.
    [<AggressiveOptimization>]
    let rows1<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (p: CsrView)
        (values: nativeptr<float32>)
        (g: nativeptr<float32>)
        (rows: int)
        (cols: int)
        (columns: RowRange)
        (x: nativeptr<float32>)
        =
        let lanes = int64 'L.Count

        overSlots p rows cols columns (fun r slotFrom slotTo ->
            let g0 = 'L.Load(Pointer.at g (int64 r * lanes))
            let mutable s = slotFrom

            while s < slotTo do
                add<'L, 'V> ('L.Broadcast(NativePtr.read (Pointer.at values s))) g0 (p.Input(x, lanes, s))
                s <- s + 1L)
