module SparseFs.Tests.ChainTests

#nowarn "9"

open System
open Expecto
open FsCheck.FSharp
open SparseFs
open SparseFs.Kernels
open SparseFs.Tests.Guarded

/// A chain with all its operands; x is [n, inputs], dy [n, outputs].
type private ChainCase =
    { N: int
      HasNorm: bool
      HasAffine: bool
      HasResidual: bool
      Patterns: Connectivity[]
      Activations: ChainActivation[]
      Values: float32[][]
      Biases: float32[][]
      Scale: float32[]
      Shift: float32[]
      X: float32[]
      Residual: float32[]
      DY: float32[] }

    override c.ToString() =
        $"%A{Array.map string c.Patterns}, %A{c.Activations}, N = {c.N}, norm {c.HasNorm} {c.HasAffine}, residual {c.HasResidual}"

    member c.Inputs = c.Patterns[0].Cols
    member c.Outputs = (Array.last c.Patterns).Rows

[<Literal>]
let private Epsilon = 1e-5f

let private caseOf (random: Random) (n: int) (products: int) (most: int) : ChainCase =
    let activations =
        Array.init (products - 1) (fun _ -> enum<ChainActivation>(random.Next 5))

    let sizes = Array.init (products + 1) (fun _ -> random.Next(1, most))

    let patterns =
        Array.init products (fun index ->
            let taken =
                if index < products - 1 then
                    ChainActivation.rowsTaken activations[index]
                else
                    1

            let rows, cols = taken * sizes[index + 1], sizes[index]
            let nnz = random.Next(0, rows * cols + 1)
            let seed = Seed.ofInt (random.Next())

            match random.Next 3 with
            | 0 -> Topology.rowGroups 4 rows cols nnz seed
            | _ -> Topology.uniform rows cols nnz seed)

    let numbers (scale: float32) length =
        Array.init length (fun _ -> scale * (2.0f * random.NextSingle() - 1.0f))

    { N = n
      HasNorm = random.Next 2 = 0
      HasAffine = random.Next 2 = 0
      HasResidual = random.Next 2 = 0
      Patterns = patterns
      Activations = activations
      Values = patterns |> Array.map (fun c -> numbers (2.0f / sqrt (float32 c.Cols)) c.Nnz)
      Biases = patterns |> Array.map (fun c -> numbers 1.0f c.Rows)
      Scale = numbers 2.0f sizes[0]
      Shift = numbers 1.0f sizes[0]
      X = numbers 2.0f (n * sizes[0])
      Residual = numbers 1.0f (n * sizes[products])
      DY = numbers 1.0f (n * sizes[products]) }

let private drawn (seed: int) : ChainCase =
    let random = Random seed
    let n = [| 1; 2; 4; 7; 16; 21; 64; 65; 131; 150 |][random.Next 10]
    caseOf random n (random.Next(1, 4)) 24

