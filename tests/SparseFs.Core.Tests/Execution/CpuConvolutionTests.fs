module SparseFs.Tests.CpuConvolutionTests

#nowarn "9"

open System
open Expecto
open FsCheck.FSharp
open SparseFs
open SparseFs.Kernels
open SparseFs.Tests.Cases
open SparseFs.Tests.Guarded

/// A convolution with all its operands; x is [N, in, depth, height, width], g is [N, out, ...].
type private ConvCase =
    { Geometry: ConvGeometry
      Input: Extent
      Pattern: Connectivity
      N: int
      Values: float32[]
      Bias: float32[]
      X: float32[]
      G: float32[] }

    override c.ToString() =
        $"%A{c.Geometry}, input %A{c.Input}, {c.Pattern}, N = {c.N}"

let private caseOf (geometry: ConvGeometry) (input: Extent) (pattern: Connectivity) (n: int) (seed: int) : ConvCase =
    let random = Random seed

    let numbers (length: int64) =
        Array.init (int length) (fun _ -> 2.0f * random.NextSingle() - 1.0f)

    { Geometry = geometry
      Input = input
      Pattern = pattern
      N = n
      Values = numbers (int64 pattern.Nnz)
      Bias = numbers (int64 pattern.Rows)
      X = numbers (int64 n * int64 geometry.InChannels * input.Pixels)
      G = numbers (int64 n * int64 geometry.OutChannels * (geometry.Output input).Pixels) }

/// One, two or three dimensions; every stride, dilation and margin up to some; kernels as large as their input among them.
let private drawn (seed: int) : ConvCase =
    let random = Random seed
    let dimensions = random.Next(1, 4)

    let extent (least: int) (most: int) =
        let draw dimension =
            if dimension > dimensions then
                None
            else
                Some(random.Next(least, most + 1))

        let otherwise = min least 1
        Extent.of3 (defaultArg (draw 3) otherwise) (defaultArg (draw 2) otherwise) (defaultArg (draw 1) otherwise)

    let groups = random.Next(1, 4)
    let before, after = extent 0 2, extent 0 2

    let geometry =
        { InChannels = groups * random.Next(1, 4)
          OutChannels = groups * random.Next(1, 10)
          Groups = groups
          Kernel = extent 1 3
          Stride = extent 1 3
          Dilation = extent 1 2
          Before = before
          After = after }

    let drawnInput =
        { extent 1 6 with
            Width = random.Next(1, 45) }

    let input =
        Extent.map3
            (fun size reach padding -> max size (max 1 (reach - padding)))
            drawnInput
            geometry.Reach
            (Extent.map2 (+) before after)

    let cols = geometry.InChannels / groups * geometry.Cells
    let rows = geometry.OutChannels
    let seedOfPattern = Seed.ofInt (random.Next())

    let pattern =
        match random.Next 4 with
        | 0 -> Connectivity.full rows cols
        | 1 -> Topology.uniform rows cols (random.Next(0, rows * cols + 1)) seedOfPattern
        | 2 -> Topology.uniform rows cols (rows * cols / 3) seedOfPattern
        | _ ->
            let group = if random.Next 2 = 0 then 2 else 4
            Topology.rowGroups group rows cols (rows * cols / 2) seedOfPattern

    caseOf geometry input pattern (random.Next(0, 4)) seed

