/// Laws of rewiring at its edges: ties, orders of rows, and wishes for more than there is.
module SparseFs.Tests.RewireLawsTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Testing
open SparseFs.Tests.Outcomes

let private soon = Schedule.cosine 0.3 10L 1000L

let private lawOf (count: int) name (arb: Arbitrary<'a>) (body: 'a -> unit) =
    testPropertyWithConfig
        { FsCheckConfig.defaultConfig with
            maxTest = count }
        name
        (Prop.forAll arb body)

let private cells (c: Connectivity) =
    Array.map2 (fun row col -> row * c.Cols + col) (Connectivity.rowIndices c) (c.ColIdx.ToArray())

let private allOf (scores: CellScores) (c: Connectivity) = scores.Rows(0, c.Rows)

let private regrowths = [ Regrow.Never; Regrow.Reinitialize; Regrow.Restore ]

let private policy drop grow budget regrow =
    { Policy.staticSparse with
        Schedule = soon
        Drop = drop
        Grow = grow
        Budget = budget
        Regrow = regrow }

/// The cells after an update, and the old slot of each.
let private outcome policy fraction state =
    let r = Rewire.layerBy policy fraction state
    Expect.isTrue r.Outcome.IsDone "refused"
    cells r.Connectivity, r.Remap.From.ToArray()

// ---------------------------------------------------------------------------------------------------------
// Ties
// ---------------------------------------------------------------------------------------------------------

/// Scores of the rules that are functions of one's own.
type private Own =
    { OfSlots: float32[]
      OfCells: float32[] }

/// Layers with many ties, own scores with as many, and the part of the slots to rewire.
let private ties =
    gen {
        let! state = RewireGenerators.states.Generator

        let numbers n =
            Gen.arrayOfLength n (Gen.choose (-3, 3) |> Gen.map float32)

        let! ofSlots = numbers state.Weight.Length
        let! ofCells = numbers (int state.Connectivity.Cells)
        let! tenths = Gen.choose (0, 10)
        return state, { OfSlots = ofSlots; OfCells = ofCells }, float tenths / 10.0
    }
    |> Arb.fromGen

/// What tells equal numbers apart: 2^−14 a place, less for 144 cells than the quarter between unequal numbers, and exact.
let private hair (length: int) (place: int) = float32 (length - place) / 16384.0f

/// The same numbers in the same order of size, but of equal ones the lower is larger by a hair.
let private untied (numbers: float32[]) =
    numbers |> Array.mapi (fun place x -> x + hair numbers.Length place)

/// As untied, by magnitude. Zeros count as positive, as they do for SET.
let private untiedMagnitudes (numbers: float32[]) =
    numbers
    |> Array.mapi (fun place x ->
        if x < 0.0f then
            x - hair numbers.Length place
        else
            x + hair numbers.Length place)

