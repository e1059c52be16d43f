/// Updates of patterns whose rows come in groups, against a plain definition of them.
module SparseFs.Tests.RowGroupRewireTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Testing

/// Whole numbers, whose sums and squares are exact, so that ties are ties.
type private Layer =
    { Size: int
      Pattern: Connectivity
      Weight: float32[]
      Gradient: float32[]
      Seed: int }

    member l.State =
        let cols = l.Pattern.Cols

        let scores =
            RowScores(fun first count -> Array.sub l.Gradient (first * cols) (count * cols))

        { Rewire.state l.Pattern l.Weight 100L (Seed.ofInt l.Seed) with
            Gradient = scores
            Momentum = scores }

let private layers: Gen<Layer> =
    gen {
        let! size = Gen.elements [ 2; 3; 4; 5; 8 ]
        let! rows = Gen.choose (0, 20)
        let! cols = Gen.choose (0, 12)
        let! percent = Gen.elements [ 0; 10; 30; 50; 100 ]
        let! seed = Gen.choose (0, 1_000_000)

        let pattern =
            Topology.rowGroups size rows cols (rows * cols * percent / 100) (Seed.ofInt seed)

        let! weight = Gen.arrayOfLength pattern.Nnz (Gen.choose (-6, 6) |> Gen.map float32)

        let! gradient =
            Gen.arrayOfLength (rows * cols) (Gen.choose (-6, 6) |> Gen.map float32)

        return
            { Size = size
              Pattern = pattern
              Weight = weight
              Gradient = gradient
              Seed = seed }
    }

let private policies: Gen<Policy> =
    gen {
        let! drop =
            Gen.elements
                [ Drop.Magnitude
                  Drop.NearestZero
                  Drop.Random
                  Drop.Score(fun state -> state.Weight |> Array.map (fun w -> w * w)) ]

        let! grow =
            Gen.elements
                [ Grow.Gradient
                  Grow.Momentum
                  Grow.Random
                  Grow.Score(GrowthInputs.Gradient, (fun state -> CellScores.abs state.Gradient)) ]

        let! regrow = Gen.elements [ Regrow.Never; Regrow.Reinitialize; Regrow.Restore ]
        let! budget = Gen.elements [ Budget.Layer; Budget.Row; Budget.RowWithAblation 0.3 ]
        let! norm = Gen.elements [ RowGroupNorm.L1; RowGroupNorm.L2 ]

        return
            { Policy.staticSparse with
                Schedule = Schedule.cosine 0.3 10L 1000L
                Drop = drop
                Grow = grow
                Regrow = regrow
                Budget = budget
                GroupNorm = norm }
    }

let private fractions = Gen.elements [ 0.0; 0.1; 0.3; 0.5; 1.0 ]

let private law name (gen: Gen<'a>) (body: 'a -> unit) =
    testPropertyWithConfig
        { FsCheckConfig.defaultConfig with
            maxTest = 300 }
        name
        (Prop.forAll (Arb.fromGen gen) body)

let private columns (c: Connectivity) (row: int) =
    c.ColIdx.Slice(c.RowPtr[row], c.RowPtr[row + 1] - c.RowPtr[row]).ToArray()

let private hasGroups (size: int) (c: Connectivity) =
    Seq.forall (fun row -> columns c row = columns c (row / size * size)) (seq { 0 .. c.Rows - 1 })

/// Slots of the whole groups, and of a last group of fewer rows.
let private parts (size: int) (c: Connectivity) =
    let whole = c.RowPtr[c.Rows / size * size]
    whole, c.Nnz - whole

let private done' (r: Rewired) =
    match r.Outcome with
    | RewireOutcome.Done counts -> counts
    | RewireOutcome.Refused reason -> failtest $"refused: {reason}"

let private cells (c: Connectivity) =
    Array.map2 (fun row col -> row, col) (Connectivity.rowIndices c) (c.ColIdx.ToArray())

/// Half to even, by the definition.
let private rounded (fraction: float) (count: int) =
    int (Math.Round(decimal fraction * decimal count, MidpointRounding.ToEven))

