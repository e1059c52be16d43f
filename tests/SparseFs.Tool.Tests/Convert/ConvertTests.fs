/// convert keeps the largest numbers, as they are, and its files load where they belong.
module SparseFs.Tests.ConvertTests

open System
open System.IO
open Expecto
open FsCheck.FSharp
open SparseFs
open TorchSharp

type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

/// A weight, and how it is cut.
type private Spec =
    { Shape: int list
      Sparsity: float
      Group: int
      Seed: int }

/// Sizes of which every sparsity and group here leaves some.
let private spec =
    gen {
        let! rows = Gen.choose (4, 40)
        let! inputs = Gen.choose (8, 40)
        let! kernel = Gen.elements [ []; []; [ 3 ]; [ 2; 3 ]; [ 1; 2; 2 ] ]
        let! sparsity = Gen.elements [ 0.0; 0.5; 0.77; 0.9 ]
        let! group = Gen.elements [ 1; 1; 2; 4 ]
        let! seed = Gen.choose (0, Int32.MaxValue)

        return
            { Shape = rows :: inputs :: kernel
              Sparsity = sparsity
              Group = group
              Seed = seed }
    }

let private product (sizes: int list) = List.fold (*) 1 sizes

/// Cells [rows, rest] that a file's pattern has, and its numbers there, read by torch's side of the library.
let private stored (folder: string) (layer: string) (rows: int) : (int * int * float32) list =
    use _ = torch.NewDisposeScope()
    let tensors = Safetensors.load (Path.Combine(folder, "sparse"))

    let ints name =
        tensors[$"{layer}.{name}"].data<int>().ToArray()

    let weight = tensors[$"{layer}.weight"].data<float32>().ToArray()
    let rowPtr, colIdx = ints "row_ptr", ints "col_idx"

    [ for row in 0 .. rows - 1 do
          for slot in rowPtr[row] .. rowPtr[row + 1] - 1 -> row, colIdx[slot], weight[slot] ]

let private modelOf (shape: int list) : Layer =
    match shape with
    | [ rows; cols ] -> new SparseLinear(cols, rows, sparsity = 0.5)
    | [ rows; inputs; k ] -> new SparseConv1d(inputs, rows, k, sparsity = 0.5)
    | [ rows; inputs; k; l ] -> new SparseConv2d(inputs, rows, (k, l), sparsity = 0.5)
    | [ rows; inputs; k; l; m ] -> new SparseConv3d(inputs, rows, (k, l, m), sparsity = 0.5)
    | other -> failtest $"expected two to five sizes, got {other}"

let private convert (folder: string) (s: Spec) : float32[] =
    let random = Random s.Seed
    let weight = drawn random (product s.Shape)

    writeFile
        folder
        "dense"
        []
        [ floats "a.weight" s.Shape weight
          floats "a.bias" [ s.Shape.Head ] (drawn random s.Shape.Head) ]

    succeeds
        folder
        [ "convert"
          "@dense"
          "@sparse"
          "--sparsity"
          s.Sparsity.ToString(Globalization.CultureInfo.InvariantCulture)
          "--smallest"
          "0"
          "--row-groups"
          string s.Group ]
    |> ignore

    weight

let private bits (x: float32) = BitConverter.SingleToInt32Bits x

