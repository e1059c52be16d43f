module SparseFs.Tests.CellScoresTests

open System
open Expecto
open SparseFs

let rows, cols = 7, 5

/// Row r, column c: 10 r + c, negative in odd columns.
let at (row: int) (col: int) : float32 =
    float32 (10 * row + col) * (if col % 2 = 1 then -1f else 1f)

/// Two parts, rows that lie 8 apart, and an array that is used again.
let inParts () : CellScores =
    { new CellScores() with
        member _.Rows(first, count) =
            Array.init (count * cols) (fun i -> at (first + i / cols) (i % cols))

        member _.Parts = 2

        member _.EachBlock(_, rows, cols, body) =
            let own = Array.zeroCreate (2 * 8)

            for part, first, last in [ 0, 0, 2; 1, 3, rows - 1 ] do
                for row in first..2..last do
                    let count = min 2 (last - row + 1)

                    for i in 0 .. count - 1 do
                        for col in 0 .. cols - 1 do
                            own[i * 8 + col] <- at (row + i) col

                    body.Invoke(part, row, count, own, 8) }

/// All scores as one matrix, read by blocks.
let read (scores: CellScores) : float32[] =
    let all = Array.create (rows * cols) nanf

    scores.EachBlock(
        "scores",
        rows,
        cols,
        ScoreBlock(fun _ first count block stride ->
            for i in 0 .. count - 1 do
                Array.blit block (i * stride) all ((first + i) * cols) cols)
    )

    all

let expected (map: int -> int -> float32 -> float32) : float32[] =
    Array.init (rows * cols) (fun i -> map (i / cols) (i % cols) (at (i / cols) (i % cols)))

[<Tests>]
let cellScores =
    testList
        "CellScores"
        [ testCase "a mapped score is the function of its cell, by blocks and by rows" (fun () ->
              let map row col score = 2f * score + float32 (row - col)
              let mapped = CellScores.mapi map (inParts ())
              Expect.equal (read mapped) (expected map) "by blocks"
              Expect.equal (mapped.Rows(0, rows)) (expected map) "by rows"
              Expect.equal (mapped.Rows(3, 2)) (Array.sub (expected map) (3 * cols) (2 * cols)) "some rows"
              Expect.equal mapped.Parts 2 "as many parts as the source")

          testCase "magnitudes lose the sign alone" (fun () ->
              Expect.equal (read (CellScores.abs (inParts ()))) (expected (fun _ _ score -> MathF.Abs score)) "abs"
              Expect.isTrue (read (inParts ()) |> Array.exists (fun score -> score < 0f)) "not vacuous")

          testCase "growth by the magnitudes of the gradient is RigL's" (fun () ->
              let connectivity = Topology.uniform rows cols 12 (Seed.ofInt 3)
              let weight = Array.init connectivity.Nnz (fun slot -> float32 (slot + 1))

              let state =
                  { Rewire.state connectivity weight 1L (Seed.ofInt 4) with
                      Gradient = inParts () }

              let ofScore =
                  Grow.Score(GrowthInputs.Gradient, (fun state -> CellScores.abs state.Gradient))

              let grown (grow: Grow) =
                  let policy = { Policy.staticSparse with Grow = grow }

                  (Rewire.layerBy policy 0.3 state).Connectivity

              let signed = Grow.Score(GrowthInputs.Gradient, _.Gradient)
              Expect.equal (grown ofScore) (grown Grow.Gradient) "the same cells"
              Expect.notEqual (grown signed) (grown Grow.Gradient) "signed scores rank otherwise")

          testCase "null is refused" (fun () ->
              Expect.throwsT<ArgumentNullException> (fun () -> CellScores.abs Unchecked.defaultof<_> |> ignore) "null") ]
