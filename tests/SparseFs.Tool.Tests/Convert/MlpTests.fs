/// A chain of linear layers that convert describes computes what the dense network computes whose other weights are 0.
module SparseFs.Tests.MlpTests

open System
open System.IO
open Expecto
open FsCheck.FSharp
open SparseFs
open SparseFs.Inference
open SparseFs.Tool
open TorchSharp

/// The chain's outputs for a sample in float64, and how far from them float32 may end.
let private through (layers: (int * int * float32[] * float32[]) list) (isRelu: bool) (sample: float32[]) : Bounded[] =
    let mutable x = sample |> Array.map (float >> Bounded.exact)

    for i, (inputs, outputs, weight, bias) in List.indexed layers do
        x <-
            Array.init outputs (fun row ->
                let terms =
                    [ for col in 0 .. inputs - 1 do
                          if weight[row * inputs + col] <> 0.0f then
                              Bounded.exact (float weight[row * inputs + col]) * x[col]

                      Bounded.exact (float bias[row]) ]

                let sum = List.fold (+) Bounded.zero terms

                if isRelu && i < layers.Length - 1 then
                    { sum with Value = max 0.0 sum.Value }
                else
                    sum)

    x

/// The dense matrices of a converted file, with 0 where nothing is.
let private dense (path: string) (sizes: int list) : (int * int * float32[] * float32[]) list =
    use _ = torch.NewDisposeScope()
    let tensors = Safetensors.load path

    [ for i, (inputs, outputs) in List.indexed (List.pairwise sizes) do
          let numbers name =
              tensors[$"{2 * i}.{name}"].flatten().data<float32>().ToArray()

          let weight = Array.zeroCreate (outputs * inputs)

          match tensors.TryGetValue $"{2 * i}.row_ptr" with
          | true, rowPtr ->
              let rowPtr = rowPtr.data<int>().ToArray()
              let colIdx = tensors[$"{2 * i}.col_idx"].data<int>().ToArray()
              let values = numbers "weight"

              for row in 0 .. outputs - 1 do
                  for slot in rowPtr[row] .. rowPtr[row + 1] - 1 do
                      weight[row * inputs + colIdx[slot]] <- values[slot]
          | _ -> (numbers "weight").CopyTo(weight, 0)

          inputs, outputs, weight, numbers "bias" ]

