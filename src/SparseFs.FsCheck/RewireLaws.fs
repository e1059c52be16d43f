namespace SparseFs.Testing

open System
open global.FsCheck
open global.FsCheck.FSharp
open SparseFs

/// <summary>Layers that are about to be rewired.</summary>
[<RequireQualifiedAccess>]
module RewireGenerators =

    /// <summary>Scores of a dense row-major matrix, as rules ask for them.</summary>
    /// <param name="cols">Columns of the matrix.</param>
    /// <param name="scores">Length rows · cols.</param>
    let scoresOf (cols: int) (scores: float32[]) : CellScores =
        CellScores(fun first count -> Array.sub scores (first * cols) (count * cols))

    /// Few different numbers, so that ties and zeros are common.
    let private numbers (length: int) : Gen<float32[]> =
        Gen.arrayOfLength length (Gen.choose (-6, 6) |> Gen.map (fun n -> float32 n / 4.0f))

    /// <summary>Layers of up to 12 by 12, empty and full ones and single rows among them, with a gradient and a momentum
    /// for every cell; many numbers are equal, and many 0.</summary>
    let states: Arbitrary<LayerState> =
        gen {
            let! rows = Gen.frequency [ 1, Gen.elements [ 0; 1 ]; 4, Gen.choose (0, 12) ]
            let! cols = Gen.frequency [ 1, Gen.elements [ 0; 1 ]; 4, Gen.choose (0, 12) ]
            let cells = rows * cols

            let! nnz =
                Gen.frequency [ 4, Gen.choose (0, cells); 1, Gen.constant 0; 1, Gen.constant cells ]

            let! number = Gen.choose (0, 1_000_000)
            let! weight = numbers nnz
            let! gradient = numbers cells
            let! momentum = numbers cells
            let! step = Gen.choose (1, 1000)
            let c = Topology.uniform rows cols nnz (Seed.ofInt number)

            return
                { Rewire.state c weight (int64 step) (Seed.ofInt (number + 1)) with
                    Gradient = scoresOf cols gradient
                    Momentum = scoresOf cols momentum }
        }
        |> Arb.fromGen

/// <summary>What holds for every policy and every schedule, as FsCheck properties: for yours too.</summary>
[<RequireQualifiedAccess>]
module RewireLaws =

    let private all (parts: (string * bool) list) : Property =
        parts
        |> List.map (fun (label, holds) -> holds |> Prop.label label)
        |> List.reduce (.&.)

    let private cells (c: Connectivity) : int64[] =
        Array.map2
            (fun row col -> int64 row * int64 c.Cols + int64 col)
            (Connectivity.rowIndices c)
            (c.ColIdx.ToArray())

    /// <summary>An update of a layer by a policy whose budget is not shared between layers.</summary>
    /// <param name="policy">Yours, or one of <c>Policy</c>'s.</param>
    /// <returns>For any layer and any part of its slots: nnz stays (or falls, if it is to); the result is a pattern of the
    /// same shape; the remap maps slots of the same cell one to one, and kept slots keep their weights; what was grown had
    /// been absent, or the policy lets it come back; a part of 0 changes nothing; the same seed gives the same result; the
    /// event counts what happened.</returns>
    let rewire (policy: Policy) : Property =
        let isFalling = policy.Budget.IsFalling

        let holds (state: LayerState, tenths: int) =
            let before = state.Connectivity
            let r = Rewire.layerBy policy (float tenths / 10.0) state
            let after = r.Connectivity
            let from = r.Remap.From.ToArray()
            let old, now = cells before, cells after
            let kept = from |> Array.filter (fun slot -> slot >= 0)
            let weights = Remap.apply nanf r.Remap state.Weight
            let known = Set.ofArray old

            let grown =
                Array.zip now from |> Array.filter (fun (_, slot) -> slot < 0) |> Array.map fst

            let isSlot cell = Set.contains cell known
            let again = Rewire.layerBy policy (float tenths / 10.0) state
            let none = Rewire.layerBy policy 0.0 state
            let common = now |> Array.filter isSlot |> Array.length

            all
                [ "not refused", isNull r.Event.Refusal
                  "the shape stays", (after.Rows, after.Cols) = (before.Rows, before.Cols)
                  "nnz stays",
                  (if isFalling then
                       after.Nnz <= before.Nnz
                   else
                       after.Nnz = before.Nnz)
                  "the result is a pattern",
                  Connectivity.tryCreate after.Rows after.Cols (after.RowPtr.ToArray()) (after.ColIdx.ToArray()) =
                      Ok after
                  "the remap is between the two", (r.Remap.Before, r.Remap.After) = (before.Nnz, after.Nnz)
                  "no old slot is continued twice", (Array.distinct kept).Length = kept.Length
                  "a continued slot is in the same cell",
                  Array.forall2 (fun cell slot -> slot < 0 || old[slot] = cell) now from
                  "what stays keeps its value",
                  Array.forall2 (fun w slot -> slot < 0 || w = state.Weight[slot]) weights from
                  "what was grown had been absent", (policy.Regrow <> Regrow.Never || not (Array.exists isSlot grown))
                  "a grown weight for each grown slot", r.GrownWeights.Length = r.Remap.Grown
                  "a part of 0 changes nothing", (isFalling || (none.Connectivity = before && none.Remap.IsIdentity))
                  "the same seed gives the same result",
                  (again.Connectivity = after && again.Remap.From.SequenceEqual r.Remap.From)
                  "the event counts what was grown", r.Event.Grown = after.Nnz - common
                  "the event counts what was dropped", r.Event.Dropped = before.Nnz - common
                  "the event counts dead rows", r.Event.DeadRows = Measure.deadRows after
                  "the event counts dead columns", r.Event.DeadCols = Measure.deadCols after
                  "explored are all cells of before and after",
                  r.Explored.Count = int64 (Set.union known (Set.ofArray now)).Count ]

        Prop.forAll (Arb.zip (RewireGenerators.states, Arb.fromGen (Gen.choose (0, 10)))) holds

    /// <summary>A schedule from its first step to beyond its last.</summary>
    /// <param name="schedule">Yours; Start, End and Every in the thousands at most.</param>
    /// <returns>Updates are at Start + i · Every up to End and nowhere else; the part is in [0, Fraction], 0 off updates,
    /// and never rises.</returns>
    let schedule (schedule: Schedule) : Property =
        let steps = [ 1L .. schedule.End + 2L * min schedule.Every 1000L + 1L ]

        let isDue step =
            step > schedule.Start
            && step <= schedule.End
            && (step - schedule.Start) % schedule.Every = 0L

        let updates = steps |> List.filter (fun step -> Schedule.isUpdate step schedule)
        let parts = updates |> List.map (fun step -> Schedule.fraction step schedule)

        all
            [ "updates are when they are due", updates = List.filter isDue steps
              "nothing is rewired between updates",
              steps
              |> List.forall (fun step -> isDue step || Schedule.fraction step schedule = 0.0)
              "the part is in [0, Fraction]",
              parts |> List.forall (fun part -> part >= 0.0 && part <= schedule.Fraction)
              "the part never rises", parts |> List.pairwise |> List.forall (fun (a, b) -> b <= a) ]
