/// What is exported gives in ONNX Runtime what the model gives in torch.
module SparseFs.Tests.OnnxTests

open System
open System.IO
open Expecto
open FsCheck
open FsCheck.FSharp
open Microsoft.ML.OnnxRuntime
open Microsoft.ML.OnnxRuntime.Tensors
open SparseFs
open SparseFs.Tests.ConversionTests
open SparseFs.Tests.ArrayFiles
open SparseFs.Tests.Refusals
open TorchSharp
open TorchSharp.Modules
open type TorchSharp.TensorExtensionMethods

type Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

let private sequential (layers: Layer list) =
    torch.nn.Sequential(Array.ofList layers)

let private bytesOf (options: OnnxOptions) (model: torch.nn.Module) : byte[] =
    use stream = new MemoryStream()
    Onnx.writeTo options stream model
    stream.ToArray()

let private dense =
    { Onnx.defaults with
        SparseWeights = false }

let private session (bytes: byte[]) =
    use options =
        new SessionOptions(LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR, IntraOpNumThreads = 1)

    new InferenceSession(bytes, options)

/// Runs a file's bytes on an input: the shape and the numbers that come out.
let private run (bytes: byte[]) (x: torch.Tensor) : int[] * float[] =
    use session = session bytes
    let shape = x.shape |> Array.map int

    let input =
        if x.dtype = torch.ScalarType.Float64 then
            NamedOnnxValue.CreateFromTensor("input", DenseTensor<float>(Memory(numbers x), ReadOnlySpan<int> shape))
        else
            NamedOnnxValue.CreateFromTensor(
                "input",
                DenseTensor<float32>(Memory(Array.map float32 (numbers x)), ReadOnlySpan<int> shape)
            )

    use results = session.Run [| input |]
    let result = Seq.exactlyOne results
    Expect.equal result.Name "output" "name"

    match result.Value with
    | :? Tensor<float> as t -> t.Dimensions.ToArray(), Array.ofSeq t
    | :? Tensor<float32> as t -> t.Dimensions.ToArray(), Array.map float (Array.ofSeq t)
    | other -> failtest $"expected floats, got {other}"

let private drawn (seed: int) (dtype: torch.ScalarType) (shape: int64 list) =
    let random = Random seed
    let count = shape |> List.fold (*) 1L |> int
    torch.tensor(Array.init count (fun _ -> 2.0 * random.NextDouble() - 1.0)).reshape(Array.ofList shape).to_type dtype

let private sparse (dtype: torch.ScalarType) (rows: int) (cols: int) (nnz: int) (hasBias: bool) (seed: int) =
    let layer =
        new SparseLinear(Topology.uniform rows cols nnz (Seed.ofInt seed), hasBias, dtype = dtype)

    use _ = torch.no_grad ()
    use values = drawn seed dtype [ int64 nnz ]
    layer.weight.copy_ values |> ignore
    layer

/// How far float32 rounding may lead a chain of linear layers and ReLUs away from the exact result: each linear layer
/// passes an error on through |W| and adds γ(cols + 2) · (|W| |x| + |b|) (Oracle.gamma); a ReLU passes it on.
let private errorBound (model: Sequential) (x: torch.Tensor) : float[] =
    use _ = torch.NewDisposeScope()
    use _ = torch.no_grad ()

    let f64 (t: torch.Tensor) =
        t.detach().to_type torch.ScalarType.Float64

    let rec through (value: torch.Tensor, error: torch.Tensor) (m: torch.nn.Module) =
        let linear (weight: torch.Tensor) (bias: torch.Tensor | null) =
            let weight = f64 weight

            let bias =
                match bias with
                | null -> torch.zeros (weight.shape[0], dtype = torch.ScalarType.Float64)
                | bias -> f64 bias

            let size = value.abs().add(error).matmul(weight.abs().t()).add(bias.abs ())
            let gamma = Oracle.gamma Oracle.float32Roundoff (int weight.shape[1] + 2)

            value.matmul(weight.t ()).add bias, error.matmul(weight.abs().t()).add(size.mul (gamma.ToScalar()))

        match m with
        | :? Sequential as s -> s.children () |> Seq.fold through (value, error)
        | :? SparseLinear as l -> linear (l.weightMatrix ()) l.bias
        | :? Linear as l -> linear l.weight l.bias
        | :? ReLU -> value.relu (), error
        | :? Flatten -> value.flatten 1L, error.flatten 1L
        | _ -> value, error

    let x = f64 x
    through (x, torch.zeros_like x) model |> snd |> numbers

