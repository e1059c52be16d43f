namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open System.Numerics
open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>The products for inputs of which few are not 0: only those are walked, and the slots of their columns.</summary>
/// <remarks>
/// The pattern comes ordered by column: column j owns slots Begin[j] .. Begin[j + 1] − 1, and ColIdx has the row of each.
/// An input of 0, −0 too, is passed over, whatever weights or gradients it would meet; NaN is not 0. Each multiply-add is
/// two roundings, on every machine the same. Oracle: Wanted.spmm and Wanted.sddmm of the tests, and one lane to the bit.
/// </remarks>
module internal SparseActivations =

    /// Calls body with the index of each number that is not 0.
    let inline private forEach<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (numbers: nativeptr<float32>)
        (count: int)
        ([<InlineIfLambda>] body: int -> float32 -> unit)
        =
        let lanes = 'L.Count
        let mutable i = 0

        while i + lanes <= count do
            let mutable left = 'L.NonZeros('L.Load(Pointer.at numbers (int64 i)))

            while left <> 0u do
                let at = i + BitOperations.TrailingZeroCount left
                body at (Pointer.get numbers at)
                left <- left &&& (left - 1u)

            i <- i + lanes

        while i < count do
            let number = Pointer.get numbers i

            if number <> 0.0f then
                body i number

            i <- i + 1

    /// y[rowsOf[s]] += input · value(s) for the slots s of a column, four at a time: the rows of a column differ, so that
    /// their sums do not wait for each other.
    let inline private addColumn
        (rowsOf: nativeptr<int>)
        (first: int64)
        (last: int64)
        (input: float32)
        (y: nativeptr<float32>)
        ([<InlineIfLambda>] value: int64 -> float32)
        =
        let mutable s = first

        while s + 3L < last do
            let rows = Pointer.at rowsOf s
            let at0 = Pointer.at y (int64 (NativePtr.read rows))
            let at1 = Pointer.at y (int64 (Pointer.get rows 1))
            let at2 = Pointer.at y (int64 (Pointer.get rows 2))
            let at3 = Pointer.at y (int64 (Pointer.get rows 3))
            let y0 = NativePtr.read at0 + input * value s
            let y1 = NativePtr.read at1 + input * value (s + 1L)
            let y2 = NativePtr.read at2 + input * value (s + 2L)
            let y3 = NativePtr.read at3 + input * value (s + 3L)
            NativePtr.write at0 y0
            NativePtr.write at1 y1
            NativePtr.write at2 y2
            NativePtr.write at3 y3
            s <- s + 4L

        while s < last do
            let at = Pointer.at y (int64 (NativePtr.read (Pointer.at rowsOf s)))
            NativePtr.write at (NativePtr.read at + input * value s)
            s <- s + 1L

    /// <summary>y[n, r] = bias[r] + Σ x[n, j] · values[s] over the slots s of row r, for some samples n.</summary>
    /// <remarks>x is [n, cols], y is [n, rows] and overwritten; values are in the order of the columns or, where from is not
    /// null, in that of the rows, from[s] being the place of the columns' slot s; bias [rows] may be null; nothing overlaps.
    /// Order of summation: the columns in turn.</remarks>
    [<AggressiveOptimization>]
    let multiply<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (columns: CsrView)
        (from: nativeptr<int>)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (x: MatrixView)
        (samples: RowRange)
        (y: MatrixView)
        =
        for n in samples.From .. samples.To - 1 do
            let yRow = y.Row n

            if Pointer.isNull bias then
                Pointer.clear yRow (int64 y.Stride)
            else
                for r in 0 .. y.Stride - 1 do
                    Pointer.set yRow r (Pointer.get bias r)

        let colPtr, rowsOf, cols = columns.Begin, columns.ColIdx, x.Stride
        // Stepped from row to row: that leaves a register for each pointer of the innermost loop.
        let mutable xRow = x.Row samples.From
        let mutable yRow = y.Row samples.From
        let mutable left = samples.Count

        while left > 0 do
            let into = yRow

            forEach<'L, 'V> xRow cols (fun j input ->
                let first = int64 (Pointer.get colPtr j)
                let last = int64 (Pointer.get colPtr (j + 1))

                if Pointer.isNull from then
                    addColumn rowsOf first last input into (fun s -> NativePtr.read (Pointer.at values s))
                else
                    addColumn rowsOf first last input into (fun s ->
                        NativePtr.read (Pointer.at values (int64 (NativePtr.read (Pointer.at from s))))))

            xRow <- Pointer.at xRow (int64 cols)
            yRow <- Pointer.at yRow (int64 y.Stride)
            left <- left - 1

    /// d += input · g[rowsOf[s]].
    let inline private addProduct (rowsOf: nativeptr<int>) (gRow: nativeptr<float32>) (input: float32) (s: int64) d =
        let g =
            NativePtr.read (Pointer.at gRow (int64 (NativePtr.read (Pointer.at rowsOf s))))

        NativePtr.write d (NativePtr.read d + input * g)

    /// <summary>d[s] += Σ tile[j − own.From, i] · g[i, r] over the samples i of one tile, for the slots s of a part's own
    /// columns j, s in row r.</summary>
    /// <remarks>tile is [columns, stride], of which samples are there; g is [samples, rows]; d is in the order of the columns
    /// or, where from is not null, in that of the rows, as in multiply, and overlaps nothing. Order of summation: the samples
    /// in turn.</remarks>
    [<AggressiveOptimization>]
    let gradient<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (columns: CsrView)
        (from: nativeptr<int>)
        (g: MatrixView)
        (tile: MatrixView)
        (samples: int)
        (own: RowRange)
        (d: nativeptr<float32>)
        =
        let rowsOf = columns.ColIdx

        for j in own.From .. own.To - 1 do
            let first = int64 (Pointer.get columns.Begin j)
            let last = int64 (Pointer.get columns.Begin (j + 1))

            if first < last then
                forEach<'L, 'V> (tile.Row(j - own.From)) samples (fun i input ->
                    let gRow = g.Row i
                    let mutable s = first

                    if Pointer.isNull from then
                        while s < last do
                            addProduct rowsOf gRow input s (Pointer.at d s)
                            s <- s + 1L
                    else
                        while s < last do
                            addProduct rowsOf gRow input s (Pointer.at d (int64 (NativePtr.read (Pointer.at from s))))
                            s <- s + 1L)
