/// Layers and models made sparse in row groups, against a plain definition in whole numbers.
module SparseFs.Tests.RowGroupSparsifyTests

open System
open System.IO
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.CSharp
open SparseFs.Tests.CheckpointFiles
open SparseFs.Tests.ConversionTests
open TorchSharp
open TorchSharp.Modules
open type TorchSharp.TensorExtensionMethods

type Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

/// A model's weights in quarters, a matrix of whole numbers each, so that norms that are equal are ties.
type private Spec =
    { Size: int
      Norm: RowGroupNorm
      Permille: int
      Weights: int[,] list }

    member s.Sparsity = float s.Permille / 1000.0
    member s.Density = 1m - decimal s.Permille / 1000m
    member s.Cells = s.Weights |> List.sumBy (fun w -> w.Length)

    override s.ToString() =
        $"groups of {s.Size} by {s.Norm}, sparsity {s.Sparsity}: %A{s.Weights}"

let private specs: Arbitrary<Spec> =
    let draw =
        gen {
            let! size = Gen.frequency [ 4, Gen.elements [ 1; 2; 4 ]; 3, Gen.choose (1, 9) ]
            let! norm = Gen.elements [ RowGroupNorm.L1; RowGroupNorm.L2 ]

            let! permille =
                Gen.frequency [ 1, Gen.elements [ 0; 500; 750 ]; 4, Gen.choose (0, 999) ]

            let! most = Gen.elements [ 1; 4; 12 ] // few numbers make many ties

            let! weights =
                gen {
                    let! rows = Gen.choose (1, 13)
                    let! cols = Gen.choose (1, 7)
                    let! flat = Gen.arrayOfLength (rows * cols) (Gen.choose (-most, most))
                    return Array2D.init rows cols (fun row col -> flat[row * cols + col])
                }
                |> Gen.listOf

            return
                { Size = size
                  Norm = norm
                  Permille = permille
                  Weights = List.truncate 3 (array2D [ [ 1; -2; 3 ]; [ 0; 1; 1 ] ] :: weights) }
        }

    let shrink (s: Spec) =
        seq {
            for i in 1 .. s.Weights.Length - 1 do
                { s with
                    Weights = List.removeAt i s.Weights }
        }

    Arb.fromGenShrink (draw, shrink)

let private law name (body: Spec -> unit) =
    testPropertyWithConfig
        { FsCheckConfig.defaultConfig with
            maxTest = 150 }
        name
        (Prop.forAll specs body)

let private linear (weight: int[,]) : Linear =
    use _ = torch.NewDisposeScope()
    let quarters = Array2D.map (fun w -> float32 w / 4.0f) weight
    torch.nn.Linear(new Parameter(torch.tensor quarters, true))

let private modelOf (s: Spec) : Sequential =
    torch.nn.Sequential([| for i, weight in List.indexed s.Weights -> struct ($"layer{i}", linear weight :> Layer) |])

/// A column of a group: its layer, first row, number of rows and column, and its worth for a slot of it, times 5040, a
/// multiple of all numbers of rows.
type private Cell =
    { At: int
      First: int
      Height: int
      Col: int
      Worth: int }

/// In the order of layers, groups and columns.
let private cells (s: Spec) : Cell list =
    [ for at, weight in List.indexed s.Weights do
          for first in 0 .. s.Size .. Array2D.length1 weight - 1 do
              let height = min s.Size (Array2D.length1 weight - first)

              for col in 0 .. Array2D.length2 weight - 1 do
                  let ofRow w =
                      if s.Norm = RowGroupNorm.L1 then abs w else w * w

                  let sum =
                      Seq.sumBy (fun row -> ofRow weight[row, col]) (seq { first .. first + height - 1 })

                  if 5040 % height <> 0 then
                      failtest $"{height} rows"

                  { At = at
                    First = first
                    Height = height
                    Col = col
                    Worth = sum * (5040 / height) } ]

/// The slots of so many cells.
let private slots (taken: Cell list) : Set<int * int * int> =
    set
        [ for cell in taken do
              for row in cell.First .. cell.First + cell.Height - 1 -> cell.At, row, cell.Col ]

/// A stable sort: of equal ones the first stay.
let private largest (count: int) (from: Cell list) : Cell list =
    from |> List.sortByDescending _.Worth |> List.truncate count

/// Half to even.
let private rounded (value: decimal) =
    int (Math.Round(value, MidpointRounding.ToEven))

