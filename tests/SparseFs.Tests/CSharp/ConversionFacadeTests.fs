/// C#'s conversions and files are the core's.
module SparseFs.Tests.ConversionFacadeTests

open System
open System.IO
open Expecto
open SparseFs
open SparseFs.CSharp
open SparseFs.Tests.ConversionTests
open SparseFs.Tests.ArrayFiles
open SparseFs.Tests.Refusals
open TorchSharp
open TorchSharp.Modules

type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

let private linear () =
    linearOf torch.ScalarType.Float32 true 6 8 1

let private network () =
    torch.nn.Sequential(
        struct ("first", linear () :> Layer),
        struct ("relu", torch.nn.ReLU() :> Layer),
        struct ("last", linearOf torch.ScalarType.Float32 true 4 6 2 :> Layer)
    )

let private weights (m: torch.nn.Module) =
    [ for struct (name, p) in m.named_parameters () -> name, numbers p ]

let private sameSparsified (name: string) (rule: SparsifyRule) (convert: Sequential -> SparsifyReport) =
    testCase $"sparsifying {name} is the core's" (fun () ->
        use ofCore = network ()
        use ofCSharp = network ()
        let wanted = Sparsify.model rule ofCore
        let table = convert ofCSharp
        Expect.equal (table.ToString()) (wanted.ToString()) "table"
        Expect.equal (weights ofCSharp) (weights ofCore) "weights"
        Expect.isGreaterThan table.Replaced 0 "not vacuous"
        Expect.equal (Sparsifying.Densify(ofCSharp).ToString()) (Sparsify.densify(ofCore).ToString()) "back"
        Expect.equal (weights ofCSharp) (weights ofCore) "weights")