let private withoutTies (state: LayerState, own: Own) =
    let c = state.Connectivity

    let scores of' =
        RewireGenerators.scoresOf c.Cols (untiedMagnitudes (allOf of' c))

    { state with
        Weight = untiedMagnitudes state.Weight
        Gradient = scores state.Gradient
        Momentum = scores state.Momentum },
    { OfSlots = untied own.OfSlots
      OfCells = untied own.OfCells }

let private ofTies =
    [ for drop, ofDrop in
          [ "magnitude", (fun _ _ -> Drop.Magnitude)
            "nearest zero", (fun _ _ -> Drop.NearestZero)
            "score", (fun _ own -> Drop.Score(fun _ -> own.OfSlots)) ] do
          for grow, ofGrow in
              [ "gradient", (fun _ _ -> Grow.Gradient)
                "momentum", (fun _ _ -> Grow.Momentum)
                "score",
                (fun cols own ->
                    Grow.Score(GrowthInputs.Nothing, (fun _ -> RewireGenerators.scoresOf cols own.OfCells))) ] do
              for budget in
                  [ Budget.Layer
                    Budget.Row
                    Budget.RowWithAblation 0.3
                    Budget.RowWithAblation 1.0 ] do
                  lawOf 30 $"ties go to the lower cell: {drop}, {grow}, {budget}" ties (fun (state, own, fraction) ->
                      let cols = state.Connectivity.Cols
                      let clear, ownClear = withoutTies (state, own)

                      for regrow in regrowths do
                          let rules own =
                              policy (ofDrop cols own) (ofGrow cols own) budget regrow

                          Expect.equal
                              (outcome (rules own) fraction state)
                              (outcome (rules ownClear) fraction clear)
                              $"{regrow}") ]

/// Weights and gradients by rows of a dense matrix: a weight where a slot is, NaN elsewhere.
let private byHand (weights: float32 list list) (gradient: float32 list list) =
    let rows, cols = weights.Length, weights.Head.Length
    let dense = array2D weights
    let c = Connectivity.ofMask (Array2D.map (Single.IsNaN >> not) dense)

    let weight =
        Array.map2 (fun row col -> dense[row, col]) (Connectivity.rowIndices c) (c.ColIdx.ToArray())

    Expect.equal (c.Rows, c.Cols) (rows, cols) "shape"

    { Rewire.state c weight 10L (Seed.ofInt 1) with
        Gradient = RewireGenerators.scoresOf cols (gradient |> List.concat |> Array.ofList) }

let private fanInAfter policy fraction state =
    Connectivity.fanIn (Rewire.layerBy policy fraction state).Connectivity

let private ablated =
    [ testCase "of rows that are equally salient, the lower stays" (fun () ->
          // Six slots need two rows of four columns. Row 2 is salient; rows 0 and 1 lose a slot each and gain none.
          let state =
              byHand
                  [ [ 1.0f; 0.5f; nanf; nanf ]
                    [ nanf; nanf; 0.5f; 1.0f ]
                    [ 1.0f; 1.0f; nanf; nanf ] ]
                  [ [ 0.0f; 0.0f; 0.0f; 0.0f ]
                    [ 0.0f; 0.0f; 0.0f; 0.0f ]
                    [ 0.0f; 0.0f; 1.0f; 1.0f ] ]

          let srigL = Policy.srigL (ValueSome 1.0) soon
          let r = Rewire.layerBy srigL (1.0 / 3.0) state
          Expect.equal (cells r.Connectivity) [| 0; 2; 3; 8; 9; 10 |] "rows 0 and 2, and the lower cell of row 2")

      testCase "a row with more than its share keeps the lower of equal slots" (fun () ->
          // Three slots a row. Row 1 drops its 0.5; row 0 gives up one of four equal ones.
          let state =
              byHand
                  [ [ 1.0f; 1.0f; 1.0f; 1.0f; nanf ]; [ 1.0f; 0.5f; nanf; nanf; nanf ] ]
                  (List.replicate 2 [ 1.0f; 1.0f; 1.0f; 1.0f; 1.0f ])

          let r = Rewire.layerBy (Policy.srigL (ValueSome 0.1) soon) (1.0 / 6.0) state
          Expect.equal (cells r.Connectivity) [| 0; 1; 2; 5; 7; 8 |] "cell 3 goes, and the lower absent cells come")

      testCase "what does not share out evenly goes to the lower rows" (fun () ->
          let state =
              byHand
                  [ [ 1.0f; 1.0f; nanf; nanf; nanf ]
                    [ 1.0f; 1.0f; 0.1f; nanf; nanf ]
                    [ 1.0f; 1.0f; 1.0f; nanf; nanf ] ]
                  (List.replicate 3 [ 1.0f; 1.0f; 1.0f; 1.0f; 1.0f ])

          Expect.equal (fanInAfter (Policy.srigL (ValueSome 0.1) soon) (1.0 / 8.0) state) [| 3; 3; 2 |] "fan-in")

      lawOf 200 "fan-ins of rows that stay differ by one at most, the lower row's being the larger" ties
      <| fun (state, _, fraction) ->
          let count =
              int (Math.Round(decimal fraction * decimal state.Weight.Length, MidpointRounding.ToEven))

          for salient in [ 0.0; 0.3; 1.0 ] do
              for regrow in regrowths do
                  let srigL =
                      { Policy.srigL (ValueSome salient) soon with
                          Regrow = regrow }

                  let stay = fanInAfter srigL fraction state |> Array.filter (fun n -> n > 0)

                  if count > 0 then
                      Expect.equal stay (Array.sortDescending stay) "order"
                      Expect.isLessThanOrEqual (Array.max stay - Array.min stay) 1 "even" ]

// ---------------------------------------------------------------------------------------------------------
// Orders of rows
// ---------------------------------------------------------------------------------------------------------

/// Numbers of both signs, no two of the same magnitude.
let private distinct (length: int) : Gen<float32[]> =
    gen {
        let! ranks = Gen.shuffle [| 1..length |]
        let! signs = Gen.arrayOfLength length (Gen.elements [ -1.0f; 1.0f ])
        return Array.map2 (fun rank sign -> sign * float32 rank / 16.0f) ranks signs
    }

/// Layers without ties, a new place for each row, and the part of the slots to rewire.
let private shuffled =
    gen {
        let! state = RewireGenerators.states.Generator
        let c = state.Connectivity
        let! weight = distinct c.Nnz
        let! gradient = distinct (int c.Cells)
        let! momentum = distinct (int c.Cells)
        let! places = Gen.shuffle [| 0 .. c.Rows - 1 |]
        let! tenths = Gen.choose (0, 10)

        return
            { state with
                Weight = weight
                Gradient = RewireGenerators.scoresOf c.Cols gradient
                Momentum = RewireGenerators.scoresOf c.Cols momentum },
            places,
            float tenths / 10.0
    }
    |> Arb.fromGen

/// Cells with their values, each row at its new place, in the new order of cells.
let private movedCells (cols: int) (places: int[]) (values: (int * 'v)[]) =
    values
    |> Array.map (fun (cell, value) -> places[cell / cols] * cols + cell % cols, value)
    |> Array.sortBy fst

let private moved (places: int[]) (state: LayerState) =
    let c = state.Connectivity
    let slots = movedCells c.Cols places (Array.zip (cells c) state.Weight)

    let rows, cols =
        slots
        |> Array.map (fun (cell, _) -> cell / c.Cols, cell % c.Cols)
        |> Array.unzip

    let scores of' =
        Array.indexed (allOf of' c)
        |> movedCells c.Cols places
        |> Array.map snd
        |> RewireGenerators.scoresOf c.Cols

    { Rewire.state (Connectivity.ofPairs c.Rows c.Cols rows cols) (Array.map snd slots) state.Step state.Seed with
        Gradient = scores state.Gradient
        Momentum = scores state.Momentum }

/// The cells after an update, and the weight that each slot had before or 0.
let private weighed policy fraction (state: LayerState) =
    let r = Rewire.layerBy policy fraction state
    Array.zip (cells r.Connectivity) (Remap.apply 0.0f r.Remap state.Weight)

// Not of ablated rows: what they give up is shared out in the order of rows.
let private ofOrders =
    [ for drop, ofDrop in
          [ "magnitude", Drop.Magnitude
            "nearest zero", Drop.NearestZero
            "score", Drop.Score _.Weight ] do
          for grow, ofGrow in
              [ "gradient", Grow.Gradient
                "momentum", Grow.Momentum
                "score", Grow.Score(GrowthInputs.Gradient, _.Gradient) ] do
              for budget in [ Budget.Layer; Budget.Row ] do
                  lawOf
                      40
                      $"rewiring commutes with a new order of rows: {drop}, {grow}, {budget}"
                      shuffled
                      (fun (state, places, fraction) ->
                          for regrow in regrowths do
                              let rules = policy ofDrop ofGrow budget regrow

                              Expect.equal
                                  (weighed rules fraction (moved places state))
                                  (weighed rules fraction state |> movedCells state.Connectivity.Cols places)
                                  $"{regrow}") ]

// ---------------------------------------------------------------------------------------------------------
// More than there is
// ---------------------------------------------------------------------------------------------------------

let private layer (rows: int, cols: int, nnz: int) = RewireGenerators.layer rows cols nnz

/// Without a cell, empty, full, a cell or two short of it, and as full but for one row or column.
let private brims =
    gen {
        let! rows, cols =
            Gen.oneof
                [ Gen.elements [ 0, 0; 0, 5; 5, 0; 1, 1; 1, 7; 7, 1 ]
                  Gen.zip (Gen.choose (1, 9)) (Gen.choose (1, 9)) ]

        let size = rows * cols

        let! absent =
            Gen.oneof [ Gen.elements [ 0; 1; 2; 3; cols; rows; size ]; Gen.choose (0, size) ]

        return! layer (rows, cols, max 0 (size - absent))
    }

let private everyRule =
    [ for ofDrop in [ Drop.Magnitude; Drop.NearestZero; Drop.Random; Drop.Score _.Weight ] do
          for ofGrow in
              [ Grow.Gradient
                Grow.Momentum
                Grow.Random
                Grow.DistanceDecay(Placement.Stretched, 2.0)
                Grow.Score(GrowthInputs.Gradient, _.Gradient) ] do
              for regrow in regrowths -> fun budget -> policy ofDrop ofGrow budget regrow ]

/// A pattern of the same shape, and no number was refused.
let private isSound (state: LayerState) (r: Rewired) =
    let before, after = state.Connectivity, r.Connectivity
    Expect.isTrue r.Outcome.IsDone "refused"
    Expect.equal (after.Rows, after.Cols) (before.Rows, before.Cols) "shape"

    Expect.equal
        (Connectivity.tryCreate after.Rows after.Cols (after.RowPtr.ToArray()) (after.ColIdx.ToArray()))
        (Ok after)
        "pattern"

    Expect.equal (r.Remap.Before, r.Remap.After) (before.Nnz, after.Nnz) "remap"

let private wishes =
    [ lawOf 60 "a layer asked for all of its slots moves as many as it has room for" (Arb.fromGen brims) (fun state ->
          let c = state.Connectivity

          for rules in everyRule do
              let rules = rules Budget.Layer
              let r = Rewire.layerBy rules 1.0 state
              isSound state r
              Expect.equal r.Connectivity.Nnz c.Nnz "nnz"

              if rules.Regrow = Regrow.Never then
                  Expect.equal (int64 (countsOf r.Outcome).Grown) (min (int64 c.Nnz) (c.Cells - int64 c.Nnz)) "grown")

      lawOf
          60
          "rows asked for all of their slots keep their fan-in and move what they have room for"
          (Arb.fromGen brims)
      <| fun state ->
          let c = state.Connectivity
          let fanIn = Connectivity.fanIn c

          for rules in everyRule do
              let rules = rules Budget.Row
              let r = Rewire.layerBy rules 1.0 state
              isSound state r
              Expect.equal (Connectivity.fanIn r.Connectivity) fanIn "fan-in"
              let gone = Connectivity.fanIn (Connectivity.difference c r.Connectivity)
              Expect.all (Array.zip fanIn gone) (fun (n, gone) -> gone <= min n (c.Cols - n)) "room"

      lawOf 60 "ablated rows asked for all of their slots keep the layer's number" (Arb.fromGen brims) (fun state ->
          let c = state.Connectivity

          for rules in everyRule do
              for salient in [ 0.0; 0.3; 1.0 ] do
                  let r = Rewire.layerBy (rules (Budget.RowWithAblation salient)) 1.0 state
                  isSound state r
                  Expect.equal r.Connectivity.Nnz c.Nnz "nnz")

      lawOf
          60
          "layers that share a budget keep their total, whatever each has room for"
          (Arb.zip (Arb.fromGen (Gen.listOf brims), Arb.fromGen (Gen.choose (0, 10))))
      <| fun (states, tenths) ->
          let states = Array.ofList states
          let total (layers: seq<Connectivity>) = layers |> Seq.sumBy _.Nnz

          for budget in [ Budget.RedistributedByMagnitude; Budget.RedistributedByMomentum ] do
              for rules in everyRule do
                  let rewired = Rewire.layersBy (rules budget) (float tenths / 10.0) states
                  Array.iter2 isSound states rewired

                  Expect.equal
                      (total (rewired |> Seq.map _.Connectivity))
                      (total (states |> Seq.map _.Connectivity))
                      "total"

      testCase "the drawn layers reach every edge" (fun () ->
          let drawn = Statistics.sample 300 brims |> Array.map _.Connectivity
          let reaches what holds = Expect.exists drawn holds what
          reaches "no cell" (fun c -> c.Cells = 0L)
          reaches "empty" (fun c -> c.Cells > 1L && c.Nnz = 0)
          reaches "full" (fun c -> c.Cells > 1L && int64 c.Nnz = c.Cells)
          reaches "one short" (fun c -> c.Cells > 9L && int64 c.Nnz = c.Cells - 1L)
          reaches "a single row" (fun c -> c.Rows = 1 && c.Cols > 1 && c.Nnz > 0)) ]

[<Tests>]
let tests =
    testList
        "Rewire laws"
        [ testList "ties" (ofTies @ ablated)
          testList "orders" ofOrders
          testList "wishes" wishes ]
