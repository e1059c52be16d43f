/// Layers and tensors go to files and come back, and what Python reads and writes is the same.
module SparseFs.Tests.TensorFileTests

open System
open System.Diagnostics
open System.IO
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Tests.ConversionTests
open SparseFs.Tests.ArrayFiles
open SparseFs.Tests.Refusals
open TorchSharp
open type TorchSharp.TensorExtensionMethods

let private law name (body: Spec -> unit) =
    testProperty name (Prop.forAll specs body)

let private sparseOf (s: Spec) =
    use dense = linearOf s.DType false s.Rows s.Cols s.Seed
    pruned s dense

let private npyDtypes =
    [ torch.ScalarType.Float32
      torch.ScalarType.Float64
      torch.ScalarType.Int32
      torch.ScalarType.Int64
      torch.ScalarType.Bool
      torch.ScalarType.Float16
      torch.ScalarType.Int16
      torch.ScalarType.Int8
      torch.ScalarType.Byte ]

let private interop = Path.Combine(__SOURCE_DIRECTORY__, "..", "..", "interop")

/// Whether python3 can be run, with its standard library.
let private python =
    lazy
        (try
            let start = ProcessStartInfo("python3", [ "-c"; "import struct, ast" ])
            start.RedirectStandardError <- true
            use running = started start
            running.WaitForExit()
            running.ExitCode = 0
         with _ ->
             false)

/// Runs a script of tests/interop, or skips the test where there is no python3.
let private runPython (script: string) (arguments: string list) =
    if not python.Value then
        skiptest "not run: no python3"

    let start = ProcessStartInfo("python3", Path.Combine(interop, script) :: arguments)
    start.RedirectStandardOutput <- true
    start.RedirectStandardError <- true
    use running = started start
    let error = running.StandardError.ReadToEndAsync()
    let output = running.StandardOutput.ReadToEnd()
    running.WaitForExit()
    Expect.equal running.ExitCode 0 $"{script}: {output}{error.Result}"