let private same (model: Layer) (bytes: byte[]) (x: torch.Tensor) (bound: float[]) =
    use _ = torch.NewDisposeScope()
    let wanted = model.call x
    let shape, got = run bytes x
    Expect.equal shape (wanted.shape |> Array.map int) "shape"
    let wanted = numbers wanted

    for i in 0 .. wanted.Length - 1 do
        // Torch's rounding and ONNX Runtime's.
        if not (abs (got[i] - wanted[i]) <= 2.0 * bound[i]) then
            failtest $"output {i}: expected {wanted[i]} within {2.0 * bound[i]}, got {got[i]}"

let private networks =
    gen {
        let! sizes = Gen.arrayOfLength 4 (Gen.choose (1, 24))
        let! percent = Gen.arrayOfLength 3 (Gen.elements [ 0; 10; 50; 100 ])
        let! biases = Gen.arrayOfLength 3 (Gen.elements [ true; false ])
        let! seed = Gen.choose (0, 1000)
        let! batch = Gen.elements [ 1; 2; 7; 33 ]
        return sizes, percent, biases, seed, batch
    }
    |> Arb.fromGen

let private f32 = torch.ScalarType.Float32
let private f64 = torch.ScalarType.Float64

/// One kind after a linear layer, in float64, in which a wrong operator or attribute cannot hide behind rounding.
let private kinds: (string * (unit -> Layer)) list =
    [ "ReLU", (fun () -> torch.nn.ReLU())
      "Sigmoid", (fun () -> torch.nn.Sigmoid())
      "Tanh", (fun () -> torch.nn.Tanh())
      "Softmax over the last", (fun () -> torch.nn.Softmax -1L)
      "Softmax over 1", (fun () -> torch.nn.Softmax 1L)
      "LogSoftmax", (fun () -> torch.nn.LogSoftmax 1L)
      "Dropout",
      (fun () ->
          let dropout = torch.nn.Dropout 0.5
          dropout.eval ()
          dropout)
      "Identity", (fun () -> torch.nn.Identity())
      "LayerNorm", (fun () -> torch.nn.LayerNorm([| 6L |], 1e-3, dtype = torch.ScalarType.Float64))
      "LayerNorm without weights",
      (fun () -> torch.nn.LayerNorm([| 6L |], 1e-3, elementwise_affine = false, dtype = torch.ScalarType.Float64)) ]

