/// What is measured of a pattern, held to brute force on small graphs and to graphs that are known.
module SparseFs.Tests.GraphMetricsTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Testing
open SparseFs.Tests.Refusals

let private seed = Seed.ofInt 3

let private patterns: Arbitrary<Connectivity> =
    gen {
        let! rows = Gen.choose (0, 12)
        let! cols = Gen.choose (0, 12)
        let! percent = Gen.elements [ 0; 5; 15; 30; 60; 100 ]
        let! number = Gen.choose (0, 1_000_000)
        return Topology.uniform rows cols (rows * cols * percent / 100) (Seed.ofInt number)
    }
    |> Arb.fromGen

let private law name (body: Connectivity -> unit) =
    testProperty name (Prop.forAll patterns body)

let private cells (c: Connectivity) : Set<int * int> =
    Seq.zip (Connectivity.rowIndices c) (c.ColIdx.ToArray()) |> Set.ofSeq

/// Every path of three slots row - column - other row - other column, and whether its ends are joined: all of them, by
/// the definition.
let private clusteringByHand (c: Connectivity) =
    let slots = cells c

    let paths =
        [ for u, col in slots do
              for v, again in slots do
                  if again = col && v <> u then
                      for w, other in slots do
                          if w = u && other <> col then
                              Set.contains (v, other) slots ]

    if paths.IsEmpty then
        0.0
    else
        float (paths |> List.filter id |> List.length) / float paths.Length

/// Floyd and Warshall over all nodes; infinity where no way is.
let private waysByHand (c: Connectivity) : float[,] =
    let nodes = c.Rows + c.Cols
    let way = Array2D.init nodes nodes (fun i j -> if i = j then 0.0 else infinity)

    for row, col in cells c do
        way[row, c.Rows + col] <- 1.0
        way[c.Rows + col, row] <- 1.0

    for over in 0 .. nodes - 1 do
        for i in 0 .. nodes - 1 do
            for j in 0 .. nodes - 1 do
                way[i, j] <- min way[i, j] (way[i, over] + way[over, j])

    way

let private pathLengthByHand (c: Connectivity) =
    let way = waysByHand c

    let joined =
        [ for i in 0 .. Array2D.length1 way - 1 do
              for j in 0 .. Array2D.length2 way - 1 do
                  if i <> j && way[i, j] < infinity then
                      way[i, j] ]

    if joined.IsEmpty then nan else List.average joined

let private componentsByHand (c: Connectivity) =
    let way = waysByHand c
    let nodes = Array2D.length1 way

    // A component is known by its first node.
    [ for i in 0 .. nodes - 1 -> Seq.find (fun j -> way[i, j] < infinity) (seq { 0 .. nodes - 1 }) ]
    |> List.distinct
    |> List.length

let private near what (expected: float) (actual: float) =
    if not (Double.IsNaN expected && Double.IsNaN actual) then
        Expect.isLessThan (abs (expected - actual)) 1e-12 what