[<Tests>]
let arraysTests =
    testList
        "TensorFile"
        [ law "a layer's COO form in .mtx comes back to the bit" (fun s ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "layer.mtx")
                  use layer = sparseOf s
                  TensorFile.toMtx path layer
                  use again = TensorFile.ofMtx s.DType path
                  Expect.equal again.Connectivity layer.Connectivity "pattern"
                  Expect.equal (numbers again.weight) (numbers layer.weight) "weights"
                  Expect.equal again.weight.dtype s.DType "dtype"))

          law "a dense weight in .mtx comes back to the bit" (fun s ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "weight.mtx")
                  use dense = linearOf s.DType false s.Rows s.Cols s.Seed
                  TensorFile.toDenseMtx path dense.weight
                  use again = TensorFile.ofDenseMtx s.DType path
                  Expect.equal again.shape dense.weight.shape "shape"
                  Expect.equal again.dtype s.DType "dtype"
                  Expect.equal (numbers again) (numbers dense.weight) "numbers"))

          law "a layer's COO form in two .npy files makes the layer again" (fun s ->
              let dtype =
                  if s.DType = torch.ScalarType.Float64 then
                      s.DType
                  else
                      torch.ScalarType.Float32

              inFolder (fun folder ->
                  use _ = torch.NewDisposeScope()
                  let layer = sparseOf { s with DType = dtype }

                  let indices, values =
                      Path.Combine(folder, "indices.npy"), Path.Combine(folder, "values.npy")

                  TensorFile.toNpy indices (Coo.ofConnectivity layer.Connectivity)
                  TensorFile.toNpy values layer.weight
                  let pattern = Coo.toConnectivity s.Rows s.Cols (TensorFile.ofNpy indices)
                  let again = Conversion.ofValues pattern (TensorFile.ofNpy values) null
                  Expect.equal again.Connectivity layer.Connectivity "pattern"
                  Expect.equal (numbers again.weight) (numbers layer.weight) "weights"
                  Expect.equal again.weight.dtype dtype "dtype"))

          testCase "tensors of each dtype and shape come back, views and transposes too" (fun () ->
              use _ = torch.NewDisposeScope()

              for dtype in npyDtypes do
                  for shape in [ [||]; [| 0L |]; [| 3L; 0L |]; [| 0L; 3L |]; [| 5L |]; [| 2L; 3L; 4L |] ] do
                      let t = torch.arange(float (Array.fold (*) 1L shape)).reshape(shape).to_type dtype

                      for view in [ t; (if shape.Length > 1 then t.transpose (0L, 1L) else t) ] do
                          let array = TensorFile.toNpyArray view
                          let again = TensorFile.ofNpyArray array
                          Expect.equal again.shape view.shape $"{dtype}: shape"
                          Expect.equal again.dtype dtype "dtype"
                          Expect.equal (numbers again) (numbers view) $"{dtype}: numbers")

          testCase "what is read belongs to the scope that is open" (fun () ->
              let array = TensorFile.toNpyArray (torch.ones (2L, 2L))

              let read (keep: torch.Tensor -> torch.Tensor) =
                  use _ = torch.NewDisposeScope()
                  keep (TensorFile.ofNpyArray array)

              Expect.isTrue (read id).IsInvalid "freed with its scope"
              use kept = read _.MoveToOuterDisposeScope()
              Expect.equal (numbers kept) [| 1.0; 1.0; 1.0; 1.0 |] "kept")

          testCase "Python writes .npy and .mtx that are read here" (fun () ->
              inFolder (fun folder ->
                  runPython "write.py" [ folder ]
                  let path name = Path.Combine(folder, name)
                  let wanted = Array.init 6 (fun i -> float i / 3.0 - 1.0)

                  for name, order in [ "f8.npy", wanted; "f8-fortran.npy", wanted; "f8-v2.npy", wanted ] do
                      let array = Npy.read (path name)
                      Expect.equal array.Shape [| 2; 3 |] name
                      Expect.equal (array.Data :?> float[]) order name

                  let array = Npy.read (path "i4.npy")
                  Expect.equal (array.Data :?> int[]) [| -2147483648; 0; 2147483647 |] "i4"
                  let array = Npy.read (path "i8.npy")
                  Expect.equal (array.Data :?> int64[]) [| Int64.MinValue; Int64.MaxValue |] "i8"
                  let array = Npy.read (path "b1.npy")
                  Expect.equal (array.Data :?> bool[]) [| true; false; true |] "b1"
                  let m = MatrixMarket.read (path "coo.mtx")
                  Expect.equal m.Connectivity (Connectivity.ofPairs 3 4 [| 0; 2; 2 |] [| 1; 0; 3 |]) "pattern"
                  Expect.equal m.Values [| 1.0 / 3.0; -0.1; 1e-300 |] "values"

                  Expect.equal
                      (MatrixMarket.readDense (path "array.mtx"))
                      (array2D [ [ 1.0; 3.0 ]; [ 2.0; 1.0 / 3.0 ] ])
                      "array"))

          testCase "Python reads the .npy and .mtx that are written here" (fun () ->
              inFolder (fun folder ->
                  let path name = Path.Combine(folder, name)
                  let values = Array.init 6 (fun i -> float i / 3.0 - 1.0)
                  Npy.write (path "f8.npy") (NpyArray([| 2; 3 |], values))
                  Npy.write (path "f4.npy") (NpyArray([| 3 |], [| 0.1f; -2.5f; infinityf |]))
                  Npy.write (path "i4.npy") (NpyArray([| 3; 1 |], [| Int32.MinValue; 0; Int32.MaxValue |]))
                  Npy.write (path "i8.npy") (NpyArray([||], [| Int64.MaxValue |]))
                  Npy.write (path "b1.npy") (NpyArray([| 3 |], [| true; false; true |]))
                  let pattern = Connectivity.ofPairs 3 4 [| 0; 2; 2 |] [| 1; 0; 3 |]

                  MatrixMarket.write
                      (path "coo.mtx")
                      { Connectivity = pattern
                        Values = [| 1.0 / 3.0; -0.1; 1e-300 |] }

                  MatrixMarket.writePattern (path "pattern.mtx") pattern
                  MatrixMarket.writeDense (path "array.mtx") (array2D [ [ 1.0; 3.0 ]; [ 2.0; 1.0 / 3.0 ] ])
                  runPython "check.py" [ folder ]))

          testCase "a number that the dtype cannot hold is refused" (fun () ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "large.mtx")

                  MatrixMarket.write
                      path
                      { Connectivity = Connectivity.full 1 1
                        Values = [| 1e300 |] }

                  refused [ "large.mtx"; "Float32" ] (fun () -> TensorFile.ofMtx torch.ScalarType.Float32 path)
                  Expect.equal (numbers (TensorFile.ofMtx torch.ScalarType.Float64 path).weight) [| 1e300 |] "wide"
                  MatrixMarket.writeDense path (array2D [ [ 1e300 ] ])
                  refused [ "large.mtx"; "Float32" ] (fun () -> TensorFile.ofDenseMtx torch.ScalarType.Float32 path)))

          testCase "unsigned numbers that torch has not become the next wider ones, or are refused" (fun () ->
              use _ = torch.NewDisposeScope()

              let data: Array list =
                  [ [| 0us; UInt16.MaxValue |]
                    [| 0u; UInt32.MaxValue |]
                    [| 0UL; uint64 Int64.MaxValue |] ]

              for data in data do
                  let t = TensorFile.ofNpyArray (NpyArray([| 2 |], data))
                  let wanted = data |> Seq.cast<IConvertible> |> Seq.map _.ToInt64(null) |> List.ofSeq
                  Expect.equal (List.ofSeq (t.to_type(torch.ScalarType.Int64).data<int64>())) wanted $"{t.dtype}"

              inFolder (fun folder ->
                  let path = Path.Combine(folder, "u8.npy")
                  Npy.write path (NpyArray([| 1 |], [| UInt64.MaxValue |]))
                  refused [ "u8.npy"; "numbers below 2^63"; $"{UInt64.MaxValue}" ] (fun () -> TensorFile.ofNpy path)))

          testCase "a tensor that was read does not share the array's memory" (fun () ->
              let numbers = [| 1.0f; 2.0f |]
              use t = TensorFile.ofNpyArray (NpyArray([| 2 |], numbers))
              t.zero_ () |> ignore
              Expect.equal numbers [| 1.0f; 2.0f |] "the array")

          refuses "a tensor of bfloat16" "tensor" "got BFloat16" (fun () ->
              TensorFile.toNpyArray (torch.zeros (1L, dtype = torch.ScalarType.BFloat16)))
          refuses "no tensor" "tensor" "" (fun () -> TensorFile.toNpyArray Unchecked.defaultof<_>)
          refuses "integers in a real matrix" "matrix" "floating" (fun () ->
              TensorFile.toDenseMtx "x.mtx" (torch.zeros (1L, 1L, dtype = torch.ScalarType.Int64)))
          refuses "a vector" "matrix" "expected shape [rows, cols], got [3]" (fun () ->
              TensorFile.toDenseMtx "x.mtx" (torch.zeros 3L))
          refuses "an integer layer" "dtype" "got Int64" (fun () -> TensorFile.ofMtx torch.ScalarType.Int64 "x.mtx") ]
