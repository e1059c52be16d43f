/// Groups of rows that share their columns: how they are counted, drawn and found.
module SparseFs.Tests.RowGroupsTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Testing

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

          testCase "counts that were settled once stay, as near as groups allow: all small shapes" (fun () ->
              let mutable moved = 0

              for size in 1..7 do
                  for rows in 0..25 do
                      for nnz in 0 .. 4 * rows do
                          let settled = RowGroupCounts.settled size rows nnz
                          let made = Topology.rowGroups size rows 4 settled (Seed.ofInt 1)
                          Expect.equal made.Nnz settled $"{nnz} slots of {rows} rows in groups of {size}"
                          let most = size + rows % size
                          Expect.isLessThanOrEqual (2 * abs (settled - nnz)) most $"{rows}, {size}: twice {nnz} off"

                          if int64 settled <> RowGroupCounts.nnz size rows nnz then
                              moved <- moved + 1

              Expect.isGreaterThan moved 0 "not vacuous: some are asked for twice")

          testPropertyWithConfig
              { FsCheckConfig.defaultConfig with
                  maxTest = 300 }
              "drawn row groups have their laws"
              (Prop.forAll Generators.rowGroups (fun (size, c) -> Laws.hasRowGroups size c))

          testCase "drawn row groups reach all that groups can be" (fun () ->
              // As many as make the rarest of them all but certain.
              let drawn = Gen.sampleWithSize 60 6000 Generators.rowGroups.Generator

              let has what test =
                  Expect.isTrue (Array.exists test drawn) what

              let fanIns (size: int, c: Connectivity) =
                  [ for row in 0..size .. c.Rows - 1 -> (columns c row).Length ]

              for size in 1..16 do
                  has $"groups of {size}" (fun (drawn, c) -> drawn = size && c.Nnz > 0 && c.Rows > size)

              has "a last group of fewer rows" (fun (size, c) ->
                  c.Rows > size && c.Rows % size > 0 && (columns c (c.Rows - 1)).Length > 0)

              has "fewer rows than a group" (fun (size, c) -> c.Rows > 0 && c.Rows < size)

              has "groups without slots beside others" (fun (size, c) ->
                  c.Nnz > 0 && List.contains 0 (fanIns (size, c)))

              has "full groups beside others" (fun (size, c) ->
                  int64 c.Nnz < c.Cells && List.contains c.Cols (fanIns (size, c)))

              has "no slot" (fun (_, c) -> c.Nnz = 0 && c.Cells > 0L)
              has "all slots" (fun (size, c) -> int64 c.Nnz = c.Cells && c.Rows > size && c.Cols > 0)
              has "groups that are alike" (fun (size, c) -> c.Nnz > 0 && Connectivity.rowGroupSize c > size))

          testCase "row groups shrink within groups, down to nothing" (fun () ->
              for size, c in Gen.sampleWithSize 15 20 Generators.rowGroups.Generator do
                  for smaller, shrunk in Generators.rowGroups.Shrinker(size, c) do
                      Expect.isTrue (hasGroups smaller shrunk) "groups"
                      let measure (size: int) (c: Connectivity) = size + c.Rows + c.Cols + c.Nnz
                      Expect.isLessThan (measure smaller shrunk) (measure size c) "smaller"

              let rec least (value: int * Connectivity) =
                  match Seq.tryHead (Generators.rowGroups.Shrinker value) with
                  | Some smaller -> least smaller
                  | None -> value

              Expect.equal
                  (least (5, Topology.rowGroups 5 13 6 40 (Seed.ofInt 1)))
                  (1, Connectivity.empty 0 0)
                  "the least")

          testCase "the law of row groups names what is broken" (fun () ->
              let result =
                  Expect.throwsC
                      (fun () ->
                          Check.QuickThrowOnFailure(Laws.hasRowGroups 4 (Topology.uniform 8 8 30 (Seed.ofInt 1))))
                      (fun e -> e.Message)

              Expect.stringContains result "the rows of each group of 4 have the columns of its first" "rows"
              Expect.stringContains result "rowGroupSize is a multiple of 4, or all rows: got 1 of 8" "size")

          testProperty
              "blocks of b by b are row groups of b, and kernels take them"
              (Prop.forAll
                  (Arb.fromGen (
                      Gen.zip3
                          (Gen.choose (1, 9))
                          (Gen.zip (Gen.choose (0, 5)) (Gen.choose (0, 5)))
                          (Gen.choose (0, 1000))
                  ))
                  (fun (b, (gridRows, gridCols), number) ->
                      let blocks = number % (gridRows * gridCols + 1)
                      let c = Topology.block (b * gridRows) (b * gridCols) b blocks (Seed.ofInt number)
                      Expect.isTrue (hasGroups b c) "groups"

                      if c.Rows > 0 then
                          Expect.equal (Connectivity.rowGroupSize c % b) 0 "a multiple of the block's rows"

                      let together = (Kernels.SpmmPlan c).RowGroup

                      if b % 4 = 0 && c.Rows > 0 then
                          Expect.equal together 4 "four rows together"
                      elif b % 2 = 0 && c.Rows > 0 then
                          Expect.isTrue (together = 2 || together = 4) "two rows together"))

          testCase "the groups of N:M are of columns: rows share nothing" (fun () ->
              Expect.equal (Connectivity.rowGroupSize (Topology.nOfM 32 64 2 4 (Seed.ofInt 1))) 1 "2:4"
              Expect.equal (Connectivity.rowGroupSize (Topology.nOfM 32 64 4 4 (Seed.ofInt 1))) 32 "all of them")

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
