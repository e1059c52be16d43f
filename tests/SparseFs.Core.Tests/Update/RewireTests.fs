/// Schedules, rules and budgets as pure functions, held to their laws and to brute force.
module SparseFs.Tests.RewireTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Testing
open SparseFs.Tests.Refusals
open SparseFs.Tests.Outcomes

let private seed = Seed.ofInt 3
let private soon = Schedule.cosine 0.3 10L 1000L

let private policies =
    [ for drop, ofDrop in
          [ "smallest", Drop.Magnitude
            "nearest zero", Drop.NearestZero
            "any", Drop.Random
            "lowest score", Drop.Score(fun s -> Array.map (fun w -> -w) s.Weight) ] do
          for grow, ofGrow in
              [ "gradient", Grow.Gradient
                "momentum", Grow.Momentum
                "any", Grow.Random
                "nearby", Grow.DistanceDecay(Placement.Centred, 1.5)
                "score", Grow.Score(GrowthInputs.Gradient, (fun s -> s.Gradient)) ] do
              for regrow in [ Regrow.Never; Regrow.Reinitialize; Regrow.Restore ] do
                  for budget in [ Budget.Layer; Budget.Row ] do
                      $"{drop} for {grow}, regrown {regrow}, budget {budget}",
                      { Policy.staticSparse with
                          Schedule = soon
                          Drop = ofDrop
                          Grow = ofGrow
                          Regrow = regrow
                          Budget = budget }
      "RigL", Policy.rigL soon
      "SET", Policy.set soon
      "SRigL", Policy.srigL ValueNone soon
      "SRigL, ablated", Policy.srigL (ValueSome 0.3) soon
      "SRigL, all ablated", Policy.srigL (ValueSome 1.0) soon
      "gradual", Policy.gradual 0.2 0.8 soon
      "static", Policy.staticSparse ]

let private cells (c: Connectivity) =
    Array.map2 (fun row col -> row * c.Cols + col) (Connectivity.rowIndices c) (c.ColIdx.ToArray())

let private cells64 (c: Connectivity) = cells c |> Array.map int64

let private law name (body: LayerState -> unit) =
    testProperty name (Prop.forAll RewireGenerators.states body)

let private allScores (state: LayerState) =
    state.Gradient.Rows(0, state.Connectivity.Rows)

/// A layer with drawn numbers, hardly any of them equal.
let private drawn (rows: int) (cols: int) (nnz: int) =
    let random = Random 5

    let numbers length =
        Array.init length (fun _ -> 2.0f * random.NextSingle() - 1.0f)

    let gradient = numbers (rows * cols)

    { Rewire.state (Topology.uniform rows cols nnz seed) (numbers nnz) 10L seed with
        Gradient = RewireGenerators.scoresOf cols gradient
        Momentum = RewireGenerators.scoresOf cols gradient }

/// Scores of another source, one row at a time.
type private OneRowEach(inner: CellScores) =
    inherit CellScores()
    override _.Rows(first, count) = inner.Rows(first, count)

    override scores.EachBlock(_, rows, cols, body) =
        for row in 0 .. rows - 1 do
            body.Invoke(0, row, 1, scores.Rows(row, 1), cols)

/// Scores of another source, half of the rows in each of two parts, further apart than their length.
type private SideBySide(inner: CellScores, rows: int) =
    inherit CellScores()
    override _.Rows(first, count) = inner.Rows(first, count)
    override _.Parts = 2

    override _.EachBlock(_, _, cols, body) =
        let all = inner.Rows(0, rows)

        Threading.Tasks.Parallel.For(
            0,
            2,
            fun part ->
                let first, last = part * rows / 2, (part + 1) * rows / 2 - 1

                let padded =
                    [| for row in first..last do
                           yield! Array.sub all (row * cols) cols
                           nanf
                           nanf |]

                body.Invoke(part, first, last - first + 1, padded, cols + 2)
        )
        |> ignore

/// A decorator, as a sum over machines would be one.
type private Times(factor: float32, inner: CellScores) =
    inherit CellScores()

    override _.Rows(first, count) =
        inner.Rows(first, count) |> Array.map ((*) factor)

/// A rule with a fault of its own.
type private Faulty() =
    inherit CellScores()

    override _.Rows(_, _) =
        raise (IndexOutOfRangeException "a fault")