/// Calls body with each slot, the sample's input and output it connects, as indices, for all samples.
let private eachProduct (c: ConvCase) (body: int -> int -> int -> unit) =
    let g, input, output = c.Geometry, c.Input, c.Geometry.Output c.Input
    let inputs, outputs = g.InChannels / g.Groups, g.OutChannels / g.Groups

    for slot, (row, col) in Array.indexed (Oracle.slots c.Pattern) do
        let channel = row / outputs * inputs + col / g.Cells
        let cell = g.CellAt(col % g.Cells)

        for n in 0 .. c.N - 1 do
            for z in 0 .. output.Depth - 1 do
                for y in 0 .. output.Height - 1 do
                    for x in 0 .. output.Width - 1 do
                        let iz = z * g.Stride.Depth + cell.Depth * g.Dilation.Depth - g.Before.Depth
                        let iy = y * g.Stride.Height + cell.Height * g.Dilation.Height - g.Before.Height
                        let ix = x * g.Stride.Width + cell.Width * g.Dilation.Width - g.Before.Width

                        let inside =
                            iz >= 0
                            && iz < input.Depth
                            && iy >= 0
                            && iy < input.Height
                            && ix >= 0
                            && ix < input.Width

                        if inside then
                            let ofInput =
                                (((n * g.InChannels + channel) * input.Depth + iz) * input.Height + iy)
                                * input.Width
                                + ix

                            let ofOutput =
                                (((n * g.OutChannels + row) * output.Depth + z) * output.Height + y)
                                * output.Width
                                + x

                            body slot ofInput ofOutput

/// What an operation should give, and how far the rounding of its sums may lead it away.
let private sums
    (c: ConvCase)
    (length: int)
    (start: int -> float)
    (target: int -> int -> int -> int)
    (product: int -> int -> int -> float)
    =
    let wanted, size, terms =
        Array.init length start, Array.init length (start >> abs), Array.create length 2

    eachProduct c (fun slot ofInput ofOutput ->
        let at, value = target slot ofInput ofOutput, product slot ofInput ofOutput
        wanted[at] <- wanted[at] + value
        size[at] <- size[at] + abs value
        terms[at] <- terms[at] + 1)

    Array.map2 (fun (size: float) terms -> Oracle.gamma Oracle.float32Roundoff terms * size) size terms, wanted

let private wantedConv (c: ConvCase) =
    let pixels = int (c.Geometry.Output c.Input).Pixels
    let channels = c.Geometry.OutChannels

    sums
        c
        c.G.Length
        (fun i -> float c.Bias[i / pixels % channels])
        (fun _ _ ofOutput -> ofOutput)
        (fun slot ofInput _ -> float c.Values[slot] * float c.X[ofInput])

let private wantedConvT (c: ConvCase) =
    sums c c.X.Length (fun _ -> 0.0) (fun _ ofInput _ -> ofInput) (fun slot _ ofOutput ->
        float c.Values[slot] * float c.G[ofOutput])

let private wantedSddmm (c: ConvCase) =
    sums c c.Pattern.Nnz (fun _ -> 0.0) (fun slot _ _ -> slot) (fun _ ofInput ofOutput ->
        float c.X[ofInput] * float c.G[ofOutput])

let private conv (machine: ExecutionPolicy) (c: ConvCase) : float32[] =
    use values = new Guarded(c.Values)
    use bias = new Guarded(c.Bias)
    use x = new Guarded(c.X)
    use y = new Guarded(garbage c.G.Length)
    let plan = ConvPlan(c.Pattern, c.Geometry)
    CpuConvolution.conv machine plan c.Input values.Address bias.Address x.Address c.N y.Address
    y.CheckMargins "y"
    y.Values

let private transposedBy
    (product:
        ExecutionPolicy
            -> ConvPlan
            -> Extent
            -> nativeptr<float32>
            -> nativeptr<float32>
            -> int
            -> nativeptr<float32>
            -> unit)
    (machine: ExecutionPolicy)
    (c: ConvCase)
    : float32[] =
    use values = new Guarded(c.Values)
    use g = new Guarded(c.G)
    use x = new Guarded(garbage c.X.Length)
    product machine (ConvPlan(c.Pattern, c.Geometry)) c.Input values.Address g.Address c.N x.Address
    x.CheckMargins "x"
    x.Values

let private sddmm (machine: ExecutionPolicy) (c: ConvCase) : float32[] =
    use g = new Guarded(c.G)
    use x = new Guarded(c.X)
    use d = new Guarded(garbage c.Pattern.Nnz)
    let plan = ConvPlan(c.Pattern, c.Geometry)
    CpuConvolution.sddmm machine plan c.Input g.Address x.Address c.N d.Address
    d.CheckMargins "d"
    d.Values

