module SparseFs.Tests.SparseConvTransposeTests

open System
open Expecto
open FsCheck.FSharp
open SparseFs
open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp

type private Case =
    {
        Settings: ConvSettings
        Pattern: Connectivity
        Input: int64[]
        /// The output's sizes, where they are asked for at the call.
        OutputSize: int64[] option
    }

    override c.ToString() =
        $"%A{c.Settings.Geometry}, output_padding %A{c.Settings.OutputPadding}, {c.Pattern}, input %A{c.Input}, output size %A{c.OutputSize}"

let private of3 (s: ConvSettings) (e: Extent) =
    [| int64 e.Depth; int64 e.Height; int64 e.Width |][3 - s.Dimensions ..]

let private drawn (seed: int) : Case =
    let random = Random seed
    let dimensions = random.Next(1, 4)

    let size (least: int) (most: int) =
        ConvSize.OfArray(Array.init dimensions (fun _ -> random.Next(least, most + 1)))

    let groups = random.Next(1, 3)
    let kernel, stride, dilation = size 1 3, size 1 3, size 1 3
    let longest = Array.map2 max stride.Array dilation.Array

    let behind = ConvSize.OfArray(longest |> Array.map (fun most -> random.Next most))

    let padding =
        // The smallest output of the smallest input keeps a pixel.
        Array.map2 (fun kernel dilation -> random.Next((kernel - 1) * dilation / 2 + 1)) kernel.Array dilation.Array
        |> ConvSize.OfArray

    let settings =
        ConvTransposeSettings.make
            dimensions
            (groups * random.Next(1, 5))
            (groups * random.Next(1, 4))
            kernel
            (Some stride)
            (Some padding)
            (Some behind)
            (Some dilation)
            (Some groups)

    let rows, cols = settings.InChannels, ConvSettings.columns settings
    let input = Array.init dimensions (fun _ -> int64 (random.Next(1, 5)))

    let outputSize =
        Array.init dimensions (fun i ->
            (input[i] - 1L) * int64 stride.Array[i] - 2L * int64 padding.Array[i]
            + int64 (dilation.Array[i] * (kernel.Array[i] - 1))
            + 1L
            + int64 (random.Next stride.Array[i]))

    { Settings = settings
      Pattern = Topology.uniform rows cols (random.Next(1, rows * cols + 1)) (Seed.ofInt seed)
      Input = Array.append [| int64 (random.Next(1, 4)); int64 rows |] input
      OutputSize = if random.Next 2 = 0 then Some outputSize else None }

let private layerOf (c: Case) (dtype: torch.ScalarType) : SparseConvTranspose =
    let layer = LayerSettings.Of(None, None, None, Some dtype, None)
    let start = LayerStart.ofPattern layer (ConvSettings.channels c.Settings) c.Pattern
    ConvLayers.sparse start c.Settings :?> SparseConvTranspose