[<Tests>]
let measureTests =
    testList
        "GraphMetrics"
        [ law "distributions count every row and every column" (fun c ->
              for d, degrees in
                  [ GraphMetrics.fanInDistribution c, Connectivity.fanIn c
                    GraphMetrics.fanOutDistribution c, Connectivity.fanOut c ] do
                  Expect.equal (Array.sum d.Counts) degrees.Length "all"
                  let total = Seq.sum (Seq.mapi (fun degree count -> degree * count) d.Counts)
                  Expect.equal total c.Nnz "their slots"

                  if degrees.Length > 0 then
                      Expect.equal (d.Least, d.Most) (Array.min degrees, Array.max degrees) "ends"
                      near "mean" (Array.averageBy float degrees) d.Mean
                      let square = degrees |> Array.averageBy (fun degree -> float degree * float degree)

                      near
                          "deviation"
                          (sqrt (max 0.0 (square - d.Mean * d.Mean)) |> fun s -> s * s)
                          (d.Deviation ** 2.0))

          law "dead rows and columns are those without a slot" (fun c ->
              let slots = cells c

              let deadRows =
                  [ 0 .. c.Rows - 1 ] |> List.filter (fun r -> Set.forall (fst >> (<>) r) slots)

              let deadCols =
                  [ 0 .. c.Cols - 1 ] |> List.filter (fun k -> Set.forall (snd >> (<>) k) slots)

              Expect.equal (GraphMetrics.deadRows c, GraphMetrics.deadCols c) (deadRows.Length, deadCols.Length) "dead")

          law "the mean distance is that of the definition" (fun c ->
              let place row =
                  float row + floor (float (c.Cols - c.Rows) / 2.0)

              let slots = Set.toList (cells c)

              let expected =
                  if slots.IsEmpty then
                      0.0
                  else
                      slots |> List.averageBy (fun (row, col) -> abs (float col - place row))

              near "centred" expected (GraphMetrics.meanDistance Placement.Centred c))

          testCase "the mean distance of a diagonal is 0, of a uniform pattern a third of the columns" (fun () ->
              let diagonal = Topology.smallWorld 100 100 100 seed
              Expect.equal (GraphMetrics.meanDistance Placement.Centred diagonal) 0.0 "diagonal"
              Expect.equal (GraphMetrics.meanDistance Placement.Stretched diagonal) 0.0 "diagonal, stretched"
              // Variance of |x − y| is 1/18: five standard errors of 9000 slots.
              let uniform = Topology.uniform 300 300 9000 seed

              let error =
                  abs (GraphMetrics.meanDistance Placement.Stretched uniform / 300.0 - 1.0 / 3.0)

              Expect.isLessThan error (5.0 * sqrt (1.0 / 18.0 / 9000.0)) "uniform")

          testProperty
              "overlap is that of sets of cells"
              (Prop.forAll patterns (fun a ->
                  for number in 1..4 do
                      let b = Topology.uniform a.Rows a.Cols (a.Nnz / number) (Seed.ofInt number)
                      let both = Set.intersect (cells a) (cells b)
                      let either = Set.union (cells a) (cells b)

                      let expected =
                          if either.IsEmpty then
                              1.0
                          else
                              float both.Count / float either.Count

                      near "overlap" expected (GraphMetrics.overlap a b)
                      near "either way" expected (GraphMetrics.overlap b a)))

          law "components are those of the graph" (fun c ->
              Expect.equal (GraphMetrics.components c) (componentsByHand c) "components")

          law "clustering is that of the definition" (fun c ->
              near "clustering" (clusteringByHand c) (GraphMetrics.clustering 12 seed c))

          law "the path length is that of the definition" (fun c ->
              near "path length" (pathLengthByHand c) (GraphMetrics.pathLength 24 seed c))

          testCase "the drawn patterns reach every case" (fun () ->
              let drawn = Statistics.sample 500 patterns.Generator

              let reaches what holds =
                  Expect.isTrue (Array.exists holds drawn) $"not vacuous: {what}"

              reaches "no node" (fun c -> c.Rows + c.Cols = 0)
              reaches "dead rows beside slots" (fun c -> c.Nnz > 0 && GraphMetrics.deadRows c > 0)
              reaches "several components with slots" (fun c -> c.Nnz > 8 && GraphMetrics.components c > 3)
              reaches "one component" (fun c -> c.Nnz > 8 && GraphMetrics.components c = 1)

              reaches "clustering between 0 and 1" (fun c ->
                  let x = GraphMetrics.clustering 12 seed c
                  x > 0.1 && x < 0.9))

          testCase "known graphs: full, a cycle, a star" (fun () ->
              let full = Connectivity.full 7 5
              Expect.equal (GraphMetrics.clustering 7 seed full) 1.0 "full: clustering"
              // 2 · 35 pairs at distance 1, and 7 · 6 + 5 · 4 at distance 2.
              near "full: path length" ((70.0 + 2.0 * 62.0) / 132.0) (GraphMetrics.pathLength 12 seed full)

              // A ring of 10 nodes: distances 1, 1, 2, 2, 3, 3, 4, 4, 5 from each.
              let ring = Topology.wattsStrogatz 5 5 2 0.0 seed
              Expect.equal (GraphMetrics.clustering 5 seed ring) 0.0 "ring: clustering"
              near "ring: path length" (25.0 / 9.0) (GraphMetrics.pathLength 10 seed ring)
              Expect.equal (GraphMetrics.components ring) 1 "ring"

              let star = Connectivity.full 9 1
              Expect.equal (GraphMetrics.clustering 9 seed star) 0.0 "star: no path of three"
              Expect.equal (GraphMetrics.components star) 1 "star")

          testCase "samples come near the whole, and are drawn by the seed" (fun () ->
              let c = Topology.smallWorld 2000 2000 20_000 seed
              let whole = GraphMetrics.clustering 2000 seed c
              let part = GraphMetrics.clustering 400 seed c
              Expect.isLessThan (abs (part - whole) / whole) 0.1 "clustering"
              Expect.notEqual (GraphMetrics.clustering 400 (Seed.ofInt 4) c) part "another seed"
              let wholeWay = GraphMetrics.pathLength 4000 seed c
              Expect.isLessThan (abs (GraphMetrics.pathLength 100 seed c - wholeWay) / wholeWay) 0.05 "path length"
              Expect.equal (GraphMetrics.pathLength 100 seed c) (GraphMetrics.pathLength 100 seed c) "same seed")

          refuses "no samples for clustering" "samples" "expected 1 or more, got 0" (fun () ->
              GraphMetrics.clustering 0 seed (Connectivity.full 2 2))
          refuses "no samples for ways" "samples" "expected 1 or more, got -1" (fun () ->
              GraphMetrics.pathLength -1 seed (Connectivity.full 2 2))
          refuses "a placement that does not exist" "placement" "Centred or Stretched" (fun () ->
              GraphMetrics.meanDistance (enum<Placement> 7) (Connectivity.full 2 2))
          refuses "another shape" "b" "expected shape [2, 2], got [2, 3]" (fun () ->
              GraphMetrics.overlap (Connectivity.full 2 2) (Connectivity.full 2 3)) ]
