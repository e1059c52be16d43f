/// Updates of convolutions' patterns by whole kernels and within groups of channels, against a plain definition of them.
module SparseFs.Tests.KernelRewireTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Testing

/// Whole numbers, whose sums and squares are exact, so that ties are ties.
type private Layer =
    {
        /// Rows of a row group.
        Size: int
        ChannelGroups: int
        Cells: int
        Pattern: Connectivity
        Weight: float32[]
        Gradient: float32[]
        Seed: int
    }

    member l.State =
        let scores = RewireGenerators.scoresOf l.Pattern.Cols l.Gradient

        { Rewire.state l.Pattern l.Weight 100L (Seed.ofInt l.Seed) with
            Gradient = scores
            Momentum = scores
            ChannelGroups = l.ChannelGroups
            KernelCells = l.Cells }

let private layerOf (size: int) (channelGroups: int) (outputs: int) (cells: int) : Gen<Layer> =
    gen {
        let! inputs = Gen.choose (0, 6)
        let! percent = Gen.elements [ 0; 10; 30; 50; 100 ]
        let! seed = Gen.choose (0, 1_000_000)
        let rows, cols = channelGroups * outputs, inputs * cells

        let pattern =
            Topology.inKernels cells (Topology.rowGroups size) rows cols (rows * cols * percent / 100) (Seed.ofInt seed)

        let! weight = Gen.arrayOfLength pattern.Nnz (Gen.choose (-6, 6) |> Gen.map float32)

        let! gradient =
            Gen.arrayOfLength (rows * cols) (Gen.choose (-6, 6) |> Gen.map float32)

        return
            { Size = size
              ChannelGroups = channelGroups
              Cells = cells
              Pattern = pattern
              Weight = weight
              Gradient = gradient
              Seed = seed }
    }

let private layers: Gen<Layer> =
    gen {
        let! size = Gen.elements [ 1; 2; 4 ]
        let! cells = Gen.elements [ 1; 2; 3; 9 ]
        let! isGrouped = Gen.elements [ false; true ]
        let! blocks = Gen.choose (1, 3)
        let! outputs = Gen.choose (0, 9)

        if isGrouped then
            return! layerOf size 3 (size * blocks) cells
        else
            return! layerOf size 1 outputs cells
    }

let private policies: Gen<Policy> =
    gen {
        let! drop = Gen.elements [ Drop.Magnitude; Drop.NearestZero; Drop.Random ]
        let! grow = Gen.elements [ Grow.Gradient; Grow.Momentum; Grow.Random ]
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
                WholeKernels = true
                GroupNorm = norm }
    }

let private fractions = Gen.elements [ 0.0; 0.1; 0.3; 0.5; 1.0 ]

let private law name (gen: Gen<'a>) (body: 'a -> unit) =
    testPropertyWithConfig
        { FsCheckConfig.defaultConfig with
            maxTest = 300 }
        name
        (Prop.forAll (Arb.fromGen gen) body)

let private done' (r: Rewired) =
    match r.Outcome with
    | RewireOutcome.Done counts -> counts
    | RewireOutcome.Refused reason -> failtest $"refused: {reason}"

let private cells (c: Connectivity) =
    Array.map2 (fun row col -> row, col) (Connectivity.rowIndices c) (c.ColIdx.ToArray())

/// Row groups and kernels as blocks of cells, all of which are slots, or none.
let private blocks (l: Layer) : (int * int) list list =
    [ for first in 0 .. l.Size .. l.Pattern.Rows - 1 do
          for kernel in 0 .. l.Pattern.Cols / l.Cells - 1 ->
              [ for row in first .. min (first + l.Size) l.Pattern.Rows - 1 do
                    for cell in 0 .. l.Cells - 1 -> row, kernel * l.Cells + cell ] ]

let private areWhole (l: Layer) (c: Connectivity) =
    let found = set (cells c)

    blocks l
    |> List.forall (fun block -> List.forall found.Contains block || not (List.exists found.Contains block))

/// Half to even, by the definition.
let private rounded (fraction: float) (count: int) =
    int (Math.Round(decimal fraction * decimal count, MidpointRounding.ToEven))

