/// A model's layers are replaced everywhere where they are held, or not at all, and the table tells.
module SparseFs.Tests.SparsifyTests

open System
open System.Collections.Generic
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Tests.ConversionTests
open SparseFs.Tests.Refusals
open TorchSharp
open TorchSharp.Modules
open type TorchSharp.TensorExtensionMethods

type Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

let private linear (rows: int) (cols: int) (seed: int) : Linear =
    linearOf torch.ScalarType.Float32 true rows cols seed

let private mlp (seed: int) =
    torch.nn.Sequential(
        struct ("first", linear 30 20 seed :> Layer),
        struct ("relu", torch.nn.ReLU() :> Layer),
        struct ("second", linear 10 30 (seed + 1) :> Layer),
        struct ("last", linear 4 10 (seed + 2) :> Layer)
    )

/// Fields of every kind: some can hold any layer, some only a Linear, some are lists.
type private Custom(shared: Linear) as this =
    inherit Layer("Custom")

    let free: Layer = linear 8 8 1
    let fixed': Linear = linear 8 8 2
    let array: Layer[] = [| linear 8 8 3; torch.nn.ReLU() |]
    let list = torch.nn.ModuleList<Layer>(linear 8 8 4, linear 8 8 5)
    let named = new ModuleDict<Layer>()
    let narrow = torch.nn.ModuleList<Linear>(linear 8 8 6)
    let immutable: Layer list = [ linear 8 8 7 ]
    let optional: Layer option = Some(linear 8 8 8)
    let again: Layer = shared

    let both =
        torch.nn.Sequential(struct ("shared", shared :> Layer), struct ("tanh", torch.nn.Tanh() :> Layer))

    do
        named.Add("x", linear 8 8 9)
        this.RegisterComponents()
        this.register_module ("inArray", array[0])
        this.register_module ("inList", immutable.Head)
        this.register_module ("inOption", optional.Value)

    override _.forward(x) =
        let inLists =
            Seq.concat
                [ array
                  Array.ofSeq list
                  [| named["x"] |]
                  [| for l in narrow -> l :> Layer |]
                  [| immutable.Head; optional.Value |] ]

        let x =
            Seq.fold (fun (x: torch.Tensor) (l: Layer) -> l.call x) (fixed'.call (free.call x)) inLists

        both.call (again.call x)

type private Part = { Of: Layer }

/// Layers that are registered, and that forward takes out of values which nothing is written to.
type private Hidden() as this =
    inherit Layer("Hidden")

    let pairs: (string * Layer) list = [ "a", linear 8 8 1 ]
    let map: Map<string, Layer> = Map.ofList [ "b", linear 8 8 2 ]
    let record: Part = { Of = linear 8 8 3 }
    let nested: Layer list list = [ [ linear 8 8 4 ] ]
    let jagged: Layer[][] = [| [| linear 8 8 5 |] |]
    let grid: Layer[,] = array2D [ [ linear 8 8 6 ] ]
    let tuple: struct (Layer * int) = struct (linear 8 8 7, 0)
    let texts: string[,] = array2D [ [ "" ] ]

    let all =
        let struct (last, _) = tuple

        torch.nn.ModuleList<Layer>(
            snd pairs.Head,
            map["b"],
            record.Of,
            nested.Head.Head,
            jagged[0][0],
            grid[0, 0],
            last,
            linear 8 8 8
        )

    do this.RegisterComponents()

    member _.Texts = texts

    override _.forward(x) =
        let struct (last, _) = tuple

        [ snd pairs.Head
          map["b"]
          record.Of
          nested.Head.Head
          jagged[0][0]
          grid[0, 0]
          last ]
        |> List.fold (fun (x: torch.Tensor) layer -> layer.call x) (all[7].call x)

let private rowsOf (table: SparsifyReport) =
    table.Rows |> Array.map (fun r -> r.Name, r) |> dict

let private outputs (m: Layer) (features: int) =
    use _ = torch.NewDisposeScope()
    let x = torch.arange(float (3 * features)).reshape(3L, int64 features).sin()
    numbers (m.call x)

let private weights (m: torch.nn.Module) =
    [ for struct (name, p) in m.named_parameters () -> name, numbers p ]

let private rules =
    [ "each", Sparsify.each 0.8
      "by name", Sparsify.byName (fun name -> if name = "last" then 0.0 else 0.9)
      "uniform", Sparsify.shared SparsityDistribution.Uniform 0.8
      "Erdős–Rényi", Sparsify.shared SparsityDistribution.ErdosRenyi 0.83
      "global magnitude", Sparsify.globally 0.87 ]

let private sharedSpecs =
    gen {
        let! seed = Gen.choose (0, 1000)
        let! permille = Gen.choose (0, 999)
        let! kind = Gen.choose (0, 3)
        return seed, float permille / 1000.0, kind
    }
    |> Arb.fromGen

[<Tests>]
let sparsifyTests =
    testList
        "Sparsify"
        [ for name, rule in rules do
              testCase $"{name}: what was sparsified and densified again is the masked model, to the bit" (fun () ->
                  use model = mlp 3
                  let dense = weights model
                  let table = Sparsify.model rule model
                  Expect.equal table.Replaced 3 "replaced"

                  let masks =
                      dict
                          [ for struct (child, m) in model.named_children () do
                                match m with
                                | :? SparseLinear as l -> child, l.Connectivity
                                | _ -> () ]

                  Expect.equal masks.Count 3 "not vacuous"
                  let back = Sparsify.densify model
                  Expect.equal back.Replaced 3 "back"

                  for (key, now), (_, was) in List.zip (weights model) dense do
                      if key.EndsWith "weight" then
                          let c = masks[key.Split('.')[0]]
                          let mask = Array.ofSeq (Seq.cast<bool>(Connectivity.toMask c))
                          Expect.equal now (Array.map2 (fun keep w -> if keep then w else 0.0) mask was) key
                      else
                          Expect.equal now was key

                  for a, b in Array.zip table.Rows back.Rows do
                      Expect.equal (a.Name, a.Nnz, a.Rows, a.Cols) (b.Name, b.Nnz, b.Rows, b.Cols) "tables")

          testProperty
              "the table's counts add up to the budget exactly"
              (Prop.forAll sharedSpecs (fun (seed, sparsity, kind) ->
                  use model = mlp seed

                  let rule =
                      match kind with
                      | 0 -> Sparsify.shared SparsityDistribution.Uniform sparsity
                      | 1 -> Sparsify.shared SparsityDistribution.ErdosRenyi sparsity
                      | 2 -> Sparsify.shared SparsityDistribution.ErdosRenyiKernel sparsity
                      | _ -> Sparsify.globally sparsity

                  let table = Sparsify.model rule model
                  let cells = 30 * 20 + 10 * 30 + 4 * 10

                  let budget =
                      Math.Round((1m - decimal sparsity) * decimal cells, MidpointRounding.ToEven)

                  Expect.equal table.Nnz (int64 budget) "budget"
                  Expect.equal table.Cells (int64 cells) "cells"

                  let inModel =
                      model.parameters ()
                      |> Seq.sumBy (fun p -> if p.dim () = 1L then p.numel () else 0L)

                  Expect.equal inModel (int64 budget + 30L + 10L + 4L) "slots and biases that the model lists"))

          testCase "global magnitude keeps the largest of all layers" (fun () ->
              use model = mlp 5

              let all =
                  [ for name, w in weights model do
                        if name.EndsWith "weight" then
                            yield! Array.map abs w ]

              let table = Sparsify.model (Sparsify.globally 0.9) model

              let kept =
                  [ for name, w in weights model do
                        if name.EndsWith "weight" then
                            yield! Array.map abs w ]

              let wanted = all |> List.sortDescending |> List.take (int table.Nnz)
              Expect.equal (List.sortDescending kept) wanted "magnitudes")

          testCase "a layer that a budget leaves without weights is marked in its row and in the table" (fun () ->
              use model = mlp 5
              use _ = torch.no_grad ()

              for struct (name, p) in model.named_parameters () do
                  if name = "last.weight" then
                      p.mul_ (1e-6.ToScalar()) |> ignore

              let report = Sparsify.model (Sparsify.globally 0.9) model
              let rows = rowsOf report
              Expect.equal rows["last"].Nnz 0L "nothing of it is large"
              Expect.isTrue (rows["last"].IsReplaced && rows["last"].IsEmpty) "marked"
              Expect.isFalse rows["first"].IsEmpty "not vacuous"

              let line =
                  (string report).Split '\n' |> Array.find (fun line -> line.StartsWith "last")

              Expect.stringEnds line "yes, with no weight" "table")

          testCase "only what is wanted and large enough is replaced, and the table says why the rest is not" (fun () ->
              use model = mlp 1

              let rule =
                  { Sparsify.matching "^(first|last)$" (Sparsify.each 0.5) with
                      MinCells = 100L }

              let rows = rowsOf (Sparsify.model rule model)
              Expect.isTrue rows["first"].IsReplaced "first"
              Expect.equal rows["first"].Nnz 300L "nnz"
              Expect.equal rows["first"].WhyNot "" "why"
              Expect.stringContains rows["second"].WhyNot "name" "second"
              Expect.equal rows["second"].Nnz 300L "all cells"
              Expect.stringContains rows["last"].WhyNot "fewer than 100 cells" "last"

              Expect.equal
                  (model.named_children ()
                   |> Seq.filter (fun (struct (_, m)) -> m :? SparseLinear)
                   |> Seq.length)
                  1
                  "one")

          testCase "each kind of field, list and dictionary is replaced where its type allows" (fun () ->
              use model = new Custom(linear 8 8 10)
              let before = outputs model 8
              let rows = rowsOf (Sparsify.model (Sparsify.each 0.0) model)

              let replaced, kept = rows.Values |> List.ofSeq |> List.partition _.IsReplaced

              Expect.containsAll
                  (replaced |> List.map _.Name)
                  [ "free"; "list.0"; "list.1"; "named.x"; "inArray"; "again" ]
                  "replaced"

              Expect.equal (kept |> List.map _.Name |> List.sort) [ "fixed'"; "inList"; "inOption"; "narrow.0" ] "kept"

              Expect.stringContains rows["fixed'"].WhyNot "field 'fixed'' can hold Linear only" "why"
              Expect.stringContains rows["narrow.0"].WhyNot "can hold Linear only" "why"
              Expect.equal rows.Count 10 "each once"

              // All slots stay at sparsity 0, so that the function stays: forward uses the new layers, or none of them.
              for a, b in Array.zip before (outputs model 8) do
                  Expect.isLessThan (abs (a - b)) 1e-4 "function"

              // Forward really runs what parameters() lists: every sparse weight gets a gradient.
              model.call(torch.ones (2L, 8L)).sum().backward()

              let sparse =
                  [ for struct (n, p) in model.named_parameters () do
                        if p.dim () = 1L && n.EndsWith "weight" then
                            n, p ]

              Expect.equal sparse.Length 6 "six sparse weights"

              for name, p in sparse do
                  Expect.isNotNull (box p.grad) name

              let table = Sparsify.densify model
              Expect.equal table.Replaced 6 "and back"

              for a, b in Array.zip before (outputs model 8) do
                  Expect.isLessThan (abs (a - b)) 1e-4 "function again")

          testCase "a layer that is held twice is replaced in both places by one layer" (fun () ->
              use model = new Custom(linear 8 8 10)
              Sparsify.model (Sparsify.each 0.5) model |> ignore

              let found =
                  [ for struct (name, m) in model.named_modules () do
                        if name = "again" || name = "both.shared" then
                            m ]

              Expect.equal found.Length 2 "both"
              Expect.isTrue (obj.ReferenceEquals(found[0], found[1])) "one"
              Expect.isTrue (found[0] :? SparseLinear) "sparse")

          testCase
              "a layer that forward takes out of a pair, a record or a nested list stays dense, and says so"
              (fun () ->
                  use model = new Hidden()
                  let table = Sparsify.model (Sparsify.each 0.5) model
                  Expect.equal (table.Rows |> Array.map _.IsReplaced) (Array.init 8 (fun i -> i = 7)) "replaced"

                  for row in Array.take 7 table.Rows do
                      Expect.stringContains row.WhyNot "can hold Linear only" "why")

          testCase "layers of one name each keep the largest of their own" (fun () ->
              // As slicing and appending makes them.
              let model () =
                  torch.nn.Sequential(struct ("2", linear 8 8 1 :> Layer), struct ("2", linear 8 8 2 :> Layer))

              use twice = model ()
              Sparsify.model (Sparsify.each 0.5) twice |> ignore
              use once = model ()

              for converted, dense in Seq.zip (twice.children ()) (once.children ()) do
                  let expected = Conversion.ofDense 0.5 (dense :?> Linear)

                  Expect.equal (converted :?> SparseLinear).Connectivity expected.Connectivity "its own")

          testCase "layers that share a bias stay as they are" (fun () ->
              let first = linear 8 8 1
              let second = torch.nn.Linear((linear 8 8 2).weight, first.bias)
              use model = torch.nn.Sequential(first :> Layer, second)
              let table = Sparsify.model (Sparsify.each 0.5) model
              Expect.equal table.Replaced 0 "none"

              for row in table.Rows do
                  Expect.stringContains row.WhyNot "shares its bias" "why")

          testCase "layers that share a weight stay as they are" (fun () ->
              let first = linear 8 8 1
              let second = torch.nn.Linear(first.weight)
              use model = torch.nn.Sequential(first :> Layer, second)
              let table = Sparsify.model (Sparsify.each 0.5) model
              Expect.equal table.Replaced 0 "none"

              for row in table.Rows do
                  Expect.stringContains row.WhyNot "shares its weight" "why")

          testCase "a model that is a layer itself is told about, not replaced" (fun () ->
              use model = linear 8 8 1
              let row = Array.exactlyOne (Sparsify.model (Sparsify.each 0.5) model).Rows
              Expect.stringContains row.WhyNot "the model itself" "why"
              Expect.equal (numbers model.weight).Length 64 "as it was")

          testCase "NaN and complex weights stay dense, and the others are converted" (fun () ->
              let bad = linear 8 8 1

              do
                  use _ = torch.no_grad ()
                  bad.weight[0L, 0L] <- torch.tensor nanf

              use model =
                  torch.nn.Sequential(struct ("bad", bad :> Layer), struct ("good", linear 8 8 2 :> Layer))

              let rows = rowsOf (Sparsify.model (Sparsify.each 0.5) model)
              Expect.stringContains rows["bad"].WhyNot "NaN" "why"
              Expect.isTrue rows["good"].IsReplaced "good")

          testCase "what is timed has its times in the table, and slow ones stay dense" (fun () ->
              // No clock is asserted: of the two times in the table, the lower one decides.
              use model = mlp 2

              let table =
                  Sparsify.model
                      { Sparsify.each 0.9 with
                          FasterAt = ValueSome 4 }
                      model

              Expect.equal table.Rows.Length 3 "rows"

              for row in table.Rows do
                  Expect.isTrue (row.DenseMs.HasValue && row.SparseMs.HasValue) "times"
                  Expect.equal row.IsReplaced (row.SparseMs.Value < row.DenseMs.Value) "the faster one"
                  let m = model.named_children () |> Seq.find (fun (struct (n, _)) -> n = row.Name)
                  let struct (_, m) = m
                  Expect.equal (m :? SparseLinear) row.IsReplaced "in the model"

              for p in model.parameters () do
                  Expect.isTrue (isNull (box p.grad)) "no gradient is left behind")

          testCase "a sparsified model trains with a new optimizer, rewires, and saves its state" (fun () ->
              use model = mlp 4

              Sparsify.model (Sparsify.shared SparsityDistribution.ErdosRenyi 0.8) model
              |> ignore

              let optimizer = torch.optim.SGD(model.parameters (), 0.1)

              let rewirer =
                  new Rewirer(model, optimizer, Policy.rigL (Schedule.constant 0.3 1L 10L))

              model.call(torch.ones (3L, 20L)).square().sum().backward()
              Expect.equal (rewirer.Step()).Length 3 "three layers rewire"
              Expect.contains (model.state_dict().Keys) "first.row_ptr" "pattern")

          testCase "a layer without cells has sparsity 1, in a report as in its pattern" (fun () ->
              let row =
                  { Name = "empty"
                    Rows = 0
                    Cols = 7
                    Nnz = 0L
                    IsReplaced = false
                    WhyNot = "no cell"
                    DenseMs = Nullable()
                    SparseMs = Nullable() }

              Expect.equal row.Sparsity 1.0 "row"
              Expect.equal row.Sparsity (Connectivity.empty 0 7).Sparsity "pattern"
              Expect.equal row.Sparsity (Sparsity.ofNnz 0 7 0) "count")

          testCase "a conversion that fails changes nothing" (fun () ->
              use model = mlp 4
              let before = List.ofSeq (model.named_modules ())

              Expect.throwsT<ArgumentOutOfRangeException>
                  (fun () ->
                      Sparsify.model (Sparsify.byName (fun n -> if n = "last" then 1.5 else 0.5)) model
                      |> ignore)
                  "sparsity"

              Expect.equal (List.ofSeq (model.named_modules ())) before "modules")

          testCase "the table is aligned" (fun () ->
              use model = mlp 1

              let table =
                  Sparsify.model
                      { Sparsify.each 0.9 with
                          MinCells = 100L }
                      model

              let lines = table.ToString().Split '\n'

              Expect.equal
                  (List.ofArray lines)
                  [ "layer   shape    nnz  sparsity  dense ms  sparse ms  replaced"
                    "first   30 x 20   60       0.9                       yes"
                    "second  10 x 30   30       0.9                       yes"
                    "last    4 x 10    40         0                       no: it has fewer than 100 cells"
                    "all              130    0.8617                       2 of 3"
                    table.Next ]
                  "lines")

          testCase "conversions leave no more tensors behind than making the layers does" (fun () ->
              use model = mlp 4

              let left (work: unit -> unit) =
                  work () // what the first call makes for good
                  Torch.Replaced.releaseAll ()
                  let before = torch.Tensor.TotalCount
                  work ()
                  Torch.Replaced.releaseAll ()
                  torch.Tensor.TotalCount - before

              let layersOf (m: Sequential) =
                  [ for struct (_, child) in m.named_children () -> child ]

              /// Replaced layers are left to whoever holds them.
              let dispose (layers: torch.nn.Module list) =
                  for m in layers do
                      if m :? Linear || m :? SparseLinear then
                          m.Dispose()

              // TorchSharp's Parameter leaves the tensor that it is made of to the finaliser.
              let ofMaking =
                  left (fun () ->
                      for m in layersOf model do
                          match m with
                          | :? Linear as l ->
                              let copy = torch.nn.Linear(l.in_features, l.out_features)
                              let sparse = new SparseLinear(int l.in_features, int l.out_features)
                              dispose [ copy; sparse ]
                          | _ -> ())

              let ofConverting =
                  left (fun () ->
                      let dense = layersOf model
                      Sparsify.model (Sparsify.each 0.5) model |> ignore
                      let sparse = layersOf model
                      Sparsify.densify model |> ignore
                      dispose (dense @ sparse))

              Expect.isLessThanOrEqual ofConverting ofMaking "tensors")
          |> testSequenced

          refuses "no rule" "rule" "" (fun () -> Sparsify.model Unchecked.defaultof<SparsifyRule> (mlp 1))
          refuses "no model" "model" "" (fun () -> Sparsify.model (Sparsify.each 0.5) Unchecked.defaultof<_>)
          refuses "a sparsity of 1" "sparsity" "got 1" (fun () -> Sparsify.model (Sparsify.globally 1.0) (mlp 1))
          refuses "no samples" "FasterAt" "expected 1 or more samples, got 0" (fun () ->
              Sparsify.model
                  { Sparsify.each 0.5 with
                      FasterAt = ValueSome 0 }
                  (mlp 1))
          refuses "a negative size" "MinCells" "expected 0 or more, got -1" (fun () ->
              Sparsify.model
                  { Sparsify.each 0.5 with
                      MinCells = -1L }
                  (mlp 1)) ]