[<Tests>]
let mlpTests =
    testList
        "sparsefs convert --network mlp"
        [ testPropertyWithConfig
              { FsCheckConfig.defaultConfig with
                  maxTest = 60 }
              "the network's outputs are those of the dense one whose other weights are 0, within the rounding of sums"
              (Prop.forAll
                  (Arb.fromGen (Gen.zip (Gen.listOfLength 4 (Gen.choose (6, 40))) (Gen.choose (0, Int32.MaxValue))))
                  (fun (sizes, seed) ->
                      inFolder (fun folder ->
                          let random = Random seed
                          let isRelu = random.Next 2 = 0
                          writeFile folder "dense" [] (chain random sizes)
                          let largest = List.pairwise sizes |> List.map (fun (i, o) -> i * o) |> List.max

                          succeeds
                              folder
                              [ "convert"
                                "@dense"
                                "@sparse"
                                "--sparsity"
                                "0.75"
                                "--smallest"
                                string (random.Next(1 + largest))
                                "--include"
                                "*"
                                "--row-groups"
                                string (1 + random.Next 2)
                                "--network"
                                "mlp"
                                "--activation"
                                (if isRelu then "relu" else "none") ]
                          |> ignore

                          let path = Path.Combine(folder, "sparse")
                          let model = SparseModel.Load path
                          let samples = drawn random (5 * sizes.Head)
                          let results: float32[] = Array.zeroCreate (5 * List.last sizes)
                          model.Run(ReadOnlySpan samples, Span results)
                          let layers = dense path sizes

                          let wanted =
                              samples |> Array.chunkBySize sizes.Head |> Array.collect (through layers isRelu)

                          for i, near in Array.indexed wanted do
                              Expect.isLessThanOrEqual (abs (float results[i] - near.Value)) near.Error $"output {i}")))

          test "layers follow each other by the numbers in their names, and may be called as the input is" {
              inFolder (fun folder ->
                  let random = Random 1
                  let sizes = [ 6; 7; 8; 9; 10; 11; 12; 13; 14; 15; 16; 17 ]

                  let tensors =
                      [ for i, (inputs, outputs) in List.indexed (List.pairwise sizes) do
                            let name = if i = 0 then "input" else $"layer{i}"
                            floats $"{name}.weight" [ outputs; inputs ] (drawn random (outputs * inputs)) ]

                  writeFile folder "dense" [] (List.rev tensors)

                  succeeds
                      folder
                      [ "convert"
                        "@dense"
                        "@sparse"
                        "--sparsity"
                        "0.5"
                        "--smallest"
                        "0"
                        "--network"
                        "mlp" ]
                  |> ignore

                  let model = SparseModel.Load(Path.Combine(folder, "sparse"))

                  Expect.equal
                      [ for l in model.Layers -> l.Name ]
                      [ "input"
                        for i in 1..10 do
                            $"layer{i}" ]
                      "layer 10 is the last"

                  Expect.equal (model.Input.Size, model.Output.Size) (6, 17) "sizes")
          }

          test "names are ordered as people order them" {
              let names = [ "a"; "a.2"; "a.10"; "a.010"; "a.10.b"; "a1"; "a02"; "a2"; "b" ]

              for x in names do
                  for y in names do
                      Expect.equal
                          (sign (MlpDescription.compareNames x y))
                          (-(sign (MlpDescription.compareNames y x)))
                          $"{x}, {y}"

                      Expect.equal (MlpDescription.compareNames x y = 0) (x = y) $"{x}, {y}"

              Expect.isLessThan (MlpDescription.compareNames "a.2" "a.10") 0 "2 before 10"
          }

          test "each activation is one that the network's format has" {
              for activation in MlpDescription.activations do
                  inFolder (fun folder ->
                      writeFile folder "dense" [] (chain (Random 1) [ 5; 6; 4 ])

                      succeeds
                          folder
                          [ "convert"
                            "@dense"
                            "@sparse"
                            "--sparsity"
                            "0.5"
                            "--smallest"
                            "0"
                            "--network"
                            "mlp"
                            "--activation"
                            activation ]
                      |> ignore

                      let model = SparseModel.Load(Path.Combine(folder, "sparse"))
                      Expect.equal model.Layers.Count 2 activation)
          }

          test "what is no chain is refused by name, and nothing is written" {
              inFolder (fun folder ->
                  let random = Random 1

                  let weight name outputs inputs =
                      floats name [ outputs; inputs ] (drawn random (outputs * inputs))

                  for tensors, expected in
                      [ [ weight "0.weight" 4 6; weight "2.weight" 5 3 ],
                        "'2.weight' takes 3 numbers, and '0.weight' before it gives 4"
                        [ weight "0.weight" 4 6; floats "1.running_mean" [ 4 ] (drawn random 4) ],
                        "'1.running_mean' is no weight [out, in] and no bias of one"
                        [ weight "0.weight" 4 6; floats "0.bias" [ 6 ] (drawn random 6) ],
                        "'0.bias' is no bias of [4], but F32 [6]"
                        [ floats "0.weight" [ 4; 6; 3 ] (drawn random 72) ], "'0.weight' is no weight [out, in]" ] do
                      writeFile folder "dense" [] tensors

                      let line =
                          fails
                              1
                              folder
                              [ "convert"
                                "@dense"
                                "@sparse"
                                "--sparsity"
                                "0.5"
                                "--smallest"
                                "0"
                                "--network"
                                "mlp" ]

                      Expect.stringContains line expected expected
                      Expect.isFalse (File.Exists(Path.Combine(folder, "sparse"))) "nothing is written")
          } ]