/// The cells after an update by the largest norms: whole groups of rows, and those of a smaller last one, each sorted whole.
let private wanted (policy: Policy) (fraction: float) (l: Layer) : Set<int * int> =
    let slotOf = dict [ for i, cell in Array.indexed (cells l.Pattern) -> cell, i ]

    let worth (values: float32 list) =
        match policy.GroupNorm with
        | RowGroupNorm.L1 -> values |> List.sumBy abs
        | _ -> values |> List.sumBy (fun v -> v * v)

    let ofPart (all: (int * int) list list) =
        let slots, absent =
            all |> List.partition (fun block -> slotOf.ContainsKey(List.head block))

        let free =
            if policy.Regrow = Regrow.Never then
                absent.Length
            else
                slots.Length

        let count = min (rounded fraction slots.Length) free

        let kept =
            slots
            |> List.sortByDescending (fun block -> worth [ for cell in block -> l.Weight[slotOf[cell]] ])
            |> List.truncate (slots.Length - count)

        let candidates =
            if policy.Regrow = Regrow.Never then
                absent
            else
                List.except kept all

        let grown =
            candidates
            |> List.sortByDescending (fun block ->
                worth [ for row, col in block -> l.Gradient[row * l.Pattern.Cols + col] ])
            |> List.truncate count

        List.concat (kept @ grown)

    let whole, last =
        blocks l |> List.partition (fun block -> block.Length = l.Size * l.Cells)

    set (ofPart whole @ ofPart last)

let private refusal (run: unit -> unit) =
    (Expect.throwsC run (fun e -> e)).Message