/// What stays of one layer where so many slots are wanted: of whole groups, and of a last one of fewer rows.
let private ofLayer (s: Spec) (at: int) (nnz: int) : Cell list =
    let rows = Array2D.length1 s.Weights[at]
    let own = cells s |> List.filter (fun cell -> cell.At = at)
    let whole, last = own |> List.partition (fun cell -> cell.Height = s.Size)

    let share (groups: int) =
        rounded (decimal nnz * decimal groups / decimal rows)

    largest (share (rows / s.Size)) whole @ largest (share 1) last

/// What the model has after the conversion.
let private converted (rule: SparsifyRule) (s: Spec) : Set<int * int * int> * SparsifyReport =
    use model = modelOf s
    let report = Sparsify.model (Sparsify.inRowGroups s.Size s.Norm rule) model
    Expect.equal report.Replaced s.Weights.Length "all are replaced"

    let found =
        [ for at, m in Seq.indexed (model.children ()) do
              let layer = m :?> SparseLinear
              let c = layer.Connectivity
              Expect.equal (int64 c.Nnz) report.Rows[at].Nnz "the report's slots"
              let size = Connectivity.rowGroupSize c
              Expect.isTrue (size % s.Size = 0 || size >= c.Rows) $"groups of {s.Size}, got {size}"
              let rows = Connectivity.rowIndices c

              let wanted =
                  [| for slot in 0 .. c.Nnz - 1 -> float s.Weights[at].[rows[slot], c.ColIdx[slot]] / 4.0 |]

              Expect.equal (numbers layer.weight) wanted "each slot has its weight"

              for slot in 0 .. c.Nnz - 1 do
                  at, rows[slot], c.ColIdx[slot] ]

    set found, report

let private expectSlots (wanted: Cell list) (got: Set<int * int * int>, report: SparsifyReport) =
    Expect.equal got (slots wanted) "slots"
    Expect.equal report.Nnz (wanted |> List.sumBy (fun cell -> int64 cell.Height)) "the sum of the report"

let private each (s: Spec) (nnzOf: int -> int) : Cell list =
    [ for at in 0 .. s.Weights.Length - 1 do
          yield! ofLayer s at (nnzOf at) ]

