/// A dense layer and its sparse form are one function in two forms.
module SparseFs.Tests.ConversionTests

open System
open System.Text.RegularExpressions
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Tests.Refusals
open TorchSharp
open TorchSharp.Modules
open type TorchSharp.TensorExtensionMethods

let numbers (t: torch.Tensor) : float[] =
    use _ = torch.NewDisposeScope()
    t.detach().to_type(torch.ScalarType.Float64).cpu().contiguous().flatten().data<float>().ToArray()

/// Weights in tenths, so that many magnitudes are equal.
let linearOf (dtype: torch.ScalarType) (hasBias: bool) (rows: int) (cols: int) (seed: int) : Linear =
    use _ = torch.NewDisposeScope()
    let random = Random seed

    let drawn (shape: int64[]) =
        let count = shape |> Array.fold (*) 1L |> int
        let values = Array.init count (fun _ -> float32 (random.Next(-20, 21)) / 10.0f)
        new Parameter(torch.tensor(values).reshape(shape).to_type(dtype, copy = true), true)

    torch.nn.Linear(
        drawn [| int64 rows; int64 cols |],
        (if hasBias then
             drawn [| int64 rows |]
         else
             Unchecked.defaultof<_>)
    )

let dtypes =
    [ torch.ScalarType.Float32
      torch.ScalarType.Float64
      torch.ScalarType.BFloat16
      torch.ScalarType.Float16 ]

type Spec =
    { Rows: int
      Cols: int
      HasBias: bool
      DType: torch.ScalarType
      Tenths: int
      Seed: int }

let specs =
    gen {
        let! rows = Gen.choose (0, 20)
        let! cols = Gen.choose (0, 20)
        let! hasBias = Gen.elements [ true; false ]
        let! dtype = Gen.elements dtypes
        let! tenths = Gen.choose (0, 9)
        let! seed = Gen.choose (0, 1000)

        return
            { Rows = rows
              Cols = cols
              HasBias = hasBias
              DType = dtype
              Tenths = tenths
              Seed = seed }
    }
    |> Arb.fromGen

let private law name (body: Spec -> unit) =
    testProperty name (Prop.forAll specs body)

let private denseOf (s: Spec) =
    linearOf s.DType s.HasBias s.Rows s.Cols s.Seed

let private sparsityOf (s: Spec) = float s.Tenths / 10.0

/// The sparse layer at the sparsity; where that leaves no weight, over the pattern without any, for a sparsity may not.
let internal pruned (s: Spec) (dense: Linear) : SparseLinear =
    if Sparsity.nnz s.Rows s.Cols (sparsityOf s) = 0 then
        Conversion.ofDensePattern (Connectivity.empty s.Rows s.Cols) dense
    else
        Conversion.ofDense (sparsityOf s) dense

/// What stays by the rule, by sorting: the largest magnitudes, a tie to the lower cell.
let private masked (nnz: int) (weight: float[]) : float[] =
    let kept =
        [ 0 .. weight.Length - 1 ]
        |> List.sortBy (fun cell -> -(abs weight[cell]), cell)
        |> List.truncate nnz
        |> Set.ofList

    weight |> Array.mapi (fun cell w -> if kept.Contains cell then w else 0.0)