[<Tests>]
let convertTests =
    testList
        "sparsefs convert"
        [ testPropertyWithConfig
              { FsCheckConfig.defaultConfig with
                  maxTest = 120 }
              "the largest numbers stay to the bit, as many as the sparsity says, and load into the sparse layer"
              (Prop.forAll (Arb.fromGen spec) (fun s ->
                  inFolder (fun folder ->
                      let weight = convert folder s
                      let rows = s.Shape.Head
                      let cols = product s.Shape.Tail
                      let kept = stored folder "a" rows
                      let isKept = Array2D.create rows cols false

                      for row, col, value in kept do
                          Expect.equal (bits value) (bits weight[row * cols + col]) $"({row}, {col})"
                          isKept[row, col] <- true

                      // What stays or goes together: columns of groups of neighbouring rows, with their squares.
                      let groupOf first =
                          [ for col in 0 .. cols - 1 ->
                                let rows = [ first .. min rows (first + s.Group) - 1 ]
                                let squares = rows |> List.sumBy (fun row -> float weight[row * cols + col] ** 2.0)

                                Expect.equal
                                    (rows |> List.distinctBy (fun row -> isKept[row, col])).Length
                                    1
                                    "together"

                                isKept[first, col], squares ]

                      let whole =
                          [ for first in 0 .. s.Group .. rows - s.Group do
                                yield! groupOf first ]

                      let chosen, others = whole |> List.partition fst

                      if s.Group = 1 then
                          Expect.equal kept.Length (Sparsity.nnz rows cols s.Sparsity) "nnz"
                      else
                          // By the one rounding rule: half a column of whole groups and of the last one.
                          let off = abs (float kept.Length - (1.0 - s.Sparsity) * float (rows * cols))
                          Expect.isLessThanOrEqual off (float s.Group + 0.5) "nnz"

                      if not (chosen.IsEmpty || others.IsEmpty) then
                          let least = chosen |> List.map snd |> List.min
                          let most = others |> List.map snd |> List.max
                          Expect.isGreaterThanOrEqual least most "the largest"

                          // Of equal ones the first stay.
                          let tied = whole |> List.filter (fun (_, squares) -> squares = most) |> List.map fst

                          if least = most then
                              Expect.equal tied (List.sortDescending tied) "ties"

                      use _ = torch.NewDisposeScope()
                      use model = torch.nn.Sequential(struct ("a", modelOf s.Shape))
                      Checkpoint.load (Path.Combine(folder, "sparse")) model
                      let layer = model[0] :?> SparseLayer

                      let dense =
                          layer.weightMatrix().reshape(int64 rows, int64 cols).data<float32>().ToArray()

                      for row in 0 .. rows - 1 do
                          for col in 0 .. cols - 1 do
                              let wanted = if isKept[row, col] then weight[row * cols + col] else 0.0f
                              Expect.equal dense[row * cols + col] wanted $"the layer at ({row}, {col})")))

          test "a layer of a converted file is read by its name alone" {
              inFolder (fun folder ->
                  convert
                      folder
                      { Shape = [ 12; 30 ]
                        Sparsity = 0.5
                        Group = 1
                        Seed = 1 }
                  |> ignore

                  use _ = torch.NewDisposeScope()

                  let layer =
                      Checkpoint.sparseLayer WeightForm.SparseFs (Path.Combine(folder, "sparse")) "a"

                  Expect.equal (layer.Connectivity.Rows, layer.Connectivity.Cols) (12, 30) "sizes"
                  Expect.isNotNull layer.bias "the bias")
          }

          test "other floats become float32, which is said, and all other tensors stay" {
              let random = Random 3
              let numbers = drawn random 20

              let forms: (string * byte[]) list =
                  [ "F64", Array.collect (float >> BitConverter.GetBytes) numbers
                    "F16",
                    numbers
                    |> Array.collect (fun n -> BitConverter.GetBytes(Half.op_Explicit n: Half))
                    // Numbers of 7 bits are exact in the upper half of a float32.
                    "BF16", numbers |> Array.collect (fun n -> (BitConverter.GetBytes n)[2..3]) ]

              for dtype, bytes in forms do
                  inFolder (fun folder ->
                      writeFile
                          folder
                          "dense"
                          [ "note", "kept"; "format", "pt" ]
                          [ ofBytes "a.weight" dtype [ 4; 5 ] bytes
                            ofBytes "b.running_mean" dtype [ 20 ] bytes
                            ofBytes "b.steps" "I64" [] (BitConverter.GetBytes 12L) ]

                      let said =
                          succeeds folder [ "convert"; "@dense"; "@sparse"; "--sparsity"; "0"; "--smallest"; "0" ]

                      Expect.stringContains said $"read as float32, and written so: 2 of {dtype} tensors" "said"
                      use _ = torch.NewDisposeScope()
                      let tensors = Safetensors.load (Path.Combine(folder, "sparse"))
                      Expect.equal (tensors["a.weight"].data<float32>().ToArray()) numbers "the weight"
                      Expect.equal (tensors["b.running_mean"].data<float32>().ToArray()) numbers "another tensor"
                      Expect.equal (tensors["b.steps"].item<int64>()) 12L "a whole number"
                      Expect.equal tensors["b.steps"].shape [||] "its shape"
                      let texts = (Safetensors.inspect (Path.Combine(folder, "sparse"))).Metadata
                      Expect.equal texts["note"] "kept" "a note of the file")
          }

          test "names and sizes say which weights are cut" {
              inFolder (fun folder ->
                  let random = Random 1

                  writeFile
                      folder
                      "dense"
                      []
                      [ floats "emb.weight" [ 50; 40 ] (drawn random 2000)
                        floats "a.fc1.weight" [ 50; 40 ] (drawn random 2000)
                        floats "a.fc2.weight" [ 50; 40 ] (drawn random 2000)
                        floats "small.weight" [ 5; 40 ] (drawn random 200)
                        floats "norm.weight" [ 4000 ] (drawn random 4000)
                        floats "a.fc1.bias" [ 50 ] (drawn random 50) ]

                  let cut (options: string list) =
                      succeeds folder ([ "convert"; "@dense"; "@sparse"; "--sparsity"; "0.5" ] @ options)
                      |> ignore

                      (Safetensors.inspect (Path.Combine(folder, "sparse"))).Tensors
                      |> Seq.filter _.Name.EndsWith(".row_ptr", StringComparison.Ordinal)
                      |> Seq.map _.Name.Replace(".row_ptr", "", StringComparison.Ordinal)
                      |> Seq.sort
                      |> List.ofSeq

                  Expect.equal (cut []) [ "a.fc1"; "a.fc2"; "emb" ] "a thousand numbers or more"
                  Expect.equal (cut [ "--smallest"; "200" ]) [ "a.fc1"; "a.fc2"; "emb"; "small" ] "200 or more"
                  Expect.equal (cut [ "--exclude"; "emb.*" ]) [ "a.fc1"; "a.fc2" ] "but one"
                  Expect.equal (cut [ "--include"; "a.*" ]) [ "a.fc1"; "a.fc2" ] "some"

                  Expect.equal
                      (cut [ "--include"; "*.weight"; "--exclude"; "*fc?.weight"; "--exclude"; "none" ])
                      [ "emb" ]
                      "what is excluded, is not included"

                  Expect.stringContains
                      (fails 1 folder [ "convert"; "@dense"; "@sparse"; "--sparsity"; "0.5"; "--include"; "b.*" ])
                      "expected a weight to make sparse, got none among 6 tensors"
                      "none")
          }

          test "what is no file of dense weights is refused, and the target stays" {
              inFolder (fun folder ->
                  let target = Path.Combine(folder, "sparse")
                  File.WriteAllText(target, "old")

                  let refused (metadata: (string * string) list) (tensors: Written list) =
                      writeFile folder "dense" metadata tensors

                      let line =
                          fails 1 folder [ "convert"; "@dense"; "@sparse"; "--sparsity"; "0.5"; "--smallest"; "0" ]

                      Expect.equal (File.ReadAllText target) "old" "the target"
                      line

                  let weight = floats "a.weight" [ 2; 2 ] [| 1.0f; 2.0f; 3.0f; 4.0f |]

                  for metadata, tensors, expected in
                      [ [],
                        [ floats "a.weight" [ 2; 2 ] [| 1.0f; nanf; 3.0f; 4.0f |] ],
                        "'a.weight': expected numbers, got NaN at 1"
                        [], [ weight; ofBytes "b" "F8_E4M3" [ 1 ] [| 1uy |] ], "got F8_E4M3"
                        [], [ weight; floats "@optimizer.a" [ 1 ] [| 1.0f |] ], "training run"
                        [], [ weight; floats "a.row_ptr" [ 1 ] [| 1.0f |] ], "a name that a pattern needs"
                        [ "sparsefs.layer.a", "SparseLinear()" ], [ weight ], "sparse layers" ] do
                      Expect.stringContains (refused metadata tensors) expected expected

                  Expect.stringContains
                      (fails 1 folder [ "convert"; "@dense"; "@dense"; "--sparsity"; "0.5" ])
                      "expected another file to write"
                      "over itself"

                  writeFile folder "dense" [] [ weight ]

                  Expect.stringContains
                      (fails 1 folder [ "convert"; "@dense"; "@sparse"; "--sparsity"; "0.95"; "--smallest"; "0" ])
                      "'a.weight': expected a sparsity that leaves weights"
                      "none is left")
          } ]