[<Tests>]
let tests =
    testList
        "Sparsify in row groups"
        [ law "each: the columns of groups with the largest norms, as many as Topology.rowGroups would draw" (fun s ->
              let nnz at =
                  rounded (s.Density * decimal s.Weights[at].Length)

              let got = converted (Sparsify.each s.Sparsity) s
              expectSlots (each s nnz) got

              for at, row in Array.indexed (snd got).Rows do
                  let drawn = Topology.rowGroups s.Size row.Rows row.Cols (nnz at) (Seed.ofInt 1)
                  Expect.equal row.Nnz (int64 drawn.Nnz) "the slots of a drawn pattern")

          law "by name: each layer its own" (fun s ->
              let sparsityOf name =
                  if name = "layer0" then 0.5 else s.Sparsity

              let nnz at =
                  rounded ((if at = 0 then 0.5m else s.Density) * decimal s.Weights[at].Length)

              converted (Sparsify.byName sparsityOf) s |> expectSlots (each s nnz))

          law "shared: the counts of countsInRowGroups" (fun s ->
              for rule in
                  [ SparsityDistribution.Uniform
                    SparsityDistribution.ErdosRenyi
                    SparsityDistribution.ErdosRenyiKernel ] do
                  let counts =
                      [| for w in s.Weights -> [| Array2D.length1 w; Array2D.length2 w |] |]
                      |> SparsityDistribution.countsInRowGroups s.Size rule [||] s.Sparsity

                  let got, report = converted (Sparsify.shared rule s.Sparsity) s
                  expectSlots (each s (fun at -> counts[at])) (got, report)
                  Expect.equal [ for row in report.Rows -> int row.Nnz ] (List.ofArray counts) $"{rule}: counts")

          law
              "globally: groups in the order of their worth for a slot, until the next is no nearer to the budget"
              (fun s ->
                  let budget = rounded (s.Density * decimal s.Cells)
                  let ranked = cells s |> List.sortByDescending _.Worth

                  // The slots of the first n cells, and of all n the nearest; of two the even one.
                  let count =
                      ranked
                      |> List.scan (fun sum cell -> sum + cell.Height) 0
                      |> List.indexed
                      |> List.minBy (fun (n, sum) -> abs (sum - budget), n % 2)
                      |> fst

                  let got = converted (Sparsify.globally s.Sparsity) s
                  expectSlots (List.truncate count ranked) got
                  Expect.isLessThanOrEqual (2L * abs ((snd got).Nnz - int64 budget)) (int64 s.Size) "half a group away")

          law "groups of one row are the rule without groups" (fun s ->
              for rule in
                  [ Sparsify.each s.Sparsity
                    Sparsify.shared SparsityDistribution.ErdosRenyi s.Sparsity
                    Sparsify.globally s.Sparsity ] do
                  use model = modelOf s
                  let report = Sparsify.model rule model
                  let inGroups = snd (converted rule { s with Size = 1 })
                  Expect.equal (string inGroups) (string report) "reports")

          law "a single layer keeps what a model of it does, in C# too" (fun s ->
              use dense = linear s.Weights[0]
              let nnz = rounded (s.Density * decimal s.Weights[0].Length)
              let wanted = ofLayer s 0 nnz

              if not wanted.IsEmpty then
                  use layer = Conversion.ofDenseInRowGroups s.Size s.Norm s.Sparsity dense
                  use ofCSharp = Conversions.ToSparse(dense, s.Sparsity, s.Size, s.Norm)
                  let c = layer.Connectivity

                  let got =
                      set [ for slot in 0 .. c.Nnz - 1 -> 0, (Connectivity.rowIndices c)[slot], c.ColIdx[slot] ]

                  Expect.equal got (slots wanted) "slots"
                  Expect.equal ofCSharp.Connectivity c "C#"
                  Expect.equal (numbers ofCSharp.weight) (numbers layer.weight) "C#'s weights"
              elif nnz > 0 then
                  Expect.throwsT<ArgumentException>
                      (fun () -> Conversion.ofDenseInRowGroups s.Size s.Norm s.Sparsity dense |> ignore)
                      "no column of a group")

          testCase "a norm counts that no float32 of its square would hold" (fun () ->
              // The squares of both are infinite, or 0, in float32.
              for scale in [ 1e30f; 1e-30f ] do
                  use dense =
                      torch.nn.Linear(
                          new Parameter(torch.tensor (array2D [ [ 3f * scale; scale ]; [ scale; 4f * scale ] ]), true)
                      )

                  use layer = Conversion.ofDenseInRowGroups 2 RowGroupNorm.L2 0.5 dense
                  Expect.equal (layer.Connectivity.ColIdx.ToArray()) [| 1; 1 |] "the second column")

          testCase "layers without cells have no groups" (fun () ->
              for rows, cols in [ 5, 0; 0, 5 ] do
                  use dense = linearOf torch.ScalarType.Float32 true rows cols 1
                  use layer = Conversion.ofDenseInRowGroups 4 RowGroupNorm.L2 0.5 dense
                  Expect.equal layer.Connectivity (Connectivity.empty rows cols) $"[{rows}, {cols}]"
                  use model = torch.nn.Sequential(dense :> Layer)
                  let rule = Sparsify.globally 0.5 |> Sparsify.inRowGroups 4 RowGroupNorm.L2
                  Expect.equal (Sparsify.model rule model).Replaced 1 "replaced")

          testCase "large layers are read in several blocks" (fun () ->
              // More cells than a block of scores has, in groups that do not divide a block's rows.
              use dense = torch.nn.Linear(2000L, 700L, false)
              use layer = Conversion.ofDenseInRowGroups 3 RowGroupNorm.L2 0.9 dense
              use _ = torch.NewDisposeScope()
              let whole = dense.weight.detach()[torch.TensorIndex.Slice(0L, 699L)]
              let squares = whole.``to``(torch.float64).square().reshape(233L, 3L, 2000L).sum 1L

              let count =
                  (layer.Connectivity.Nnz - (Connectivity.fanIn layer.Connectivity)[699]) / 3

              let struct (_, best) = squares.flatten().topk count
              let wanted = best.data<int64>().ToArray() |> Array.sort
              let c = layer.Connectivity

              let got =
                  [| for group in 0..232 do
                         for slot in c.RowPtr[3 * group] .. c.RowPtr[3 * group + 1] - 1 ->
                             int64 group * 2000L + int64 c.ColIdx[slot] |]

              Expect.equal got wanted "the largest norms")

          testCase "what is timed in groups has its times, and the faster form stays" (fun () ->
              use model =
                  modelOf
                      { Size = 4
                        Norm = RowGroupNorm.L2
                        Permille = 500
                        Weights = [ Array2D.init 12 8 (fun r c -> r + c) ] }

              let rule =
                  { Sparsify.inRowGroups 4 RowGroupNorm.L2 (Sparsify.each 0.5) with
                      FasterAt = ValueSome 4 }

              let row = Array.exactlyOne (Sparsify.model rule model).Rows
              Expect.equal row.IsReplaced (row.SparseMs.Value < row.DenseMs.Value) "the faster one")

          testCase "a rule prints its groups" (fun () ->
              Expect.equal
                  (string (Sparsify.each 0.9 |> Sparsify.inRowGroups 4 RowGroupNorm.L1))
                  "Each(0.9), in groups of 4 rows by L1"
                  "text")

          testCase
              "pruned in groups, a model trains on with its optimizer, rewires in groups, and goes through files"
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  torch.manual_seed 1L |> ignore

                  let dense () =
                      torch.nn.Sequential(
                          struct ("first", torch.nn.Linear(24L, 22L) :> Layer),
                          struct ("relu", torch.nn.ReLU() :> Layer),
                          struct ("last", torch.nn.Linear(22L, 5L) :> Layer)
                      )

                  let model = dense ()
                  let optimizer = torch.optim.Adam(model.parameters (), 1e-2)
                  let x, y = torch.randn (32L, 24L), torch.randn (32L, 5L)

                  let loss () =
                      torch.nn.functional.mse_loss (model.call x, y)

                  let backward () =
                      optimizer.zero_grad ()
                      let loss = loss ()
                      loss.backward ()
                      loss.item<float32>()

                  for _ in 1..5 do
                      backward () |> ignore
                      optimizer.step () |> ignore

                  let report =
                      Sparsify.modelWith
                          optimizer
                          (Sparsify.globally 0.6 |> Sparsify.inRowGroups 4 RowGroupNorm.L2)
                          model

                  Expect.equal report.Replaced 2 "both"

                  let layers () =
                      [ for m in model.children () do
                            match m with
                            | :? SparseLinear as layer -> layer
                            | _ -> () ]

                  let patterns () =
                      [ for layer in layers () -> layer.Connectivity ]

                  let start = patterns ()

                  let policy =
                      Policy.rigL (Schedule.cosine 0.3 2L 40L) |> Policy.inRowGroups 4 RowGroupNorm.L2

                  use rewirer = new Rewirer(model, optimizer, policy, Seed.ofInt 1)
                  use averaging = Averaging.Exponential(model, 0.9)

                  let losses =
                      [ for _ in 1..30 do
                            let loss = backward ()

                            for event in rewirer.Step() do
                                Expect.isTrue event.Outcome.IsDone $"{event}"

                            averaging.Update()
                            loss ]

                  Expect.isLessThan (List.last losses) (List.head losses) "it learns"
                  Expect.notEqual (patterns ()) start "it is rewired"
                  Expect.equal [ for c in patterns () -> c.Nnz ] [ for c in start -> c.Nnz ] "slots"

                  for c in patterns () do
                      let size = Connectivity.rowGroupSize c
                      Expect.isTrue (size % 4 = 0 || size >= c.Rows) $"groups of 4, got {size}"

                  // Averages follow, for the slots that there are.
                  using (averaging.Swap()) (fun _ ->
                      for layer in layers () do
                          Expect.equal (numbers layer.weight).Length layer.Connectivity.Nnz "averages")

                  withFile (fun file ->
                      Checkpoint.save file model
                      let again = dense ()

                      Sparsifying.Sparsify(again, 0.6, rowGroup = 4, byGlobalMagnitude = true)
                      |> ignore

                      Checkpoints.Load(again, file) |> ignore
                      Expect.equal (numbers (again.call x)) (numbers (model.call x)) "the same model, loaded by C#"

                      // Weights begin anew over the loaded groups, and files and other forms take them.
                      for m in again.children () do
                          match m with
                          | :? SparseLinear as layer ->
                              let before = numbers layer.weight
                              layer.reset_parameters ()
                              Expect.notEqual (numbers layer.weight) before "begun anew"

                              // U(−1/√fan-in, 1/√fan-in), each row by its own fan-in.
                              let c = layer.Connectivity
                              let fanIn, rows = Connectivity.fanIn c, Connectivity.rowIndices c

                              Array.iteri
                                  (fun slot w ->
                                      Expect.isLessThanOrEqual
                                          (abs w)
                                          (1.0 / sqrt (float fanIn[rows[slot]]) + 1e-7)
                                          "bound")
                                  (numbers layer.weight)
                          | _ -> ())

                  use onnx = new MemoryStream()
                  Onnx.writeTo Onnx.defaults onnx model
                  Expect.isGreaterThan onnx.Length 0L "ONNX"
                  let outputs = model.call x
                  let back = Sparsify.densify model
                  Expect.equal back.Replaced 2 "and dense again"
                  Expect.isTrue ((model.call x).allclose(outputs, 1e-4, 1e-5)) "the same function") ]
