namespace SparseFs.Kernels

#nowarn "9"

open System.Numerics
open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>The products for inputs of which few are not 0: only those are walked, and the slots of their columns.</summary>
/// <remarks>
/// The pattern comes ordered by column: column j owns slots colPtr[j] .. colPtr[j + 1] − 1, and rowsOf has the row of each.
/// An input of 0, −0 too, is passed over, whatever weights or gradients it would meet; NaN is not 0. Each multiply-add is
/// two roundings, on every machine the same.
/// </remarks>
module internal SparseInputs =

    /// Calls body with the index of each number that is not 0.
    let inline private forEach
        (numbers: nativeptr<float32>)
        (count: int)
        ([<InlineIfLambda>] body: int -> float32 -> unit)
        =
        let lanes = Vector256<float32>.Count
        let mutable i = 0

        while i + lanes <= count do
            let zeros =
                Vector256.Equals(Vector256.Load(Pointer.at numbers (int64 i)), Vector256<float32>.Zero)

            let mutable left = ~~~(Vector256.ExtractMostSignificantBits zeros) &&& 0xFFu

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

    /// <summary>y[n, r] = bias[r] + Σ x[n, j] · values[s] over the slots s of row r, for samples from and to.</summary>
    /// <remarks>x is [n, cols], y is [n, rows] and overwritten, values are in the order of the columns; bias [rows] may be
    /// null; nothing overlaps. Order of summation: the columns in turn.</remarks>
    [<FullyOptimized>]
    let multiply
        (colPtr: nativeptr<int>)
        (rowsOf: nativeptr<int>)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (x: nativeptr<float32>)
        (rows: int)
        (cols: int)
        (sampleFrom: int)
        (sampleTo: int)
        (y: nativeptr<float32>)
        =
        for n in sampleFrom .. sampleTo - 1 do
            let yRow = Pointer.at y (int64 n * int64 rows)

            if Pointer.isNull bias then
                Pointer.clear yRow (int64 rows)
            else
                for r in 0 .. rows - 1 do
                    Pointer.set yRow r (Pointer.get bias r)

            forEach (Pointer.at x (int64 n * int64 cols)) cols (fun j input ->
                let last = Pointer.get colPtr (j + 1)
                let mutable s = Pointer.get colPtr j

                // The rows of a column differ, so that the sums of four slots do not wait for each other.
                while s + 3 < last do
                    let at0, at1 = Pointer.get rowsOf s, Pointer.get rowsOf (s + 1)
                    let at2, at3 = Pointer.get rowsOf (s + 2), Pointer.get rowsOf (s + 3)
                    let y0 = Pointer.get yRow at0 + input * Pointer.get values s
                    let y1 = Pointer.get yRow at1 + input * Pointer.get values (s + 1)
                    let y2 = Pointer.get yRow at2 + input * Pointer.get values (s + 2)
                    let y3 = Pointer.get yRow at3 + input * Pointer.get values (s + 3)
                    Pointer.set yRow at0 y0
                    Pointer.set yRow at1 y1
                    Pointer.set yRow at2 y2
                    Pointer.set yRow at3 y3
                    s <- s + 4

                while s < last do
                    let at = Pointer.get rowsOf s
                    Pointer.set yRow at (Pointer.get yRow at + input * Pointer.get values s)
                    s <- s + 1)

    /// <summary>d[s] += Σ tile[j − colFrom, i] · g[i, r] over the samples i of one tile, for the slots s of columns from and
    /// to, s in row r.</summary>
    /// <remarks>tile is [columns, wide], of which samples are there; g is [samples, rows]; d is in the order of the columns
    /// and overlaps nothing. Order of summation: the samples in turn.</remarks>
    [<FullyOptimized>]
    let gradient
        (colPtr: nativeptr<int>)
        (rowsOf: nativeptr<int>)
        (g: nativeptr<float32>)
        (rows: int)
        (tile: nativeptr<float32>)
        (wide: int)
        (samples: int)
        (colFrom: int)
        (colTo: int)
        (d: nativeptr<float32>)
        =
        for j in colFrom .. colTo - 1 do
            let first, last = Pointer.get colPtr j, Pointer.get colPtr (j + 1)

            if first < last then
                forEach (Pointer.at tile (int64 (j - colFrom) * int64 wide)) samples (fun i input ->
                    let gRow = Pointer.at g (int64 i * int64 rows)
                    let mutable s = first

                    while s + 3 < last do
                        let d0 = Pointer.get d s + input * Pointer.get gRow (Pointer.get rowsOf s)

                        let d1 =
                            Pointer.get d (s + 1) + input * Pointer.get gRow (Pointer.get rowsOf (s + 1))

                        let d2 =
                            Pointer.get d (s + 2) + input * Pointer.get gRow (Pointer.get rowsOf (s + 2))

                        let d3 =
                            Pointer.get d (s + 3) + input * Pointer.get gRow (Pointer.get rowsOf (s + 3))

                        Pointer.set d s d0
                        Pointer.set d (s + 1) d1
                        Pointer.set d (s + 2) d2
                        Pointer.set d (s + 3) d3
                        s <- s + 4

                    while s < last do
                        Pointer.set d s (Pointer.get d s + input * Pointer.get gRow (Pointer.get rowsOf s))
                        s <- s + 1)