[<Tests>]
let onnxTests =
    testList
        "Onnx"
        [ testPropertyWithConfig
              { FsCheckConfig.defaultConfig with
                  maxTest = 30 }
              "a network gives the same in ONNX Runtime, with sparse and with dense weights"
              (Prop.forAll networks (fun (sizes, percent, biases, seed, batch) ->
                  let layer i =
                      let cells = sizes[i] * sizes[i + 1]
                      sparse f32 sizes[i + 1] sizes[i] (cells * percent[i] / 100) biases[i] (seed + i) :> Layer

                  use model =
                      sequential
                          [ torch.nn.Flatten()
                            layer 0
                            sequential [ torch.nn.ReLU(); layer 1; torch.nn.Dropout 0.3; torch.nn.ReLU() ]
                            torch.nn.Identity()
                            layer 2
                            linearOf f32 true 5 sizes[3] seed ]

                  model.eval ()
                  use x = drawn seed f32 [ int64 batch; int64 sizes[0] ]
                  let bound = errorBound model x

                  for options in [ Onnx.defaults; dense ] do
                      same model (bytesOf options model) x bound))

          testCase "one file takes every batch size" (fun () ->
              use model =
                  sequential [ sparse f32 9 12 30 true 1; torch.nn.ReLU(); sparse f32 4 9 12 true 2 ]

              for options in [ Onnx.defaults; dense ] do
                  let bytes = bytesOf options model

                  for batch in [ 0; 1; 3; 64; 100 ] do
                      use x = drawn batch f32 [ int64 batch; 12L ]
                      same model bytes x (errorBound model x))

          testCase "no slot at all, and every slot" (fun () ->
              for nnz in [ 0; 108 ] do
                  use model = sequential [ sparse f32 9 12 nnz true 1 ]

                  for options in [ Onnx.defaults; dense ] do
                      use x = drawn 3 f32 [ 5L; 12L ]
                      same model (bytesOf options model) x (errorBound model x))

          for name, kind in kinds do
              testCase $"{name} is the same function" (fun () ->
                  use layer = kind ()

                  for p in layer.parameters () do
                      use _ = torch.no_grad ()
                      use values = drawn 5 f64 (List.ofArray p.shape)
                      p.copy_ values |> ignore

                  use model = sequential [ sparse f64 6 4 15 true 1; layer ]
                  model.eval ()
                  use x = drawn 2 f64 [ 7L; 4L ]

                  // Sums of up to six numbers and a few functions, each within some units of 2^-53, but for epsilon, which
                  // ONNX keeps as float32: a relative 2^-24 of 1e-3 under a root.
                  let bound = if name.StartsWith "LayerNorm" then 1e-9 else 1e-13

                  for options in [ Onnx.defaults; dense ] do
                      same model (bytesOf options model) x (Array.create 42 bound))

          for approximate in [ GELU.Approximate.none; GELU.Approximate.tanh ] do
              testCase $"GELU, {approximate}, is the same function" (fun () ->
                  use model = sequential [ torch.nn.GELU approximate ]
                  use x = drawn 2 f32 [ 7L; 4L ]
                  use x = x.mul ((3.0f).ToScalar())
                  // The two approximations differ by up to 5e-4; ONNX Runtime's erf and tanh are polynomials within 1e-6.
                  same
                      model
                      (bytesOf
                          { Onnx.defaults with
                              InputShape = [| 4 |] }
                          model)
                      x
                      (Array.create 28 5e-6))

          testCase "inputs with more dimensions, and Flatten of them" (fun () ->
              use model =
                  sequential
                      [ sparse f32 6 4 15 true 1
                        torch.nn.ReLU()
                        torch.nn.Flatten()
                        sparse f32 3 18 20 true 2 ]

              let bytes =
                  bytesOf
                      { Onnx.defaults with
                          InputShape = [| 3; 4 |] }
                      model

              use x = drawn 2 f32 [ 5L; 3L; 4L ]
              same model bytes x (errorBound model x))

          testCase "an empty Sequential is the identity" (fun () ->
              use model = sequential []
              use x = drawn 2 f32 [ 5L; 4L ]

              same
                  model
                  (bytesOf
                      { Onnx.defaults with
                          InputShape = [| 4 |] }
                      model)
                  x
                  (Array.create 20 0.0))

          testCase "the file says its shapes and names" (fun () ->
              use model = sequential [ sparse f64 6 4 15 true 1 ]
              use session = session (bytesOf Onnx.defaults model)
              let input, output = session.InputMetadata["input"], session.OutputMetadata["output"]
              Expect.equal input.ElementType typeof<float> "type"
              Expect.equal input.Dimensions [| -1; 4 |] "input"
              Expect.equal output.Dimensions [| -1; 6 |] "output"
              Expect.equal input.SymbolicDimensions[0] "N" "batch"
              Expect.equal session.ModelMetadata.ProducerName "SparseFs" "producer")

          testCase "a file is written whole, and a sparse one is smaller where most is absent" (fun () ->
              inFolder (fun folder ->
                  let path name = Path.Combine(folder, name)
                  use model = sequential [ sparse f32 100 200 1000 true 1 ]
                  Onnx.export (path "sparse.onnx") model
                  Onnx.exportWith dense (path "dense.onnx") model
                  Expect.equal (File.ReadAllBytes(path "sparse.onnx")) (bytesOf Onnx.defaults model) "bytes"
                  let size name = FileInfo(path name).Length
                  // 12 bytes a slot, against 4 a cell; names and shapes take less than 1000 bytes.
                  Expect.isLessThan (size "sparse.onnx") (12_000L + 400L + 1000L) "sparse"
                  Expect.isGreaterThan (size "dense.onnx") 80_000L "dense"
                  Expect.equal (Directory.GetFiles(folder).Length) 2 "files"

                  Expect.throwsT<ArgumentException>
                      (fun () -> Onnx.export (path "sparse.onnx") (sequential [ torch.nn.PReLU 1L ]))
                      "refused"

                  Expect.equal (File.ReadAllBytes(path "sparse.onnx")) (bytesOf Onnx.defaults model) "as before"))

          testCase "a sparsified network is exported" (fun () ->
              use model =
                  sequential [ linearOf f32 true 9 12 1; torch.nn.ReLU(); linearOf f32 true 4 9 2 ]

              Sparsify.model (Sparsify.each 0.7) model |> ignore
              use x = drawn 2 f32 [ 5L; 12L ]
              same model (bytesOf Onnx.defaults model) x (errorBound model x))

          refuses
              "a kind that cannot be exported"
              "model"
              "'1.0' is a PReLU; Sequential, Linear, SparseLinear"
              (fun () ->
                  bytesOf Onnx.defaults (sequential [ linearOf f32 true 2 2 1; sequential [ torch.nn.PReLU 1L ] ]))
          refuses "two layers of one name" "model" "expected one layer of the name '2', got two" (fun () ->
              let layer seed =
                  struct ("2", linearOf f32 true 2 2 seed :> torch.nn.Module<torch.Tensor, torch.Tensor>)

              bytesOf Onnx.defaults (torch.nn.Sequential(layer 1, layer 2)))
          refuses "two dtypes" "model" "expected one dtype in the whole model, got another, Float64, in '1'" (fun () ->
              bytesOf Onnx.defaults (sequential [ linearOf f32 true 2 2 1; linearOf f64 true 2 2 1 ]))
          refuses "half precision" "model" "expected Float32 or Float64, got Float16 in '0'" (fun () ->
              bytesOf Onnx.defaults (sequential [ linearOf torch.ScalarType.Float16 true 2 2 1 ]))
          refuses "layers that do not fit" "model" "expected an input [*, 3] of '1', got [N, 2]" (fun () ->
              bytesOf Onnx.defaults (sequential [ linearOf f32 true 2 2 1; linearOf f32 true 2 3 1 ]))
          refuses "an input's shape that does not fit" "model" "expected an input [*, 2] of '0', got [N, 5]" (fun () ->
              bytesOf
                  { Onnx.defaults with
                      InputShape = [| 5 |] }
                  (sequential [ linearOf f32 true 2 2 1 ]))
          refuses "a shape that no layer says" "inputShape" "expected the input's shape" (fun () ->
              bytesOf Onnx.defaults (sequential [ torch.nn.ReLU() ]))
          refuses "a part of Flatten" "model" "expected Flatten from 1 to -1 in '1', got 0 to -1" (fun () ->
              bytesOf Onnx.defaults (sequential [ linearOf f32 true 2 2 1; torch.nn.Flatten 0L ]))
          refuses "a dimension that is not there" "model" "expected a dimension of [N, 2] in '1', got 2" (fun () ->
              bytesOf Onnx.defaults (sequential [ linearOf f32 true 2 2 1; torch.nn.Softmax 2L ]))
          refuses "no model" "model" "" (fun () -> bytesOf Onnx.defaults Unchecked.defaultof<_>) ]