let private operations =
    [ "conv", wantedConv, conv
      "convT", wantedConvT, transposedBy CpuConvolution.convT
      "convT as sums",
      wantedConvT,
      transposedBy (fun machine plan input -> CpuConvolution.gather machine (plan.Transposed input))
      "convT by stores",
      wantedConvT,
      transposedBy (fun machine plan input -> StencilProducts.scatter machine (plan.Forward input))
      "sddmm", wantedSddmm, sddmm ]

let private seeds = Arb.fromGen (Gen.choose (0, Int32.MaxValue))

[<Tests>]
let convolutionTests =
    testList
        "Convolution"
        [ testList
              "each width"
              [ for name, wanted, run in operations do
                    for width in CpuSpmm.widths do
                        testPropertyWithConfig
                            { FsCheckConfig.defaultConfig with
                                maxTest = 150 }
                            $"{name} at {width} is the dense convolution, within the rounding of its sums"
                            (Prop.forAll seeds (fun seed ->
                                let c = drawn seed
                                let bound, expected = wanted c
                                run (CpuSpmm.machineOf width 1) c |> expectWithin $"{name}, {c}" bound expected)) ]

          testList
              "threads"
              [ for name, _, run in operations do
                    testCase $"{name} gives the same bits for 1, 2 and 3 threads" (fun () ->
                        for seed in 1..60 do
                            let c = drawn seed
                            let one = run (CpuSpmm.machineOf CpuSpmm.widest 1) c

                            for threads in 2..3 do
                                Expect.equal
                                    (run (CpuSpmm.machineOf CpuSpmm.widest threads) c)
                                    one
                                    $"{threads} threads, {c}") ]

          testCase "a sample whose places are no int32 is refused before anything is computed" (fun () ->
              let square size = Extent.of3 1 size size

              let geometry =
                  { InChannels = 64
                    OutChannels = 1
                    Groups = 1
                    Kernel = square 1
                    Stride = square 1
                    Dilation = square 1
                    Before = Extent.all 0
                    After = Extent.all 0 }

              // Its only slot is in the first channel, so that no slot's own place is too large.
              let plan = ConvPlan(Connectivity.ofPairs 1 64 [| 0 |] [| 0 |], geometry)
              Expect.throwsT<OverflowException> (fun () -> plan.Forward(square 6_000) |> ignore) "64 x 6000 x 6000")

          testCase "the drawn cases reach what a convolution can be" (fun () ->
              let cases = [ for seed in 1..300 -> drawn seed ]

              let has what test =
                  Expect.isTrue (List.exists test cases) what

              has "three dimensions" (fun c -> c.Geometry.Kernel.Depth > 1)
              has "a stride of three" (fun c -> c.Geometry.Stride.Width = 3)
              has "a stride in two dimensions" (fun c -> c.Geometry.Stride.Height > 1 && c.Geometry.Stride.Width > 1)
              has "a dilation" (fun c -> c.Geometry.Dilation.Height > 1 && c.Geometry.Kernel.Height > 1)
              has "groups of channels" (fun c -> c.Geometry.Groups > 1)
              has "depthwise" (fun c -> c.Geometry.InChannels = c.Geometry.Groups && c.Geometry.Groups > 1)
              has "groups of four rows" (fun c -> ConvPlan(c.Pattern, c.Geometry).RowGroup = 4 && c.Pattern.Nnz > 0)
              has "groups of two rows" (fun c -> ConvPlan(c.Pattern, c.Geometry).RowGroup = 2 && c.Pattern.Nnz > 0)
              has "no sample" (fun c -> c.N = 0)
              has "several tiles" (fun c -> (c.Geometry.Output c.Input).Pixels > 130L)
              has "a kernel as large as its input" (fun c -> (c.Geometry.Output c.Input).Pixels = 1L)
              has "no slot" (fun c -> c.Pattern.Nnz = 0)) ]
