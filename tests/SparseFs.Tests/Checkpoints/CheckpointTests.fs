/// Whole models in one file: nothing is lost, and nothing that a file says is believed.
module SparseFs.Tests.CheckpointTests

open System
open System.Collections.Generic
open System.IO
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Tests.CheckpointFiles
open SparseFs.Tests.Refusals
open TorchSharp

let private floating =
    [ torch.ScalarType.Float16
      torch.ScalarType.BFloat16
      torch.ScalarType.Float32
      torch.ScalarType.Float64 ]

let private notes (texts: (string * string) list) =
    Dictionary(dict texts) :> IReadOnlyDictionary<_, _>

let private loosely =
    { Form = WeightForm.SparseFs
      IsStrict = false
      Prefixes = []
      Converts = false }

let private converting =
    { loosely with
        IsStrict = true
        Converts = true }

let private layerOf (c: Connectivity) (hasBias: bool) (dtype: torch.ScalarType) =
    new SparseLinear(c, hasBias = hasBias, dtype = dtype)

/// Dense, normalised and sparse layers, one within another; with buffers.
let private deep (seed: int) : torch.nn.Module =
    let sparse (rows: int) (cols: int) (place: int) =
        new SparseLinear(Topology.uniform rows cols (rows * cols / 4) (Seed.child place (Seed.ofInt seed)))

    let inner =
        torch.nn.Sequential(
            struct ("dense", torch.nn.Linear(8L, 6L) :> torch.nn.Module<torch.Tensor, torch.Tensor>),
            struct ("sparse", sparse 5 6 1 :> torch.nn.Module<torch.Tensor, torch.Tensor>)
        )

    torch.nn.Sequential(sparse 8 12 0, torch.nn.BatchNorm1d 8L, torch.nn.ReLU(), inner)

/// A file that is like another one, but for some tensors: those of no value are left out.
let private altered (file: string) (changes: (string * torch.Tensor) list) =
    let tensors = Safetensors.load file
    let texts = (Safetensors.inspect file).Metadata

    for name, t in changes do
        tensors.Remove name |> ignore

        if not (isNull (box t)) then
            tensors[name] <- t

    Safetensors.save file texts tensors

