/// The generators beside the uniform one: each exact in nnz, each with the law that names it.
module SparseFs.Tests.GeneratorTests

open System
open Expecto
open SparseFs
open SparseFs.Tests.Refusals

let private shapes = [ 1, 12; 12, 1; 30, 48; 48, 30; 60, 60; 200, 24 ]

/// A generator at a shape: the pattern of a seed, and the nnz that it promises.
type private Wiring =
    {
        Name: string
        Rows: int
        Cols: int
        Nnz: int
        /// Whether another seed gives another pattern.
        IsDrawn: bool
        Draw: Seed -> Connectivity
    }

let private wirings: Wiring list =
    [ for rows, cols in shapes do
          let wiring name nnz isDrawn draw =
              { Name = $"{name} [{rows}, {cols}]"
                Rows = rows
                Cols = cols
                Nnz = nnz
                IsDrawn = isDrawn
                Draw = draw }

          for fanIn in [ 0; cols / 3; cols ] do
              let isDrawn = fanIn > 0 && fanIn < cols
              wiring $"fan-in {fanIn}" (rows * fanIn) isDrawn (Topology.constantFanIn rows cols fanIn)

              for beta in [ 0.0; 0.3; 1.0 ] do
                  wiring $"Watts-Strogatz {fanIn}, {beta}" (rows * fanIn) (isDrawn && beta > 0.0) (fun seed ->
                      Topology.wattsStrogatz rows cols fanIn beta seed)

          for fanOut in [ 0; rows / 3; rows ] do
              wiring
                  $"fan-out {fanOut}"
                  (cols * fanOut)
                  (fanOut > 0 && fanOut < rows)
                  (Topology.constantFanOut rows cols fanOut)

          for fanIn in [ 0..cols ] do
              if rows * fanIn % cols = 0 then
                  let isDrawn = fanIn > 0 && fanIn < cols
                  wiring $"biregular {fanIn}" (rows * fanIn) isDrawn (Topology.biregular rows cols fanIn)

          for nnz in [ 0; cols; rows * cols / 2; rows * cols ] do
              if nnz = 0 || nnz >= cols then
                  wiring $"scale-free {nnz}" nnz (nnz > 0 && nnz < rows * cols) (Topology.scaleFree rows cols nnz 2.5)

          for nnz in [ 0; rows * cols / 7; rows * cols ] do
              wiring "banded" nnz false (fun _ -> Topology.banded rows cols nnz)

          if rows % 6 = 0 && cols % 6 = 0 then
              let blocks = rows * cols / 36 / 3
              wiring "blocks" (36 * blocks) true (Topology.block rows cols 6 blocks)

          if cols % 4 = 0 then
              wiring "2:4" (rows * cols / 2) true (Topology.nOfM rows cols 2 4)

          for placement in [ Placement.Centred; Placement.Stretched ] do
              for nnz in [ 0; rows * cols / 2; rows * cols - 1; rows * cols ] do
                  let isDrawn = nnz > 0 && nnz < rows * cols

                  // The law makes the cells at distance 0 certain: at most one a row.
                  if nnz = 0 || nnz >= rows then
                      wiring $"small world {placement}, {nnz}" nnz isDrawn (fun seed ->
                          Topology.smallWorldWith placement ValueNone rows cols nnz seed)

                  for lambda in [ 0.0; 2.5 ] do
                      wiring $"small world {placement}, {nnz}, {lambda}" nnz isDrawn (fun seed ->
                          Topology.smallWorldWith placement (ValueSome lambda) rows cols nnz seed) ]

/// The signed distance of each cell from the place of its row, by the definition.
let private place (placement: Placement) (rows: int) (cols: int) (row: int) =
    match placement with
    | Placement.Centred -> row + int (floor (float (cols - rows) / 2.0))
    | _ -> int (floor ((2.0 * float row + 1.0) * float cols / (2.0 * float rows)))

