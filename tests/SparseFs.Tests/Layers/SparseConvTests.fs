module SparseFs.Tests.SparseConvTests

open System
open Expecto
open FsCheck.FSharp
open SparseFs
open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp

let private layerOf (dimensions: int) (geometry: ConvGeometry) (mode: PaddingModes) (pattern: Connectivity) dtype =
    let settings = LayerSettings.Of(None, None, None, Some dtype, None)
    // Margins that differ from side to side are those of padding same alone, which fits strides of 1 only.
    let sizes =
        { Dimensions = dimensions
          Geometry = geometry
          IsTransposed = false
          OutputPadding = Extent.all 0
          Padding = ConvPadding.Valid
          PaddingMode = mode }

    let start = LayerStart.ofPattern settings (ConvSettings.channels sizes) pattern

    match dimensions with
    | 1 -> new SparseConv1d(start, sizes) :> SparseConv
    | 2 -> new SparseConv2d(start, sizes)
    | _ -> new SparseConv3d(start, sizes)

type private ConvCase =
    { Dimensions: int
      Geometry: ConvGeometry
      Mode: PaddingModes
      Pattern: Connectivity
      Input: int64[] }

    override c.ToString() =
        $"%A{c.Geometry}, {c.Mode}, {c.Pattern}, input %A{c.Input}"

let private drawn (seed: int) : ConvCase =
    let random = Random seed
    let dimensions = random.Next(1, 4)

    let extent (least: int) (most: int) (otherwise: int) =
        let draw dimension =
            if dimension > dimensions then
                otherwise
            else
                random.Next(least, most + 1)

        Extent.of3 (draw 3) (draw 2) (draw 1)

    let groups = random.Next(1, 4)

    let mode =
        [| PaddingModes.Zeros
           PaddingModes.Reflect
           PaddingModes.Replicate
           PaddingModes.Circular |][random.Next 4]

    let before = extent 0 2 0

    let geometry =
        { InChannels = groups * random.Next(1, 4)
          OutChannels = groups * random.Next(1, 5)
          Groups = groups
          Kernel = extent 1 3 1
          Stride = extent 1 3 1
          Dilation = extent 1 2 1
          Before = before
          After = if random.Next 2 = 0 then before else extent 0 2 0 }

    let rows, cols = geometry.OutChannels, geometry.InChannels / groups * geometry.Cells

    let pattern =
        Topology.uniform rows cols (random.Next(1, rows * cols + 1)) (Seed.ofInt seed)

    let size reach = int64 (max reach 3 + random.Next 4)
    let reach = geometry.Reach
    let sizes = [| size reach.Depth; size reach.Height; size reach.Width |]

    { Dimensions = dimensions
      Geometry = geometry
      Mode = mode
      Pattern = pattern
      Input = Array.append [| int64 (random.Next(1, 4)); int64 geometry.InChannels |] sizes[3 - dimensions ..] }