/// A load that must be refused, of which the model must show no trace.
let private refusedWhole (model: torch.nn.Module) (problem: CheckpointProblem) (says: string) (load: unit -> 'a) =
    let before = stateOf model
    refusedAs problem says load
    Expect.equal (stateOf model) before "the model is as it was"

/// Rows 3, columns 4, slots (0,1) (0,3) (2,0).
let private small () =
    new SparseLinear(Connectivity.create 3 4 [| 0; 2; 2; 3 |] [| 1; 3; 0 |])

let private ints (values: int list) = torch.tensor (Array.ofList values)

let private longs (values: int64 list) = torch.tensor (Array.ofList values)

/// Patterns that are none, with what the message says.
let private hostile: (string * string * (string * (unit -> torch.Tensor)) list) list =
    [ "a column beyond the last", "got column 4", [ "col_idx", (fun () -> ints [ 1; 4; 0 ]) ]
      "a negative column", "got column -1", [ "col_idx", (fun () -> ints [ -1; 3; 0 ]) ]
      "unsorted columns", "rising columns", [ "col_idx", (fun () -> ints [ 3; 1; 0 ]) ]
      "a repeated column", "twice", [ "col_idx", (fun () -> ints [ 1; 1; 0 ]) ]
      "a row_ptr that falls", "never fall", [ "row_ptr", (fun () -> ints [ 0; 2; 1; 3 ]) ]
      "a row_ptr that begins above 0", "start at 0", [ "row_ptr", (fun () -> ints [ 1; 2; 2; 3 ]) ]
      "a row_ptr that ends below nnz", "end at nnz", [ "row_ptr", (fun () -> ints [ 0; 2; 2; 2 ]) ]
      "a row_ptr that ends above nnz", "end at nnz", [ "row_ptr", (fun () -> ints [ 0; 2; 2; 2147483647 ]) ]
      "a negative row_ptr", "never fall", [ "row_ptr", (fun () -> ints [ 0; -2147483648; 2; 3 ]) ]
      "a column beyond 32 bits", "32-bit", [ "col_idx", (fun () -> longs [ 1L; 4294967299L; 0L ]) ] ]

let private hostileCoo: (string * string * (unit -> torch.Tensor)) list =
    let pairs (rows: int64 list) (cols: int64 list) =
        fun () -> torch.tensor(Array.ofList (rows @ cols)).reshape(2L, 3L)

    [ "a row beyond the last", "got row 3", pairs [ 0L; 0L; 3L ] [ 1L; 3L; 0L ]
      "a negative row", "got row -1", pairs [ 0L; 0L; -1L ] [ 1L; 3L; 0L ]
      "a column beyond the last", "got column 4", pairs [ 0L; 0L; 2L ] [ 1L; 4L; 0L ]
      "a pair twice", "twice", pairs [ 0L; 0L; 0L ] [ 1L; 3L; 1L ] ]

[<Tests>]
let checkpointTests =
    testSequenced
    <| testList
        "Checkpoint"
        [ testPropertyWithConfig
              { FsCheckConfig.defaultConfig with
                  maxTest = 60 }
              "a layer of any pattern and dtype comes back to the bit, into a layer of any other pattern, and trains"
              (Prop.forAll Cases.cases (fun case ->
                  use _ = torch.NewDisposeScope()
                  let c = case.Pattern
                  let dtype = floating[case.N % 4]
                  let hasBias = case.N % 3 <> 0

                  let layout =
                      if case.N % 2 = 0 then
                          PatternLayout.Csr
                      else
                          PatternLayout.Coo

                  withFile (fun file ->
                      use saved = layerOf c hasBias dtype
                      Checkpoint.saveWith layout (notes []) file saved
                      use loaded = layerOf (Connectivity.empty c.Rows c.Cols) hasBias dtype
                      let parameter, handle = loaded.weight, loaded.weight.Handle
                      Checkpoint.load file loaded
                      Expect.equal loaded.Connectivity c "pattern"
                      Expect.equal (stateOf loaded) (stateOf saved) "numbers"
                      Expect.isTrue (obj.ReferenceEquals(loaded.weight, parameter)) "the same parameter"
                      Expect.equal loaded.weight.Handle handle "the same tensor"

                      loaded.call(torch.ones ([| 2L; int64 c.Cols |], dtype = dtype)).sum().backward()
                      Expect.equal loaded.weight.PresentGrad.shape [| int64 c.Nnz |] "it trains"

                      use alone = Checkpoint.sparseLayer WeightForm.SparseFs file ""
                      Expect.equal (stateOf alone) (stateOf saved) "from the file alone"
                      Expect.isTrue alone.weight.requires_grad "it trains")))

          testCase "a deep model comes back to the bit, with its buffers" (fun () ->
              use _ = torch.NewDisposeScope()

              withFile (fun file ->
                  let saved = deep 1

                  (saved :?> torch.nn.Module<torch.Tensor, torch.Tensor>).call(torch.randn (10L, 12L))
                  |> ignore

                  Checkpoint.saveWith PatternLayout.Csr (notes [ "epoch", "3" ]) file saved
                  let loaded = deep 2
                  Expect.notEqual (stateOf loaded) (stateOf saved) "not vacuous"
                  Checkpoint.load file loaded
                  Expect.equal (stateOf loaded) (stateOf saved) "all"
                  Expect.isTrue (loaded.parameters () |> Seq.forall _.requires_grad) "they train"
                  let contents = Safetensors.inspect file
                  Expect.equal contents.Metadata["epoch"] "3" "note"

                  Expect.equal
                      contents.Metadata["sparsefs.layer.3.sparse"]
                      "SparseLinear(in_features=6, out_features=5, nnz=7, bias=True)"
                      "layer"

                  use layer = Checkpoint.sparseLayer WeightForm.SparseFs file "3.sparse"
                  Expect.equal layer.Connectivity.Nnz 7 "one layer of it"))

          testCase "what TorchSharp's own load_state_dict gives to a loaded model stays with it" (fun () ->
              use _ = torch.NewDisposeScope()

              withFile (fun file ->
                  let first, second = deep 1, deep 2
                  Checkpoint.save file first
                  second.load_state_dict (first.state_dict ()) |> ignore
                  let before = stateOf second
                  Checkpoint.load file second
                  Expect.equal (stateOf second) before "the same"
                  let third = deep 3
                  third.load_state_dict (second.state_dict ()) |> ignore
                  Expect.equal (stateOf third) before "and back"))

          testCase "a dtype is kept, or converted where that is asked for, before or after .to(dtype)" (fun () ->
              for from in floating do
                  for target in floating do
                      use _ = torch.NewDisposeScope()

                      withFile (fun file ->
                          use saved = small ()
                          saved.``to`` from |> ignore
                          Checkpoint.save file saved
                          use loaded = small ()
                          loaded.``to`` target |> ignore

                          if from <> target then
                              refusedWhole loaded CheckpointProblem.Mismatch "ask for a conversion" (fun () ->
                                  Checkpoint.load file loaded)

                          Checkpoint.loadWith converting file loaded |> ignore
                          Expect.equal loaded.weight.dtype target "dtype"
                          Expect.equal (bytesOf loaded.weight) (bytesOf (saved.weight.to_type target)) "numbers"
                          loaded.``to`` from |> ignore
                          saved.``to``(target).``to`` from |> ignore
                          Expect.equal (stateOf loaded) (stateOf saved) "afterwards"))

          testCase "a gradient of other cells does not survive a new pattern, one of the same cells does" (fun () ->
              use _ = torch.NewDisposeScope()

              withFile (fun file ->
                  use layer = small ()
                  Checkpoint.save file layer

                  let backward () =
                      layer.call(torch.ones (1L, 4L)).sum().backward()

                  backward ()
                  Checkpoint.load file layer
                  Expect.equal (layer.weight.PresentGrad.sum().item<float32>()) 3.0f "the same cells"

                  use other = new SparseLinear(Connectivity.full 3 4)
                  Checkpoint.save file other
                  Checkpoint.load file layer
                  Expect.equal (bytesOf layer.weight.PresentGrad) (Array.zeroCreate 48) "other cells"
                  backward ()))

          testCase
              "all that does not fit is in one error: what is missing, not expected, of another shape and dtype"
              (fun () ->
                  use _ = torch.NewDisposeScope()

                  withFile (fun file ->
                      let model = deep 1
                      Checkpoint.save file model

                      altered
                          file
                          [ "1.running_mean", Unchecked.defaultof<_>
                            "3.dense.weight", torch.zeros (7L, 8L)
                            "3.dense.bias", torch.zeros ([| 6L |], dtype = torch.ScalarType.Float64)
                            "3.sparse.row_ptr", torch.zeros (6L)
                            "more", torch.zeros 1L ]

                      let e = refusal (fun () -> Checkpoint.load file model)
                      Expect.equal e.Problem CheckpointProblem.Mismatch e.Message

                      for part in
                          [ "missing: 1.running_mean"
                            "not expected: more"
                            "'3.dense.weight': expected shape [6, 8], got [7, 8]"
                            "'3.dense.bias': expected Float32, got Float64"
                            "'3.sparse.row_ptr': expected I32 or I64 [6], got F32 [6]" ] do
                          Expect.stringContains e.Reason part "in the one message"))

          testCase "a load that is not strict says what it has passed over, and loads the rest" (fun () ->
              use _ = torch.NewDisposeScope()

              withFile (fun file ->
                  let saved, loaded = deep 1, deep 2
                  Checkpoint.save file saved

                  altered
                      file
                      [ "1.running_mean", Unchecked.defaultof<_>
                        "0.weight", Unchecked.defaultof<_>
                        "0.row_ptr", Unchecked.defaultof<_>
                        "0.col_idx", Unchecked.defaultof<_>
                        "more", torch.zeros 1L ]

                  let kept = [ "1.running_mean"; "0.weight"; "0.row_ptr"; "0.col_idx" ]
                  let before = stateOf loaded
                  let report = Checkpoint.loadWith loosely file loaded
                  Expect.equal (set report.Missing) (set kept) "missing"
                  Expect.equal report.Unexpected [| "more" |] "not expected"

                  let wanted =
                      stateOf saved
                      |> Map.map (fun name value -> if List.contains name kept then before[name] else value)

                  Expect.equal (stateOf loaded) wanted "the rest"))

          testCase
              "weights without their pattern, or a pattern without weights, are refused even where a load is not strict"
              (fun () ->
                  for gone in [ "weight"; "row_ptr"; "col_idx" ] do
                      use _ = torch.NewDisposeScope()

                      withFile (fun file ->
                          use layer = small ()
                          Checkpoint.save file layer
                          altered file [ gone, Unchecked.defaultof<_> ]

                          refusedWhole layer CheckpointProblem.Mismatch "or the other way round" (fun () ->
                              Checkpoint.loadWith loosely file layer)))

          for name, says, changes in hostile do
              testCase $"refused: {name}" (fun () ->
                  use _ = torch.NewDisposeScope()

                  withFile (fun file ->
                      use layer = small ()
                      use first = new SparseLinear(Connectivity.full 4 4) // is read before the one that is spoilt
                      let model = torch.nn.Sequential(first, layer)
                      Checkpoint.save file model

                      altered
                          file
                          [ "0.weight", torch.ones 16L
                            for key, make in changes do
                                "1." + key, make () ]

                      refusedWhole model CheckpointProblem.Pattern says (fun () -> Checkpoint.load file model)

                      refusedAs CheckpointProblem.Pattern says (fun () ->
                          Checkpoint.sparseLayer WeightForm.SparseFs file "1")))

          for name, says, indices in hostileCoo do
              testCase $"refused among pairs: {name}" (fun () ->
                  use _ = torch.NewDisposeScope()

                  withFile (fun file ->
                      use layer = small ()
                      Checkpoint.saveWith PatternLayout.Coo (notes []) file layer
                      altered file [ "indices", indices () ]
                      refusedWhole layer CheckpointProblem.Pattern says (fun () -> Checkpoint.load file layer)))

          testCase "pairs may come in any order, and take their values with them" (fun () ->
              use _ = torch.NewDisposeScope()

              withFile (fun file ->
                  use layer = small ()
                  Checkpoint.saveWith PatternLayout.Coo (notes []) file layer

                  altered
                      file
                      [ "indices", torch.tensor([| 2L; 0L; 0L; 0L; 3L; 1L |]).reshape(2L, 3L)
                        "values", torch.tensor [| 20.0f; 3.0f; 1.0f |] ]

                  Checkpoint.load file layer
                  Expect.equal (layer.weight.detach().data<float32>().ToArray()) [| 1.0f; 3.0f; 20.0f |] "slot order"))

          testCase "refused: a layer of other sizes, by its shapes and by the file's text" (fun () ->
              use _ = torch.NewDisposeScope()

              withFile (fun file ->
                  use layer = small ()
                  // The same rows, and columns that the model has: only the text tells.
                  use wider = new SparseLinear(Connectivity.create 3 5 [| 0; 2; 2; 3 |] [| 1; 3; 0 |])
                  Checkpoint.save file wider

                  refusedWhole
                      layer
                      CheckpointProblem.Mismatch
                      "expected in_features=4, out_features=3, got in_features=5"
                      (fun () -> Checkpoint.load file layer)

                  use longer = new SparseLinear(Connectivity.empty 4 4)
                  Checkpoint.save file longer

                  refusedWhole
                      layer
                      CheckpointProblem.Mismatch
                      "expected in_features=4, out_features=3, got in_features=4, out_features=4"
                      (fun () -> Checkpoint.load file layer)

                  Safetensors.save file (Dictionary()) (Safetensors.load file) // without the text

                  refusedWhole layer CheckpointProblem.Mismatch "'row_ptr': expected" (fun () ->
                      Checkpoint.load file layer)))

          testCase "refused: texts that are none of a layer, and a format that is not known" (fun () ->
              use _ = torch.NewDisposeScope()

              withFile (fun file ->
                  use layer = small ()
                  Checkpoint.save file layer
                  let header, data = readRaw file

                  let rewrite (was: string) (is: string) =
                      writeText file (header.Replace(was, is)) data

                  for text in [ "in_features=-4"; "in_features=99999999999"; "in_features=NaN"; "x=4" ] do
                      rewrite "in_features=4" text

                      refusedWhole layer CheckpointProblem.Value "expected SparseLinear(" (fun () ->
                          Checkpoint.load file layer)

                  rewrite "nnz=3" "nnz=2"

                  refusedWhole layer CheckpointProblem.Mismatch "[2] by the file's text" (fun () ->
                      Checkpoint.load file layer)

                  refusedAs CheckpointProblem.Mismatch "expected nnz=2" (fun () ->
                      Checkpoint.sparseLayer WeightForm.SparseFs file "")

                  rewrite "bias=True" "bias=False"

                  refusedAs CheckpointProblem.Mismatch "bias=False" (fun () ->
                      Checkpoint.sparseLayer WeightForm.SparseFs file "")

                  rewrite "\"sparsefs.format\":\"1\"" "\"sparsefs.format\":\"2\""

                  refusedWhole layer CheckpointProblem.Mismatch "expected format 1" (fun () ->
                      Checkpoint.load file layer)))

          testCase "refused: a file alone that claims more rows than it can have, or no sizes at all" (fun () ->
              use _ = torch.NewDisposeScope()

              withFile (fun file ->
                  use layer =
                      new SparseLinear(Connectivity.create 3 4 [| 0; 2; 2; 3 |] [| 1; 3; 0 |], hasBias = false)

                  Checkpoint.saveWith PatternLayout.Coo (notes []) file layer
                  let header, data = readRaw file
                  writeText file (header.Replace("out_features=3", "out_features=2147483646")) data
                  let before = GC.GetAllocatedBytesForCurrentThread()

                  refusedAs CheckpointProblem.Shape "at most 1000000 outputs" (fun () ->
                      Checkpoint.sparseLayer WeightForm.SparseFs file "")

                  Expect.isLessThan (GC.GetAllocatedBytesForCurrentThread() - before) 1_000_000L "memory"
                  writeText file (header.Replace("sparsefs.layer.", "other.layer.")) data

                  refusedAs CheckpointProblem.Mismatch "sparseLayerOf" (fun () ->
                      Checkpoint.sparseLayer WeightForm.SparseFs file "")

                  use sized = Checkpoint.sparseLayerOf 4 3 WeightForm.SparseFs file ""
                  Expect.equal (stateOf sized) (stateOf layer) "with sizes"))

          testCase
              "a layer that a model has twice comes back once, and is refused where the file has it in two ways"
              (fun () ->
                  use _ = torch.NewDisposeScope()

                  withFile (fun file ->
                      let twice () =
                          let layer = new SparseLinear(Connectivity.create 3 3 [| 0; 1; 2; 2 |] [| 0; 2 |])
                          torch.nn.Sequential(layer, torch.nn.ReLU(), layer)

                      let saved, loaded = twice (), twice ()
                      Checkpoint.save file saved
                      Checkpoint.load file loaded
                      Expect.equal (stateOf loaded) (stateOf saved) "once"

                      for change in [ "2.weight", torch.tensor [| 7.0f; 8.0f |]; "2.col_idx", ints [ 1; 2 ] ] do
                          Checkpoint.save file saved
                          altered file [ change; "2.weight_fingerprint", Unchecked.defaultof<_> ]

                          refusedWhole loaded CheckpointProblem.Mismatch "differ" (fun () ->
                              Checkpoint.load file loaded)))

          testCase "weights of one file and a pattern of another are refused, unless no fingerprint says so" (fun () ->
              use _ = torch.NewDisposeScope()

              withFile (fun file ->
                  let pattern (seed: int) =
                      Topology.uniform 6 5 9 (Seed.ofInt seed)

                  let saved, loaded = new SparseLinear(pattern 1), new SparseLinear(pattern 3)
                  let other = pattern 2

                  let ofOther =
                      [ "row_ptr", ints (List.ofSeq (other.RowPtr.ToArray()))
                        "col_idx", ints (List.ofSeq (other.ColIdx.ToArray())) ]

                  Checkpoint.save file saved
                  altered file ofOther

                  for load in
                      [ fun () -> Checkpoint.load file loaded
                        fun () -> Checkpoint.sparseLayer WeightForm.SparseFs file "" |> ignore ] do
                      refusedWhole loaded CheckpointProblem.Mismatch "do not belong together" load

                  altered file [ "weight_fingerprint", Unchecked.defaultof<_> ]
                  Checkpoint.load file loaded
                  Expect.equal loaded.Connectivity other "taken as it is"
                  Checkpoint.saveWith PatternLayout.Coo (notes []) file saved
                  Checkpoint.load file loaded
                  Expect.equal loaded.Connectivity (pattern 1) "COO has one too"))

          testCase "a model that TorchSharp gives nothing is refused" (fun () ->
              withFile (fun file ->
                  use empty = torch.nn.ReLU()
                  let e = Expect.throwsC (fun () -> Checkpoint.save file empty) id
                  Expect.stringContains e.Message "RegisterComponents" "the cure"
                  Expect.isFalse (IO.File.Exists file) "no file"))

          testCase "a number that is none comes back as it was" (fun () ->
              use _ = torch.NewDisposeScope()

              withFile (fun file ->
                  use layer = small ()
                  use _ = torch.no_grad ()
                  layer.weight.copy_ (torch.tensor [| nanf; infinityf; -0.0f |]) |> ignore
                  Checkpoint.save file layer
                  use loaded = small ()
                  Checkpoint.load file loaded
                  Expect.equal (stateOf loaded) (stateOf layer) "bits"))

          testCase "saving and loading leave no tensor behind" (fun () ->
              withFile (fun file ->
                  use model = deep 1

                  let once () =
                      Checkpoint.save file model
                      Checkpoint.load file model

                  once ()
                  Torch.Replaced.releaseAll ()
                  let before = torch.Tensor.TotalCount

                  for _ in 1..20 do
                      once ()

                  Torch.Replaced.releaseAll () // what others might still be reading
                  GC.Collect()
                  GC.WaitForPendingFinalizers()
                  Expect.isLessThanOrEqual torch.Tensor.TotalCount (before + 4L) "tensors"))

          refuses "a reserved note" "notes" "sparsefs.format" (fun () ->
              withFile (fun file ->
                  use layer = small ()
                  Checkpoint.saveWith PatternLayout.Csr (notes [ "sparsefs.format", "" ]) file layer))
          refuses "an unknown layout" "layout" "got 7" (fun () ->
              withFile (fun file ->
                  use layer = small ()
                  Checkpoint.saveWith (enum 7) (notes []) file layer))
          refuses "no model" "model" "" (fun () -> Checkpoint.load "x" Unchecked.defaultof<_>)
          refuses "a sparsity of 1" "sparsity" "[0, 1)" (fun () ->
              Checkpoint.sparseLayer (WeightForm.Magnitude 1.0) "x" "") ]
