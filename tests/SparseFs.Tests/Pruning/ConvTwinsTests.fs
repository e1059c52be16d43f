module SparseFs.Tests.ConvTwinsTests

open System
open Expecto
open FsCheck.FSharp
open SparseFs
open TorchSharp
open TorchSharp.Modules

type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

/// A dense convolution of any sizes, and an input of it.
let private drawn (seed: int) : Convolution * torch.Tensor =
    let random = Random seed
    let groups = int64 (random.Next(1, 3))

    let inputs, outputs =
        groups * int64 (random.Next(1, 4)), groups * int64 (random.Next(1, 4))

    let size () = int64 (random.Next(1, 4))
    let isSame = random.Next 3 = 0

    let stride () =
        if isSame then 1L else int64 (random.Next(1, 3))

    let padding () = int64 (random.Next 3)

    let mode =
        [| PaddingModes.Zeros
           PaddingModes.Reflect
           PaddingModes.Replicate
           PaddingModes.Circular |][random.Next 4]

    let bias = random.Next 2 = 0
    let one, dilation = size (), size ()
    // TorchSharp pads other dimensions than it should where they differ.
    let mode2 = if isSame then PaddingModes.Zeros else mode

    match random.Next 3 with
    | 0 ->
        let dense =
            if isSame then
                torch.nn.Conv1d(inputs, outputs, one, Padding.Same, 1L, dilation, mode, groups, bias)
            else
                torch.nn.Conv1d(inputs, outputs, one, stride (), padding (), dilation, mode, groups, bias)

        dense, torch.randn (2L, inputs, 9L)
    | 1 ->
        let kernel = struct (one, size ())

        let dense =
            if isSame then
                torch.nn.Conv2d(
                    inputs,
                    outputs,
                    kernel,
                    Padding.Same,
                    dilation = struct (dilation, 1L),
                    padding_mode = mode2,
                    groups = groups,
                    bias = bias
                )
            else
                torch.nn.Conv2d(
                    inputs,
                    outputs,
                    kernel,
                    struct (stride (), stride ()),
                    struct (padding (), padding ()),
                    struct (dilation, 1L),
                    mode,
                    groups,
                    bias
                )

        dense, torch.randn (2L, inputs, 9L, 8L)
    | _ ->
        let dense =
            torch.nn.Conv3d(
                inputs,
                outputs,
                struct (one, size (), size ()),
                struct (stride (), 1L, stride ()),
                struct (padding (), padding (), padding ()),
                struct (1L, dilation, 1L),
                mode,
                groups,
                bias
            )

        dense, torch.randn [| 2L; inputs; 6L; 7L; 6L |]

/// A dense transposed convolution of any sizes, and an input of it.
let private drawnTransposed (seed: int) : Convolution * torch.Tensor =
    let random = Random seed
    let groups = int64 (random.Next(1, 3))

    let inputs, outputs =
        groups * int64 (random.Next(1, 4)), groups * int64 (random.Next(1, 4))

    let size () = int64 (random.Next(1, 4))
    let padding, dilation = int64 (random.Next 2), size ()
    let bias = random.Next 2 = 0
    let zeros = PaddingModes.Zeros

    match random.Next 3 with
    | 0 ->
        torch.nn.ConvTranspose1d(inputs, outputs, size (), 3L, padding, 2L, dilation, zeros, groups, bias),
        torch.randn (2L, inputs, 5L)
    | 1 ->
        torch.nn.ConvTranspose2d(
            inputs,
            outputs,
            struct (size (), size ()),
            struct (2L, 3L),
            struct (padding, 0L),
            struct (1L, 1L),
            struct (1L, dilation),
            zeros,
            groups,
            bias
        ),
        torch.randn (2L, inputs, 5L, 4L)
    | _ ->
        torch.nn.ConvTranspose3d(
            inputs,
            outputs,
            struct (size (), size (), size ()),
            struct (2L, 1L, 3L),
            struct (0L, padding, 0L),
            struct (0L, 0L, 0L),
            struct (1L, dilation, 1L),
            zeros,
            groups,
            bias
        ),
        torch.randn [| 2L; inputs; 4L; 3L; 4L |]

let private close (a: torch.Tensor) (b: torch.Tensor) =
    a.shape = b.shape && a.allclose (b, rtol = 1e-4, atol = 1e-5)

