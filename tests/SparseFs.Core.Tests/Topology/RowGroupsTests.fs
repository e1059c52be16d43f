/// Groups of rows that share their columns: how they are counted, drawn and found.
module SparseFs.Tests.RowGroupsTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs

type private Drawing =
    { Size: int
      Rows: int
      Cols: int
      Nnz: int
      Seed: int }

    member d.Pattern = Topology.rowGroups d.Size d.Rows d.Cols d.Nnz (Seed.ofInt d.Seed)

let private drawings: Arbitrary<Drawing> =
    gen {
        let! size = Gen.choose (1, 17)
        let! rows = Gen.choose (0, 40)
        let! cols = Gen.choose (0, 30)
        let! nnz = Gen.choose (0, rows * cols)
        let! seed = Gen.choose (0, 1_000_000)

        return
            { Size = size
              Rows = rows
              Cols = cols
              Nnz = nnz
              Seed = seed }
    }
    |> Arb.fromGen

let private law name (body: Drawing -> unit) =
    testPropertyWithConfig
        { FsCheckConfig.defaultConfig with
            maxTest = 300 }
        name
        (Prop.forAll drawings body)

let private columns (c: Connectivity) (row: int) =
    c.ColIdx.Slice(c.RowPtr[row], c.RowPtr[row + 1] - c.RowPtr[row]).ToArray()

/// Whether each row has the columns of the first of its group: what a group is.
let private hasGroups (size: int) (c: Connectivity) =
    Seq.forall (fun row -> columns c row = columns c (row / size * size)) (seq { 0 .. c.Rows - 1 })

/// Half to even, by the definition.
let private rounded (numerator: int) (denominator: int) =
    int (Math.Round(decimal numerator / decimal denominator, MidpointRounding.ToEven))

[<Tests>]
let tests =
    testList
        "Row groups"
        [ law "the rows of a group have the same columns" (fun d ->
              Expect.isTrue (hasGroups d.Size d.Pattern) "groups of that size")

          law "the slots are those of the groups' cells, counted by the one rounding rule" (fun d ->
              let c = d.Pattern
              let whole, left = d.Rows / d.Size, d.Rows % d.Size

              let ofWhole, ofLast =
                  if d.Rows = 0 then
                      0, 0
                  else
                      rounded (d.Nnz * whole) d.Rows, (if left = 0 then 0 else rounded d.Nnz d.Rows)

              Expect.equal (c.Rows, c.Cols) (d.Rows, d.Cols) "shape"
              Expect.equal c.Nnz (ofWhole * d.Size + ofLast * left) "nnz"

              Expect.isLessThanOrEqual
                  (abs (c.Nnz - d.Nnz))
                  (max 0 (d.Size - 1))
                  "what was asked for, to less than a group")

          law "groups of one row have the slots that were asked for" (fun d ->
              Expect.equal ({ d with Size = 1 }).Pattern.Nnz d.Nnz "nnz")

          law "a pattern is valid, and the same for the same seed" (fun d ->
              let c = d.Pattern

              Expect.isOk
                  (Connectivity.tryCreate c.Rows c.Cols (c.RowPtr.ToArray()) (c.ColIdx.ToArray()))
                  "the rules of CSR"

              Expect.equal d.Pattern c "again")

          law "the size that is found is the largest that there is" (fun d ->
              let c = d.Pattern

              let largest =
                  seq { 1 .. max 1 c.Rows }
                  |> Seq.filter (fun size -> hasGroups size c)
                  |> Seq.max

              Expect.equal (Connectivity.rowGroupSize c) largest "largest")

          testCase "every group of cells is equally likely" (fun () ->
              let counts = Array2D.zeroCreate<int> 2 5

              for seed in 1..4000 do
                  let c = Topology.rowGroups 3 6 5 12 (Seed.ofInt seed)

                  for group in 0..1 do
                      for col in columns c (3 * group) do
                          counts[group, col] <- counts[group, col] + 1

              // 4 of 10 cells: a mean of 1600, and five standard deviations of a binomial count.
              let bound = 5.0 * sqrt (4000.0 * 0.4 * 0.6)

              counts
              |> Array2D.iter (fun count -> Expect.isLessThan (abs (float count - 1600.0)) bound "a cell's count"))

          testCase "patterns without groups, full ones and empty ones" (fun () ->
              Expect.equal (Connectivity.rowGroupSize (Topology.uniform 40 40 200 (Seed.ofInt 1))) 1 "uniform"
              Expect.equal (Connectivity.rowGroupSize (Connectivity.full 7 3)) 7 "full"
              Expect.equal (Connectivity.rowGroupSize (Connectivity.empty 5 5)) 5 "no slots"
              Expect.equal (Connectivity.rowGroupSize (Connectivity.empty 0 5)) 1 "no rows"
              Expect.equal (Connectivity.rowGroupSize (Topology.block 20 20 5 6 (Seed.ofInt 2))) 5 "blocks")

          testCase "a size below 1 and too many slots are refused" (fun () ->
              Expect.throwsT<ArgumentOutOfRangeException>
                  (fun () -> Topology.rowGroups 0 4 4 8 (Seed.ofInt 1) |> ignore)
                  "size"

              Expect.throwsT<ArgumentOutOfRangeException>
                  (fun () -> Topology.rowGroups 2 4 4 17 (Seed.ofInt 1) |> ignore)
                  "nnz") ]