type private Results<'number> =
    { Y: 'number[]
      DX: 'number[]
      DValues: 'number[][]
      DBiases: 'number[][]
      DScale: 'number[]
      DShift: 'number[] }

    member r.Named: (string * 'number[]) list =
        [ "y", r.Y
          "dx", r.DX
          for i in 0 .. r.DValues.Length - 1 do
              $"dValues {i}", r.DValues[i]
              $"dBias {i}", r.DBiases[i]
          "dScale", r.DScale
          "dShift", r.DShift ]

/// The complementary error function by the continued fraction and the series, each to the last place of float64 where it is used.
let private erfc (x: float) : float =
    let z = abs x

    let positive =
        if z < 2.5 then
            // erf z = 2 / √π · e^−z² · Σ 2^k z^(2k + 1) / (1 · 3 · ... · (2k + 1))
            let mutable term, sum, k = z, z, 1.0

            while abs term > 1e-18 * abs sum && k < 400.0 do
                term <- term * 2.0 * z * z / (2.0 * k + 1.0)
                sum <- sum + term
                k <- k + 1.0

            1.0 - 2.0 / sqrt Math.PI * exp (-z * z) * sum
        else
            let mutable fraction = z

            for k in 200..-1..1 do
                fraction <- z + float k / 2.0 / fraction

            exp (-z * z) / (sqrt Math.PI * fraction)

    if x >= 0.0 then positive else 2.0 - positive

/// An activation's value and slope.
let private activation (a: ChainActivation) (x: float) : float * float =
    match a with
    | ChainActivation.Gelu ->
        let below = 0.5 * erfc (-x / sqrt 2.0)
        x * below, below + x * exp (-x * x / 2.0) / sqrt (2.0 * Math.PI)
    | ChainActivation.GeluTanh ->
        let s = sqrt (2.0 / Math.PI)
        let t = Math.Tanh(s * (x + 0.044715 * x * x * x))
        0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * s * (1.0 + 3.0 * 0.044715 * x * x)
    | ChainActivation.Relu -> max x 0.0, (if x > 0.0 then 1.0 else 0.0)
    | _ ->
        let s = 1.0 / (1.0 + exp -x)
        x * s, s + x * s * (1.0 - s)

/// What an activation and its slope may be off by, of numbers up to 12: half of the error function's own 1.5e-7, and a dozen roundings.
let private activationError (x: float) =
    (0.75e-7 + 12.0 * Oracle.float32Roundoff) * max 1.0 (abs x)

/// An activation's value and slope of a number that is itself off.
let private bounded (a: ChainActivation) (x: Bounded) : Bounded * Bounded =
    let value, slope = activation a x.Value
    // No slope is above 1.13, and no slope's own slope above 0.8 but ReLU's, which jumps.
    let ofSlope =
        match a with
        | ChainActivation.Relu -> if abs x.Value <= x.Error then 1.0 else 0.0
        | _ -> 0.8 * x.Error + activationError x.Value

    let ofValue =
        match a with
        | ChainActivation.Relu -> x.Error
        | _ -> 1.13 * x.Error + activationError x.Value

    Bounded.Rounded(value, ofValue, 0.0), Bounded.Rounded(slope, ofSlope, 0.0)

/// The operations one after the other, a sample at a time, in float64.
let private reference (c: ChainCase) : Results<Bounded> =
    let wide (numbers: float32[]) =
        numbers |> Array.map (float >> Bounded.exact)

    let zeros (length: int) = Array.create length Bounded.zero
    let slots = c.Patterns |> Array.map Oracle.slots
    let inputs = c.Inputs
    // The kernels multiply by a rounded part in place of dividing.
    let part = Bounded.Rounded(1.0 / float inputs, 0.0, 1.0)

    let r =
        { Y = zeros (c.N * c.Outputs)
          DX = zeros (c.N * inputs)
          DValues = c.Values |> Array.map (fun v -> zeros v.Length)
          DBiases = c.Biases |> Array.map (fun v -> zeros v.Length)
          DScale = zeros inputs
          DShift = zeros inputs }

    for sample in 0 .. c.N - 1 do
        let x = wide (c.X[sample * inputs .. (sample + 1) * inputs - 1])
        let mean = Array.fold (+) Bounded.zero x * part
        let centred = x |> Array.map (fun v -> v + -mean)

        let variance =
            Array.fold (fun s (d: Bounded) -> s + d * d) Bounded.zero centred * part
            + Bounded.exact (float Epsilon)

        let deviation =
            let most = 1.0 / sqrt (max (float Epsilon / 2.0) (variance.Value - variance.Error))

            let value = 1.0 / sqrt variance.Value
            Bounded.Rounded(value, most - value, 2.0)

        let normal = centred |> Array.map (fun d -> d * deviation)

        let first =
            if not c.HasNorm then
                x
            elif not c.HasAffine then
                normal
            else
                Array.map2 (+) (Array.map2 (*) normal (wide c.Scale)) (wide c.Shift)

        let taken = ResizeArray [ first ]
        let given = ResizeArray<Bounded[]>()

        for index in 0 .. c.Patterns.Length - 1 do
            let y, weights, before = wide c.Biases[index], wide c.Values[index], taken[index]

            slots[index]
            |> Array.iteri (fun s (row, col) -> y[row] <- y[row] + weights[s] * before[col])

            given.Add y

            if index < c.Activations.Length then
                let a = c.Activations[index]

                taken.Add(
                    if a = ChainActivation.SwiGlu then
                        let h = y.Length / 2
                        Array.init h (fun i -> fst (bounded a y[i]) * y[h + i])
                    else
                        y |> Array.map (fun v -> fst (bounded a v))
                )

        for o in 0 .. c.Outputs - 1 do
            let v = given[given.Count - 1][o]
            let at = sample * c.Outputs + o

            r.Y[at] <-
                if c.HasResidual then
                    v + Bounded.exact (float c.Residual[at])
                else
                    v

        let mutable g = wide c.DY[sample * c.Outputs .. (sample + 1) * c.Outputs - 1]

        for index in c.Patterns.Length - 1 .. -1 .. 0 do
            let back = zeros c.Patterns[index].Cols
            let weights, before = wide c.Values[index], taken[index]
            let ofValues, ofBias = r.DValues[index], r.DBiases[index]
            g |> Array.iteri (fun row v -> ofBias[row] <- ofBias[row] + v)
            let upstream = g

            slots[index]
            |> Array.iteri (fun s (row, col) ->
                ofValues[s] <- ofValues[s] + upstream[row] * before[col]
                back[col] <- back[col] + upstream[row] * weights[s])

            g <-
                if index = 0 then
                    back
                else
                    let a, y = c.Activations[index - 1], given[index - 1]

                    if a = ChainActivation.SwiGlu then
                        let h = y.Length / 2

                        Array.init y.Length (fun i ->
                            let value, slope = bounded a y[i % h]
                            back[i % h] * (if i < h then slope * y[h + i] else value))
                    else
                        Array.map2 (fun d v -> d * snd (bounded a v)) back y

        let dx =
            if not c.HasNorm then
                g
            else
                g
                |> Array.iteri (fun i d ->
                    r.DScale[i] <- r.DScale[i] + d * normal[i]
                    r.DShift[i] <- r.DShift[i] + d)

                let g = if c.HasAffine then Array.map2 (*) g (wide c.Scale) else g
                let mean = Array.fold (+) Bounded.zero g * part
                let slope = Array.fold (+) Bounded.zero (Array.map2 (*) g normal) * part
                Array.map2 (fun d n -> (d + -mean + -(n * slope)) * deviation) g normal

        dx |> Array.iteri (fun i d -> r.DX[sample * inputs + i] <- d)

    r

let private computed (width: Width) (threads: int) (c: ChainCase) : Results<float> =
    let policy = CpuSpmm.machineOf width threads
    let made = Collections.Generic.List<string * Guarded>()

    let guard name (values: float32[]) =
        let g = new Guarded(values)
        made.Add((name, g))
        g

    let given name values = (guard name values).Address
    let room name (floats: int64) = guard name (garbage (int floats))

    let chain =
        { Norm =
            if c.HasNorm then
                ValueSome
                    { Epsilon = Epsilon
                      Scale = if c.HasAffine then given "scale" c.Scale else nothing
                      Shift = if c.HasAffine then given "shift" c.Shift else nothing }
            else
                ValueNone
          Products =
            c.Patterns
            |> Array.mapi (fun i pattern ->
                { Plan = SpmmPlan pattern
                  Values = given $"values {i}" c.Values[i]
                  Bias = given $"bias {i}" c.Biases[i] })
          Activations = c.Activations }

    let tiling = ChainTiling.ofBatch width chain c.N

    let x, residual =
        given "x" c.X,
        (if c.HasResidual then
             given "residual" c.Residual
         else
             nothing)

    let y, alone =
        room "y" (int64 c.DY.Length), room "y without tape" (int64 c.DY.Length)

    let tape = room "tape" (ChainTiling.tapeFloats tiling chain)
    ChainForward.run policy tiling chain x residual y.Address tape.Address
    ChainForward.run policy tiling chain x residual alone.Address nothing
    Expect.equal alone.Values y.Values "without a tape"
    let dx = room "dx" (int64 c.X.Length)
    let dScale, dShift = room "dScale" (int64 c.Inputs), room "dShift" (int64 c.Inputs)

    let dValues =
        c.Values |> Array.mapi (fun i v -> room $"dValues {i}" (int64 v.Length))

    let dBiases = c.Biases |> Array.mapi (fun i v -> room $"dBias {i}" (int64 v.Length))

    let gradients isResidual (dx: Guarded) =
        { Input = dx.Address
          IsResidual = isResidual
          Scale = if c.HasNorm then dScale.Address else nothing
          Shift = if c.HasNorm then dShift.Address else nothing
          Products =
            Array.map2
                (fun (v: Guarded) (b: Guarded) ->
                    { Values = v.Address
                      Bias = b.Address
                      Upstream = nothing
                      Inputs = nothing })
                dValues
                dBiases }

    let dy = given "dy" c.DY
    ChainBackward.run policy tiling chain x tape.Address dy (gradients false dx)

    if c.Inputs = c.Outputs then
        let both = room "dx of both" (int64 c.X.Length)
        ChainBackward.run policy tiling chain x tape.Address dy (gradients true both)
        Expect.equal both.Values (Array.map2 (+) dx.Values c.DY) "with the residual's"

    for name, guarded in made do
        guarded.CheckMargins name

    let wide (g: Guarded) = g.Values |> Array.map float

    let ofNorm (g: Guarded) =
        if c.HasNorm then wide g else Array.zeroCreate c.Inputs

    let results =
        { Y = wide y
          DX = wide dx
          DValues = dValues |> Array.map wide
          DBiases = dBiases |> Array.map wide
          DScale = ofNorm dScale
          DShift = ofNorm dShift }

    for _, guarded in made do
        (guarded :> IDisposable).Dispose()

    results

[<Tests>]
let tests =
    testList
        "Chains"
        [ for width in CpuSpmm.widths do
              testPropertyWithConfig
                  { FsCheckConfig.defaultConfig with
                      maxTest = 60 }
                  $"agree with the operations one after the other in float64, width {width}"
                  (Prop.forAll (Arb.fromGen (Gen.choose (0, 1_000_000))) (fun seed ->
                      let c = drawn seed
                      let wanted, got = reference c, computed width 1 c

                      for (name, wanted), (_, value) in List.zip wanted.Named got.Named do
                          for i in 0 .. wanted.Length - 1 do
                              let w = wanted[i]

                              if not (abs (value[i] - w.Value) <= w.Error) then
                                  failtest $"{name}[{i}]: expected {w.Value} within {w.Error}, got {value[i]}, of {c}"))

          test "do not depend on the number of threads, to the bit" {
              for seed in 1..6 do
                  for n in [ 5; 130; 300 ] do
                      let c = caseOf (Random seed) n 2 60
                      let one = computed CpuSpmm.widest 1 c

                      for threads in [ 2; 3 ] do
                          let more = computed CpuSpmm.widest threads c

                          for (name, a), (_, b) in List.zip one.Named more.Named do
                              Expect.equal b a $"{name} of {c}, {threads} threads"
          }

          test "keep every pattern where it is while arrays move" {
              // Garbage between the patterns, so that a collection that closes gaps moves them.
              let patterns =
                  [| for seed in 1..40 do
                         let garbage: int[] = Array.zeroCreate 300
                         GC.KeepAlive garbage
                         struct (Topology.uniform 12 17 60 (Seed.ofInt seed), 1, -1L) |]

              ChainViews.pinned patterns (fun views ->
                  GC.Collect(2, GCCollectionMode.Forced, true, true)

                  for index in 0 .. patterns.Length - 1 do
                      let struct (pattern, _, _) = patterns[index]
                      use rowPtr = fixed pattern.RowPtrArray
                      use colIdx = fixed pattern.ColIdxArray
                      Expect.equal views[index].Begin rowPtr $"rows of {index}"
                      Expect.equal views[index].ColIdx colIdx $"columns of {index}")
          }

          test "activations and their slopes are right within the error of their formulas" {
              let numbers = [| for i in -1200 .. 1200 -> float32 i / 100.0f |]

              for width in CpuSpmm.widths do
                  let lanes = int width
                  let wide = (numbers.Length + lanes - 1) / lanes * lanes
                  let padded = Array.append numbers (Array.zeroCreate (wide - numbers.Length))

                  for a in
                      [ ChainActivation.Gelu
                        ChainActivation.GeluTanh
                        ChainActivation.Relu
                        ChainActivation.Silu ] do
                      use x = new Guarded(padded)
                      use values = new Guarded(garbage wide)
                      use slopes = new Guarded(garbage wide)

                      (ChainTable.ofWidth width).Activate(a, x.Address, 1, wide, values.Address, slopes.Address)

                      for i in 0 .. numbers.Length - 1 do
                          let value, slope = activation a (float numbers[i])
                          // Half of the error function's own 1.5e-7, and a dozen roundings of numbers up to that size.
                          let bound = 0.75e-7 + 12.0 * Oracle.float32Roundoff
                          let size = max 1.0 (abs (float numbers[i]))

                          Expect.isLessThan
                              (abs (float values.Values[i] - value))
                              (bound * size)
                              $"{a} {numbers[i]}, {width}"

                          Expect.isLessThan
                              (abs (float slopes.Values[i] - slope))
                              (bound * 2.0 * size)
                              $"slope of {a} {numbers[i]}, {width}"
          }

          test "what is no number stays none through every activation" {
              for width in CpuSpmm.widths do
                  let wide = int width

                  for a in Enum.GetValues<ChainActivation>() do
                      let rows = ChainActivation.rowsTaken a
                      use x = new Guarded(Array.create (rows * wide) nanf)
                      use values = new Guarded(Array.zeroCreate wide)
                      use slopes = new Guarded(Array.zeroCreate (rows * wide))

                      (ChainTable.ofWidth width).Activate(a, x.Address, 1, wide, values.Address, slopes.Address)

                      Expect.all values.Values Single.IsNaN $"{a}, width {width}"
          } ]
