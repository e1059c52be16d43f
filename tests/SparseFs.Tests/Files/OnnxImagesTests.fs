module SparseFs.Tests.OnnxImagesTests

open System
open System.IO
open Expecto
open FsCheck.FSharp
open Microsoft.ML.OnnxRuntime
open Microsoft.ML.OnnxRuntime.Tensors
open SparseFs
open TorchSharp
open TorchSharp.Modules

type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

let private bytesOf (isSparse: bool) (shape: int64[]) (model: torch.nn.Module) : byte[] =
    use stream = new MemoryStream()

    Onnx.writeTo
        { Onnx.defaults with
            SparseWeights = isSparse
            InputShape = Array.map int shape }
        stream
        model

    stream.ToArray()

let private run (bytes: byte[]) (x: torch.Tensor) : int[] * float32[] =
    use options =
        new SessionOptions(LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR, IntraOpNumThreads = 1)

    use session = new InferenceSession(bytes, options)
    let numbers = x.contiguous().data<float32>().ToArray()

    let input =
        NamedOnnxValue.CreateFromTensor(
            "input",
            DenseTensor<float32>(Memory numbers, ReadOnlySpan<int>(x.shape |> Array.map int))
        )

    use results = session.Run [| input |]

    match (Seq.exactlyOne results).Value with
    | :? Tensor<float32> as t -> t.Dimensions.ToArray(), Array.ofSeq t
    | other -> failtest $"expected floats, got {other}"

/// Small whole numbers everywhere, so that no sum is rounded in any order.
let private whole (model: torch.nn.Module) : unit =
    use _ = torch.NewDisposeScope()
    use _ = torch.no_grad ()

    for p in model.parameters () do
        p.copy_ (torch.randint (-2L, 3L, p.shape, dtype = torch.float32)) |> ignore

let private draw (seed: int) : Sequential * torch.Tensor =
    let random = Random seed
    let dimensions = random.Next(1, 4)
    let groups = random.Next(1, 3)
    let inputs, outputs = groups * random.Next(1, 4), groups * random.Next(1, 4)

    let size (least: int) (most: int) =
        match dimensions with
        | 1 -> ConvSize.Of(random.Next(least, most + 1))
        | 2 -> ConvSize.Of(random.Next(least, most + 1), random.Next(least, most + 1))
        | _ -> ConvSize.Of(random.Next(least, most + 1), random.Next(least, most + 1), random.Next(least, most + 1))

    let modes =
        [| PaddingModes.Zeros
           PaddingModes.Reflect
           PaddingModes.Replicate
           PaddingModes.Circular |]

    let mode = modes[random.Next 4]
    let kernel, stride, dilation = size 1 3, size 1 2, size 1 2
    let padding = ConvPadding.op_Implicit (size 0 2)
    let hasBias = random.Next 2 = 0

    let conv: SparseConv =
        match dimensions with
        | 1 ->
            new SparseConv1d(
                inputs,
                outputs,
                kernel,
                0.4,
                Seed.ofInt seed,
                stride,
                padding,
                dilation,
                groups,
                mode,
                hasBias
            )
        | 2 ->
            new SparseConv2d(
                inputs,
                outputs,
                kernel,
                0.4,
                Seed.ofInt seed,
                stride,
                padding,
                dilation,
                groups,
                mode,
                hasBias
            )
        | _ ->
            new SparseConv3d(
                inputs,
                outputs,
                kernel,
                0.4,
                Seed.ofInt seed,
                stride,
                padding,
                dilation,
                groups,
                mode,
                hasBias
            )

    let layer: Layer =
        if random.Next 3 = 0 then
            Conversion.toDenseConv conv
        else
            conv

    let rest: Layer list =
        [ if random.Next 2 = 0 then
              // A root of 1.
              match dimensions with
              | 1 -> torch.nn.BatchNorm1d(int64 outputs, eps = 0.0)
              | 2 -> torch.nn.BatchNorm2d(int64 outputs, eps = 0.0)
              | _ -> torch.nn.BatchNorm3d(int64 outputs, eps = 0.0)
          torch.nn.ReLU()
          let isCeil = random.Next 2 = 0

          match dimensions, random.Next 3 with
          | 1, 0 -> torch.nn.MaxPool1d(2L, ceil_mode = isCeil)
          | 2, 0 -> torch.nn.MaxPool2d(3L, stride = 2L, padding = 1L, ceil_mode = isCeil)
          | 2, 1 -> torch.nn.AvgPool2d(2L, padding = 1L, count_include_pad = true)
          | 3, 0 -> torch.nn.MaxPool3d(2L, ceil_mode = isCeil)
          | _ -> torch.nn.Identity()

          if random.Next 2 = 0 then
              torch.nn.Flatten() ]

    let model = torch.nn.Sequential(Array.ofList (layer :: rest))
    whole model
    model.eval ()
    let sizes = Array.init dimensions (fun _ -> int64 (random.Next(7, 11)))

    let x =
        torch.randint (-3L, 4L, Array.concat [ [| 2L; int64 inputs |]; sizes ], dtype = torch.float32)

    model, x

