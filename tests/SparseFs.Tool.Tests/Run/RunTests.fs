/// run writes what the library computes.
module SparseFs.Tests.RunTests

open System
open System.IO
open Expecto
open SparseFs
open SparseFs.Inference

let private write (folder: string) (name: string) (shape: int[]) (data: Array) =
    Npy.write (Path.Combine(folder, name)) (NpyArray(shape, data))

let private read (folder: string) (name: string) : int[] * float32[] =
    let array = Npy.read (Path.Combine(folder, name))
    array.Shape, (array.Data :?> float32[])

[<Tests>]
let runTests =
    testList
        "sparsefs run"
        [ test "the outputs are the library's to the bit, in batches of any size and on any threads" {
              inFolder (fun folder ->
                  writeNetwork folder 3 [ 9; 40; 4 ]
                  let samples = drawn (Random 7) (23 * 9)
                  write folder "x.npy" [| 23; 9 |] samples
                  let model = SparseModel.Load(Path.Combine(folder, "network"))
                  let wanted: float32[] = Array.zeroCreate (23 * 4)
                  model.Run(ReadOnlySpan samples, Span wanted)

                  for options in
                      [ []
                        [ "--batch"; "1" ]
                        [ "--batch"; "7" ]
                        [ "--batch"; "23" ]
                        [ "--batch"; "999"; "--threads"; "2" ] ] do
                      let said = succeeds folder ([ "run"; "@network"; "@x.npy"; "@y.npy" ] @ options)
                      Expect.equal (read folder "y.npy") ([| 23; 4 |], wanted) $"{options}"
                      Expect.stringContains said "float32 [23, 4], 23 samples" "what it did"
                      Expect.isFalse (said.Contains "converted") "nothing to convert")
          }

          test "numbers of other dtypes are converted, and that is said" {
              inFolder (fun folder ->
                  writeNetwork folder 3 [ 3; 2 ]
                  let numbers = [| 1; 0; 1; 1; 1; 0 |]
                  write folder "x.npy" [| 2; 3 |] (Array.map float32 numbers)
                  succeeds folder [ "run"; "@network"; "@x.npy"; "@wanted.npy" ] |> ignore

                  let others: (string * Array) list =
                      [ "float64", Array.map float numbers
                        "float16", Array.map (fun n -> Half.op_Explicit (float32 n): Half) numbers
                        "bool", Array.map ((=) 1) numbers
                        "int8", Array.map sbyte numbers
                        "uint8", Array.map byte numbers
                        "int16", Array.map int16 numbers
                        "uint16", Array.map uint16 numbers
                        "int32", numbers
                        "uint32", Array.map uint32 numbers
                        "int64", Array.map int64 numbers
                        "uint64", Array.map uint64 numbers ]

                  for dtype, data in others do
                      write folder "x.npy" [| 2; 3 |] data
                      let said = succeeds folder [ "run"; "@network"; "@x.npy"; "@y.npy" ]
                      Expect.stringContains said $"converted from {dtype} to float32" dtype
                      Expect.equal (read folder "y.npy") (read folder "wanted.npy") dtype)
          }

          test "no samples give no outputs" {
              inFolder (fun folder ->
                  writeNetwork folder 3 [ 3; 2 ]
                  write folder "x.npy" [| 0; 3 |] (Array.zeroCreate<float32> 0)
                  succeeds folder [ "run"; "@network"; "@x.npy"; "@y.npy" ] |> ignore
                  Expect.equal (read folder "y.npy") ([| 0; 2 |], [||]) "outputs")
          }

          test "what does not fit is refused, and nothing is written" {
              inFolder (fun folder ->
                  writeNetwork folder 3 [ 3; 2 ]
                  let refused (arguments: string list) = fails 1 folder ("run" :: arguments)

                  for shape, expected in
                      [ [| 2; 4 |], "expected shape [n, 3], got [2, 4]"
                        [| 2; 3; 1 |], "expected shape [n, 3], got [2, 3, 1]"
                        [| 3 |], "in NumPy x[None]"
                        [||], "expected shape [n, 3], got []" ] do
                      write folder "x.npy" shape (Array.zeroCreate<float32>(Array.fold (*) 1 shape))
                      Expect.stringContains (refused [ "@network"; "@x.npy"; "@y.npy" ]) expected $"{shape}"

                  write folder "x.npy" [| 1; 3 |] [| 1.0f; 2.0f; 3.0f |]
                  let x = File.ReadAllBytes(Path.Combine(folder, "x.npy"))
                  File.WriteAllBytes(Path.Combine(folder, "cut.npy"), x[.. x.Length - 2])

                  Expect.stringContains
                      (refused [ "@network"; "@cut.npy"; "@y.npy" ])
                      "12 bytes of numbers"
                      "a cut file"

                  Expect.stringContains (refused [ "@network"; "@none.npy"; "@y.npy" ]) "none.npy" "no file"
                  Expect.stringContains (refused [ "@dense"; "@x.npy"; "@y.npy" ]) "no description" "no network"
                  Expect.stringContains (refused [ "@network"; "@x.npy"; "@none/y.npy" ]) "does not exist" "no folder"
                  Expect.isFalse (File.Exists(Path.Combine(folder, "y.npy"))) "nothing is written"
                  let network = File.ReadAllBytes(Path.Combine(folder, "network"))

                  Expect.stringContains
                      (refused [ "@network"; "@x.npy"; "@./network" ])
                      "expected another file to write"
                      "over the network"

                  Expect.equal (File.ReadAllBytes(Path.Combine(folder, "network"))) network "it is as it was")
          } ]