[<Tests>]
let convertTests =
    testList
        "Conversion"
        [ law "dense, sparse, dense again: the masked weight to the bit, and the bias" (fun s ->
              use dense = denseOf s
              use sparse = pruned s dense
              use back = Conversion.toDense sparse
              let nnz = Sparsity.nnz s.Rows s.Cols (sparsityOf s)
              Expect.equal sparse.Connectivity.Nnz nnz "nnz"
              Expect.equal (numbers back.weight) (masked nnz (numbers dense.weight)) "weight"
              Expect.equal back.weight.shape dense.weight.shape "shape"
              Expect.equal (isNull back.bias) (not s.HasBias) "bias"

              if s.HasBias then
                  Expect.equal (numbers back.PresentBias) (numbers dense.PresentBias) "bias")

          law "a sparsity is refused where it leaves none of the weights that there are, and only there" (fun s ->
              use dense = denseOf s
              let cells = s.Rows * s.Cols
              let isRefused = cells > 0 && Sparsity.nnz s.Rows s.Cols (sparsityOf s) = 0

              try
                  use sparse = Conversion.ofDense (sparsityOf s) dense
                  Expect.isFalse isRefused "made"
                  Expect.equal sparse.Connectivity.Nnz (Sparsity.nnz s.Rows s.Cols (sparsityOf s)) "nnz"
              with :? ArgumentException as e ->
                  Expect.isTrue isRefused e.Message
                  Expect.equal e.ParamName "sparsity" "argument"
                  // The sparsity that the message has is one that works, and leaves a weight a row.
                  let cure = Regex.Match(e.Message, "at most ([0-9.]+) leaves").Groups[1].Value
                  use sparse = Conversion.ofDense (float cure) dense
                  Expect.isGreaterThanOrEqual sparse.Connectivity.Nnz s.Rows "the cure")

          law "dtype, requires_grad and the training flag are kept, and the input stays" (fun s ->
              use dense = denseOf s
              dense.weight.requires_grad <- s.Seed % 2 = 0
              dense.train (s.Seed % 3 = 0)
              let before = numbers dense.weight
              use sparse = pruned s dense
              use back = Conversion.toDense sparse

              for weight in [ sparse.weight; back.weight ] do
                  Expect.equal weight.dtype s.DType "dtype"
                  Expect.equal weight.requires_grad (s.Seed % 2 = 0) "requires_grad"
                  Expect.isTrue weight.is_leaf "a leaf"

              if s.HasBias then
                  Expect.isTrue (sparse.PresentBias.requires_grad && back.PresentBias.requires_grad) "bias"

              Expect.equal (sparse.training, back.training) (s.Seed % 3 = 0, s.Seed % 3 = 0) "training"
              Expect.equal (numbers dense.weight) before "input"
              Expect.notEqual dense.weight.Handle back.weight.Handle "a copy")

          law "the sparse and the dense form have the same function" (fun s ->
              if s.DType = torch.ScalarType.Float32 then
                  use _ = torch.NewDisposeScope()
                  let sparse = pruned s (denseOf s)
                  let dense = Conversion.toDense sparse
                  let random = Random s.Seed
                  let x = Array.init (5 * s.Cols) (fun _ -> random.NextSingle() - 0.5f)
                  let x = torch.tensor(x).reshape(5L, int64 s.Cols)
                  let ofSparse, ofDense = numbers (sparse.call x), numbers (dense.call x)

                  // Both are float32 sums of at most cols products and a bias, each within γ(cols + 2) · Σ|terms| of the
                  // exact one (Oracle.gamma), so at most twice that apart.
                  let size =
                      let ofBias =
                          if s.HasBias then
                              dense.PresentBias.abs ()
                          else
                              torch.zeros (int64 s.Rows)

                      numbers (x.abs().matmul(dense.weight.abs().t()).add ofBias)

                  let bound = 2.0 * Oracle.gamma Oracle.float32Roundoff (s.Cols + 2)

                  for i in 0 .. ofDense.Length - 1 do
                      Expect.isLessThanOrEqual (abs (ofSparse[i] - ofDense[i])) (bound * size[i]) $"{i}")

          law "a mask and its pattern give the same layer, zeros included" (fun s ->
              use _ = torch.NewDisposeScope()
              let dense = denseOf s

              let pattern =
                  Topology.uniform s.Rows s.Cols (s.Rows * s.Cols / 3) (Seed.ofInt s.Seed)

              let mask =
                  torch
                      .tensor(Array.ofSeq (Seq.cast<bool>(Connectivity.toMask pattern)))
                      .reshape(int64 s.Rows, int64 s.Cols)

              let ofMask, ofPattern =
                  Conversion.ofDenseMask mask dense, Conversion.ofDensePattern pattern dense

              Expect.equal ofMask.Connectivity pattern "pattern"
              Expect.equal ofPattern.Connectivity pattern "pattern"
              Expect.equal (numbers ofMask.weight) (numbers ofPattern.weight) "values"

              let wanted =
                  Array.map2 (fun m w -> if m = 1.0 then w else 0.0) (numbers mask) (numbers dense.weight)

              Expect.equal (numbers (Conversion.toDense ofMask).weight) wanted "weight")

          law "values and a pattern make a layer that has them" (fun s ->
              use _ = torch.NewDisposeScope()
              let sparse = pruned s (denseOf s)
              let again = Conversion.ofValues sparse.Connectivity (sparse.weight.detach ()) null
              Expect.equal again.Connectivity sparse.Connectivity "pattern"
              Expect.equal (numbers again.weight) (numbers sparse.weight) "values"
              Expect.isNull again.bias "no bias"
              Expect.equal again.weight.dtype s.DType "dtype"
              Expect.isTrue again.weight.requires_grad "it trains")

          testCase "a converted layer trains, and outlives the scope that it was made in" (fun () ->
              use dense = linearOf torch.ScalarType.Float32 true 6 8 1

              use layer =
                  use _ = torch.NewDisposeScope()
                  Conversion.ofDense 0.5 dense

              use back =
                  use _ = torch.NewDisposeScope()
                  Conversion.toDense layer

              for m in [ layer :> torch.nn.Module<torch.Tensor, torch.Tensor>; back ] do
                  let optimizer = torch.optim.SGD(m.parameters (), 0.1)
                  let before = m.parameters () |> Seq.map numbers |> List.ofSeq
                  m.call(torch.ones (3L, 8L)).square().sum().backward()
                  optimizer.step () |> ignore
                  Expect.notEqual (m.parameters () |> Seq.map numbers |> List.ofSeq) before "moved")

          testCase "a conversion leaves torch's generator alone" (fun () ->
              use dense = linearOf torch.ScalarType.Float32 true 6 8 1
              use generator = torch.get_rng_state ()
              let before = generator.data<byte>().ToArray()
              use sparse = Conversion.ofDense 0.5 dense
              use back = Conversion.toDense sparse
              use after = torch.get_rng_state ()
              Expect.equal (after.data<byte>().ToArray()) before "state")
          |> testSequenced

          refuses "no layer" "dense" "" (fun () -> Conversion.ofDense 0.5 Unchecked.defaultof<_>)
          refuses "a sparsity of 1" "sparsity" "expected a sparsity in [0, 1), got 1" (fun () ->
              Conversion.ofDense 1.0 (linearOf torch.ScalarType.Float32 true 2 3 1))
          refuses "a pattern of another shape" "connectivity" "= [2, 3], got [3, 2]" (fun () ->
              Conversion.ofDensePattern (Connectivity.full 3 2) (linearOf torch.ScalarType.Float32 true 2 3 1))
          refuses "a mask of another shape" "mask" "= [2, 3], got [3, 2]" (fun () ->
              Conversion.ofDenseMask
                  (torch.ones (3L, 2L, dtype = torch.ScalarType.Bool))
                  (linearOf torch.ScalarType.Float32 true 2 3 1))
          refuses "a mask of numbers" "mask" "expected Bool, got Float32" (fun () ->
              Conversion.ofDenseMask (torch.ones (2L, 3L)) (linearOf torch.ScalarType.Float32 true 2 3 1))
          refuses "a NaN weight" "weight" "expected numbers, got NaN at (0, 1)" (fun () ->
              let dense = linearOf torch.ScalarType.Float32 true 2 3 1
              use _ = torch.no_grad ()
              dense.weight[0L, 1L] <- torch.tensor nanf
              Conversion.ofDense 0.5 dense)
          refuses "a complex layer" "dense" "expected a real floating dtype, got ComplexFloat32" (fun () ->
              let weight = torch.zeros (2L, 3L, dtype = torch.ScalarType.ComplexFloat32)
              Conversion.ofDense 0.5 (torch.nn.Linear(new Parameter(weight, true))))
          refuses "values of another number" "values" "expected shape [6], got [5]" (fun () ->
              Conversion.ofValues (Connectivity.full 2 3) (torch.zeros 5L) null)
          refuses "a bias of another number" "bias" "expected shape [2], got [3]" (fun () ->
              Conversion.ofValues (Connectivity.full 2 3) (torch.zeros 6L) (torch.zeros 3L))
          refuses "no sparse layer" "layer" "" (fun () -> Conversion.toDense Unchecked.defaultof<SparseLinear>) ]
