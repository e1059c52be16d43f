/// Python reads what we write, and we read what Python writes.
module SparseFs.Tests.InteropTests

open System
open System.Collections.Generic
open System.ComponentModel
open System.Diagnostics
open System.IO
open System.Text.Json
open Expecto
open SparseFs
open SparseFs.Tests.CheckpointFiles
open TorchSharp

let private scripts = Path.Combine(__SOURCE_DIRECTORY__, "..", "..", "interop")

/// What a script prints, or nothing where there is no Python.
let private python (script: string) (argument: string) : string option =
    try
        let start =
            ProcessStartInfo(
                "python3",
                [ Path.Combine(scripts, script); argument ],
                RedirectStandardOutput = true,
                RedirectStandardError = true
            )

        use running = started start
        let errors = running.StandardError.ReadToEndAsync()
        let output = running.StandardOutput.ReadToEnd()
        running.WaitForExit()
        Expect.equal running.ExitCode 0 errors.Result
        Some output
    with :? Win32Exception ->
        None

let private withPython (script: string) (argument: string) (check: string -> unit) =
    match python script argument with
    | Some output -> check output
    | None -> printfn $"{script}: not run: no python3"

[<Tests>]
let interopTests =
    testList
        "Interop"
        [ testCase "Python finds in our file what we put there, of every dtype" (fun () ->
              use _ = torch.NewDisposeScope()

              withFile (fun file ->
                  let numbers = [| 0.5f; -2.0f; 3.0f; 96.0f |]

                  let dtypes =
                      [ "F64", torch.ScalarType.Float64
                        "F32", torch.ScalarType.Float32
                        "F16", torch.ScalarType.Float16
                        "BF16", torch.ScalarType.BFloat16
                        "I64", torch.ScalarType.Int64
                        "I32", torch.ScalarType.Int32
                        "I16", torch.ScalarType.Int16
                        "I8", torch.ScalarType.Int8
                        "BOOL", torch.ScalarType.Bool ]

                  let model = new SparseLinear(Connectivity.create 3 4 [| 0; 2; 2; 3 |] [| 1; 3; 0 |])
                  Checkpoint.save file model
                  let tensors = Safetensors.load file

                  for name, dtype in dtypes do
                      tensors[name] <- torch.tensor(numbers).to_type(dtype).reshape(2L, 2L)

                  Safetensors.save file (Safetensors.inspect file).Metadata tensors

                  withPython "read_safetensors.py" file (fun output ->
                      let read = JsonDocument.Parse(output).RootElement

                      let tensor (name: string) =
                          read.GetProperty("tensors").GetProperty name

                      let numbersOf (name: string) =
                          [ for n in (tensor name).GetProperty("numbers").EnumerateArray() -> n ]

                      for name, dtype in dtypes do
                          Expect.equal ((tensor name).GetProperty("dtype").GetString()) name "dtype"
                          let ours = tensors[name].to_type(torch.ScalarType.Float64).data<float>().ToArray()

                          for i, theirs in List.indexed (numbersOf name) do
                              let theirs =
                                  match theirs.ValueKind with
                                  | JsonValueKind.True -> 1.0
                                  | JsonValueKind.False -> 0.0
                                  | _ -> theirs.GetDouble()

                              Expect.equal theirs ours[i] name

                      Expect.equal (numbersOf "col_idx" |> List.map _.GetInt32()) [ 1; 3; 0 ] "columns"
                      Expect.equal (numbersOf "row_ptr" |> List.map _.GetInt32()) [ 0; 2; 2; 3 ] "rows"

                      Expect.equal
                          (read.GetProperty("metadata").GetProperty("sparsefs.layer.").GetString())
                          "SparseLinear(in_features=4, out_features=3, nnz=3, bias=True)"
                          "text")))

          testCase
              "we find in Python's files what it put there: SparseLinear's, masked, in several files, pruned, dense"
              (fun () ->
                  inFolder (fun folder ->
                      withPython "write_safetensors.py" folder (fun _ ->
                          for form, name in
                              [ WeightForm.SparseLinear, "sparselinear"
                                WeightForm.Masked, "masked"
                                WeightForm.Masked, "model"
                                WeightForm.Masked, "prune"
                                WeightForm.Zeros, "zeros"
                                WeightForm.Magnitude 0.75, "zeros" ] do
                              use _ = torch.NewDisposeScope()
                              let index = if name = "model" then ".index.json" else ""
                              let file = Path.Combine(folder, $"{name}.safetensors{index}")
                              use layer = Checkpoint.sparseLayerOf 4 3 form file "fc"

                              Expect.equal
                                  layer.Connectivity
                                  (Connectivity.create 3 4 [| 0; 2; 2; 3 |] [| 1; 3; 0 |])
                                  name

                              Expect.equal
                                  (layer.weight.detach().data<float32>().ToArray())
                                  [| 0.5f; -2.0f; 3.0f |]
                                  name

                              Expect.equal
                                  (layer.PresentBias.detach().data<float32>().ToArray())
                                  [| 1.0f; 2.0f; 3.0f |]
                                  name

                              Expect.isTrue layer.weight.requires_grad "it trains"))) ]
