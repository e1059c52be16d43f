/// Files that others wrote: SparseLinear, masks, pruned and dense weights.
module SparseFs.Tests.WeightFormTests

open System.Collections.Generic
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Tests.CheckpointFiles
open TorchSharp

let private save (file: string) (tensors: (string * torch.Tensor) list) =
    Safetensors.save file (Dictionary()) (Dictionary(dict tensors))

let private floats (t: torch.Tensor) =
    t.detach().flatten().data<float32>().ToArray()

/// A dense weight, a mask of the pattern and the weights under it in slot order, all without SparseFs's own code.
let private dense (case: Cases.Case) =
    let c = case.Pattern
    let weight = Array2D.init c.Rows c.Cols (fun r k -> float32 (1 + r * 100 + k))
    let mask = Connectivity.toMask c

    let kept =
        [| for r in 0 .. c.Rows - 1 do
               for k in 0 .. c.Cols - 1 do
                   if mask[r, k] then
                       weight[r, k] |]

    let shaped (cells: seq<'a>) make : torch.Tensor =
        (make (Array.ofSeq cells): torch.Tensor).reshape(int64 c.Rows, int64 c.Cols)

    shaped (Seq.cast<float32> weight) (fun (w: float32[]) -> torch.tensor w),
    shaped (Seq.cast<bool> mask) (fun (m: bool[]) -> torch.tensor m),
    kept

let private law name (body: Cases.Case -> string -> unit) =
    testPropertyWithConfig
        { FsCheckConfig.defaultConfig with
            maxTest = 40 }
        name
        (Prop.forAll Cases.cases (fun case ->
            use _ = torch.NewDisposeScope()
            withFile (body case)))

/// Loads in both ways: into a model, and as a layer of its own.
let private bothWays (c: Connectivity) (form: WeightForm) (file: string) (check: SparseLinear -> unit) =
    use model =
        torch.nn.Sequential(struct ("fc", new SparseLinear(Connectivity.empty c.Rows c.Cols) :> torch.nn.Module<_, _>))

    Checkpoint.loadFrom form file model
    check (Seq.head (model.children ()) :?> SparseLinear)

    use alone =
        match form with
        | WeightForm.SparseLinear -> Checkpoint.sparseLayerOf c.Cols c.Rows form file "fc"
        | _ -> Checkpoint.sparseLayer form file "fc"

    check alone

let private expect (c: Connectivity) (weights: float32[]) (bias: torch.Tensor) (layer: SparseLinear) =
    Expect.equal layer.Connectivity c "pattern"
    Expect.equal (floats layer.weight) weights "weights"
    Expect.equal (floats layer.PresentBias) (floats bias) "bias"
    layer.call(torch.ones (2L, int64 c.Cols)).sum().backward()
    Expect.equal layer.weight.PresentGrad.shape [| int64 c.Nnz |] "it trains"
    Expect.isTrue layer.PresentBias.requires_grad "it trains"

let private refused
    name
    (problem: CheckpointProblem)
    (says: string)
    form
    (tensors: unit -> (string * torch.Tensor) list)
    =
    testCase $"refused: {name}" (fun () ->
        use _ = torch.NewDisposeScope()

        withFile (fun file ->
            save file (tensors ())
            use layer = new SparseLinear(Connectivity.full 2 2, hasBias = false)
            let before = stateOf layer
            refusedAs problem says (fun () -> Checkpoint.loadFrom form file layer)
            Expect.equal (stateOf layer) before "the layer is as it was"
            refusedAs problem says (fun () -> Checkpoint.sparseLayerOf 2 2 form file "")))

let private matrix (numbers: float32 list) =
    torch.tensor(Array.ofList numbers).reshape(2L, 2L)

[<Tests>]
let weightFormTests =
    testSequenced
    <| testList
        "WeightForm"
        [ law "SparseLinear's weights and indices give the layer, pairs in any order" (fun case file ->
              let c = case.Pattern
              let _, _, kept = dense case
              let order = Array.init c.Nnz id
              System.Random(case.N).Shuffle order
              let rows, cols = Connectivity.rowIndices c, c.ColIdx.ToArray()
              let bias = torch.randn (int64 c.Rows)

              let shuffled (values: 'a[]) =
                  order |> Array.map (fun slot -> values[slot])

              save
                  file
                  [ "fc.weights", torch.tensor (shuffled kept)
                    "fc.indices",
                    torch
                        .tensor(Array.append (shuffled rows) (shuffled cols) |> Array.map int64)
                        .reshape(2L, int64 c.Nnz)
                    "fc.bias", bias ]

              bothWays c WeightForm.SparseLinear file (expect c kept bias))

          law "a mask gives the layer, whatever lies outside it, whatever its dtype" (fun case file ->
              let weight, mask, kept = dense case
              let bias = torch.randn (int64 case.Pattern.Rows)

              for names in [ "fc.weight", "fc.mask"; "fc.weight_orig", "fc.weight_mask" ] do
                  for dtype in
                      [ torch.ScalarType.Bool
                        torch.ScalarType.Float32
                        torch.ScalarType.Byte
                        torch.ScalarType.Int64 ] do
                      save file [ fst names, weight; snd names, mask.to_type dtype; "fc.bias", bias ]
                      bothWays case.Pattern WeightForm.Masked file (expect case.Pattern kept bias))

          law "exact zeros give the layer" (fun case file ->
              let weight, mask, kept = dense case
              let bias = torch.randn (int64 case.Pattern.Rows)

              save
                  file
                  [ "fc.weight", weight.mul (mask.to_type torch.ScalarType.Float32)
                    "fc.bias", bias ]

              bothWays case.Pattern WeightForm.Zeros file (expect case.Pattern kept bias))

          law "magnitudes give as many slots as the sparsity says, and none larger is left" (fun case file ->
              let c = case.Pattern
              let weight = torch.randn (int64 c.Rows, int64 c.Cols)
              save file [ "fc.weight", weight; "fc.bias", torch.zeros (int64 c.Rows) ]
              use layer = Checkpoint.sparseLayer (WeightForm.Magnitude 0.7) file "fc"
              let nnz = Sparsity.nnz c.Rows c.Cols 0.7
              Expect.equal layer.Connectivity.Nnz nnz "nnz"

              let largest =
                  floats weight |> Array.sortBy (fun w -> -(abs w)) |> Array.truncate nnz

              Expect.equal (Array.sort (floats layer.weight)) (Array.sort largest) "the largest"

              for was, is in Array.zip (floats weight) (floats (layer.weightMatrix ())) do
                  Expect.isTrue (is = 0.0f || is = was) "each in its place")

          testCase "a weight of 0 under a mask is a slot" (fun () ->
              use _ = torch.NewDisposeScope()

              withFile (fun file ->
                  save
                      file
                      [ "weight", matrix [ 0.0f; 1.0f; 2.0f; 0.0f ]
                        "mask", matrix [ 1.0f; 1.0f; 0.0f; 0.0f ] ]

                  use layer = Checkpoint.sparseLayer WeightForm.Masked file ""
                  Expect.equal (floats layer.weight) [| 0.0f; 1.0f |] "weights"
                  Expect.isNull layer.bias "no bias"))

          testCase "the dtype of the file is the layer's" (fun () ->
              for dtype in
                  [ torch.ScalarType.Float16
                    torch.ScalarType.BFloat16
                    torch.ScalarType.Float64 ] do
                  use _ = torch.NewDisposeScope()

                  withFile (fun file ->
                      save file [ "weight", (matrix [ 0.0f; 1.0f; -3.0f; 0.0f ]).to_type dtype ]

                      for form in [ WeightForm.Zeros; WeightForm.Magnitude 0.5 ] do
                          use layer = Checkpoint.sparseLayer form file ""
                          Expect.equal layer.weight.dtype dtype "dtype"

                          Expect.equal
                              (floats (layer.weight.to_type torch.ScalarType.Float32))
                              [| 1.0f; -3.0f |]
                              "weights"))

          refused "a mask of halves" CheckpointProblem.Value "0 and 1" WeightForm.Masked (fun () ->
              [ "weight", matrix [ 1.0f; 1.0f; 1.0f; 1.0f ]
                "mask", matrix [ 0.5f; 1.0f; 1.0f; 1.0f ] ])
          refused "a mask of NaN" CheckpointProblem.Value "0 and 1" WeightForm.Masked (fun () ->
              [ "weight", matrix [ 1.0f; 1.0f; 1.0f; 1.0f ]
                "mask", matrix [ nanf; 1.0f; 1.0f; 1.0f ] ])
          refused
              "a mask of another shape"
              CheckpointProblem.Mismatch
              "expected any dtype [2, 2]"
              WeightForm.Masked
              (fun () -> [ "weight", matrix [ 1.0f; 1.0f; 1.0f; 1.0f ]; "mask", torch.ones (1L, 2L) ])
          refused "no mask" CheckpointProblem.Mismatch "mask" WeightForm.Masked (fun () ->
              [ "weight", matrix [ 1.0f; 1.0f; 1.0f; 1.0f ] ])
          refused
              "a dense weight of another shape"
              CheckpointProblem.Mismatch
              "expected floats [2, 2]"
              WeightForm.Zeros
              (fun () -> [ "weight", torch.ones (2L, 3L) ])
          refused "integer weights" CheckpointProblem.Mismatch "expected floats" WeightForm.Zeros (fun () ->
              [ "weight", torch.ones ([| 2L; 2L |], dtype = torch.ScalarType.Int32) ])
          refused "a NaN among magnitudes" CheckpointProblem.Value "NaN" (WeightForm.Magnitude 0.5) (fun () ->
              [ "weight", matrix [ 1.0f; nanf; 1.0f; 1.0f ] ])
          refused
              "indices of one row"
              CheckpointProblem.Mismatch
              "expected I32 or I64 [2, 1]"
              WeightForm.SparseLinear
              (fun () ->
                  [ "weights", torch.ones 1L
                    "indices", torch.zeros ([| 1L; 1L |], dtype = torch.ScalarType.Int64) ])
          refused
              "a duplicate, which SparseLinear merged"
              CheckpointProblem.Pattern
              "twice"
              WeightForm.SparseLinear
              (fun () ->
                  [ "weights", torch.ones 2L
                    "indices", torch.zeros ([| 2L; 2L |], dtype = torch.ScalarType.Int64) ])

          testCase "a bias that the layer lacks, or has alone, is refused by name" (fun () ->
              use _ = torch.NewDisposeScope()

              withFile (fun file ->
                  let weight = matrix [ 1.0f; 1.0f; 0.0f; 1.0f ]
                  use without = new SparseLinear(Connectivity.full 2 2, hasBias = false)
                  use having = new SparseLinear(Connectivity.full 2 2)
                  save file [ "weight", weight; "bias", torch.ones 2L ]

                  refusedAs CheckpointProblem.Mismatch "not expected: bias" (fun () ->
                      Checkpoint.loadFrom WeightForm.Zeros file without)

                  save file [ "weight", weight ]

                  refusedAs CheckpointProblem.Mismatch "missing: bias" (fun () ->
                      Checkpoint.loadFrom WeightForm.Zeros file having)

                  save file [ "weight", weight; "bias", torch.ones 3L ]

                  refusedAs CheckpointProblem.Mismatch "[2]" (fun () ->
                      Checkpoint.sparseLayer WeightForm.Zeros file ""))) ]