/// The chance of each distance by the law, λ by bisection.
let private chances (placement: Placement) (rows: int) (cols: int) (nnz: int) : Map<int, float> * Map<int, int> =
    let sizes =
        [ for row in 0 .. rows - 1 do
              for col in 0 .. cols - 1 -> abs (col - place placement rows cols row) ]
        |> List.countBy id
        |> Map.ofList

    let expected lambda =
        sizes
        |> Map.toSeq
        |> Seq.sumBy (fun (d, size) -> float size * Math.Pow(float (d + 1), -lambda))

    let rec bisect low high =
        let middle = (low + high) / 2.0

        if high - low < 1e-12 then middle
        elif expected middle > float nnz then bisect middle high
        else bisect low middle

    let lambda = bisect 0.0 50.0
    sizes |> Map.map (fun d _ -> Math.Pow(float (d + 1), -lambda)), sizes

let private followsTheLaw placement rows cols nnz () =
    let chance, sizes = chances placement rows cols nnz
    let c = Topology.smallWorldWith placement ValueNone rows cols nnz (Seed.ofInt 5)

    let got =
        Seq.zip (Connectivity.rowIndices c) (c.ColIdx.ToArray())
        |> Seq.countBy (fun (row, col) -> abs (col - place placement rows cols row))
        |> Map.ofSeq

    for KeyValue(d, size) in sizes do
        let count = defaultArg (Map.tryFind d got) 0
        // Each of the two classes at a distance gets its expected count rounded down or up.
        Expect.isLessThan (abs (float count - float size * chance[d])) 2.000001 $"distance {d}"

let private seed = Seed.ofInt 1

