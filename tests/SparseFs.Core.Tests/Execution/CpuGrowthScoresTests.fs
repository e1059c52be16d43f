/// The gradient of every cell, as updates compute it: the dense product and the selection that follows it.
module SparseFs.Tests.CpuGrowthScoresTests

#nowarn "9"

open System
open System.Runtime.InteropServices
open Expecto
open Microsoft.FSharp.NativeInterop
open SparseFs
open SparseFs.Kernels
open SparseFs.Tests.Outcomes

let private numbers (seed: int) (length: int) =
    let random = Random seed
    Array.init length (fun _ -> 2.0f * random.NextSingle() - 1.0f)

/// gᵀ · x as the kernel hands it out, row by row, whatever the parts; what lies beyond a row's columns is looked at too.
let private product
    (machine: ExecutionPolicy)
    (n: int)
    (rows: int)
    (cols: int)
    (g: float32[])
    (x: float32[])
    : float32[,] =
    let result = Array2D.create rows cols nanf
    // An empty array has no address to take.
    let pinned (values: float32[]) =
        GCHandle.Alloc(Array.append values [| nanf |], GCHandleType.Pinned)

    let gPin, xPin = pinned g, pinned x

    let address (pin: GCHandle) : nativeptr<float32> =
        NativePtr.ofNativeInt (pin.AddrOfPinnedObject())

    try
        CpuGrowthScores.product
            machine
            (address gPin)
            (address xPin)
            n
            rows
            cols
            (ScoreBlock(fun _ first count block stride ->
                for row in first .. first + count - 1 do
                    for col in 0 .. stride - 1 do
                        let score = block[(row - first) * stride + col]

                        if col >= cols then
                            Expect.equal score 0.0f "beyond the columns"
                        else
                            result[row, col] <- score))
    finally
        gPin.Free()
        xPin.Free()

    result

/// Every length of the last strip, several runs of samples, and nothing at all.
let private shapes =
    [ 0, 3, 5; 3, 0, 5; 3, 5, 0; 1, 1, 1; 600, 3, 7; 1100, 6, 40 ]
    @ [ for tail in 1..33 -> 2 + tail % 3, 60 + tail, tail ]

/// The cells that a dense oracle chooses: largest magnitudes, ties to the lower cell.
let private best (count: int) (scores: float32[]) : int64[] =
    [| 0 .. scores.Length - 1 |]
    |> Array.sortBy (fun cell -> -(abs scores[cell]), cell)
    |> Array.truncate count
    |> Array.map int64
    |> Array.sort

let private grown (rows: int) (cols: int) (count: int) (scores: float32[]) : int64[] =
    let c = Connectivity.empty rows cols

    let state =
        { Rewire.state c [||] 1L (Seed.ofInt 0) with
            Gradient = RowScores(fun first number -> Array.sub scores (first * cols) (number * cols)) }

    okOf (Growth.ofLayer Grow.Gradient state (Seed.ofInt 0) (ActiveMask.slots c) count)

[<Tests>]
let tests =
    testList
        "Product"
        [ for width in CpuSpmm.widths do
              testCase $"{width}: the product is the dense one, for every tail" (fun () ->
                  for n, rows, cols in shapes do
                      let g, x = numbers 1 (n * rows), numbers 2 (n * cols)
                      let actual = product (CpuSpmm.machineOf width 1) n rows cols g x

                      for row in 0 .. rows - 1 do
                          for col in 0 .. cols - 1 do
                              let terms =
                                  [| for k in 0 .. n - 1 -> float g[k * rows + row] * float x[k * cols + col] |]

                              // Sums of n products, then of runs of them: at most n roundings on each one's way.
                              let bound = Oracle.gamma Oracle.float32Roundoff (n + 4) * Array.sumBy abs terms

                              Expect.isLessThanOrEqual
                                  (abs (float actual[row, col] - Array.sum terms))
                                  bound
                                  $"{n}, {rows}, {cols}: ({row}, {col})")

              testCase $"{width}: the product does not depend on the number of threads" (fun () ->
                  for n, rows, cols in [ 5, 1, 3; 33, 131, 70; 600, 9, 65 ] do
                      let g, x = numbers 3 (n * rows), numbers 4 (n * cols)
                      let one = product (CpuSpmm.machineOf width 1) n rows cols g x

                      for threads in [ 2; 3; 7 ] do
                          let several = product (CpuSpmm.machineOf width threads) n rows cols g x
                          Expect.equal several one $"{threads} threads")

          testCase "what is chosen does not depend on the parts that look for it" (fun () ->
              let rows, cols, count = 300, 40, 700
              let random = Random 5
              // Few different numbers: the tie at the end is between cells of different parts.
              let scores = Array.init (rows * cols) (fun _ -> float32 (random.Next 30 - 15))
              let free: byte[] = Array.zeroCreate 5

              for parts in 1..4 do
                  let bests = Array.init parts (fun _ -> StreamingTopK count)

                  for row in 0 .. rows - 1 do
                      let part = row * parts / rows

                      let offered =
                          bests[part].Offer(scores, row * cols, cols, free, true, int64 (row * cols))

                      Expect.isTrue offered "finite"

                  Expect.equal (StreamingTopK.cellsOf bests count) (best count scores) $"{parts} parts")

          testCase "where the first rows are no measure of the others, the choice is exact all the same" (fun () ->
              let rows, cols = 2000, 100
              let random = Random 6

              // 70,000 large scores, then small ones that count as soon as more are wanted than there are large ones.
              let scores =
                  Array.init (rows * cols) (fun cell ->
                      (random.NextSingle() + 0.5f) * (if cell < 70_000 then 1000.0f else 1.0f))

              for count in [ 1; 50_000; 70_001; 90_000; 150_000; 200_000 ] do
                  Expect.equal (grown rows cols count scores) (best count scores) $"{count}"

              // The other way round: the first rows guess a bound that is far too low.
              Array.Reverse scores

              for count in [ 1; 50_000; 90_000 ] do
                  Expect.equal (grown rows cols count scores) (best count scores) $"reversed, {count}")

          testCase "equal scores beyond all room: the lower cells are chosen" (fun () ->
              let rows, cols = 3000, 100
              let scores = Array.create (rows * cols) -2.5f

              for count in [ 1; 100; 90_000 ] do
                  Expect.equal (grown rows cols count scores) [| 0L .. int64 count - 1L |] $"{count}") ]
