module SparseFs.Tests.SparsityDistributionTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Tests.Refusals

let private rules =
    [ SparsityDistribution.Uniform
      SparsityDistribution.ErdosRenyi
      SparsityDistribution.ErdosRenyiKernel ]

let private cellsOf (shape: int[]) =
    Array.fold (fun cells size -> cells * size) 1 shape

/// Linear layers and convolutions, some empty, at a sparsity written with two digits.
let private networks: Gen<int[][] * float> =
    gen {
        let size = Gen.choose (0, 30)
        let! linear = Gen.listOf (Gen.arrayOfLength 2 size)
        let! convolutions = Gen.listOf (Gen.arrayOfLength 4 (Gen.choose (1, 9)))
        let! percent = Gen.choose (0, 99)
        return Array.ofList (linear @ convolutions), float percent / 100.0
    }

let private law name (body: int[][] * float -> unit) =
    testProperty name (Prop.forAll (Arb.fromGen networks) body)

[<Tests>]
let allocationTests =
    testList
        "SparsityDistribution"
        [ law "the sum is the budget, and no layer exceeds its cells" (fun (shapes, sparsity) ->
              let all = shapes |> Array.sumBy cellsOf

              let budget =
                  Math.Round((1m - decimal sparsity) * decimal all, MidpointRounding.ToEven)

              for rule in rules do
                  let counts = SparsityDistribution.counts rule [||] sparsity shapes
                  Expect.equal (decimal (Array.sum counts)) budget $"{rule}"
                  Expect.all (Array.zip shapes counts) (fun (shape, n) -> n >= 0 && n <= cellsOf shape) $"{rule}")

          law "the uniform rule gives each layer its density, within one slot" (fun (shapes, sparsity) ->
              for shape, count in
                  Array.zip shapes (SparsityDistribution.counts SparsityDistribution.Uniform [||] sparsity shapes) do
                  let wanted = (1m - decimal sparsity) * decimal (cellsOf shape)
                  // Half a slot at most from rounding the budget, less than one from sharing it out.
                  Expect.isLessThan (abs (decimal count - wanted)) 1.5m "count")

          testCase "Erdős–Rényi densities are in proportion to (out + in) / (out · in), kernels to all sizes" (fun () ->
              let shapes = [| [| 300; 784 |]; [| 100; 300 |]; [| 64; 32; 3; 3 |] |]

              let densities rule =
                  Array.map2
                      (fun shape count -> float count / float (cellsOf shape))
                      shapes
                      (SparsityDistribution.counts rule [||] 0.9 shapes)

              let raw (shape: int[]) =
                  float (Array.sum shape) / float (cellsOf shape)

              let pair (shape: int[]) = raw shape[..1]

              for rule, weight in
                  [ SparsityDistribution.ErdosRenyi, pair
                    SparsityDistribution.ErdosRenyiKernel, raw ] do
                  let scaled =
                      Array.map2 (fun density shape -> density / weight shape) (densities rule) shapes
                  // A count is within one of its share.
                  let tolerance =
                      shapes |> Array.map (fun shape -> 1.0 / float (cellsOf shape) / weight shape)

                  Expect.isLessThan (abs (scaled[0] - scaled[1])) (tolerance[0] + tolerance[1]) $"{rule}: linear"
                  Expect.isLessThan (abs (scaled[0] - scaled[2])) (tolerance[0] + tolerance[2]) $"{rule}: kernel")

          testCase "a small layer that would exceed its cells is dense, and the others share the rest" (fun () ->
              let shapes = [| [| 1000; 1000 |]; [| 10; 1000 |]; [| 10; 10 |] |]

              let counts =
                  SparsityDistribution.counts SparsityDistribution.ErdosRenyi [||] 0.95 shapes

              Expect.equal counts[2] 100 "the last is dense"
              // 50505 in all: 10,000 of the second would be 1010 / 2000 of the rest, more than its cells.
              Expect.equal counts [| 40405; 10000; 100 |] "counts")

          testCase "layers are kept dense on request" (fun () ->
              let shapes = [| [| 300; 784 |]; [| 100; 300 |]; [| 10; 100 |] |]

              for rule in rules do
                  let counts = SparsityDistribution.counts rule [| 2 |] 0.9 shapes
                  Expect.equal counts[2] 1000 "dense"
                  Expect.equal (Array.sum counts) 26620 "the same budget")

          testProperty
              "in row groups, Topology.rowGroups meets each count, and each is as near as its groups allow"
              (Prop.forAll (Arb.fromGen (Gen.zip networks (Gen.choose (1, 17)))) (fun ((shapes, sparsity), size) ->
                  for rule in rules do
                      let counts = SparsityDistribution.counts rule [||] sparsity shapes

                      let inGroups = SparsityDistribution.countsInRowGroups size rule [||] sparsity shapes

                      for shape, count, wanted in Array.zip3 shapes inGroups counts do
                          let rows, cols = shape[0], cellsOf shape[1..]
                          let pattern = Topology.rowGroups size rows cols count (Seed.ofInt 1)
                          Expect.equal pattern.Nnz count $"{rule}: slots of the pattern"
                          let most = size + rows % size
                          Expect.isLessThanOrEqual (2 * abs (count - wanted)) most $"{rule}: twice the distance"

                      if size = 1 then
                          Expect.equal inGroups counts $"{rule}: groups of one row"))

          testCase "in row groups, layers that are kept dense are, and small ones may end up empty" (fun () ->
              let shapes = [| [| 300; 784 |]; [| 100; 300 |]; [| 10; 100 |]; [| 2; 3 |] |]

              let counts =
                  SparsityDistribution.countsInRowGroups 4 SparsityDistribution.Uniform [| 2 |] 0.9 shapes

              // 26621 slots in all, so 25621 for the others: 22722, 2898 and 1. These are 5680.5 and 724.5 cells of four rows,
              // and half a cell of two.
              Expect.equal counts [| 22720; 2896; 1000; 0 |] "counts")

          refuses "a group of no row" "size" "1 row or more, got 0" (fun () ->
              SparsityDistribution.countsInRowGroups 0 SparsityDistribution.Uniform [||] 0.9 [| [| 10; 10 |] |])
          refuses "a budget in row groups below what is kept dense" "keptDense" "at most the budget of 10" (fun () ->
              SparsityDistribution.countsInRowGroups 4 SparsityDistribution.Uniform [| 0 |] 0.9 [| [| 10; 10 |] |])

          refuses "a budget below what is kept dense" "keptDense" "at most the budget of 10 slots, got 100" (fun () ->
              SparsityDistribution.counts SparsityDistribution.Uniform [| 0 |] 0.9 [| [| 10; 10 |] |])
          refuses "a layer that is not there" "keptDense" "in 0..0, got 1" (fun () ->
              SparsityDistribution.counts SparsityDistribution.Uniform [| 1 |] 0.9 [| [| 10; 10 |] |])
          refuses "a shape of one size" "shapes" "two or more sizes" (fun () ->
              SparsityDistribution.counts SparsityDistribution.Uniform [||] 0.9 [| [| 10 |] |])
          refuses "a rule that does not exist" "rule" "got 9" (fun () ->
              SparsityDistribution.counts (enum<SparsityDistribution> 9) [||] 0.9 [| [| 10; 10 |] |])
          refuses "a sparsity of 1" "sparsity" "[0, 1)" (fun () ->
              SparsityDistribution.counts SparsityDistribution.Uniform [||] 1.0 [| [| 10; 10 |] |]) ]