[<Tests>]
let wiringTests =
    testList
        "Topology, wired"
        [ testCase "each is a pattern of the shape and the nnz that it promises" (fun () ->
              for w in wirings do
                  let c = w.Draw seed
                  Expect.equal (c.Rows, c.Cols, c.Nnz) (w.Rows, w.Cols, w.Nnz) w.Name

                  let again =
                      Connectivity.tryCreate c.Rows c.Cols (c.RowPtr.ToArray()) (c.ColIdx.ToArray())

                  Expect.equal again (Ok c) w.Name)

          testCase "the same seed gives the same pattern, and another seed another" (fun () ->
              Expect.isGreaterThan (wirings |> List.filter _.IsDrawn |> List.length) 40 "not vacuous"

              for w in wirings do
                  Expect.equal (w.Draw seed) (w.Draw seed) w.Name
                  let others = [ for i in 2..9 -> w.Draw(Seed.ofInt i) ]
                  let changes = others |> List.exists (fun other -> other <> w.Draw seed)
                  Expect.equal changes w.IsDrawn $"{w.Name}: drawn")

          testCase "constant fan-in and fan-out are constant" (fun () ->
              for rows, cols in shapes do
                  let fanIn = Connectivity.fanIn (Topology.constantFanIn rows cols (cols / 2) seed)
                  Expect.all fanIn ((=) (cols / 2)) "fan-in"
                  let fanOut = Connectivity.fanOut (Topology.constantFanOut rows cols (rows / 2) seed)
                  Expect.all fanOut ((=) (rows / 2)) "fan-out")

          testCase "a biregular pattern is constant both ways" (fun () ->
              let mutable several = 0

              for rows, cols in shapes do
                  for fanIn in [ 0..cols ] do
                      if rows * fanIn % cols = 0 then
                          several <- several + 1
                          let c = Topology.biregular rows cols fanIn seed
                          Expect.all (Connectivity.fanIn c) ((=) fanIn) "fan-in"
                          Expect.all (Connectivity.fanOut c) ((=) (rows * fanIn / cols)) "fan-out"

              Expect.isGreaterThan several 60 "not vacuous")

          testCase "every biregular pattern of a small shape comes equally often" (fun () ->
              // 4 by 4 with two a line: 90 patterns (OEIS A001499).
              let patterns =
                  [| for i in 1..9000 -> List.ofArray ((Topology.biregular 4 4 2 (Seed.ofInt i)).ColIdx.ToArray()) |]

              let counts = patterns |> Array.countBy id |> Array.map snd
              Expect.equal counts.Length 90 "all patterns come"
              Statistics.isUniform "patterns" counts)

          testCase "scale-free fan-outs follow the law of preferential attachment" (fun () ->
              let rows, cols, mean = 100_000, 40_000, 10

              for exponent in [ 2.5; 3.0 ] do
                  let c = Topology.scaleFree rows cols (cols * mean) exponent seed
                  let fanOut = Connectivity.fanOut c
                  let a = (exponent - 2.0) * float (mean - 1) - 1.0

                  // The stationary law of the process: P(1) = (γ − 1) / (γ + a), P(k) = P(k − 1) (k − 1 + a) / (k + a + γ − 1).
                  let law =
                      (1, (exponent - 1.0) / (exponent + a))
                      |> List.unfold (fun (k, p) ->
                          if k > 40 then
                              None
                          else
                              Some(p, (k + 1, p * (float k + a) / (float k + a + exponent))))

                  let expected =
                      law @ [ 1.0 - List.sum law ] |> List.map ((*) (float cols)) |> Array.ofList

                  let observed: int[] = Array.zeroCreate expected.Length

                  for k in fanOut do
                      let bin = min (k - 1) (observed.Length - 1)
                      observed[bin] <- observed[bin] + 1

                  // The columns come in evenly rather than by chance, which makes the counts a little more even than
                  // independent ones: only the upper side of the test means something.
                  let chiSquare =
                      Array.map2 (fun e (o: int) -> (float o - e) ** 2.0 / e) expected observed
                      |> Array.sum

                  Expect.isLessThan chiSquare 80.0 $"γ = {exponent}: 40 degrees of freedom, 1e-4"
                  Expect.isGreaterThan (Array.max fanOut) (20 * mean) "hubs")

          testCase "scale-free columns that are full take no more" (fun () ->
              let c = Topology.scaleFree 6 50 280 2.1 seed
              Expect.isTrue (Connectivity.fanOut c |> Array.forall (fun k -> 1 <= k && k <= 6)) "fan-outs")

          testCase "a small world is clustered as no uniform pattern is, and nearly as short of ways" (fun () ->
              let rows, cols, nnz = 6000, 6000, 60_000

              let measures (c: Connectivity) =
                  GraphMetrics.clustering 500 seed c, GraphMetrics.pathLength 50 seed c

              let uniform, uniformWay = measures (Topology.uniform rows cols nnz seed)
              let lattice, latticeWay = measures (Topology.wattsStrogatz rows cols 10 0.0 seed)
              let small, smallWay = measures (Topology.smallWorld rows cols nnz seed)
              let rewired, rewiredWay = measures (Topology.wattsStrogatz rows cols 10 0.1 seed)

              // Watts and Strogatz's own reading of the regime: C well above, L near that of chance.
              for name, clustering, way in [ "small world", small, smallWay; "β = 0.1", rewired, rewiredWay ] do
                  Expect.isGreaterThan clustering (10.0 * uniform) $"{name}: clustering"
                  Expect.isLessThan way (1.5 * uniformWay) $"{name}: path length"

              Expect.isGreaterThan lattice rewired "the lattice is the most clustered"
              Expect.isGreaterThan latticeWay (4.0 * uniformWay) "and has long ways")

          testCase "constant fan-in draws every column alike" (fun () ->
              // A column's count is binomial: 5 standard deviations, 40 columns.
              let counts = Connectivity.fanOut (Topology.constantFanIn 4000 40 10 seed)
              let deviation = sqrt (4000.0 * 0.25 * 0.75)
              Expect.all counts (fun count -> abs (float count - 1000.0) < 5.0 * deviation) "counts")

          testCase "a band is unbroken, around the diagonal, and its fan-ins differ by at most one" (fun () ->
              for rows, cols in shapes do
                  let c = Topology.banded rows cols (rows * cols / 7)
                  let fanIn = Connectivity.fanIn c
                  Expect.isLessThanOrEqual (Array.max fanIn - Array.min fanIn) 1 "fan-in"

                  for row in 0 .. rows - 1 do
                      let columns = c.ColIdx.Slice(c.RowPtr[row], fanIn[row]).ToArray()

                      if columns.Length > 0 then
                          let first = columns[0]
                          Expect.equal columns [| first .. first + columns.Length - 1 |] "side by side"
                          let centre = row * cols / rows
                          let reaches = first <= centre && centre <= first + columns.Length
                          Expect.isTrue reaches $"row {row} of {rows}: column {centre} in {first}+{columns.Length}")

          testCase "Watts and Strogatz: 0 is the ring's lattice" (fun () ->
              for rows, cols in shapes do
                  let fanIn = cols / 3
                  let c = Topology.wattsStrogatz rows cols fanIn 0.0 seed

                  for row in 0 .. rows - 1 do
                      let first = row * cols / rows - fanIn / 2
                      let wanted = [| for i in 0 .. fanIn - 1 -> (first + i + cols) % cols |]
                      let got = c.ColIdx.Slice(c.RowPtr[row], fanIn).ToArray()
                      Expect.equal got (Array.sort wanted) $"row {row}")

          testCase "Watts and Strogatz: the part of slots that leave the lattice is that of the law" (fun () ->
              let rows, cols, fanIn = 2000, 200, 20
              let lattice = Topology.wattsStrogatz rows cols fanIn 0.0 seed

              for beta in [ 0.0; 0.1; 0.5; 1.0 ] do
                  let c = Topology.wattsStrogatz rows cols fanIn beta seed
                  let kept = (Connectivity.intersect lattice c).Nnz
                  // A slot stays with 1 − β. A moved one falls on a lattice place that was left: fanIn · β of about
                  // cols − fanIn · (1 − β) free ones.
                  let back = float fanIn * beta / (float cols - float fanIn * (1.0 - beta))
                  let expected = float (rows * fanIn) * (1.0 - beta + beta * back)
                  Expect.isLessThan (abs (float kept - expected)) (5.0 * sqrt (float (rows * fanIn))) $"{beta}")

          testCase "blocks are whole" (fun () ->
              let c = Topology.block 48 30 6 13 seed

              let perBlock =
                  Seq.zip (Connectivity.rowIndices c) (c.ColIdx.ToArray())
                  |> Seq.countBy (fun (row, col) -> row / 6, col / 6)
                  |> List.ofSeq

              Expect.equal perBlock.Length 13 "blocks"
              Expect.all perBlock (fun (_, cells) -> cells = 36) "whole")

          testCase "every group of M columns has N" (fun () ->
              let c = Topology.nOfM 30 48 2 4 seed

              let perGroup =
                  Seq.zip (Connectivity.rowIndices c) (c.ColIdx.ToArray())
                  |> Seq.countBy (fun (row, col) -> row, col / 4)
                  |> List.ofSeq

              Expect.equal perGroup.Length (30 * 12) "groups"
              Expect.all perGroup (fun (_, cells) -> cells = 2) "each")

          testList
              "a small world's distances follow the law"
              [ for placement in [ Placement.Centred; Placement.Stretched ] do
                    for rows, cols, nnz in [ 60, 60, 900; 30, 80, 500; 80, 30, 500; 200, 24, 2000; 50, 50, 2400 ] do
                        testCase $"{placement}, [{rows}, {cols}], {nnz}" (followsTheLaw placement rows cols nnz) ]

          testCase "every cell of a small world comes with its chance" (fun () ->
              let rows, cols, nnz, times = 6, 9, 20, 4000
              let chance, _ = chances Placement.Centred rows cols nnz
              let count = Array2D.zeroCreate<int> rows cols

              for i in 1..times do
                  let c = Topology.smallWorld rows cols nnz (Seed.ofInt i)

                  for row, col in Seq.zip (Connectivity.rowIndices c) (c.ColIdx.ToArray()) do
                      count[row, col] <- count[row, col] + 1

              // Binomial: 5 standard deviations, 54 cells.
              for row in 0 .. rows - 1 do
                  for col in 0 .. cols - 1 do
                      let p = chance[abs (col - place Placement.Centred rows cols row)]
                      let deviation = sqrt (float times * p * (1.0 - p))
                      let error = abs (float count[row, col] - float times * p)
                      Expect.isLessThanOrEqual error (5.0 * deviation + 1e-6) $"cell {row}, {col}: {p}")

          testCase "a given λ of 0 is nearly uniform, a large one hugs the diagonal" (fun () ->
              let distances lambda =
                  let c =
                      Topology.smallWorldWith Placement.Stretched (ValueSome lambda) 100 100 1000 seed

                  Seq.zip (Connectivity.rowIndices c) (c.ColIdx.ToArray())
                  |> Seq.averageBy (fun (row, col) -> float (abs (col - row)))

              // Mean distance of two uniform places on a line of 100.
              Expect.isLessThan (abs (distances 0.0 - 33.3)) 3.0 "uniform"
              Expect.isLessThan (distances 1000.0) 3.0 "diagonal")

          testCase "50,000 by 50,000 at 99.9 % is exact" (fun () ->
              let c = Topology.smallWorld 50_000 50_000 2_500_000 seed
              Expect.equal c.Nnz 2_500_000 "nnz"
              Expect.isOk (Connectivity.tryCreate c.Rows c.Cols (c.RowPtr.ToArray()) (c.ColIdx.ToArray())) "valid")

          refuses "a fan-in beyond the columns" "fanIn" "expected 0..5 (the columns), got 6" (fun () ->
              Topology.constantFanIn 3 5 6 seed)
          refuses "a fan-out beyond the rows" "fanOut" "expected 0..3 (the rows), got -1" (fun () ->
              Topology.constantFanOut 3 5 -1 seed)
          refuses "too many slots in all" "fanIn" "expected at most 2147483647 slots" (fun () ->
              Topology.constantFanIn 100_000 100_000 50_000 seed)
          refuses "a fan-in that the columns cannot share" "fanIn" "a multiple of the 5 columns, got 2" (fun () ->
              Topology.biregular 3 5 2 seed)
          refuses "columns without a slot" "nnz" "at least one slot for each of the 5 columns, got 4" (fun () ->
              Topology.scaleFree 3 5 4 3.0 seed)
          refuses "an exponent without a mean" "exponent" "γ in (2, 100], got 2" (fun () ->
              Topology.scaleFree 3 5 6 2.0 seed)
          refuses "a chance above 1" "beta" "in [0, 1], got 1.5" (fun () -> Topology.wattsStrogatz 3 5 2 1.5 seed)
          refuses "a chance that is no number" "beta" "NaN" (fun () -> Topology.wattsStrogatz 3 5 2 nan seed)
          refuses "a block of nothing" "size" "got 0" (fun () -> Topology.block 6 6 0 1 seed)
          refuses "a size that blocks do not fill" "cols" "a multiple of the block's 4, got 6" (fun () ->
              Topology.block 8 6 4 1 seed)
          refuses "more blocks than places" "blocks" "expected 0..4 blocks" (fun () -> Topology.block 8 8 4 5 seed)
          refuses "N beyond M" "n" "expected 0..4" (fun () -> Topology.nOfM 3 8 5 4 seed)
          refuses "columns that groups do not fill" "cols" "a multiple of 4, got 6" (fun () ->
              Topology.nOfM 3 6 2 4 seed)
          refuses "a band of too many slots" "nnz" "expected 0..15 slots" (fun () -> Topology.banded 3 5 16)
          refuses "a small world below its diagonal" "nnz" "at least 10 slots" (fun () ->
              Topology.smallWorld 10 10 9 seed)
          refuses "a negative λ" "lambda" "got -1" (fun () ->
              Topology.smallWorldWith Placement.Centred (ValueSome -1.0) 10 10 50 seed)
          refuses "a placement that does not exist" "placement" "Centred or Stretched" (fun () ->
              Topology.smallWorldWith (enum<Placement> 5) ValueNone 10 10 50 seed) ]
