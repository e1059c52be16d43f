/// Tensors of dtypes that are not read do not stand in the way of the others.
module SparseFs.Tests.DtypeTests

open System
open System.Collections.Generic
open System.IO
open Expecto
open SparseFs
open SparseFs.Tests.CheckpointFiles
open TorchSharp

/// All that the format has beside those that are read, and the bits of eight elements over eight: the format's description.
let private others =
    [ "U16", 16
      "U32", 32
      "U64", 64
      "C64", 64
      "F8_E4M3", 8
      "F8_E5M2", 8
      "F8_E8M0", 8
      "F8_E4M3FNUZ", 8
      "F8_E5M2FNUZ", 8
      "F6_E2M3", 6
      "F6_E3M2", 6
      "F4", 4 ]

/// A layer's two tensors, in the order of their places, and a third one of eight elements between them.
let private withOdd (file: string) (dtype: string) (bytes: int) (name: string) =
    let weight =
        [| 1.0f; 2.0f; 3.0f; 4.0f; 5.0f; 6.0f |] |> Array.collect BitConverter.GetBytes

    let bias = [| 7.0f; 8.0f |] |> Array.collect BitConverter.GetBytes

    writeText
        file
        ($"""{{"weight":{{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}},"""
         + $""""{name}":{{"dtype":"{dtype}","shape":[2,4],"data_offsets":[24,{24 + bytes}]}},"""
         + $""""bias":{{"dtype":"F32","shape":[2],"data_offsets":[{24 + bytes},{32 + bytes}]}}}}""")
        (Array.concat [ weight; Array.create bytes 0xA5uy; bias ])

let private loosely: LoadOptions =
    { Form = WeightForm.SparseFs
      IsStrict = false
      Converts = false
      Prefixes = [] }

[<Tests>]
let storedDtypeTests =
    testSequenced
    <| testList
        "Dtype"
        [ for dtype, bits in others do
              testCase $"{dtype} is told of, passed over, and refused by name where it is asked for" (fun () ->
                  withFile (fun file ->
                      withOdd file dtype bits "odd"
                      use _ = torch.NewDisposeScope()

                      let told =
                          (Safetensors.inspect file).Tensors
                          |> Array.map (fun t -> t.Name, $"{t.Dtype}", t.Bytes)

                      Expect.equal
                          told
                          [| "weight", "F32", 24L; "odd", dtype, int64 bits; "bias", "F32", 8L |]
                          "inspect"

                      let some = Safetensors.loadWhere (fun t -> t.Name <> "odd") file
                      Expect.equal (some["bias"].data<float32>().ToArray()) [| 7.0f; 8.0f |] "what lies behind it"
                      Expect.equal some.Count 2 "the others"

                      let e = refusal (fun () -> Safetensors.load file)
                      Expect.equal (e.Problem, e.Tensor) (CheckpointProblem.Dtype, "odd") "load asks for all"
                      Expect.stringContains e.Message $"got {dtype}" "its dtype"

                      use model = torch.nn.Linear(3L, 2L)
                      let report = Checkpoint.loadWith loosely file model
                      Expect.equal report.Unexpected [| "odd" |] "passed over"
                      Expect.equal (bytesOf model.PresentBias) (bytesOf some["bias"]) "loaded beside it"

                      refusedAs CheckpointProblem.Mismatch "not expected: odd" (fun () -> Checkpoint.load file model)

                      model.register_buffer ("odd", torch.zeros (2L, 4L))
                      let before = stateOf model

                      refusedAs CheckpointProblem.Mismatch $"'odd': expected Float32, got {dtype}" (fun () ->
                          Checkpoint.load file model)

                      Expect.equal (stateOf model) before "the model as it was"))

              testCase $"{dtype} is held against its bytes" (fun () ->
                  withFile (fun file ->
                      for bytes in [ bits - 1; bits + 1; 0 ] do
                          withOdd file dtype bytes "odd"

                          refusedAs CheckpointProblem.Shape $"expected {bits} bytes for {dtype} [2, 4]" (fun () ->
                              Safetensors.inspect file)))

          testCase "elements that do not fill a byte are refused" (fun () ->
              withFile (fun file ->
                  for dtype, elements, bits in [ "F4", 3, 12; "F4", 1, 4; "F6_E2M3", 2, 12; "F6_E3M2", 1, 6 ] do
                      for bytes in [ bits / 8; bits / 8 + 1 ] do
                          writeText
                              file
                              $"""{{"a":{{"dtype":"{dtype}","shape":[{elements}],"data_offsets":[0,{bytes}]}}}}"""
                              (Array.zeroCreate bytes)

                          refusedAs CheckpointProblem.Shape $"not {bits} bits" (fun () -> Safetensors.inspect file)))

          testCase "sizes that overflow are refused for dtypes of few bits too" (fun () ->
              withFile (fun file ->
                  for shape, isThere in
                      [ "9223372036854775807,2", true // 2^63 − 1 bytes of F4: the file ends before
                        "9223372036854775807,3", false
                        "4611686018427387904,4,0", false
                        "9223372036854775807,9223372036854775807,9223372036854775807", false ] do
                      writeText file $"""{{"a":{{"dtype":"F4","shape":[{shape}],"data_offsets":[0,0]}}}}""" [||]

                      let says =
                          if isThere then
                              "expected 9223372036854775807 bytes"
                          else
                              "2^63"

                      refusedAs CheckpointProblem.Shape says (fun () -> Safetensors.inspect file)))

          testCase "what stands for a layer, its mask or an optimizer's moment is refused by its name" (fun () ->
              inFolder (fun folder ->
                  let file = Path.Combine(folder, "layer")
                  withOdd file "U32" 32 "mask"
                  use layer = new SparseLinear(3, 2, seed = Seed.ofInt 0)

                  refusedAs CheckpointProblem.Mismatch "'mask'" (fun () ->
                      Checkpoint.loadFrom WeightForm.Masked file layer)

                  writeText
                      file
                      ("""{"weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"""
                       + """"mask":{"dtype":"U32","shape":[1,1],"data_offsets":[4,8]}}""")
                      (Array.zeroCreate 8)

                  refusedAs CheckpointProblem.Dtype "'mask': expected one of F64" (fun () ->
                      Checkpoint.sparseLayer WeightForm.Masked file "")

                  writeText
                      file
                      """{"weight":{"dtype":"F8_E4M3","shape":[1,4],"data_offsets":[0,4]}}"""
                      (Array.zeroCreate 4)

                  refusedAs CheckpointProblem.Mismatch "got F8_E4M3" (fun () ->
                      Checkpoint.sparseLayer WeightForm.Zeros file "")

                  use model = torch.nn.Linear(3L, 2L)
                  use optimizer = torch.optim.SGD(model.parameters (), 0.1, momentum = 0.9)
                  (model.call (torch.ones (1L, 3L))).sum().backward()
                  optimizer.step () |> ignore

                  let progress: TrainingProgress =
                      { Step = 1L
                        Seed = Seed.ofInt 0
                        Notes = Dictionary() }

                  Checkpoint.saveTraining progress file model optimizer ValueNone
                  let header, data = readRaw file
                  let name = "\"@optimizer.bias.momentum_buffer\":{\"dtype\":\""
                  Expect.stringContains header (name + "F32") "not vacuous"
                  writeText file (header.Replace(name + "F32", name + "U32")) data

                  refusedAs CheckpointProblem.Mismatch "got U32" (fun () ->
                      Checkpoint.resume file model optimizer ValueNone))) ]