/// Torch's own, with the layer's weights in a dense kernel.
let private dense (c: Case) (weight: torch.Tensor) (bias: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
    let s = c.Settings
    let g, of3 = s.Geometry, of3 s

    let kernel =
        ConvDerivatives.kernel
            c.Pattern
            (Array.append [| int64 s.InChannels; int64 (s.OutChannels / g.Groups) |] (of3 g.Kernel))
            weight

    let behind =
        match c.OutputSize with
        | None -> of3 s.OutputPadding
        | Some sizes ->
            Array.init s.Dimensions (fun i ->
                let one (e: Extent) = (of3 e)[i]

                sizes[i]
                - ((x.shape[i + 2] - 1L) * one g.Stride - 2L * one g.Before + one g.Reach))

    let groups = int64 g.Groups

    match s.Dimensions with
    | 1 ->
        torch.nn.functional.conv_transpose1d (
            x,
            kernel,
            bias,
            (of3 g.Stride)[0],
            (of3 g.Before)[0],
            behind[0],
            (of3 g.Dilation)[0],
            groups
        )
    | 2 ->
        torch.nn.functional.conv_transpose2d (
            x,
            kernel,
            bias,
            of3 g.Stride,
            of3 g.Before,
            behind,
            of3 g.Dilation,
            groups
        )
    | _ ->
        torch.nn.functional.conv_transpose3d (
            x,
            kernel,
            bias,
            of3 g.Stride,
            of3 g.Before,
            behind,
            of3 g.Dilation,
            groups
        )

let private call (c: Case) (layer: SparseConvTranspose) (x: torch.Tensor) =
    match c.OutputSize with
    | None -> layer.call x
    | Some sizes -> layer.forward (x, sizes)

let private agrees (dtype: torch.ScalarType) (tolerance: float) (c: Case) =
    use _ = torch.NewDisposeScope()
    use layer = layerOf c dtype
    ConvDerivatives.agree (string c) tolerance layer (call c layer) (dense c) (torch.randn (c.Input, dtype = dtype))

let private seeds = Arb.fromGen (Gen.choose (0, Int32.MaxValue))

let private config =
    { FsCheckConfig.defaultConfig with
        maxTest = 100 }

let private refused (expected: string) (body: unit -> unit) =
    match
        (try
            body ()
            None
         with :? ArgumentException as e ->
             Some e.Message)
    with
    | None -> failtest $"nothing was refused: {expected}"
    | Some message -> Expect.stringContains message expected "the message"

[<Tests>]
let tests =
    testList
        "SparseConvTranspose"
        [ // Sums are no longer than those of SparseConv's cases.
          testPropertyWithConfig
              config
              "in float64, values and two derivatives are those of torch's dense transposed convolution"
              (Prop.forAll seeds (fun seed -> agrees torch.ScalarType.Float64 (2.0 ** -53.0 * 4_000.0) (drawn seed)))

          testPropertyWithConfig
              config
              "by the kernels, values and two derivatives are those of torch's dense transposed convolution"
              (Prop.forAll seeds (fun seed -> agrees torch.ScalarType.Float32 (2.0 ** -24.0 * 4_000.0) (drawn seed)))

          testPropertyWithConfig
              config
              "without a gradient the numbers are those with one, with a batch and without"
              (Prop.forAll seeds (fun seed ->
                  use _ = torch.NewDisposeScope()
                  let c = drawn seed
                  use layer = layerOf c torch.float32
                  let x = torch.randn c.Input
                  let numbers (t: torch.Tensor) = t.detach().data<float32>().ToArray()
                  let wanted = call c layer x

                  let got, alone =
                      use _ = torch.no_grad ()
                      call c layer x, call c layer (x[0])

                  Expect.equal (numbers got) (numbers wanted) $"{c}"
                  Expect.equal (numbers alone) (numbers (wanted[0])) $"{c}: the first alone"))

          testPropertyWithConfig
              config
              "the convolution of its output's size gives its input's size"
              (Prop.forAll seeds (fun seed ->
                  use _ = torch.NewDisposeScope()
                  let c = drawn seed
                  use layer = layerOf c torch.float32
                  let y = call c layer (torch.randn c.Input)
                  let g = c.Settings.Geometry
                  let back = g.Output(ConvInputs.extentOf c.Settings.Dimensions y.shape[2..])
                  let got = of3 c.Settings back

                  // What is behind a whole stride is beyond the input.
                  let whole =
                      match c.OutputSize with
                      | Some _ -> c.Input[2..]
                      | None ->
                          Array.map3
                              (fun input behind stride -> input + behind / stride)
                              c.Input[2..]
                              (of3 c.Settings c.Settings.OutputPadding)
                              (of3 c.Settings g.Stride)

                  Expect.equal got whole $"{c}"))

          testCase "initial weights go by the slots of each output channel" (fun () ->
              use _ = torch.NewDisposeScope()
              torch.manual_seed 3L |> ignore
              // The first output channel has 2 slots of each input channel, the second one 4.
              let slots =
                  [| for row in 0..49 do
                         for col in [ 0; 3; 4; 5; 6; 7 ] do
                             row, col |]

              let pattern = Connectivity.ofPairs 50 8 (Array.map fst slots) (Array.map snd slots)

              use layer = new SparseConvTranspose2d(pattern, 2, 2)

              let largest (channel: int) =
                  let weights = layer.weight.detach().abs().view(50L, 6L)

                  let own: torch.Tensor =
                      if channel = 0 then
                          weights.narrow (1L, 0L, 2L)
                      else
                          weights.narrow (1L, 2L, 4L)

                  float (own.max().item<float32>())

              for channel, fanIn in [ 0, 100.0; 1, 200.0 ] do
                  let bound = 1.0 / sqrt fanIn
                  // Of 100 uniform numbers, the largest is below 0.8 of the bound once in 5e9.
                  Expect.isLessThanOrEqual (largest channel) bound $"channel {channel}"
                  Expect.isGreaterThan (largest channel) (0.8 * bound) $"channel {channel}"

              match layer.bias with
              | null -> failtest "no bias"
              | bias -> Expect.equal bias.shape [| 2L |] "a bias for each output channel"

              layer.reset_parameters ()
              Init.reset Init.XavierUniform layer
              // √(6 / (fan-in + fan-out)), the fan-out of an input channel is its 6 slots.
              Expect.isLessThanOrEqual (largest 0) (sqrt (6.0 / 106.0)) "Xavier"
              Expect.isGreaterThan (largest 0) (0.8 * sqrt (6.0 / 106.0)) "Xavier")

          testPropertyWithConfig
              config
              "the slots of an output channel are those whose weights it sums"
              (Prop.forAll seeds (fun seed ->
                  use _ = torch.NewDisposeScope()
                  use _ = torch.no_grad ()
                  let c = drawn seed
                  let s = c.Settings
                  // One pixel goes to each pixel of the output by one weight of each input channel.
                  let g =
                      { s.Geometry with
                          Stride = s.Geometry.Kernel
                          Dilation = Extent.all 1
                          Before = Extent.all 0
                          After = Extent.all 0 }

                  let sizes =
                      { s with
                          Geometry = g
                          OutputPadding = Extent.all 0 }

                  use layer = layerOf { c with Settings = sizes } torch.float32
                  layer.weight.fill_ (1.0.ToScalar()) |> ignore

                  match layer.bias with
                  | null -> ()
                  | bias -> bias.zero_ () |> ignore

                  let ones =
                      torch.ones (Array.append [| int64 s.InChannels |] (Array.create s.Dimensions 1L))

                  let sums = (layer.call ones).reshape(int64 s.OutChannels, -1L).sum(1L)

                  let slots =
                      LayerChannels.outputs (ConvSettings.channels sizes) c.Pattern
                      |> LayerChannels.counts

                  Expect.equal (Array.map float32 slots) (sums.data<float32>().ToArray()) $"{c}"))

          testCase "it says what it is, as PyTorch does" (fun () ->
              use layer =
                  new SparseConvTranspose2d(
                      8,
                      6,
                      (3, 4),
                      sparsity = 0.5,
                      seed = Seed.ofInt 1,
                      stride = 2,
                      padding = 1,
                      outputPadding = (1, 0),
                      dilation = (1, 2),
                      groups = 2,
                      hasBias = false
                  )

              Expect.equal
                  (string layer)
                  "SparseConvTranspose2d(8, 6, kernel_size=(3, 4), stride=(2, 2), padding=(1, 1), output_padding=(1, 0), dilation=(1, 2), groups=2, nnz=144, sparsity=0.5, bias=False, seed=1)"
                  "the text"

              Expect.equal (layer.in_channels, layer.out_channels) (8L, 6L) "channels"
              Expect.equal (layer.Connectivity.Rows, layer.Connectivity.Cols) (8, 3 * 12) "the pattern"
              Expect.equal layer.output_padding (ConvSize.Of(1, 0)) "output_padding")

          testCase "wrong sizes are refused by name, before anything is computed" (fun () ->
              use _ = torch.NewDisposeScope()

              let made (body: unit -> SparseConvTranspose2d) () =
                  use layer = body ()
                  ignore layer

              refused
                  "expected less than the stride (2, 2) or the dilation (1, 1), got 2 (Parameter 'outputPadding')"
                  (made (fun () -> new SparseConvTranspose2d(4, 4, 3, stride = 2, outputPadding = 2)))

              refused
                  "expected 0 or more, got -1 (Parameter 'outputPadding')"
                  (made (fun () -> new SparseConvTranspose2d(4, 4, 3, outputPadding = -1)))

              refused
                  "expected a number that divides the 4 channels of the input and the 6 of the output, got 4 (Parameter 'groups')"
                  (made (fun () -> new SparseConvTranspose2d(4, 6, 3, groups = 4)))

              refused "(Parameter 'inChannels')" (made (fun () -> new SparseConvTranspose2d(0, 6, 3)))
              refused "(Parameter 'outChannels')" (made (fun () -> new SparseConvTranspose2d(6, 0, 3)))
              refused "(Parameter 'padding')" (made (fun () -> new SparseConvTranspose2d(6, 4, 3, padding = -1)))

              refused
                  "expected 36 columns, 9 cells for each of 4 output channels, got 27 (Parameter 'connectivity')"
                  (made (fun () -> new SparseConvTranspose2d(Connectivity.full 3 27, 4, 3)))

              use layer = new SparseConvTranspose2d(4, 2, 3, stride = 2, padding = 1)
              let x = torch.randn (2L, 4L, 5L, 5L)

              let called (expected: string) (x: torch.Tensor) (size: int64[]) =
                  refused expected (fun () -> (layer.forward (x, size)).Dispose())

              called "expected 2 sizes, those of the output's pixels, got [9]" x [| 9L |]

              called
                  "expected sizes from [9, 9] to [10, 10], which give inputs of this size, got [11, 9]"
                  x
                  [| 11L; 9L |]

              called "expected sizes from [9, 9] to [10, 10]" x [| 9L; 8L |]
              called "expected 4 channels (in_channels), got [2, 3, 5, 5]" (torch.randn (2L, 3L, 5L, 5L)) [| 9L; 9L |]
              called "expected sizes of 1 or more" (torch.randn (2L, 4L, 0L, 5L)) [| 9L; 9L |]
              called "expected [N, 4, H, W] or [4, H, W]" (torch.randn (2L, 4L)) [| 9L; 9L |]

              use narrow = new SparseConvTranspose1d(1, 1, 1, padding = 2, sparsity = 0.0)

              refused "expected sizes that leave an output, which would have [0]" (fun () ->
                  (narrow.call (torch.randn (1L, 1L, 4L))).Dispose())

              use wide =
                  new SparseConvTranspose1d(1, 1, 1, stride = ConvSize.Of(Int32.MaxValue / 4), sparsity = 0.0)

              refused "fewer than 2^31" (fun () -> (wide.call (torch.randn (1L, 1L, 9L))).Dispose()))

          testCase
              "an autoencoder trains, is rewired and keeps its weights' number; the gradient by which it grows is exact"
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  torch.manual_seed 2L |> ignore

                  use down = new SparseConv2d(2, 12, 3, stride = 2, padding = 1, sparsity = 0.5)

                  use up =
                      new SparseConvTranspose2d(12, 2, 3, stride = 2, padding = 1, outputPadding = 1, sparsity = 0.7)

                  use model = torch.nn.Sequential(down, torch.nn.ReLU(), up)
                  use optimizer = torch.optim.Adam(model.parameters (), 0.01)

                  use rewirer =
                      new Rewirer(model, optimizer, Policy.rigL (Schedule.constant 0.3 5L 1000L), Seed.ofInt 1)

                  let x = torch.randn (16L, 2L, 8L, 8L)
                  let before = up.Connectivity
                  let loss () = (model.call x).sub(x).square().mean()
                  let first = (loss ()).item<float32>()

                  for _ in 1..60 do
                      use _ = torch.NewDisposeScope()
                      optimizer.zero_grad ()
                      (loss ()).backward()
                      rewirer.Step() |> ignore

                  Expect.equal up.Connectivity.Nnz before.Nnz "nnz"
                  Expect.notEqual up.Connectivity before "the pattern"
                  Expect.isLessThan ((loss ()).item<float32>()) (0.5f * first) "the loss")

          testCase "a bias gets no gradient of a layer that has been loaded since its forward" (fun () ->
              use _ = torch.NewDisposeScope()

              let make seed =
                  new SparseConvTranspose2d(4, 3, 3, sparsity = 0.5, seed = Seed.ofInt seed)

              use layer = make 1
              use other = make 2
              // A frozen weight, so that the bias's is the only gradient.
              layer.weight.requires_grad <- false
              let y = layer.call (torch.randn (2L, 4L, 5L, 5L))
              layer.load_state_dict (other.state_dict ()) |> ignore
              let why = (Expect.throwsC (fun () -> SparseOps.backward (y.sum ())) id).Message
              Expect.stringContains why "was rewired or loaded" "backward"
              let bias = nonNull layer.bias
              Expect.isNull bias.grad "no gradient"
              layer.call(torch.randn (2L, 4L, 5L, 5L)).sum().backward()
              Expect.isNotNull bias.grad "a forward of the new numbers has one")

          testCase "of all cells that have no weight, those with the largest gradients grow" (fun () ->
              use _ = torch.NewDisposeScope()
              torch.manual_seed 4L |> ignore

              use layer =
                  new SparseConvTranspose2d(
                      6,
                      4,
                      3,
                      stride = 2,
                      padding = 1,
                      outputPadding = 1,
                      groups = 2,
                      sparsity = 0.5
                  )

              use optimizer = torch.optim.SGD(layer.parameters (), 0.0)

              use rewirer =
                  new Rewirer(layer, optimizer, Policy.rigL (Schedule.constant 0.3 1L 1000L), Seed.ofInt 1)

              let x = torch.randn (3L, 6L, 4L, 5L)
              let before = layer.Connectivity
              let g = torch.randn_like (layer.call x)
              layer.call(x).mul(g).sum().backward()

              let gradient =
                  let kernel = layer.weightMatrix().view(6L, 2L, 3L, 3L).requires_grad_ true

                  let y =
                      torch.nn.functional.conv_transpose2d (
                          x,
                          kernel,
                          null,
                          [| 2L; 2L |],
                          [| 1L; 1L |],
                          [| 1L; 1L |],
                          [| 1L; 1L |],
                          2L
                      )

                  let loss = y.mul(g).sum()
                  let ofKernel = (torch.autograd.grad ([| loss |], [| kernel |]))[0]
                  ofKernel.abs().reshape(-1L).data<float32>().ToArray()

              rewirer.Step() |> ignore

              let cells (c: Connectivity) =
                  Oracle.slots c |> Array.map (fun (r, col) -> r * c.Cols + col) |> set

              let grown = cells layer.Connectivity - cells before
              let free = set [ 0 .. int before.Cells - 1 ] - cells before - grown
              Expect.isNonEmpty grown "some grew"
              let least = grown |> Seq.map (fun cell -> gradient[cell]) |> Seq.min
              let most = free |> Seq.map (fun cell -> gradient[cell]) |> Seq.max
              // Rounding of sums of at most 60 terms.
              Expect.isGreaterThanOrEqual (least * 1.00001f) most "the gradients of what grew") ]