[<Tests>]
let tests =
    testList
        "Onnx of images"
        [ testPropertyWithConfig
              { FsCheckConfig.defaultConfig with
                  maxTest = 100 }
              "a convolution, a norm and a pool give the same in ONNX Runtime, with sparse and with dense weights"
              (Prop.forAll (Arb.fromGen (Gen.choose (0, 1_000_000))) (fun seed ->
                  use _ = torch.NewDisposeScope()
                  use _ = torch.no_grad ()
                  let model, x = draw seed
                  use model = model
                  let wanted = model.call x

                  for isSparse in [ true; false ] do
                      let shape, got = run (bytesOf isSparse x.shape[1..] model) x
                      Expect.equal shape (wanted.shape |> Array.map int) $"{model}: shape"
                      Expect.equal got (wanted.contiguous().data<float32>().ToArray()) $"{model}: numbers"))

          testCase "a network of pixels in a row" (fun () ->
              use _ = torch.NewDisposeScope()
              use _ = torch.no_grad ()

              use model =
                  torch.nn.Sequential(
                      torch.nn.Unflatten(1L, [| 1L; 28L; 28L |]),
                      torch.nn.Conv2d(1L, 8L, 3L, padding = 1L),
                      torch.nn.BatchNorm2d(8L, eps = 0.0),
                      torch.nn.ReLU(),
                      torch.nn.MaxPool2d 2L,
                      new SparseConv2d(8, 16, 3, padding = ConvPadding.Same, sparsity = 0.8),
                      torch.nn.ReLU(),
                      torch.nn.MaxPool2d 4L,
                      torch.nn.Flatten(),
                      new SparseLinear(16 * 3 * 3, 10, sparsity = 0.5)
                  )

              whole model
              model.eval ()
              let x = torch.randint (-3L, 4L, [| 5L; 784L |], dtype = torch.float32)
              let wanted = model.call(x).contiguous().data<float32>().ToArray()

              for isSparse in [ true; false ] do
                  let shape, got = run (bytesOf isSparse [||] model) x
                  Expect.equal shape [| 5; 10 |] "shape"
                  Expect.equal got wanted "numbers")

          testCase "a file holds a convolution in float64, which this ONNX Runtime does not compute" (fun () ->
              use model =
                  torch.nn.Sequential(new SparseConv2d(2, 4, 3, dtype = torch.ScalarType.Float64))

              let bytes = bytesOf true [| 2L; 8L; 8L |] model

              Expect.throwsT<OnnxRuntimeException>
                  (fun () -> (new InferenceSession(bytes)).Dispose())
                  "no such operator")

          testCase "adaptive pools whose windows are alike" (fun () ->
              use _ = torch.NewDisposeScope()
              use _ = torch.no_grad ()
              let conv = new SparseConv2d(2, 4, 3, padding = 1, sparsity = 0.5)

              use model =
                  torch.nn.Sequential(conv, torch.nn.AdaptiveAvgPool2d 4L, torch.nn.Flatten())

              whole model
              let x = torch.randint (-3L, 4L, [| 3L; 2L; 8L; 16L |], dtype = torch.float32)
              let _, got = run (bytesOf true x.shape[1..] model) x
              Expect.equal got (model.call(x).contiguous().data<float32>().ToArray()) "numbers")

          testCase "what has no operator, or does not fit, is refused" (fun () ->
              let says (part: string) (shape: int64[]) (model: Layer list) =
                  let message =
                      try
                          bytesOf true shape (torch.nn.Sequential(Array.ofList model)) |> ignore
                          "nothing was refused"
                      with :? ArgumentException as e ->
                          e.Message

                  Expect.stringContains message part "message"

              let conv () : Layer = new SparseConv2d(2, 4, 3)
              says "say the model's InputShape" [| 8L |] [ conv () ]
              says "expected the input's shape, as no layer says it: InputShape = [| 3; 32; 32 |]" [||] [ conv () ]
              says "expected 2 channels into '0', got [N, 3, 8, 8]" [| 3L; 8L; 8L |] [ conv () ]
              says "that '0' fits into" [| 2L; 2L; 8L |] [ conv () ]
              says "expected sizes that divide" [| 2L; 8L; 8L |] [ conv (); torch.nn.AdaptiveAvgPool2d 4L ]
              says "without them" [| 2L; 8L; 8L |] [ conv (); torch.nn.BatchNorm2d(4L, track_running_stats = false) ]
              says "expected sizes of 8 numbers" [| 8L |] [ torch.nn.Unflatten(1L, [| 3L; 3L |]) ]
              says "'0' is a AvgPool2d" [| 2L; 8L; 8L |] [ torch.nn.AvgPool2d(3L, stride = 2L, ceil_mode = true) ]
              says "'0' is a AvgPool2d" [| 2L; 8L; 8L |] [ torch.nn.AvgPool2d(2L, divisor_override = 3L) ]
              says "'0' leaves an output" [| 1L; 2L |] [ torch.nn.ConvTranspose1d(1L, 1L, 1L, padding = 2L) ])

          testPropertyWithConfig
              { FsCheckConfig.defaultConfig with
                  maxTest = 60 }
              "a transposed convolution gives the same in ONNX Runtime"
              (Prop.forAll (Arb.fromGen (Gen.choose (0, 1_000_000))) (fun seed ->
                  use _ = torch.NewDisposeScope()
                  use _ = torch.no_grad ()
                  let random = Random seed
                  let groups = random.Next(1, 3)
                  let inputs, outputs = groups * random.Next(1, 4), groups * random.Next(1, 4)
                  let stride, behind, padding = random.Next(1, 4), random.Next 3, random.Next 2
                  let sizes = Array.init 2 (fun _ -> int64 (random.Next(3, 6)))

                  let conv: SparseConv =
                      if random.Next 2 = 0 then
                          new SparseConvTranspose1d(
                              inputs,
                              outputs,
                              4,
                              0.4,
                              Seed.ofInt seed,
                              stride,
                              padding,
                              min behind (stride - 1),
                              random.Next(1, 3),
                              groups,
                              random.Next 2 = 0
                          )
                      else
                          new SparseConvTranspose2d(
                              inputs,
                              outputs,
                              (3, 2),
                              0.4,
                              Seed.ofInt seed,
                              (stride, 3),
                              (padding, 0),
                              (min behind (stride - 1), behind),
                              (random.Next(1, 3), 1),
                              groups,
                              random.Next 2 = 0
                          )

                  let layer: Layer =
                      // TorchSharp's own has the same output_padding in all dimensions.
                      if conv :? SparseConvTranspose1d && random.Next 2 = 0 then
                          Conversion.toDenseConv conv
                      else
                          conv

                  use model = torch.nn.Sequential(layer, torch.nn.ReLU())
                  whole model

                  let shape =
                      Array.append [| 2L; int64 inputs |] (if conv :? SparseConvTranspose1d then sizes[..0] else sizes)

                  let x = torch.randint (-3L, 4L, shape, dtype = torch.float32)
                  let wanted = model.call x

                  for isSparse in [ true; false ] do
                      let shape, got = run (bytesOf isSparse x.shape[1..] model) x
                      Expect.equal shape (wanted.shape |> Array.map int) $"{conv}: shape"
                      Expect.equal got (wanted.contiguous().data<float32>().ToArray()) $"{conv}: numbers")) ]
