/// Mistakes in dtypes.
module SparseFs.Tests.Mistakes.DtypeMistakes

open Expecto
open SparseFs
open SparseFs.Tests.Mistakes.Mistake
open TorchSharp

let private text =
    "SparseLinear(in_features=4, out_features=3, nnz=12, sparsity=0, bias=True)"

let private called (layerDtype: torch.ScalarType) (dtype: torch.ScalarType) () =
    use _ = torch.NewDisposeScope()
    use layer = new SparseLinear(Connectivity.full 3 4, dtype = layerDtype)
    layer.call (torch.zeros ([| 2L; 4L |], dtype = dtype)) |> ignore

[<Tests>]
let tests =
    testList
        "Mistakes in dtypes"
        [ expect
              "float64 numbers for a float32 layer"
              $"x is Float64, the layer Float32: x.to(torch.float32), or layer.to(torch.float64); F# writes ``to``. The layer is {text} (Parameter 'x')"
              (called torch.float32 torch.float64)

          expect
              "float32 numbers for a float64 layer"
              $"x is Float32, the layer Float64: x.to(torch.float64), or layer.to(torch.float32); F# writes ``to``. The layer is {text} (Parameter 'x')"
              (called torch.float64 torch.float32)

          expect
              "bytes of an image, which no layer can be"
              $"x is Byte, the layer Float32: x.to(torch.float32); F# writes ``to``. The layer is {text} (Parameter 'x')"
              (called torch.float32 torch.uint8)

          expect
              "half-precision numbers for a bfloat16 layer"
              $"x is Float16, the layer BFloat16: x.to(torch.bfloat16), or layer.to(torch.float16); F# writes ``to``. The layer is {text} (Parameter 'x')"
              (called torch.bfloat16 torch.float16)

          expect
              "a layer of integers"
              "expected a real floating dtype, got Int64: Float16, BFloat16, Float32 or Float64 (Parameter 'dtype')"
              (fun () -> new SparseLinear(Connectivity.full 3 4, dtype = torch.int64) |> ignore)

          expect
              "a layer that is moved to integers"
              "expected a real floating dtype, got Int32: Float16, BFloat16, Float32 or Float64 (Parameter 'dtype')"
              (fun () ->
                  use layer = new SparseLinear(Connectivity.full 3 4)
                  layer.``to`` torch.int32 |> ignore)

          expect
              "a product of values and samples of two dtypes"
              "x is Float64, values Float32: x.to(torch.float32), or values.to(torch.float64); F# writes ``to`` (Parameter 'x')"
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  let x = torch.ones ([| 2L; 4L |], dtype = torch.float64)
                  SparseOps.spmm (Connectivity.full 3 4) (torch.ones 12L) x |> ignore)

          expect
              "a bias of another dtype than the values"
              "bias is Float64, values Float32: bias.to(torch.float32), or values.to(torch.float64); F# writes ``to`` (Parameter 'bias')"
              (fun () ->
                  use _ = torch.NewDisposeScope()

                  Conversion.ofValues
                      (Connectivity.full 3 4)
                      (torch.ones 12L)
                      (torch.ones ([| 3L |], dtype = torch.float64))
                  |> ignore)

          expect
              "a mask of numbers"
              "expected Bool, got Float32: mask.ne(0.0.ToScalar()), in C# mask.ne(0) (Parameter 'mask')"
              (fun () ->
                  use linear = torch.nn.Linear(4L, 3L)
                  use mask = torch.ones (3L, 4L)
                  Conversion.ofDenseMask mask linear |> ignore)

          expect
              "integers for a K-winners layer"
              "expected a real floating dtype, got Int64: Float16, BFloat16, Float32 or Float64 (Parameter 'x')"
              (fun () ->
                  use layer = new KWinners(10)
                  use x = torch.zeros ([| 2L; 10L |], dtype = torch.int64)
                  layer.call x |> ignore) ]