/// Torch's own convolution with the layer's weights in a dense kernel, of any number of derivatives.
let private dense (c: ConvCase) (weight: torch.Tensor) (bias: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
    let g = c.Geometry

    let of3 (e: Extent) =
        [| int64 e.Depth; int64 e.Height; int64 e.Width |][3 - c.Dimensions ..]

    let kernel =
        ConvDerivatives.kernel
            c.Pattern
            (Array.append [| int64 g.OutChannels; int64 (g.InChannels / g.Groups) |] (of3 g.Kernel))
            weight

    let sides =
        [| for before, after in Array.rev (Array.zip (of3 g.Before) (of3 g.After)) do
               before
               after |]

    let x =
        if c.Mode = PaddingModes.Zeros then
            torch.nn.functional.pad (x, sides)
        else
            torch.nn.functional.pad (x, sides, c.Mode)

    let none = Array.create c.Dimensions 0L

    match c.Dimensions with
    | 1 ->
        let first (e: Extent) = (of3 e)[0]
        torch.nn.functional.conv1d (x, kernel, bias, first g.Stride, 0L, first g.Dilation, int64 g.Groups)
    | 2 -> torch.nn.functional.conv2d (x, kernel, bias, of3 g.Stride, none, of3 g.Dilation, int64 g.Groups)
    | _ -> torch.nn.functional.conv3d (x, kernel, bias, of3 g.Stride, none, of3 g.Dilation, int64 g.Groups)

let private agrees (dtype: torch.ScalarType) (tolerance: float) (c: ConvCase) =
    use _ = torch.NewDisposeScope()
    use layer = layerOf c.Dimensions c.Geometry c.Mode c.Pattern dtype
    let x = torch.randn (c.Input, dtype = dtype)
    ConvDerivatives.agree (string c) tolerance layer layer.call (dense c) x

let private seeds = Arb.fromGen (Gen.choose (0, Int32.MaxValue))

let private config =
    { FsCheckConfig.defaultConfig with
        maxTest = 100 }

[<Tests>]
let sparseConvTests =
    testList
        "SparseConv"
        [ // A second derivative of so small a case sums in three places, over at most 81 slots or 1536 pixels: fewer than 4,000 roundings in a row.
          testPropertyWithConfig
              config
              "in float64, values and two derivatives are those of torch's dense convolution"
              (Prop.forAll seeds (fun seed -> agrees torch.ScalarType.Float64 (2.0 ** -53.0 * 4_000.0) (drawn seed)))

          testPropertyWithConfig
              config
              "by the kernels, values and two derivatives are those of torch's dense convolution"
              (Prop.forAll seeds (fun seed -> agrees torch.ScalarType.Float32 (2.0 ** -24.0 * 4_000.0) (drawn seed)))

          testCase "every arithmetic gives the same, on both sides of the break-even" (fun () ->
              use _ = torch.NewDisposeScope()

              for sparsity in [ 0.2; 0.49; 0.5; 0.9 ] do
                  use layer =
                      new SparseConv2d(4, 6, (3, 2), stride = (2, 1), padding = (1, 2), sparsity = sparsity)

                  let x = torch.randn (3L, 4L, 9L, 8L)

                  let pass (arithmetic: Arithmetic) =
                      let x = x.detach().requires_grad_ true
                      layer.Arithmetic <- arithmetic
                      layer.zero_grad ()
                      let y = layer.call x
                      y.mul(y).sum().backward()

                      match x.grad, TorchNulls.gradOf layer.weight with
                      | null, _
                      | _, null -> failtest "no gradient"
                      | ofX, ofWeight -> [ y.detach (); ofX; ofWeight.clone () ]

                  let wanted = pass Arithmetic.Sparse

                  for arithmetic in [ Arithmetic.Dense; Arithmetic.Faster; Arithmetic.SparseActivations ] do
                      for mine, other in List.zip (pass arithmetic) wanted do
                          Expect.isTrue (mine.allclose (other, rtol = 1e-4, atol = 1e-4)) $"{arithmetic} at {sparsity}")

          testCase "a sample without a batch is a batch of one" (fun () ->
              for seed in 1..20 do
                  use _ = torch.NewDisposeScope()
                  let c = drawn seed
                  use layer = layerOf c.Dimensions c.Geometry c.Mode c.Pattern torch.float32
                  let x = torch.randn c.Input

                  let alone, batch =
                      layer.call (x[0]), (layer.call (x.narrow (0L, 0L, 1L))).squeeze 0L

                  Expect.equal alone.shape batch.shape $"{c}: shape"
                  let numbers (t: torch.Tensor) = t.detach().data<float32>().ToArray()
                  Expect.equal (numbers alone) (numbers batch) $"{c}") ]

/// Counts: nothing else may run beside these.
[<Tests>]
let steadyTests =
    testSequenced
    <| testList
        "SparseConv, alone"
        [ testCase "200 training steps of a network leave no tensor behind" (fun () ->
              use model =
                  torch.nn.Sequential(
                      new SparseConv2d(3, 8, 3, padding = 1, paddingMode = PaddingModes.Circular, sparsity = 0.7),
                      new KWinners2d(8, KWinnersOptions.ofSparsity 0.5),
                      new SparseConv2d(8, 6, (3, 2), stride = 2, groups = 2, sparsity = 0.5),
                      torch.nn.Flatten(),
                      new SparseLinear(6 * 3 * 4, 4, sparsity = 0.5)
                  )

              use optimizer = torch.optim.SGD(model.parameters (), 0.01, momentum = 0.9)

              use rewirer =
                  new Rewirer(model, optimizer, Policy.rigL (Schedule.constant 0.3 7L 10_000L), Seed.ofInt 1)

              let step () =
                  use _ = torch.NewDisposeScope()
                  optimizer.zero_grad ()
                  model.call(torch.randn (4L, 3L, 8L, 8L)).square().sum().backward()
                  rewirer.Step() |> ignore

              let count () =
                  Replaced.releaseAll ()
                  GC.Collect()
                  GC.WaitForPendingFinalizers()
                  torch.Tensor.TotalCount

              for _ in 1..22 do
                  step ()

              let before = count ()

              // As far from the last update as before: what is noted for the next one is the same.
              for _ in 1..210 do
                  step ()

              Expect.isLessThanOrEqual (count ()) before "Tensor.TotalCount")

          testCase "images in channels_last order give what contiguous ones give, to the bit" (fun () ->
              use _ = torch.NewDisposeScope()
              use layer = new SparseConv2d(5, 7, 3, padding = 1, stride = 2, sparsity = 0.6)

              let numbers (t: torch.Tensor) =
                  t.detach().contiguous().data<float32>().ToArray()

              let x = torch.randn (3L, 9L, 8L, 5L)

              let pass (x: torch.Tensor) =
                  let x = x.detach().requires_grad_ true
                  layer.zero_grad ()
                  let y = layer.call x
                  y.mul(y).sum().backward()

                  match x.grad, TorchNulls.gradOf layer.weight with
                  | null, _
                  | _, null -> failtest "no gradient"
                  | ofX, ofWeight -> numbers y, numbers ofX, numbers ofWeight

              let channelsLast = x.permute (0L, 3L, 1L, 2L)
              Expect.equal (pass channelsLast) (pass (channelsLast.contiguous ())) "output and gradients") ]
