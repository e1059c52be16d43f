module SparseFs.Tests.TopologyTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Testing
open SparseFs.Tests.Statistics

/// A shape with a legal count; the counts crowd where the sampling changes, at an eighth of the cells, and at the ends.
type private Order =
    { Rows: int
      Cols: int
      Nnz: int }

    member o.Cells = o.Rows * o.Cols

    member o.Uniform(seed: Seed) =
        Topology.uniform o.Rows o.Cols o.Nnz seed

let private orders: Gen<Order> =
    gen {
        let! rows = Gen.frequency [ 1, Gen.elements [ 0; 1 ]; 4, Gen.choose (0, 50) ]
        let! cols = Gen.frequency [ 1, Gen.elements [ 0; 1 ]; 4, Gen.choose (0, 50) ]
        let cells = rows * cols

        let near centre =
            Gen.choose (max 0 (centre - 1), min cells (centre + 1))

        let! nnz = Gen.oneof [ Gen.choose (0, cells); near (cells / 8); near 0; near cells ]
        return { Rows = rows; Cols = cols; Nnz = nnz }
    }

let private law name (body: Order * Seed -> unit) =
    testProperty name (Prop.forAll (Arb.zip (Arb.fromGen orders, Generators.seed)) body)

let private cellsOf (c: Connectivity) =
    Array.map2 (fun row col -> row * c.Cols + col) (Connectivity.rowIndices c) (c.ColIdx.ToArray())

/// For patterns too large for a set of pairs: rises slot by slot, in range, and of the right count.
let private isValid (rows: int) (cols: int) (nnz: int) (c: Connectivity) =
    Expect.equal (c.Rows, c.Cols, c.Nnz) (rows, cols, nnz) "shape and nnz"

    let again =
        Connectivity.tryCreate c.Rows c.Cols (c.RowPtr.ToArray()) (c.ColIdx.ToArray())

    Expect.equal again (Ok c) "every rule of a pattern"

let private refuses (paramName: string) (says: string list) (rows: int, cols: int, nnz: int) =
    try
        Topology.uniform rows cols nnz (Seed.ofInt 1) |> ignore
        failtest $"expected an ArgumentOutOfRangeException for {paramName}, got none"
    with :? ArgumentOutOfRangeException as e ->
        Expect.equal e.ParamName paramName "ParamName"

        for part in says do
            Expect.stringContains e.Message part "message"

/// How often each set of cells comes, over many seeds; keys are the cells in rising order.
let private census (rows: int) (cols: int) (nnz: int) (seeds: int) =
    Seq.init seeds (fun i -> Topology.uniform rows cols nnz (Seed.ofInt i) |> cellsOf |> List.ofArray)
    |> Seq.countBy id
    |> Seq.toArray

let rec private choose (n: int) (k: int) =
    if k = 0 then 1 else choose (n - 1) (k - 1) * n / k

/// Generators that make any number of slots out of a seed, or refuse it.
let private generators =
    [ "uniform", Topology.uniform
      "small world", Topology.smallWorld
      for placement in [ Placement.Centred; Placement.Stretched ] do
          for lambda in [ 0.0; 1.5 ] do
              $"small world, {placement}, λ = {lambda}", Topology.smallWorldWith placement (ValueSome lambda)
      // No count between 0 and the columns.
      for exponent in [ 2.2; 5.0 ] do
          $"scale-free, γ = {exponent}", (fun rows cols nnz -> Topology.scaleFree rows cols nnz exponent) ]

[<Tests>]
let topologies =
    testList
        "Topology"
        [ for name, generator in generators do
              testProperty $"keeps its promises for any order: {name}" (Laws.topology generator)

          testProperty
              "keeps its promises for any order, but has no seed: banded"
              (Prop.forAll (Arb.fromGen orders) (fun order ->
                  Laws.exactNnz order.Rows order.Cols order.Nnz (fun _ ->
                      Topology.banded order.Rows order.Cols order.Nnz))) ]

