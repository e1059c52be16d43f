module SparseFs.Tests.BatchTilingTests

open Expecto
open SparseFs.Kernels

/// A layer whose tiles are four vectors wide, and one whose tiles of 512-bit vectors are two.
let private features = [ 100; 60_000 ]

/// Every batch up to some tiles of 512-bit vectors, at every width, on the machine or not, forward and of gradients.
let private every (body: BatchTiling -> string -> unit) =
    for width in [ Width.Scalar; Width.V128; Width.V256; Width.V512 ] do
        for features in features do
            for n in 0..400 do
                let c = BatchTiling.ofBatch width n features
                body c $"{width}, {features} features, N = {n}"
                body (BatchTiling.joining c) $"{width}, {features} features, N = {n}, of gradients"

let private tilesOf (c: BatchTiling) =
    [ for index in 0 .. c.Tiles - 1 -> c.Tile index ]

[<Tests>]
let batchTilingTests =
    testList
        "BatchTiling"
        [ testCase "tiles hold every sample once, in order" (fun () ->
              every (fun c what ->
                  let held =
                      tilesOf c |> List.collect (fun t -> [ t.Sample .. t.Sample + t.Samples - 1 ])

                  Expect.equal held [ 0 .. c.N - 1 ] what))

          testCase "a tile has the vectors that its samples take" (fun () ->
              every (fun c what ->
                  for t in tilesOf c do
                      Expect.equal t.Vectors ((t.Samples + c.Lanes - 1) / c.Lanes) what
                      Expect.equal (c.Wide t) (t.Vectors * c.Lanes) what))

          testCase
              "all tiles but the last are whole, and where a last vector joins, it has one only if the batch has"
              (fun () ->
                  every (fun c what ->
                      for index, t in List.indexed (tilesOf c) do
                          if index < c.Tiles - 1 then
                              Expect.equal t.Vectors c.Vectors what
                          else
                              let least = if c.N <= c.Lanes || not c.Joins then 1 else 2
                              let most = if c.Joins then c.Vectors + 1 else c.Vectors
                              Expect.isTrue (t.Vectors >= least && t.Vectors <= most) $"{what}: {t.Vectors}"))

          testCase "the room for a tile holds each" (fun () ->
              every (fun c what ->
                  for t in tilesOf c do
                      Expect.isGreaterThanOrEqual (c.Floats 7) (7L * int64 (c.Wide t)) what))

          testCase "the widest tiles are of five vectors, or of three" (fun () ->
              let widest = ResizeArray()

              every (fun c _ ->
                  for t in tilesOf c do
                      if t.Vectors > c.Vectors then
                          widest.Add(c.Width, t.Vectors))

              Expect.equal
                  (set widest)
                  (set [ Width.Scalar, 5; Width.V128, 5; Width.V256, 5; Width.V512, 5; Width.V512, 3 ])
                  "widths and vectors") ]