[<Tests>]
let tests =
    testList
        "Rewiring whole kernels"
        [ law
              "kernels stay whole, nnz stays, and kept slots their cells"
              (Gen.zip3 layers policies fractions)
              (fun (l, policy, fraction) ->
                  let policy = { policy with RowGroup = l.Size }
                  let r = Rewire.layerBy policy fraction l.State
                  let counts = done' r
                  Expect.isTrue (areWhole l r.Connectivity) "whole"
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
              "kernels of one cell in no groups are the update as ever"
              (Gen.zip3 (layerOf 1 1 8 1) policies fractions)
              (fun (l, policy, fraction) ->
                  Expect.equal
                      (Rewire.layerBy policy fraction l.State)
                      (Rewire.layerBy { policy with WholeKernels = false } fraction l.State)
                      "result")

          law
              "layers that share a budget share it with those of like kernels, and keep their slots together"
              (Gen.zip3 (Gen.nonEmptyListOf layers) policies fractions)
              (fun (layers, policy, fraction) ->
                  let layers = List.truncate 5 layers

                  for budget in [ Budget.RedistributedByMagnitude; Budget.RedistributedByMomentum ] do
                      let policy = { policy with Budget = budget }
                      let rewired = Rewire.layersBy policy fraction [| for l in layers -> l.State |]

                      for cells, own in Seq.zip layers rewired |> Seq.groupBy (fun (l, _) -> l.Cells) do
                          Expect.equal
                              (own |> Seq.sumBy (fun (_, r) -> r.Connectivity.Nnz))
                              (own |> Seq.sumBy (fun (l, _) -> l.Pattern.Nnz))
                              $"slots of kernels of {cells} cells"

                      for l, r in Seq.zip layers rewired do
                          done' r |> ignore
                          Expect.isTrue (areWhole { l with Size = 1 } r.Connectivity) "whole")

          law
              "no row group has rows of two groups of channels"
              (Gen.zip (layerOf 2 3 6 3) fractions)
              (fun (l, fraction) ->
                  // 4 and the six rows of a group of channels have 2 in common.
                  let policy =
                      Policy.rigL (Schedule.constant 0.3 10L 1000L)
                      |> Policy.inRowGroups 4 RowGroupNorm.L2
                      |> Policy.inKernels RowGroupNorm.L2

                  let r = Rewire.layerBy policy fraction l.State
                  done' r |> ignore
                  Expect.equal (set (cells r.Connectivity)) (wanted policy fraction l) "cells")

          for size, name, policy in
              [ 1, "RigL", Policy.rigL (Schedule.constant 0.3 10L 1000L)
                2, "SET", Policy.set (Schedule.constant 0.3 10L 1000L)
                1, "SRigL", Policy.srigL (ValueSome 0.3) (Schedule.constant 0.3 10L 1000L)
                4, "gradual pruning", Policy.gradual 0.2 0.9 (Schedule.constant 0.0 10L 1000L) ] do
              testPropertyWithConfig
                  { FsCheckConfig.defaultConfig with
                      maxTest = 60 }
                  $"the laws of rewiring hold for {name} of whole kernels in groups of {size}"
                  (Laws.rewire (
                      policy
                      |> Policy.inRowGroups size RowGroupNorm.L1
                      |> Policy.inKernels RowGroupNorm.L1
                  ))

          law
              "a topology of pairs of channels gives whole kernels, as many as are nearest"
              (Gen.zip (Gen.choose (0, 100)) (Gen.choose (1, 9)))
              (fun (percent, cells) ->
                  let rows, cols = 10, 7 * cells
                  let nnz = rows * cols * percent / 100
                  let c = Topology.inKernels cells Topology.uniform rows cols nnz (Seed.ofInt percent)
                  let kernels = Math.Round(decimal nnz / decimal cells, MidpointRounding.ToEven)
                  Expect.equal c.Nnz (cells * int kernels) "slots"
                  Check.QuickThrowOnFailure(Laws.hasKernels cells c))

          testCase "a gradient that is no number says how its place is counted" (fun () ->
              let c = Topology.inKernels 3 Topology.uniform 4 12 24 (Seed.ofInt 1)
              let gradient = Array.create 48 1.0f
              gradient[2 * 12 + 7] <- nanf

              let state =
                  { Rewire.state c (Array.create 24 1.0f) 100L (Seed.ofInt 1) with
                      Gradient = RewireGenerators.scoresOf 12 gradient
                      KernelCells = 3 }

              let policy =
                  Policy.rigL (Schedule.constant 0.3 10L 1000L)
                  |> Policy.inKernels RowGroupNorm.L2

              Expect.equal
                  (Rewire.layerBy policy 0.5 state).Outcome
                  (RewireOutcome.Refused "expected finite numbers, got gradient NaN at (2, 2), columns in kernels")
                  "reason")

          testCase "parts of kernels, sizes that do not divide, and growth by distance are refused" (fun () ->
              let policy =
                  Policy.set (Schedule.constant 0.3 10L 1000L) |> Policy.inKernels RowGroupNorm.L2

              let c = Topology.uniform 20 36 150 (Seed.ofInt 1)
              let state = Rewire.state c (Array.zeroCreate 150) 1L (Seed.ofInt 1)

              let refused (state: LayerState) =
                  refusal (fun () -> Rewire.layerBy policy 0.3 state |> ignore)

              Expect.equal
                  (refused { state with KernelCells = 9 })
                  ($"expected a pattern of whole kernels of 9 cells, got parts of kernels in {c}: draw it with Topology.inKernels 9 "
                   + "(C#: Topologies.InKernels), or leave the policy's WholeKernels at false (Parameter 'policy')")
                  "parts"

              Expect.equal
                  (refused { state with KernelCells = 5 })
                  "expected a divisor of the 36 columns, got kernels of 5 cells (Parameter 'KernelCells')"
                  "cells"

              Expect.equal
                  (refused { state with ChannelGroups = 3 })
                  "expected a divisor of the 20 rows, got 3 groups of channels (Parameter 'ChannelGroups')"
                  "groups of channels"

              let near =
                  { policy with
                      Grow = Grow.DistanceDecay(Placement.Centred, 2.0) }

              Expect.equal
                  (refusal (fun () -> Policy.check near |> ignore))
                  ("expected Gradient, Momentum, Random or a score for whole kernels, which have no one distance, got "
                   + "DistanceDecay (Parameter 'grow')")
                  "distance"

              Expect.equal
                  (refusal (fun () -> Topology.inKernels 0 Topology.uniform 4 12 24 (Seed.ofInt 1) |> ignore))
                  "expected 1 cell or more, got 0 (Parameter 'cells')\nActual value was 0."
                  "cells of a topology"

              Expect.equal
                  (refusal (fun () -> Topology.inKernels 5 Topology.uniform 4 12 24 (Seed.ofInt 1) |> ignore))
                  "expected a multiple of the kernels' 5 cells, got 12 columns (Parameter 'cols')\nActual value was 12."
                  "columns of a topology") ]