[<Tests>]
let uniform =
    testList
        "Topology.uniform"
        [ law "has exactly nnz distinct cells, in range" (fun (order, seed) ->
              let cells = cellsOf (order.Uniform seed)
              Expect.equal cells.Length order.Nnz "nnz"
              Expect.equal (Array.distinct cells).Length order.Nnz "distinct"
              Expect.isTrue (cells |> Array.forall (fun cell -> 0 <= cell && cell < order.Cells)) "in range")

          testProperty
              "is exact in nnz and a valid pattern whatever the seed"
              (Prop.forAll (Arb.fromGen orders) (fun order ->
                  Laws.exactNnz order.Rows order.Cols order.Nnz order.Uniform))

          testProperty
              "gives the same pattern for the same seed"
              (Prop.forAll (Arb.fromGen orders) (fun order -> Laws.sameSeedSamePattern order.Uniform))

          testCase "gives another pattern for another seed" (fun () ->
              for nnz in [ 40; 200; 320 ] do
                  let patterns = [ for i in 0..99 -> Topology.uniform 20 20 nnz (Seed.ofInt i) ]
                  Expect.equal (List.distinct patterns).Length 100 $"{nnz} slots")

          testCase "fills the corner cases" (fun () ->
              for rows, cols in [ 1, 37; 37, 1; 0, 9; 9, 0; 0, 0; 1, 1; 6, 7; 8, 8; 16, 17 ] do
                  let cells = rows * cols
                  let eighth = cells / 8

                  for nnz in List.distinct [ 0; 1; eighth - 1; eighth; eighth + 1; cells - 1; cells ] do
                      if 0 <= nnz && nnz <= cells then
                          isValid rows cols nnz (Topology.uniform rows cols nnz (Seed.ofInt 3)))

          testCase "with all cells is the full pattern, with none the empty one" (fun () ->
              Expect.equal (Topology.uniform 6 7 42 (Seed.ofInt 1)) (Connectivity.full 6 7) "full"
              Expect.equal (Topology.uniform 6 7 0 (Seed.ofInt 1)) (Connectivity.empty 6 7) "empty")

          testCase "the drawn orders reach both ways of sampling and both ends" (fun () ->
              let drawn = Statistics.sample 1000 orders

              let reaches what holds =
                  Expect.isTrue (Array.exists holds drawn) $"not vacuous: {what}"

              reaches "just below an eighth" (fun o -> o.Cells > 100 && o.Nnz = o.Cells / 8 - 1)
              reaches "an eighth" (fun o -> o.Cells > 100 && o.Nnz = o.Cells / 8)
              reaches "all" (fun o -> o.Cells > 100 && o.Nnz = o.Cells)
              reaches "all but one" (fun o -> o.Cells > 100 && o.Nnz = o.Cells - 1)
              reaches "none" (fun o -> o.Cells > 100 && o.Nnz = 0)
              reaches "no cells" (fun o -> o.Cells = 0)
              reaches "one row" (fun o -> o.Rows = 1 && o.Cols > 8)
              reaches "one column" (fun o -> o.Cols = 1 && o.Rows > 8))

          testCase "refuses what is out of range, by name" (fun () ->
              refuses "rows" [ "0.."; "-1" ] (-1, 4, 0)
              refuses "cols" [ "0.."; "-2" ] (4, -2, 0)
              refuses "nnz" [ "0..12"; "-1" ] (3, 4, -1)
              refuses "nnz" [ "0..12"; "13" ] (3, 4, 13)
              refuses "nnz" [ "0..0"; "1" ] (0, 4, 1))

          testCase "is pinned: a change would change every topology that a seed stands for" (fun () ->
              // The first scans all cells, the others draw and reject.
              let pinned =
                  [ (10, 10, 50), 0xED9B4408EA5F9BCAUL
                    (10, 10, 5), 0x6B649505C9B39F20UL
                    (300, 500, 1500), 0xF34E5FC214ACCC02UL ]

              for (rows, cols, nnz), expected in pinned do
                  let actual = (Topology.uniform rows cols nnz (Seed.ofInt 42)).Fingerprint
                  Expect.equal actual expected $"[{rows}, {cols}] with {nnz} slots") ]