/// Rows of three columns that come as they are listed.
type private GivenRows(rows: int list) =
    inherit CellScores()
    override _.Rows(_, count) = Array.create (3 * count) 1.0f

    override scores.EachBlock(_, _, cols, body) =
        for row in rows do
            body.Invoke(0, row, 1, scores.Rows(row, 1), cols)

[<Tests>]
let rewireTests =
    testList
        "Rewire"
        [ for name, policy in policies do
              testPropertyWithConfig
                  { FsCheckConfig.defaultConfig with
                      maxTest = 40 }
                  $"the laws of rewiring hold for {name}"
                  (Laws.rewire policy)

          for s in
              [ Schedule.cosine 0.3 7L 100L
                Schedule.linear 1.0 1L 50L
                Schedule.constant 0.2 10L 95L
                Schedule.inversePower 3.0 0.5 5L 60L |> Schedule.from 20L
                Schedule.never ] do
              testProperty $"the laws of schedules hold for {s}" (Laws.schedule s)

          testCase "schedules by hand" (fun () ->
              let near expected actual =
                  Expect.isLessThan (abs (expected - actual)) 1e-15 $"{expected}"

              near (0.15 * (1.0 + cos (Math.PI * 0.25))) (Schedule.fraction 25L (Schedule.cosine 0.3 25L 100L))
              near 0.15 (Schedule.fraction 50L (Schedule.cosine 0.3 25L 100L))
              near 0.0 (Schedule.fraction 100L (Schedule.cosine 0.3 25L 100L))
              near 0.075 (Schedule.fraction 75L (Schedule.linear 0.3 25L 100L))
              near (0.3 * 0.75 ** 3.0) (Schedule.fraction 25L (Schedule.inversePower 3.0 0.3 25L 100L))
              near (0.9 - 0.4 * 0.75 ** 3.0) (Schedule.cubicSparsity 0.5 0.9 25L (Schedule.constant 0.0 25L 100L)))

          testCase "cosPi is the cosine" (fun () ->
              for i in 0..1000 do
                  let x = float i / 1000.0
                  // Two roundings of values up to 1, here and in Math.Cos, and one of π x, which moves the cosine by as much.
                  Expect.isLessThan (abs (ReproducibleMath.cosPi x - Math.Cos(Math.PI * x))) 1e-15 $"{x}")

          law "the smallest magnitudes are dropped; a tie keeps the lower cell" (fun state ->
              for count in [ 0; state.Weight.Length / 3; state.Weight.Length ] do
                  let wanted =
                      [ 0 .. state.Weight.Length - 1 ]
                      |> List.sortBy (fun slot -> -(abs state.Weight[slot]), slot)
                      |> List.skip (state.Weight.Length - count)
                      |> Set.ofList

                  let marked = okOf (DropSlots.mark Drop.Magnitude state seed count)

                  Expect.equal
                      (set (List.filter (fun slot -> marked[slot]) [ 0 .. marked.Length - 1 ]))
                      wanted
                      "dropped")

          law "SET drops the nearest to zero of each sign, as many as is its share" (fun state ->
              let n = state.Weight.Length

              for count in [ n / 4; n / 2; n ] do
                  let marked = okOf (DropSlots.mark Drop.NearestZero state seed count)

                  let side isNegative =
                      [ 0 .. n - 1 ]
                      |> List.filter (fun slot -> (state.Weight[slot] < 0.0f) = isNegative)

                  for isNegative in [ true; false ] do
                      let slots = side isNegative
                      let dropped, kept = slots |> List.partition (fun slot -> marked[slot])
                      let share = float count * float slots.Length / float (max 1 n)
                      Expect.isLessThanOrEqual (abs (float dropped.Length - share)) 0.5 "share"

                      if not (dropped.IsEmpty || kept.IsEmpty) then
                          let size slot = abs state.Weight[slot]

                          Expect.isLessThanOrEqual
                              (List.max (List.map size dropped))
                              (List.min (List.map size kept))
                              "order")

          law "the largest gradients grow; a tie goes to the lower cell" (fun state ->
              let c = state.Connectivity
              let present = set (cells c)

              let candidates =
                  [ 0 .. int c.Cells - 1 ]
                  |> List.filter (fun cell -> not (Set.contains cell present))

              let scores = allScores state

              for count in [ 0; candidates.Length / 3; candidates.Length ] do
                  let wanted =
                      candidates
                      |> List.sortBy (fun cell -> -(abs scores[cell]), cell)
                      |> List.truncate count
                      |> List.sort

                  let got = okOf (Growth.ofLayer Grow.Gradient state seed (ActiveMask.slots c) count)
                  Expect.equal (List.ofArray got) (List.map int64 wanted) "grown")

          testCase "the best of many blocks are the best of all, ties to the lower cell" (fun () ->
              let random = Random 7
              let scores = Array.init 400_000 (fun _ -> float32 (random.Next 5000))

              for count in [ 0; 1; 1000; 70_000; 500_000 ] do
                  let best = StreamingTopK count
                  let free: byte[] = Array.zeroCreate 2500

                  for first in 0..20_000..399_999 do
                      Expect.isTrue (best.Offer(scores, first, 20_000, free, false, int64 first)) "finite"

                  let wanted =
                      Array.init scores.Length id
                      |> Array.sortBy (fun i -> -scores[i], i)
                      |> Array.truncate count
                      |> Array.sort
                      |> Array.map int64

                  Expect.equal (best.Cells()) wanted $"{count}")

          testCase "random growth draws every absent cell alike, a row's too" (fun () ->
              let state = drawn 5 8 10
              let present = set (cells state.Connectivity)

              let absent =
                  [| 0..39 |] |> Array.filter (fun cell -> not (Set.contains cell present))

              let times (grow: Seed -> int64[]) =
                  let all =
                      Array.init 6000 (fun i -> grow (Seed.ofInt i))
                      |> Array.concat
                      |> Array.countBy id
                      |> Map.ofArray

                  absent |> Array.map (fun cell -> defaultArg (Map.tryFind (int64 cell) all) 0)

              Statistics.isUniform
                  "layer"
                  (times (fun s -> okOf (Growth.ofLayer Grow.Random state s (ActiveMask.slots state.Connectivity) 1))))

          testCase "nearby growth follows (d + 1)^−λ over the absent cells" (fun () ->
              for placement, rows, cols in
                  [ Placement.Centred, 9, 4; Placement.Stretched, 4, 9; Placement.Centred, 5, 5 ] do
                  let state = drawn rows cols 8
                  let place = SmallWorld.placeOf placement rows cols
                  let present = set (cells state.Connectivity)

                  let absent =
                      [| 0 .. rows * cols - 1 |]
                      |> Array.filter (fun cell -> not (Set.contains cell present))

                  let weight =
                      absent
                      |> Array.map (fun cell ->
                          Math.Pow(float (abs (int64 (cell % cols) - place (cell / cols)) + 1L), -1.5))

                  let times = 20_000

                  let count =
                      Array.init times (fun i ->
                          let rule = Grow.DistanceDecay(placement, 1.5)
                          (okOf (Growth.ofLayer rule state (Seed.ofInt i) (ActiveMask.slots state.Connectivity) 1))[0])
                      |> Array.countBy int
                      |> Map.ofArray

                  let expected = weight |> Array.map (fun w -> float times * w / Array.sum weight)

                  let observed =
                      absent |> Array.map (fun cell -> defaultArg (Map.tryFind cell count) 0)

                  Statistics.fits $"{placement}" expected observed)

          law "a budget of rows keeps every fan-in" (fun state ->
              for grow in [ Grow.Gradient; Grow.Random; Grow.DistanceDecay(Placement.Stretched, 1.0) ] do
                  let policy =
                      { Policy.srigL ValueNone soon with
                          Grow = grow }

                  let r = Rewire.layerBy policy 0.5 state
                  Expect.equal (Connectivity.fanIn r.Connectivity) (Connectivity.fanIn state.Connectivity) "fan-in")

          testCase "ablation gives up a row that nothing speaks for, and shares its slots out evenly" (fun () ->
              let c = Topology.constantFanIn 10 40 8 seed
              // Row 3: weights that go first, and no gradient.
              let weight =
                  Connectivity.rowIndices c
                  |> Array.map (fun row -> if row = 3 then 0.01f else 1.0f)

              let gradient =
                  Array.init 400 (fun cell -> if cell / 40 = 3 then 0.0f else float32 (cell % 7 + 1))

              let state =
                  { Rewire.state c weight 10L seed with
                      Gradient = RewireGenerators.scoresOf 40 gradient }

              let r = Rewire.layerBy (Policy.srigL (ValueSome 0.3) soon) 0.1 state // as many as row 3 has
              let fanIn = Connectivity.fanIn r.Connectivity
              Expect.equal fanIn[3] 0 "given up"
              let others = fanIn |> Array.filter (fun n -> n > 0)
              Expect.equal (others.Length, Array.sum others) (9, 80) "the others"
              Expect.isLessThanOrEqual (Array.max others - Array.min others) 1 "even")

          testCase "a budget across layers keeps the total, and gives to the layer with the larger weights" (fun () ->
              for budget in [ Budget.RedistributedByMagnitude; Budget.RedistributedByMomentum ] do
                  let small, large = drawn 20 30 200, drawn 25 30 200

                  let scale (by: float32) (s: LayerState) =
                      let scores = allScores s |> Array.map ((*) by)

                      { s with
                          Weight = Array.map ((*) by) s.Weight
                          Momentum = RewireGenerators.scoresOf s.Connectivity.Cols scores }

                  let policy =
                      { Policy.snfs soon with
                          Budget = budget }

                  let r = Rewire.layersBy policy 0.5 [| scale 0.1f small; scale 1.0f large |]
                  Expect.equal (r |> Array.sumBy _.Connectivity.Nnz) 400 "total"
                  Expect.isGreaterThan r[1].Connectivity.Nnz 250 "the larger"
                  let nearlyFull = drawn 5 30 149
                  let r = Rewire.layersBy policy 0.5 [| scale 1.0f nearlyFull; scale 0.01f small |]
                  Expect.equal (r |> Array.sumBy _.Connectivity.Nnz) 349 "total beside a layer that fills up")

          testCase "gradual pruning follows the cubic schedule to the slot" (fun () ->
              let policy = Policy.gradual 0.5 0.95 (Schedule.constant 0.0 10L 100L)
              let mutable state = drawn 20 30 300

              for step in 10L..10L..100L do
                  let r = Array.exactlyOne (Rewire.step policy [| { state with Step = step } |])

                  let wanted =
                      Sparsity.nnz 20 30 (Schedule.cubicSparsity 0.5 0.95 step policy.Schedule)

                  Expect.equal r.Connectivity.Nnz wanted $"step {step}"

                  state <-
                      { state with
                          Connectivity = r.Connectivity
                          Weight = Remap.apply 0.0f r.Remap state.Weight
                          Explored = r.Explored }

              Expect.equal state.Connectivity.Nnz 30 "5 % are left")

          testCase "turning the rows round turns what RigL does round" (fun () ->
              let rows, cols = 12, 15
              let state = drawn rows cols 60
              let turned (row: int) = (row + 5) % rows
              let scores = allScores state

              let slots =
                  Array.zip (cells state.Connectivity) state.Weight
                  |> Array.map (fun (cell, w) -> turned (cell / cols) * cols + cell % cols, w)
                  |> Array.sort

              let c =
                  Connectivity.ofPairs
                      rows
                      cols
                      (slots |> Array.map (fun (k, _) -> k / cols))
                      (slots |> Array.map (fun (k, _) -> k % cols))

              let turnedScores =
                  Array.init scores.Length (fun k -> scores[((k / cols) + rows - 5) % rows * cols + k % cols])

              let other =
                  { Rewire.state c (Array.map snd slots) 10L seed with
                      Gradient = RewireGenerators.scoresOf cols turnedScores }

              let result (s: LayerState) =
                  (Rewire.layerBy (Policy.rigL soon) 0.4 s).Connectivity

              let wanted =
                  cells (result state)
                  |> Array.map (fun k -> turned (k / cols) * cols + k % cols)
                  |> Array.sort

              Expect.equal (cells (result other)) wanted "commutes")

          for name, policy in
              [ "RigL", Policy.rigL soon
                "SET", Policy.set soon
                "SRigL", Policy.srigL (ValueSome 0.3) soon
                "moments from the gradient",
                { Policy.rigL soon with
                    Moments = Moments.Seeded } ] do
              law $"{name}: equal calls give equal results, refusals too" (fun state ->
                  let spoiled =
                      { state with
                          Weight = Array.mapi (fun slot w -> if slot = 0 then nanf else w) state.Weight }

                  for state in [ state; spoiled ] do
                      let first = Rewire.layerBy policy 0.4 state
                      let again = Rewire.layerBy policy 0.4 state
                      Expect.equal again.Outcome first.Outcome "outcomes"
                      Expect.equal again first "all of the results")

          testCase "what a rule throws passes through an update as it is, with its stack" (fun () ->
              let policy =
                  { Policy.set soon with
                      Grow = Grow.Score(GrowthInputs.Nothing, (fun _ -> Faulty())) }

              try
                  Rewire.layerBy policy 0.5 (drawn 6 7 20) |> ignore
                  failtest "expected an exception"
              with :? IndexOutOfRangeException as e ->
                  Expect.stringContains (present "a stack" e.StackTrace) "Faulty.Rows" "where it was thrown")

          testCase "scores from outside the library are read like those of a function" (fun () ->
              let state = drawn 40 50 300
              let wanted = Rewire.layerBy (Policy.rigL soon) 0.4 state

              for source in [ OneRowEach state.Gradient :> CellScores; SideBySide(state.Gradient, 40) ] do
                  let found = Rewire.layerBy (Policy.rigL soon) 0.4 { state with Gradient = source }
                  Expect.equal found wanted $"{source.GetType().Name}"

              let halved =
                  Rewire.layerBy
                      (Policy.rigL soon)
                      0.4
                      { state with
                          Gradient = Times(0.5f, state.Gradient) }

              Expect.equal halved wanted "a decorator that keeps the order")

          testCase "scores that leave a row out or give one twice are refused" (fun () ->
              for rows in [ [ 0; 1 ]; [ 0; 1; 2; 2 ]; [ 3 ] ] do
                  let state =
                      { drawn 3 3 4 with
                          Gradient = GivenRows rows }

                  try
                      Rewire.layerBy (Policy.rigL soon) 0.5 state |> ignore
                      failtest $"expected a refusal of {rows}"
                  with :? ArgumentException as e ->
                      Expect.equal e.ParamName "gradient" "argument"
                      Expect.stringContains e.Message "expected" "message")

          testCase "a number that is not finite refuses the update, and nothing changes" (fun () ->
              let state = drawn 6 7 20

              for bad in [ nanf; infinityf; -infinityf ] do
                  let spoiled = Array.copy state.Weight
                  spoiled[11] <- bad
                  let gradient = allScores state
                  gradient[17] <- bad

                  for s in
                      [ { state with Weight = spoiled }
                        { state with
                            Gradient = RewireGenerators.scoresOf 7 gradient } ] do
                      let r = Rewire.layerBy (Policy.rigL soon) 0.3 s
                      Expect.stringContains (reasonOf r.Outcome) "expected finite numbers" "why"
                      Expect.isTrue (r.Remap.IsIdentity && r.Connectivity = state.Connectivity) "unchanged")

          law "a remap between patterns carries the values of common cells" (fun state ->
              let c = state.Connectivity
              let other = Topology.uniform c.Rows c.Cols (c.Nnz / 2) (Seed.ofInt 8)
              let remap = Remap.between c other
              let values = cells c
              let carried = Remap.apply -1 remap values
              let known = set values

              Expect.equal
                  carried
                  (cells other
                   |> Array.map (fun cell -> if Set.contains cell known then cell else -1))
                  "carried"

              Expect.isTrue (Remap.between c c).IsIdentity "identity")

          testCase "explored cells are counted alike in bits and in unions" (fun () ->
              for rows, cols, nnz in [ 20, 30, 50; 3000, 3000, 500 ] do
                  let patterns = [ for i in 1..4 -> Topology.uniform rows cols nnz (Seed.ofInt i) ]

                  let explored =
                      patterns.Tail
                      |> List.fold (fun (e: ExploredCells) c -> e.With(cells64 c)) (ExploredCells.Of patterns.Head)

                  let wanted = patterns |> List.map (cells >> Set.ofArray) |> Set.unionMany
                  Expect.equal explored.Count (int64 wanted.Count) $"{rows}")

          testCase "equal sets of explored cells are equal, however they came about" (fun () ->
              let full = Connectivity.full 100 100
              let few = Topology.uniform 100 100 5 seed
              Expect.equal ((ExploredCells.Of few).With(cells64 full)) (ExploredCells.Of full) "begun small")

          testCase "a schedule that ends where it starts has made no progress before" (fun () ->
              Expect.equal (Schedule.progress 3L (Schedule.from 9L (Schedule.constant 0.1 1L 9L))) 0.0 "before"
              Expect.equal (Schedule.progress 9L (Schedule.from 9L (Schedule.constant 0.1 1L 9L))) 1.0 "at the end")

          testCase "a rule's own infinities refuse the update, minus infinity too" (fun () ->
              for bad in [ nanf; infinityf; -infinityf ] do
                  let scores = Array.init 42 (fun cell -> if cell = 5 then bad else 1.0f)

                  let rule =
                      Grow.Score(GrowthInputs.Nothing, (fun _ -> RewireGenerators.scoresOf 7 scores))

                  let r = Rewire.layerBy { Policy.set soon with Grow = rule } 0.5 (drawn 6 7 20)
                  Expect.stringContains (reasonOf r.Outcome) "expected finite numbers" $"{bad}")

          testCase "where a row has to keep slots of equal weight, it keeps the lower ones" (fun () ->
              // Enough equal ones that an unstable sort would mix them up.
              let c = Connectivity.ofPairs 1 200 (Array.zeroCreate 100) [| 0..99 |]
              let state = Rewire.state c (Array.create 100 1.0f) 10L seed
              let marked = Array.create 100 true
              DropSlots.limitRows (fun _ -> 30) state marked
              Expect.equal marked (Array.init 100 (fun slot -> slot >= 70)) "the last thirty go")

          testCase "RigL's cost by hand" (fun () ->
              Expect.equal (Flops.forward 10L) 20.0 "forward"
              Expect.equal (Flops.rigL 2.0 20.0 1L) ((6.0 + 4.0 + 20.0) / 2.0) "every step"
              Expect.isLessThan (Flops.rigL 2.0 20.0 1000L - Flops.training 2.0) 0.1 "seldom")

          refuses "an α above 1" "fraction" "[0, 1], got 1.5" (fun () -> Schedule.cosine 1.5 10L 100L)
          refuses "a ΔT of 0" "every" "got 0" (fun () -> Schedule.cosine 0.3 0L 100L)
          refuses "an end before the start" "end" "at 50 or later, got 40" (fun () ->
              Schedule.from 50L (Schedule.cosine 0.3 1L 40L))
          refuses "a γ above 1" "salient" "got 2" (fun () -> Policy.check (Policy.srigL (ValueSome 2.0) soon))
          refuses "a sparsity that falls" "final" "0.9 or more, got 0.5" (fun () ->
              Policy.check (Policy.gradual 0.9 0.5 soon))
          refuses "a part above 1" "fraction" "[0, 1], got 1.1" (fun () ->
              Rewire.layerBy (Policy.rigL soon) 1.1 (drawn 3 3 4))
          refuses "weights of another number" "Weight" "expected 4 weights, got 3" (fun () ->
              Rewire.layerBy
                  (Policy.rigL soon)
                  0.1
                  { drawn 3 3 4 with
                      Weight = [| 1.0f; 2.0f; 3.0f |] })
          refuses
              "explored cells of another shape"
              "Explored"
              "expected cells of Connectivity(rows=3, cols=4"
              (fun () ->
                  let other = ExploredCells.Of(Connectivity.full 2 6)
                  Rewire.layerBy (Policy.set soon) 0.1 { drawn 3 4 6 with Explored = other })
          refuses "scores of another number" "gradient" "expected 9 scores for 3 rows, got 2" (fun () ->
              let state =
                  { drawn 3 3 4 with
                      Gradient = RowScores(fun _ _ -> [| 1.0f; 2.0f |]) }

              Rewire.layerBy (Policy.rigL soon) 0.5 state)
          refuses "drop scores of another number" "drop" "each of the 4 slots, got 1" (fun () ->
              let policy =
                  { Policy.set soon with
                      Drop = Drop.Score(fun _ -> [| 1.0f |]) }

              Rewire.layerBy policy 0.5 (drawn 3 3 4))
          refuses "a shared budget for one layer" "policy" "use Rewire.layersBy" (fun () ->
              Rewire.layerBy (Policy.snfs soon) 0.5 (drawn 3 3 4)) ]