let private network () : Sequential =
    torch.nn.Sequential(
        struct ("first", torch.nn.Conv2d(2L, 8L, 3L, padding = 1L) :> Layer),
        struct ("norm", torch.nn.BatchNorm2d(8L) :> Layer),
        struct ("relu", torch.nn.ReLU() :> Layer),
        struct ("second", torch.nn.Conv2d(8L, 6L, 3L, stride = 2L) :> Layer),
        struct ("flat", torch.nn.Flatten() :> Layer),
        struct ("out", torch.nn.Linear(6L * 3L * 3L, 4L) :> Layer)
    )

[<Tests>]
let tests =
    testSequenced // torch's generator is one for all
    <| testList
        "Conversion of convolutions"
        [ testPropertyWithConfig
              { FsCheckConfig.defaultConfig with
                  maxTest = 80 }
              "to sparse and back is the same function, of every size that torch has"
              (Prop.forAll (Arb.fromGen (Gen.choose (0, 1_000_000))) (fun seed ->
                  use _ = torch.NewDisposeScope()
                  use _ = torch.no_grad ()
                  let dense, x = (if seed % 3 = 0 then drawnTransposed else drawn) seed
                  dense.eval ()
                  let mask = torch.rand(dense.weight.shape).gt(0.5.ToScalar())
                  use sparse = Conversion.ofDenseConvMask mask dense
                  let back = Conversion.toDenseConv sparse
                  let wanted = dense.weight.mul (mask.to_type torch.float32)
                  Expect.isTrue (back.weight.allclose (wanted, 0.0, 0.0)) $"{sparse}: weights"
                  Expect.equal (isNull back.bias) (isNull dense.bias) $"{sparse}: bias"
                  Expect.isFalse (back.training || sparse.training) "the training flag"
                  Expect.equal (back.GetType()) (dense.GetType()) "the type"
                  let y = back.call x
                  Expect.isTrue (close (sparse.call x) y) $"{sparse}: outputs"
                  dense.weight.copy_ wanted |> ignore
                  Expect.isTrue (close (dense.call x) y) $"{sparse}: outputs of the masked layer"
                  use again = Conversion.ofDenseConvPattern sparse.Connectivity back
                  Expect.equal (string again) (string sparse) "sizes are kept"
                  Expect.isTrue (again.weight.allclose (sparse.weight, 0.0, 0.0)) "and weights"))

          testCase "torch's generator is where it was" (fun () ->
              use layer = new SparseConv2d(3, 4, 3)
              torch.manual_seed 3L |> ignore
              let wanted = (torch.randn 3L).data<float32>().ToArray()
              torch.manual_seed 3L |> ignore
              use _ = Conversion.toDenseConv layer

              Expect.equal ((torch.randn 3L).data<float32>().ToArray()) wanted "numbers"
              |> ignore)

          testCase "what is no convolution with a sparse twin is refused" (fun () ->
              let says (part: string) (body: unit -> SparseConv) =
                  let message =
                      try
                          body () |> ignore
                          "nothing was refused"
                      with :? ArgumentException as e ->
                          e.Message

                  Expect.stringContains message part "message"

              let dense = torch.nn.Conv2d(4L, 6L, 3L)

              says "TorchSharp reads only the first number of an output_padding of (0, 1)" (fun () ->
                  Conversion.ofDenseConv
                      0.5
                      (torch.nn.ConvTranspose2d(
                          4L,
                          6L,
                          struct (3L, 3L),
                          struct (2L, 2L),
                          struct (0L, 0L),
                          struct (0L, 1L)
                      )))

              says "TorchSharp pads the wrong dimensions" (fun () ->
                  Conversion.ofDenseConv
                      0.5
                      (torch.nn.Conv2d(4L, 6L, struct (3L, 5L), Padding.Same, padding_mode = PaddingModes.Reflect)))

              says "expected shape [out_channels, in_channels / groups · cells] = [6, 36], got [6, 4]" (fun () ->
                  Conversion.ofDenseConvPattern (Topology.uniform 6 4 3 (Seed.ofInt 1)) dense)

              says "*kernel_size] = [6, 4, 3, 3], got [6, 36]" (fun () ->
                  Conversion.ofDenseConvMask (torch.ones (6L, 36L, dtype = torch.bool)) dense)

              says "expected a sparsity in [0, 1), got 1" (fun () -> Conversion.ofDenseConv 1.0 dense))

          testCase "Sparsify shares a budget over convolutions and linear layers, with the kernel's term" (fun () ->
              use _ = torch.NewDisposeScope()
              use model = network ()
              let shapes = [| [| 8; 2; 3; 3 |]; [| 6; 8; 3; 3 |]; [| 4; 54 |] |]

              let counts =
                  SparsityDistribution.counts SparsityDistribution.ErdosRenyiKernel [||] 0.7 shapes

              let report =
                  Sparsify.model (Sparsify.shared SparsityDistribution.ErdosRenyiKernel 0.7) model

              Expect.equal (report.Rows |> Array.map (fun row -> int row.Nnz)) counts "slots"
              Expect.equal (report.Rows |> Array.map _.Cols) [| 18; 72; 54 |] "columns"

              Expect.isTrue
                  (model[0] :? SparseConv2d && model[3] :? SparseConv2d && model[5] :? SparseLinear)
                  "all are sparse"

              Expect.equal ((model.call (torch.randn (2L, 2L, 8L, 8L))).shape) [| 2L; 4L |] "it runs"
              let before = model.call (torch.ones (2L, 2L, 8L, 8L))
              model.eval ()
              let sparse = model.call (torch.ones (2L, 2L, 8L, 8L))
              Sparsify.densify model |> ignore
              Expect.isTrue (model[0] :? Conv2d && model[3] :? Conv2d && model[5] :? Linear) "and dense again"
              Expect.isTrue (close (model.call (torch.ones (2L, 2L, 8L, 8L))) sparse) "of the same function"
              before.Dispose())

          testCase "an optimizer goes along, and training goes on" (fun () ->
              use _ = torch.NewDisposeScope()
              use model = network ()
              use adam = torch.optim.Adam(model.parameters (), 1e-2)

              let x, labels =
                  torch.randn (8L, 2L, 8L, 8L), (torch.randint (0L, 4L, [| 8L |], dtype = torch.int64))

              let step () =
                  adam.zero_grad ()
                  let loss = torch.nn.functional.cross_entropy (model.call x, labels)
                  loss.backward ()
                  adam.step () |> ignore
                  loss.item<float32>()

              for _ in 1..3 do
                  step () |> ignore

              let report =
                  Sparsify.modelWith adam (Sparsify.globally 0.6 |> Sparsify.inRowGroups 2 RowGroupNorm.L2) model

              Expect.equal report.Replaced 3 "replaced"
              let first = step ()
              let last = List.last [ for _ in 1..20 -> step () ]
              Expect.isLessThan last first "it learns")

          testCase "what is faster is measured with what each layer sees of an input" (fun () ->
              use _ = torch.NewDisposeScope()
              use model = network ()
              let rule = Sparsify.each 0.5

              let means =
                  model.named_buffers ()
                  |> Seq.map (fun struct (_, b) -> b.sum().ToDouble())
                  |> List.ofSeq

              let report =
                  Sparsify.model (rule |> Sparsify.fasterFor (torch.randn (4L, 2L, 8L, 8L))) model

              Expect.equal
                  (report.Rows
                   |> Array.map (fun row -> row.DenseMs.HasValue && row.SparseMs.HasValue))
                  [| true; true; true |]
                  "times"

              Expect.isTrue model.training "it trains as before"

              Expect.equal
                  (model.named_buffers ()
                   |> Seq.filter (fun struct (name, _) -> name.StartsWith "norm")
                   |> Seq.map (fun struct (_, b) -> b.sum().ToDouble())
                   |> List.ofSeq)
                  means
                  "statistics are as they were"

              let says (part: string) (rule: SparsifyRule) =
                  let message =
                      try
                          Sparsify.model rule (network ()) |> ignore
                          "nothing was refused"
                      with :? ArgumentException as e ->
                          e.Message

                  Expect.stringContains message part "message"

              says "measure with an input of the model, by Sparsify.fasterFor" { rule with FasterAt = ValueSome 8 })

          testCase "a layer without a dense twin stays sparse, and the table says why" (fun () ->
              use model =
                  torch.nn.Sequential(
                      new SparseConv2d(2, 4, (3, 5), padding = ConvPadding.Same, paddingMode = PaddingModes.Reflect),
                      new SparseConv2d(4, 4, 3)
                  )

              let report = Sparsify.densify model
              Expect.stringContains report.Rows[0].WhyNot "TorchSharp pads the wrong dimensions" "why"
              Expect.equal report.Replaced 1 "the other one"
              Expect.isTrue (model[0] :? SparseConv2d && model[1] :? Conv2d) "what stands there")

          testCase "a summary counts a convolution's slots and what they multiply" (fun () ->
              use layer = new SparseConv2d(2, 6, 3, padding = 1, sparsity = 0.5, hasBias = false)
              let summary = Summary.ofShape [| 1L; 2L; 8L; 8L |] layer
              let row = summary.Rows[0]
              Expect.equal row.Weights 54L "weights"
              Expect.equal row.Cells 108L "of its dense twin"
              Expect.equal row.Flops (Nullable(2L * 54L * 64L)) "two for each slot and pixel") ]