[<Tests>]
let distribution =
    testList
        "Topology.uniform is uniform"
        [
          // The first three scan all cells, the others draw and reject: (cells, slots) below and above an eighth.
          for rows, cols, nnz in [ 2, 3, 3; 1, 7, 1; 3, 3, 8; 4, 6, 2; 4, 8, 3; 1, 17, 1 ] do
              testCase $"over all patterns of [{rows}, {cols}] with {nnz} slots" (fun () ->
                  let patterns = choose (rows * cols) nnz
                  let seen = census rows cols nnz (20 * patterns + 1000)
                  Expect.equal seen.Length patterns "every pattern comes"
                  isUniform "patterns" (Array.map snd seen))

          for nnz in [ 600; 90 ] do
              testCase $"over the cells, rows and columns of [30, 40] with {nnz} slots" (fun () ->
                  let seeds = 1000
                  let perCell: int[] = Array.zeroCreate 1200

                  for i in 1..seeds do
                      for cell in cellsOf (Topology.uniform 30 40 nnz (Seed.child i (Seed.ofInt 11))) do
                          perCell[cell] <- perCell[cell] + 1

                  // Cells of one pattern exclude one another: the variance of each count is that of the binomial, so Pearson's
                  // sum shrinks by 1 - density, and the counts are scaled to make up for it.
                  let density = float nnz / 1200.0
                  let expected = float (seeds * nnz)

                  let fits what (counts: int[]) =
                      let mean = expected / float counts.Length

                      let scaled =
                          counts
                          |> Array.map (fun n -> int (round (mean + (float n - mean) / sqrt (1.0 - density))))

                      Statistics.fits what (Array.create counts.Length mean) scaled

                  fits "cells" perCell
                  fits "rows" (Array.init 30 (fun row -> Array.sum perCell[row * 40 .. row * 40 + 39]))

                  fits
                      "columns"
                      (Array.init 40 (fun col -> Seq.sum (seq { for row in 0..29 -> perCell[row * 40 + col] }))))

          testCase "over the cells of one large pattern" (fun () ->
              // 1,000,000 of 4·10^12 cells: cells are all but independent.
              let c = Topology.uniform 2000000 2000000 1000000 (Seed.ofInt 12)
              let rowIdx, colIdx = Connectivity.rowIndices c, c.ColIdx.ToArray()
              isUniform "blocks of rows" (count 250 c.Nnz (fun slot -> rowIdx[slot] / 8000))
              isUniform "columns modulo 1000" (count 1000 c.Nnz (fun slot -> colIdx[slot] % 1000))

              isUniform
                  "blocks of rows and columns"
                  (count 400 c.Nnz (fun slot -> rowIdx[slot] / 100000 * 20 + colIdx[slot] / 100000))) ]

[<Tests>]
let large =
    testList
        "Topology.uniform of large shapes"
        [ testCase "50,000 × 50,000 at 99.9 % has 2,500,000 slots" (fun () ->
              let nnz = Sparsity.nnz 50000 50000 0.999
              Expect.equal nnz 2500000 "nnz"
              isValid 50000 50000 nnz (Topology.uniform 50000 50000 nnz (Seed.ofInt 1)))

          testCase "1,000,000 × 1,000,000 holds 1,000,000 slots" (fun () ->
              isValid 1000000 1000000 1000000 (Topology.uniform 1000000 1000000 1000000 (Seed.ofInt 1)))

          testCase "784 × 2000 at 90 % has 156,800 slots" (fun () ->
              let nnz = Sparsity.nnz 2000 784 0.9
              Expect.equal nnz 156800 "nnz"
              isValid 2000 784 nnz (Topology.uniform 2000 784 nnz (Seed.ofInt 1)))

          testCase "one row of as many columns as an array can hold, and more than 2^55 cells" (fun () ->
              let most = Array.MaxLength - 1
              isValid 1 most 1000 (Topology.uniform 1 most 1000 (Seed.ofInt 1))
              isValid 16777300 most 1000 (Topology.uniform 16777300 most 1000 (Seed.ofInt 1))) ]