/// The cells after an update by the largest norms: each part of the groups by itself, sorted whole.
let private wanted (policy: Policy) (fraction: float) (l: Layer) : Set<int * int> =
    let c = l.Pattern

    let worth (values: seq<float32>) =
        match policy.GroupNorm with
        | RowGroupNorm.L1 -> values |> Seq.sumBy abs
        | _ -> values |> Seq.sumBy (fun v -> v * v)

    let slotOf = dict [ for i, cell in Array.indexed (cells c) -> cell, i ]
    let whole = c.Rows / l.Size * l.Size

    let ofPart (groups: int list list) =
        let all =
            [ for rows in groups do
                  for col in 0 .. c.Cols - 1 -> rows, col ]

        let isSlot (rows: int list, col: int) =
            slotOf.ContainsKey((List.head rows, col))

        let slots, absent = List.partition isSlot all

        let count =
            let free =
                if policy.Regrow = Regrow.Never then
                    absent.Length
                else
                    slots.Length

            min (rounded fraction slots.Length) (min free slots.Length)

        let weight (rows: int list, col: int) =
            worth [ for row in rows -> l.Weight[slotOf[(row, col)]] ]

        let gradient (rows: int list, col: int) =
            worth [ for row in rows -> l.Gradient[row * c.Cols + col] ]

        let kept =
            slots |> List.sortByDescending weight |> List.truncate (slots.Length - count)

        let candidates =
            if policy.Regrow = Regrow.Never then
                absent
            else
                List.except kept all

        let grown = candidates |> List.sortByDescending gradient |> List.truncate count

        [ for rows, col in kept @ grown do
              for row in rows -> row, col ]

    set
        [ yield! ofPart [ for first in 0 .. l.Size .. whole - 1 -> [ first .. first + l.Size - 1 ] ]
          if whole < c.Rows then
              yield! ofPart [ [ whole .. c.Rows - 1 ] ] ]

