/// What info says of a file is what lies in it.
module SparseFs.Tests.InfoTests

open System
open System.IO
open System.Runtime.InteropServices
open System.Text.Json
open Expecto
open SparseFs
open SparseFs.Inference
open TorchSharp

/// The bytes of some numbers.
let private raw (numbers: 'T[]) : byte[] =
    MemoryMarshal.AsBytes(ReadOnlySpan numbers).ToArray()

let private json (folder: string) (file: string) : JsonElement =
    JsonDocument.Parse(succeeds folder [ "info"; file; "--json" ]).RootElement

let private text (name: string) (e: JsonElement) : string =
    present name (e.GetProperty(name).GetString())

let private number (name: string) (e: JsonElement) : int64 = e.GetProperty(name).GetInt64()

let private items (name: string) (e: JsonElement) : JsonElement list =
    List.ofSeq (e.GetProperty(name).EnumerateArray())

/// Cells of a table, without the spaces around them.
let private cells (output: string) : string list list =
    [ for line in output.Split '\n' ->
          List.ofArray (line.Split("  ", StringSplitOptions.RemoveEmptyEntries ||| StringSplitOptions.TrimEntries)) ]

[<Tests>]
let infoTests =
    testList
        "sparsefs info"
        [ test "a network's layers are told with the bytes of each form, and together" {
              inFolder (fun folder ->
                  writeNetwork folder 1 [ 20; 30; 5 ]
                  let model = SparseModel.Load(Path.Combine(folder, "network"))
                  let told = json folder "@network"
                  Expect.equal (text "format" told) "network" "format"
                  Expect.equal (number "bytes" told) (FileInfo(Path.Combine(folder, "network")).Length) "bytes"
                  let layers = items "layers" told
                  Expect.equal (layers |> List.map (number "nnz")) [ 300L; 75L ] "half of 20 · 30 and of 30 · 5"
                  Expect.equal (layers |> List.map (number "denseBytes")) [ 2400L; 600L ] "dense"

                  // A number and a column for each weight, a pointer for each row and one more.
                  let sparse = [ 8L * 300L + 4L * 31L; 8L * 75L + 4L * 6L ]
                  Expect.equal (layers |> List.map (number "sparseBytes")) sparse "sparse"
                  Expect.equal (layers |> List.map (number "storedBytes")) sparse "as stored"
                  Expect.equal [ for l in model.Layers -> l.StoredBytes ] sparse "the library says the same"
                  let table = cells (succeeds folder [ "info"; "@network" ])

                  Expect.contains table [ "0"; "30 x 20"; "300"; "50 %"; "2,400"; "2,524"; "2,524" ] "a layer"
                  Expect.contains table [ "together"; "375"; "50 %"; "3,000"; "3,148"; "3,148" ] "the sums"
                  Expect.contains table [ "input"; "input: float32 [batch, 20]" ] "the signature")
          }

          test "a dense layer of a network is told as it is stored" {
              inFolder (fun folder ->
                  writeFile folder "dense" [] (chain (Random 1) [ 20; 30; 5 ])

                  succeeds
                      folder
                      [ "convert"
                        "@dense"
                        "@out"
                        "--sparsity"
                        "0.5"
                        "--smallest"
                        "500"
                        "--network"
                        "mlp" ]
                  |> ignore

                  let layers = json folder "@out" |> items "layers"
                  Expect.equal (layers |> List.map (number "nnz")) [ 300L; 150L ] "weights"
                  Expect.equal (number "storedBytes" layers[1]) 600L "bytes")
          }

          test "a checkpoint's patterns are told with the sizes of their layers, and its other tensors" {
              inFolder (fun folder ->
                  use _ = torch.NewDisposeScope()

                  use model =
                      torch.nn.Sequential(
                          struct ("fc",
                                  new SparseLinear(40, 10, sparsity = 0.75, seed = Seed.ofInt 1)
                                  :> torch.nn.Module<torch.Tensor, torch.Tensor>),
                          struct ("conv",
                                  new SparseConv2d(4, 6, 3, sparsity = 0.5, groups = 2)
                                  :> torch.nn.Module<torch.Tensor, torch.Tensor>)
                      )

                  for layout, pointers in [ PatternLayout.Csr, "weight"; PatternLayout.Coo, "values" ] do
                      Checkpoint.saveWith layout (readOnlyDict []) (Path.Combine(folder, "checkpoint")) model
                      let told = json folder "@checkpoint"
                      Expect.equal (text "format" told) "checkpoint" "format"
                      let patterns = items "patterns" told

                      Expect.equal
                          [ for p in patterns -> text "weight" p, number "columns" p, number "nnz" p ]
                          [ $"conv.{pointers}", 18L, 54L; $"fc.{pointers}", 40L, 100L ]
                          "2 · 3 · 3 columns of a kernel, and 40 inputs"

                      Expect.equal (patterns[1].GetProperty("sparsity").GetDouble()) 0.75 "sparsity"

                      Expect.isTrue
                          (items "tensors" told |> List.exists (fun t -> text "name" t = "fc.bias"))
                          "the biases")
          }

          test "numbers that are not 0 are counted in every dtype" {
              let half =
                  BitConverter.GetBytes(BitConverter.HalfToUInt16Bits(Half.op_Explicit -2.0f))

              inFolder (fun folder ->
                  writeFile
                      folder
                      "plain"
                      []
                      [ ofBytes "f64" "F64" [ 3 ] (raw [| 0.0; -0.0; Double.Epsilon |])
                        ofBytes "i64" "I64" [ 2 ] (raw [| 0L; 1L <<< 40 |])
                        floats "f32" [ 2; 2 ] [| 0.0f; -0.0f; nanf; -1e-45f |]
                        ofBytes "i32" "I32" [ 2 ] (raw [| 0; -1 |])
                        ofBytes "f16" "F16" [ 3 ] [| 0uy; 0x80uy; yield! half; 0uy; 0uy |]
                        ofBytes "bf16" "BF16" [ 2 ] [| 0uy; 0x80uy; 1uy; 0uy |]
                        ofBytes "i16" "I16" [ 1 ] [| 0uy; 1uy |]
                        ofBytes "bool" "BOOL" [ 3 ] [| 1uy; 0uy; 1uy |]
                        ofBytes "f8" "F8_E4M3" [ 2 ] [| 1uy; 0uy |] ]

                  let told = json folder "@plain"
                  Expect.equal (text "format" told) "safetensors" "format"

                  let counts =
                      [ for t in items "tensors" told do
                            match t.TryGetProperty "nnz" with
                            | true, count -> text "name" t, count.GetInt64()
                            | _ -> text "name" t, -1L ]

                  Expect.equal
                      counts
                      [ "bf16", 1L
                        "bool", 2L
                        "f16", 1L
                        "f32", 2L
                        "f64", 1L
                        "f8", -1L
                        "i16", 1L
                        "i32", 1L
                        "i64", 1L ]
                      "by name; of what is not read, none")
          }

          test "a file that is cut anywhere, or has a broken pattern, is refused in one line" {
              inFolder (fun folder ->
                  writeNetwork folder 1 [ 4; 3; 2 ]
                  let whole = File.ReadAllBytes(Path.Combine(folder, "network"))

                  for length in 0..7 .. whole.Length - 1 do
                      File.WriteAllBytes(Path.Combine(folder, "cut"), whole[.. length - 1])
                      fails 1 folder [ "info"; "@cut" ] |> ignore

                  let broken (colIdx: int[]) =
                      writeFile
                          folder
                          "broken"
                          []
                          [ floats "a.weight" [ 2 ] [| 1.0f; 2.0f |]
                            ofBytes "a.row_ptr" "I32" [ 2 ] (raw [| 0; 2 |])
                            ofBytes "a.col_idx" "I32" [ 2 ] (raw colIdx) ]

                      fails 1 folder [ "info"; "@broken" ]

                  Expect.stringContains (broken [| 3; 1 |]) "'a.col_idx'" "falling columns"
                  Expect.stringContains (broken [| -1; 1 |]) "got -1" "a negative column")
          }

          test "every byte that is changed leaves an answer or one line" {
              inFolder (fun folder ->
                  writeNetwork folder 1 [ 3; 2 ]
                  let whole = File.ReadAllBytes(Path.Combine(folder, "network"))
                  let random = Random 5

                  for _ in 1..400 do
                      let bytes = Array.copy whole
                      bytes[random.Next bytes.Length] <- byte (random.Next 256)
                      File.WriteAllBytes(Path.Combine(folder, "other"), bytes)
                      let ended = sparsefs folder [ "info"; "@other" ]
                      Expect.isTrue (ended.Code = 0 || ended.Errors.Trim().Split('\n').Length = 1) ended.Errors
                      Expect.isFalse (ended.Errors.Contains "Exception") ended.Errors)
          }

          test "no name of a file reaches the terminal with what a terminal acts on" {
              inFolder (fun folder ->
                  writeFile folder "names" [] [ floats "a\u001b[2J\nb\u202e" [ 1 ] [| 1.0f |] ]
                  let output = succeeds folder [ "info"; "@names" ]
                  Expect.isFalse (output |> Seq.exists (fun ch -> Char.IsControl ch && ch <> '\n')) output
                  Expect.isFalse (output.Contains '\u202e') "an order of letters"
                  Expect.stringContains output "a [2J b" "the rest of the name")
          } ]
