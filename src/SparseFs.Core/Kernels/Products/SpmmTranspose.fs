namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>x[ColIdx[s], i] += values[s] · g[r, i] for the slots s of every row r that lie in some columns.</summary>
/// <remarks>
/// g is [rows, W] and x is [cols, W], both feature-major, where W is 'K vectors, at most five, or 'I says otherwise where the columns of x lie, and apart
/// how far the rows of g. x is added to, in those columns only, and overlaps nothing. Order of summation: the rows in turn. It needs no transposed pattern, and pays for that
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

    /// The first slot of a row in some columns.
    let inline private fromColumn (p: CsrView) (slotFrom: int64) (slotTo: int64) (columns: RowRange) : int64 =
        if columns.From = 0 then
            slotFrom
        else
            firstSlot p slotFrom slotTo columns.From

    /// The slot behind the last of a row in some columns.
    let inline private untilColumn
        (p: CsrView)
        (slotFrom: int64)
        (slotTo: int64)
        (cols: int)
        (columns: RowRange)
        : int64 =
        if columns.To = cols then
            slotTo
        else
            firstSlot p slotFrom slotTo columns.To

    let inline private overSlots
        (p: CsrView)
        (rows: RowRange)
        (cols: int)
        (columns: RowRange)
        ([<InlineIfLambda>] body: int -> int64 -> int64 -> unit)
        =
        p.ForRows(
            rows,
            fun r slotFrom slotTo ->
                let slotFrom = fromColumn p slotFrom slotTo columns
                body r slotFrom (untilColumn p slotFrom slotTo cols columns)
        )

    /// A vector of a row of a tile; zeros where the tile has not so many.
    let inline private vector<'L, 'V, 'K
        when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct and 'K: struct and 'K :> ICount>
        (row: nativeptr<float32>)
        (index: int)
        : 'V =
        if 'K.Count > index then
            'L.Load(Pointer.at row (int64 (index * 'L.Count)))
        else
            'L.Zero

    let inline private add<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (w: 'V)
        (g: 'V)
        (x: nativeptr<float32>)
        =
        'L.Store(x, 'L.MultiplyAdd(w, g, 'L.Load x))

    /// A whole tile's vectors.
    [<AggressiveOptimization>]
    let rows<'L, 'V, 'K, 'I
        when 'L: struct
        and 'L :> ISimdVector<'V>
        and 'V: struct
        and 'K: struct
        and 'K :> ICount
        and 'I: struct
        and 'I :> IInputs>
        (p: CsrView)
        (values: nativeptr<float32>)
        (g: nativeptr<float32>)
        (apart: int64)
        (rows: RowRange)
        (cols: int)
        (columns: RowRange)
        (x: nativeptr<float32>)
        =
        let lanes = 'L.Count
        let width = 'I.Apart(int64 ('K.Count * lanes))

        overSlots p rows cols columns (fun r slotFrom slotTo ->
            let gRow = Pointer.at g (int64 r * apart)
            let g0 = 'L.Load gRow
            let g1 = vector<'L, 'V, 'K> gRow 1
            let g2 = vector<'L, 'V, 'K> gRow 2
            let g3 = vector<'L, 'V, 'K> gRow 3
            let g4 = vector<'L, 'V, 'K> gRow 4
            let mutable s = slotFrom

            while s < slotTo do
                let w = 'L.Broadcast(NativePtr.read (Pointer.at values s))
                let x = p.Input(x, width, s)
                add<'L, 'V> w g0 x

                if 'K.Count > 1 then
                    add<'L, 'V> w g1 (Pointer.at x (int64 lanes))

                if 'K.Count > 2 then
                    add<'L, 'V> w g2 (Pointer.at x (int64 (2 * lanes)))

                if 'K.Count > 3 then
                    add<'L, 'V> w g3 (Pointer.at x (int64 (3 * lanes)))

                if 'K.Count > 4 then
                    add<'L, 'V> w g4 (Pointer.at x (int64 (4 * lanes)))

                s <- s + 1L)

    /// The same for groups of 'G rows that share their columns, which begin with a group.
    [<AggressiveOptimization>]
    let groups<'L, 'V, 'K, 'G, 'I
        when 'L: struct
        and 'L :> ISimdVector<'V>
        and 'V: struct
        and 'K: struct
        and 'K :> ICount
        and 'G: struct
        and 'G :> ICount
        and 'I: struct
        and 'I :> IInputs>
        (p: CsrView)
        (values: nativeptr<float32>)
        (g: nativeptr<float32>)
        (apart: int64)
        (rows: RowRange)
        (cols: int)
        (columns: RowRange)
        (x: nativeptr<float32>)
        =
        SpmmTransposeRowGroups.rows<'L, 'V, 'K, 'G, 'I> p values g apart rows x (fun group ->
            let last = group.First0 + int64 group.Count
            let from = fromColumn p group.First0 last columns
            let until = untilColumn p from last cols columns

            { From = int (from - group.First0)
              To = int (until - group.First0) })