[<Tests>]
let conversionFacade =
    testList
        "Facade conversions"
        [ testCase "layers are converted as by the core" (fun () ->
              use _ = torch.NewDisposeScope()
              let dense = linear ()
              let pattern = Topology.uniform 6 8 11 (Seed.ofInt 3)

              let mask =
                  torch.tensor(Array.ofSeq (Seq.cast<bool>(Connectivity.toMask pattern))).reshape(6L, 8L)

              for ofCSharp, ofCore in
                  [ Conversions.ToSparse(dense, 0.7), Conversion.ofDense 0.7 dense
                    Conversions.ToSparse(dense, pattern), Conversion.ofDensePattern pattern dense
                    Conversions.ToSparse(dense, mask), Conversion.ofDenseMask mask dense ] do
                  Expect.equal ofCSharp.Connectivity ofCore.Connectivity "pattern"
                  Expect.equal (weights ofCSharp) (weights ofCore) "weights"
                  Expect.equal (weights (Conversions.ToDense ofCSharp)) (weights (Conversion.toDense ofCore)) "back"

              let values = torch.ones 11L
              Expect.equal (weights (Conversions.FromValues(pattern, values))) [ "weight", numbers values ] "no bias"

              Expect.equal
                  (weights (Conversions.FromValues(pattern, values, torch.zeros 6L))
                   |> List.map fst)
                  [ "weight"; "bias" ]
                  "bias")

          sameSparsified "at 90 %" (Sparsify.each 0.9) (fun m -> Sparsifying.Sparsify m)
          sameSparsified "by allocation" (Sparsify.shared SparsityDistribution.ErdosRenyi 0.6) (fun m ->
              Sparsifying.Sparsify(m, 0.6, allocation = SparsityDistribution.ErdosRenyi))
          sameSparsified "globally" (Sparsify.globally 0.6) (fun m ->
              Sparsifying.Sparsify(m, 0.6, byGlobalMagnitude = true))
          sameSparsified "by name" (Sparsify.byName (fun n -> if n = "last" then 0.5 else 0.75)) (fun m ->
              Sparsifying.Sparsify(m, sparsityOf = (fun n -> if n = "last" then 0.5 else 0.75)))
          sameSparsified "what matches" (Sparsify.matching "^f" (Sparsify.each 0.5)) (fun m ->
              Sparsifying.Sparsify(m, 0.5, namePattern = "^f"))
          sameSparsified
              "what is wanted and large"
              { Sparsify.each 0.5 with
                  Wanted = (fun n -> n <> "x")
                  MinCells = 30L }
              (fun m -> Sparsifying.Sparsify(m, 0.5, wanted = (fun n -> n <> "x"), minCells = 30L))

          sameSparsified "in row groups" (Sparsify.each 0.5 |> Sparsify.inRowGroups 4 RowGroupNorm.L2) (fun m ->
              Sparsifying.Sparsify(m, 0.5, rowGroup = 4))
          sameSparsified
              "in row groups by sums"
              (Sparsify.globally 0.6 |> Sparsify.inRowGroups 3 RowGroupNorm.L1)
              (fun m ->
                  Sparsifying.Sparsify(m, 0.6, byGlobalMagnitude = true, rowGroup = 3, groupNorm = RowGroupNorm.L1))

          testCase "a batch size has layers timed" (fun () ->
              use model = network ()

              for row in Sparsifying.Sparsify(model, fasterAt = 2).Rows do
                  Expect.isTrue row.DenseMs.HasValue "timed")

          testCase "files are the core's" (fun () ->
              inFolder (fun folder ->
                  let path name = Path.Combine(folder, name)
                  let bytes name = File.ReadAllBytes(path name)
                  let array = NpyArray([| 2; 2 |], [| 1.0f; 2.0f; 3.0f; 4.0f |])
                  NpyFiles.Write(array, path "a.npy")
                  Npy.write (path "b.npy") array
                  Expect.equal (bytes "a.npy") (bytes "b.npy") "npy"
                  Expect.equal (NpyFiles.Read(path "a.npy")).Shape [| 2; 2 |] "Read"

                  use stream = new MemoryStream()
                  NpyFiles.WriteTo(array, stream)
                  stream.Position <- 0L
                  Expect.equal (NpyFiles.ReadFrom stream).Shape [| 2; 2 |] "ReadFrom"
                  refused [ "mine" ] (fun () -> NpyFiles.ReadFrom(stream, "mine"))

                  use t = TensorFiles.ToTensor array
                  Expect.equal (TensorFiles.ToNpyArray t).Shape [| 2; 2 |] "ToNpyArray"
                  TensorFiles.WriteNpy(t, path "c.npy")
                  Expect.equal (bytes "c.npy") (bytes "a.npy") "WriteNpy"
                  Expect.equal (numbers (TensorFiles.ReadNpy(path "c.npy"))) (numbers t) "ReadNpy"
                  TensorFiles.WriteDenseMtx(t, path "t.mtx")
                  Expect.equal (numbers (TensorFiles.ReadDenseMtx(path "t.mtx"))) (numbers t) "ReadDenseMtx"
                  use layer = Conversion.ofDense 0.5 (linear ())
                  TensorFiles.WriteMtx(layer, path "l.mtx")
                  use again = TensorFiles.ReadMtx(path "l.mtx")
                  Expect.equal (numbers again.weight) (numbers layer.weight) "ReadMtx"

                  let m =
                      { Connectivity = Connectivity.full 1 2
                        Values = [| 1.5; 2.0 |] }

                  MatrixMarketFiles.Write(m, path "m.mtx")
                  Expect.equal (MatrixMarketFiles.Read(path "m.mtx")) m "Read"
                  MatrixMarketFiles.WriteDense(array2D [ [ 1.0; 2.0 ] ], path "d.mtx")
                  Expect.equal (MatrixMarketFiles.ReadDense(path "d.mtx")) (array2D [ [ 1.0; 2.0 ] ]) "ReadDense"
                  MatrixMarketFiles.WritePattern(m.Connectivity, path "p.mtx")
                  Expect.equal (MatrixMarketFiles.Read(path "p.mtx")).Connectivity m.Connectivity "WritePattern"

                  let streamed (write: Stream -> unit) (read: Stream -> 'a) =
                      use stream = new MemoryStream()
                      write stream
                      stream.Position <- 0L
                      read stream

                  Expect.equal
                      (streamed (fun s -> MatrixMarketFiles.WriteTo(m, s)) (fun s -> MatrixMarketFiles.ReadFrom s))
                      m
                      "ReadFrom"

                  Expect.equal
                      (streamed (fun s -> MatrixMarketFiles.WritePatternTo(m.Connectivity, s)) (fun s ->
                          MatrixMarketFiles.ReadFrom s))
                          .Connectivity
                      m.Connectivity
                      "WritePatternTo"

                  Expect.equal
                      (streamed (fun s -> MatrixMarketFiles.WriteDenseTo(array2D [ [ 1.0 ] ], s)) (fun s ->
                          MatrixMarketFiles.ReadDenseFrom s))
                      (array2D [ [ 1.0 ] ])
                      "ReadDenseFrom"))

          testCase "ONNX files are the core's" (fun () ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "m.onnx")
                  use model = network ()
                  Sparsify.model (Sparsify.each 0.5) model |> ignore

                  for sparse in [ true; false ] do
                      for shape in [ [||]; [| 3; 8 |] ] do
                          let options =
                              { SparseWeights = sparse
                                InputShape = shape }

                          use wanted = new MemoryStream()
                          Onnx.writeTo options wanted model
                          OnnxFiles.ExportOnnx(model, path, sparse, shape)
                          Expect.equal (File.ReadAllBytes path) (wanted.ToArray()) "file"
                          use stream = new MemoryStream()
                          OnnxFiles.WriteOnnx(model, stream, sparse, shape)
                          Expect.equal (stream.ToArray()) (wanted.ToArray()) "stream"

                  OnnxFiles.ExportOnnx(model, path)
                  use wanted = new MemoryStream()
                  Onnx.writeTo Onnx.defaults wanted model
                  Expect.equal (File.ReadAllBytes path) (wanted.ToArray()) "defaults"))

          refuses "two budgets" "allocation" "expected at most one of" (fun () ->
              Sparsifying.Sparsify(
                  network (),
                  0.5,
                  allocation = SparsityDistribution.Uniform,
                  byGlobalMagnitude = true
              ))
          refuses "no model" "model" "" (fun () -> Sparsifying.Sparsify Unchecked.defaultof<_>)
          refuses "no layer" "dense" "" (fun () -> Conversions.ToSparse((Unchecked.defaultof<_>: Linear), 0.5)) ]