[<Tests>]
let tests =
    testList
        "Rewiring row groups"
        [ law
              "groups stay groups, whole ones and the last one keep their slots, and kept slots their values"
              (Gen.zip3 layers policies fractions)
              (fun (l, policy, fraction) ->
                  let policy = { policy with RowGroup = l.Size }
                  let r = Rewire.layerBy policy fraction l.State
                  let counts = done' r
                  Expect.isTrue (hasGroups l.Size r.Connectivity) "groups"
                  Expect.equal (parts l.Size r.Connectivity) (parts l.Size l.Pattern) "slots of both"
                  Expect.equal counts.Nnz l.Pattern.Nnz "nnz"
                  let before, after = cells l.Pattern, cells r.Connectivity

                  for slot in 0 .. after.Length - 1 do
                      let from = r.Remap.From[slot]

                      if from >= 0 then
                          Expect.equal before[from] after[slot] "the slot that it continues")

          law
              "those of the smallest norm go, those of the largest gradient come"
              (Gen.zip3 layers policies fractions)
              (fun (l, policy, fraction) ->
                  let policy =
                      { policy with
                          RowGroup = l.Size
                          Drop = Drop.Magnitude
                          Grow = Grow.Gradient
                          Budget = Budget.Layer }

                  let r = Rewire.layerBy policy fraction l.State
                  done' r |> ignore
                  Expect.equal (set (cells r.Connectivity)) (wanted policy fraction l) "cells")

          law
              "layers that share a budget keep their slots together, and their groups"
              (Gen.zip3 (Gen.nonEmptyListOf layers) policies fractions)
              (fun (layers, policy, fraction) ->
                  let size = (List.head layers).Size
                  let layers = layers |> List.filter (fun l -> l.Size = size) |> List.truncate 4

                  for budget in [ Budget.RedistributedByMagnitude; Budget.RedistributedByMomentum ] do
                      let policy =
                          { policy with
                              RowGroup = size
                              Budget = budget }

                      let rewired = Rewire.layersBy policy fraction [| for l in layers -> l.State |]

                      let total (patterns: seq<Connectivity>) =
                          patterns |> Seq.sumBy (fun c -> fst (parts size c))

                      Expect.equal
                          (total [ for r in rewired -> r.Connectivity ])
                          (total [ for l in layers -> l.Pattern ])
                          "whole groups"

                      for l, r in Seq.zip layers rewired do
                          done' r |> ignore
                          Expect.isTrue (hasGroups size r.Connectivity) "groups"

                          Expect.equal
                              (snd (parts size r.Connectivity))
                              (snd (parts size l.Pattern))
                              "the last group's slots")

          law "numbers whose squares no float32 holds rank as others do" (Gen.zip layers policies) (fun (l, policy) ->
              let policy =
                  { policy with
                      RowGroup = l.Size
                      Drop = Drop.Magnitude
                      Grow = Grow.Gradient
                      Budget = Budget.Layer }

              let wanted = (Rewire.layerBy policy 0.5 l.State).Connectivity

              for power in [ -100; 100 ] do
                  // A power of two changes no bit but the exponent's.
                  let scaled = Array.map (fun (x: float32) -> MathF.ScaleB(x, power))

                  let there =
                      { l with
                          Weight = scaled l.Weight
                          Gradient = scaled l.Gradient }

                  let r = Rewire.layerBy policy 0.5 there.State
                  done' r |> ignore
                  Expect.equal r.Connectivity wanted $"times two to the {power}")

          law
              "the parts that compute scores side by side change nothing"
              (Gen.zip3 layers policies (Gen.zip (Gen.choose (1, 5)) (Gen.choose (1, 7))))
              (fun (l, policy, (parts, together)) ->
                  let rows, cols = l.Pattern.Rows, l.Pattern.Cols
                  let stride = cols + 3

                  let inParts =
                      BlockScores(
                          (fun first count -> Array.sub l.Gradient (first * cols) (count * cols)),
                          parts,
                          fun body ->
                              for part in 0 .. parts - 1 do
                                  let from, until = rows * part / parts, rows * (part + 1) / parts

                                  for first in from..together .. until - 1 do
                                      let count = min together (until - first)
                                      let block = Array.create (count * stride) nanf // beyond the columns

                                      for row in 0 .. count - 1 do
                                          Array.blit l.Gradient ((first + row) * cols) block (row * stride) cols

                                      body.Invoke(part, first, count, block, stride)
                      )

                  let policy = { policy with RowGroup = l.Size }

                  let there =
                      { l.State with
                          Gradient = inParts
                          Momentum = inParts }

                  Expect.equal
                      (Rewire.layerBy policy 0.5 there).Connectivity
                      (Rewire.layerBy policy 0.5 l.State).Connectivity
                      $"{parts} parts, {together} rows together")

          testCase "a gradient that is no number refuses the update, and says how its row is counted" (fun () ->
              let refusal (row: int) (rows: int) =
                  let c = Topology.rowGroups 4 rows 6 24 (Seed.ofInt 1)
                  let gradient = Array.create (rows * 6) 1.0f
                  gradient[row * 6 + 2] <- nanf

                  let l =
                      { Size = 4
                        Pattern = c
                        Weight = Array.create c.Nnz 1.0f
                        Gradient = gradient
                        Seed = 1 }

                  let policy =
                      Policy.rigL (Schedule.constant 0.3 10L 1000L)
                      |> Policy.inRowGroups 4 RowGroupNorm.L2

                  let r = Rewire.layerBy policy 0.5 l.State
                  Expect.equal r.Connectivity c "unchanged"

                  match r.Outcome with
                  | RewireOutcome.Refused reason -> reason
                  | RewireOutcome.Done _ -> failtest "done"

              Expect.equal
                  (refusal 5 8)
                  "expected finite numbers, got gradient NaN at (1, 2), rows counted in groups of 4"
                  "whole groups"

              Expect.equal
                  (refusal 9 10)
                  "expected finite numbers, got gradient NaN at (0, 2) of the last group"
                  "the last group")

          for size, name, policy in
              [ 4, "RigL", Policy.rigL (Schedule.constant 0.3 10L 1000L)
                2, "SET", Policy.set (Schedule.constant 0.3 10L 1000L)
                5, "SRigL", Policy.srigL (ValueSome 0.3) (Schedule.constant 0.3 10L 1000L)
                16, "gradual pruning", Policy.gradual 0.2 0.9 (Schedule.constant 0.0 10L 1000L) ] do
              testPropertyWithConfig
                  { FsCheckConfig.defaultConfig with
                      maxTest = 60 }
                  $"the laws of rewiring hold for {name} in groups of {size}"
                  (Laws.rewire (Policy.inRowGroups size RowGroupNorm.L1 policy))

          testCase "a score of one's own is asked for once an update" (fun () ->
              let counted = [| 0; 0 |]

              let policy =
                  { Policy.staticSparse with
                      RowGroup = 4
                      Drop =
                          Drop.Score(fun state ->
                              counted[0] <- counted[0] + 1
                              state.Weight)
                      Grow =
                          Grow.Score(
                              GrowthInputs.Gradient,
                              fun state ->
                                  counted[1] <- counted[1] + 1
                                  state.Gradient
                          ) }

              let c = Topology.rowGroups 4 10 6 24 (Seed.ofInt 1)

              let l =
                  { Size = 4
                    Pattern = c
                    Weight = Array.init c.Nnz float32
                    Gradient = Array.init 60 float32
                    Seed = 1 }

              Rewire.layerBy policy 0.5 l.State |> done' |> ignore
              Expect.equal counted [| 1; 1 |] "calls of drop and grow")

          law "gradual pruning counts the cells of groups" layers (fun l ->
              let schedule = Schedule.constant 0.0 10L 100L

              let policy =
                  { Policy.gradual 0.0 0.75 schedule with
                      RowGroup = l.Size }

              let r = Rewire.layerBy policy 0.0 l.State // at the schedule's last step
              done' r |> ignore
              Expect.isTrue (hasGroups l.Size r.Connectivity) "groups"
              let wholeCells = l.Pattern.Rows / l.Size * l.Pattern.Cols
              let most = l.Size * Sparsity.nnz (l.Pattern.Rows / l.Size) l.Pattern.Cols 0.75

              Expect.equal
                  (fst (parts l.Size r.Connectivity))
                  (min most (fst (parts l.Size l.Pattern)))
                  $"of {wholeCells} cells")

          law "groups of a multiple of the size may be rewired by it" layers (fun l ->
              let c = Topology.rowGroups 8 16 10 60 (Seed.ofInt l.Seed)

              let state =
                  Rewire.state c (Array.init c.Nnz (fun i -> float32 (i % 7))) 100L (Seed.ofInt l.Seed)

              let policy =
                  Policy.set (Schedule.constant 0.3 10L 1000L)
                  |> Policy.inRowGroups 4 RowGroupNorm.L1

              let r = Rewire.layerBy policy 0.3 state
              done' r |> ignore
              Expect.isTrue (hasGroups 4 r.Connectivity) "groups of 4")

          testCase "the same for one row is the update without groups" (fun () ->
              let c = Topology.uniform 20 30 150 (Seed.ofInt 1)

              let state =
                  Rewire.state c (Array.init 150 (fun i -> float32 (i * 37 % 101) - 50.0f)) 100L (Seed.ofInt 2)

              let policy = Policy.set (Schedule.constant 0.3 10L 1000L)

              Expect.equal
                  (Rewire.layerBy (Policy.inRowGroups 1 RowGroupNorm.L2 policy) 0.3 state).Connectivity
                  (Rewire.layerBy policy 0.3 state).Connectivity
                  "pattern")

          testCase "what has no groups, and growth by distance, are refused" (fun () ->
              let refusal (run: unit -> unit) =
                  (Expect.throwsC run (fun e -> e)).Message

              let policy =
                  Policy.set (Schedule.constant 0.3 10L 1000L)
                  |> Policy.inRowGroups 4 RowGroupNorm.L2

              let c = Topology.uniform 20 30 150 (Seed.ofInt 1)

              Expect.equal
                  (refusal (fun () ->
                      Rewire.layerBy policy 0.3 (Rewire.state c (Array.zeroCreate 150) 1L (Seed.ofInt 1))
                      |> ignore))
                  ($"expected a pattern whose rows share their columns in groups of 4, got {c} in groups of 1: draw it with "
                   + "Topology.rowGroups 4 (C#: Topologies.RowGroups), or leave the policy's RowGroup at 1 (Parameter 'policy')")
                  "a pattern"

              let near =
                  { policy with
                      Grow = Grow.DistanceDecay(Placement.Centred, 2.0) }

              Expect.equal
                  (refusal (fun () -> Policy.check near |> ignore))
                  ("expected Gradient, Momentum, Random or a score for groups of 4 rows, which have no one distance, got "
                   + "DistanceDecay (Parameter 'grow')")
                  "distance"

              Expect.equal
                  (refusal (fun () -> Policy.inRowGroups 0 RowGroupNorm.L1 policy |> ignore))
                  "expected 1 row or more, got 0 (Parameter 'size')"
                  "size") ]
