namespace SparseFs.Inference

#nowarn "9"

open System
open Microsoft.FSharp.NativeInterop
open SparseFs
open SparseFs.Kernels

/// <summary>The winners of each row, and 0 elsewhere.</summary>
/// <param name="from">The buffer of rows.</param>
/// <param name="into">Another one.</param>
/// <param name="units">Of a row.</param>
/// <param name="k">Winners of a row.</param>
/// <param name="form">What units win by.</param>
/// <param name="terms">[units] of that, or empty where the inputs themselves are it.</param>
/// <param name="rows">How many.</param>
/// <param name="threads">The most that a call uses.</param>
/// <param name="ofUnits">A buffer that has the terms, or −1.</param>
[<Sealed>]
type internal WinnersStep
    (
        from: int,
        into: int,
        units: int,
        k: int,
        form: Scores,
        terms: float32[],
        rows: RowCount,
        threads: int,
        ofUnits: int
    ) =
    inherit Step()

    override _.Run w =
        let count = rows.Of w
        use x = fixed w.Buffer from
        use y = fixed w.Buffer into
        use terms = fixed (if ofUnits < 0 then terms else w.Buffer ofUnits)
        let mask = ScratchPool.rent (int64 count * int64 (TopKRows.blocks units))

        CpuTopK.select
            (CpuTopK.machineFor ParallelFor.Workers threads count units)
            { X = x
              Form = form
              Terms = terms
              Rows = count
              N = units
              K = k
              Y = y
              Mask = NativePtr.ofNativeInt (NativePtr.toNativeInt mask.Floats)
              Wins = Pointer.nothing }

        ScratchPool.giveBack mask

/// <summary>Each number so many times, into a buffer.</summary>
[<Sealed>]
type internal RepeatStep(numbers: float32[], times: int, into: int) =
    inherit Step()

    override _.Run w =
        for i in 0 .. numbers.Length - 1 do
            w.Buffer(into).AsSpan(i * times, times).Fill numbers[i]

/// <summary>[rows, columns] of each sample as [columns, rows].</summary>
[<Sealed>]
type internal TransposeStep(from: int, into: int, rows: int, columns: int) =
    inherit Step()

    override _.Run w =
        let x, y = w.Buffer from, w.Buffer into

        for sample in 0 .. w.Samples - 1 do
            let first = sample * rows * columns

            for row in 0 .. rows - 1 do
                for column in 0 .. columns - 1 do
                    y[first + column * rows + row] <- x[first + row * columns + column]
