/// The modules KWinners and KWinners2d: their specification, their gradients and their state.
module SparseFs.Tests.KWinnersTests

open System
open System.Collections.Generic
open System.IO
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Kernels
open SparseFs.Torch
open SparseFs.Testing
open SparseFs.Tests.SparseOpsTests
open SparseFs.Tests.Refusals
open TorchSharp

type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

let private backends: (string * Backend) list =
    [ "portable", PortableBackend.backend
      "auto", (Backends.ofPlace torch.ScalarType.Float32 DeviceType.CPU)[int Arithmetic.Sparse]
      for width in CpuSpmm.widths do
          $"kernels at {width}", CpuBackend.backend (Backends.forced (CpuSpmm.machineOf width 2)) ]

let private scoped (body: unit -> unit) =
    use _ = torch.NewDisposeScope()
    body ()

let private numbers (t: torch.Tensor) : float[] =
    t.to_type(torch.ScalarType.Float64).contiguous().view(-1L).data<float>().ToArray()

/// Numbers that half precision holds, many of them equal.
let private quarters (seed: int) (shape: int64[]) : torch.Tensor =
    let random = Random seed
    let length = int (Array.fold (*) 1L shape)
    torch.tensor(Array.init length (fun _ -> float32 (random.Next(-6, 7)) / 4.0f)).view(shape)

let private rowsOf (n: int) (values: float[]) = Array.chunkBySize n values

let private dtypes =
    [ torch.ScalarType.Float32
      torch.ScalarType.Float64
      torch.ScalarType.Float16
      torch.ScalarType.BFloat16 ]

/// The layer's own scores, so that a factor that is rounded otherwise cannot decide a tie.
let private scoresOf (layer: KWinnersBase) (target: float) (x: float[]) : float[] =
    use _ = torch.NewDisposeScope()

    let struct (form, terms) =
        layer.Reading(fun buffers -> layer.Terms(buffers, target))

    match terms with
    | null -> x
    | terms ->
        let terms = numbers terms

        Array.map2
            (fun x t ->
                if form = Scores.Products then
                    float (float32 x * float32 t)
                else
                    float (float32 x + float32 t))
            x
            terms

[<Tests>]
let operation =
    testList
        "KWinnersOps"
        [ for name, backend in backends do
              testProperty
                  $"{name}: the laws of an activation hold, ties and all"
                  (KWinnersLaws.activation (fun k x ->
                      use _ = torch.NewDisposeScope()
                      numbers (KWinnersOps.winnersWith backend k (torch.tensor (Array.map float32 x)))))

              testPropertyWithConfig
                  { FsCheckConfig.defaultConfig with
                      maxTest = 50 }
                  $"{name}: the specification's winners in every layout"
                  (fun (seed: int) ->
                      scoped (fun () ->
                          let random = Random seed
                          let rows, n = random.Next 5, 1 + random.Next 40
                          let k = 1 + random.Next n
                          let matrix = Array2D.init rows n (fun _ _ -> float32 (random.Next(-4, 5)))

                          let wanted =
                              [| for r in 0 .. rows - 1 do
                                     let x = Array.map float matrix[r, *]
                                     yield! KWinners.activate k x x |]

                          for layout, place in layouts do
                              let y = KWinnersOps.winnersWith backend k (place matrix)
                              Expect.equal (numbers y) wanted layout))

          for dtype in dtypes do
              testCase $"{dtype}: the same winners, and what passes is unchanged" (fun () ->
                  scoped (fun () ->
                      let x = quarters 4 [| 6L; 5L; 21L |]

                      let portable =
                          [ PortableBackend.backend; Backends.inFloat32 PortableBackend.backend ]
                          |> List.tryFind (fun b -> b.Accepts dtype DeviceType.CPU)
                          |> Option.get

                      for select in [ KWinnersOps.winners; KWinnersOps.winnersWith portable ] do
                          let y = select 6 (x.to_type dtype)
                          Expect.equal y.dtype dtype "dtype"
                          Expect.equal y.shape x.shape "shape"

                          let wanted =
                              rowsOf 21 (numbers x) |> Array.collect (fun x -> KWinners.activate 6 x x)

                          Expect.equal (numbers y) wanted "y"))

          testCase "one sample without a batch dimension, and no sample" (fun () ->
              scoped (fun () ->
                  Expect.equal
                      (numbers (KWinnersOps.winners 1 (torch.tensor [| 1.0f; 3.0f; 2.0f |])))
                      [| 0.0; 3.0; 0.0 |]
                      "rank 1"

                  let none = (torch.zeros (0L, 3L)).requires_grad_ true
                  let y = KWinnersOps.winners 2 none
                  Expect.equal y.shape [| 0L; 3L |] "no sample"
                  y.sum().backward()
                  Expect.equal none.PresentGrad.shape [| 0L; 3L |] "gradient"))

          refuses "k above the features" "k" "1..3 winners, got 4" (fun () ->
              KWinnersOps.winners 4 (torch.zeros (2L, 3L)))
          refuses "k = 0" "k" "1..3 winners, got 0" (fun () -> KWinnersOps.winners 0 (torch.zeros (2L, 3L)))
          refuses "no feature" "x" "1 feature or more" (fun () -> KWinnersOps.winners 1 (torch.zeros (2L, 0L)))
          refuses "a scalar" "x" "1 feature or more" (fun () -> KWinnersOps.winners 1 (torch.zeros [||]))

          refuses "integers" "x" "real floating dtype, got Int64" (fun () ->
              KWinnersOps.winners 1 (torch.zeros (2L, 3L, dtype = torch.int64)))

          refuses "null" "x" "x" (fun () -> KWinnersOps.winners 1 Unchecked.defaultof<_>) ]

/// The derivative of Σ w · y³ along d, by autograd, and its derivative along e.
let private derivatives (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) w (d: torch.Tensor) (e: torch.Tensor) =
    let x = x.detach().requires_grad_ true
    let y = f x
    let loss = (w: torch.Tensor).mul(y.pow (3.0.ToScalar())).sum()

    let first =
        torch.autograd.grad ([| loss |], [| x |], retain_graph = true, create_graph = true)

    let along = first[0].mul(d).sum()
    let second = torch.autograd.grad ([| along |], [| x |], retain_graph = true)
    Array.head (numbers along), Array.head (numbers (second[0].mul(e).sum()))

[<Tests>]
let gradients =
    testList
        "KWinners gradients"
        [ for name, backend in backends do
              testCase $"{name}: only winners get the gradient, of the first order and of the second" (fun () ->
                  scoped (fun () ->
                      let x = quarters 11 [| 5L; 37L |]
                      let w, d, e = quarters 12 x.shape, quarters 13 x.shape, quarters 14 x.shape

                      let mask =
                          Array.map (fun (x: float[]) -> KWinners.winners 9 x) (rowsOf 37 (numbers x))

                      let isWinner =
                          Array.init (5 * 37) (fun i -> if Array.contains (i % 37) mask[i / 37] then 1.0 else 0.0)

                      let first, second = derivatives (KWinnersOps.winnersWith backend 9) x w d e

                      // Quarters with a few digits: every product and sum is exact in float32.
                      let sum (term: int -> float) =
                          Seq.sum (Seq.init (5 * 37) (fun i -> isWinner[i] * term i))

                      let x, w, d, e = numbers x, numbers w, numbers d, numbers e
                      Expect.equal first (sum (fun i -> 3.0 * w[i] * x[i] * x[i] * d[i])) "first"
                      Expect.equal second (sum (fun i -> 6.0 * w[i] * x[i] * d[i] * e[i])) "second"))

          testCase "float64, away from ties: the gradient is the central difference" (fun () ->
              scoped (fun () ->
                  let random = Random 5
                  // A permutation of well-separated numbers: a step of 1e-5 changes no winner.
                  let values = Array.init 60 (fun i -> float i / 10.0 - 3.0)
                  random.Shuffle values
                  let x = torch.tensor(values).view(3L, 20L)

                  use layer =
                      new KWinners(
                          20,
                          { KWinnersOptions.ofK 6 with
                              Boost = Boost.Additive 0.0 }
                      )

                  layer.eval ()
                  let w = torch.tensor(Array.init 60 (fun _ -> random.NextDouble())).view(3L, 20L)

                  let f (x: torch.Tensor) =
                      (layer.call x).pow(3.0.ToScalar()).mul(w).sum()

                  let leaf = x.detach().requires_grad_ true
                  (f leaf).backward()
                  let gradient = numbers leaf.PresentGrad
                  let h = 1e-5

                  for i in 0..59 do
                      let moved (sign: float) =
                          let v = Array.copy values
                          v[i] <- v[i] + sign * h
                          Array.head (numbers (f (torch.tensor(v).view(3L, 20L))))

                      let difference = (moved 1.0 - moved -1.0) / (2.0 * h)
                      // The cubic's own error is w h²; the rounding of a sum of 60 cubes up to 27 is 60 · 27 · 2⁻⁵³ / h.
                      Expect.isLessThan (abs (gradient[i] - difference)) (1e-9 + 60.0 * 27.0 * 1.2e-16 / h) $"{i}"))

          testCase "a winner whose value is 0 passes its gradient" (fun () ->
              scoped (fun () ->
                  for backend in List.map snd backends do
                      let x = (torch.zeros (2L, 5L)).requires_grad_ true
                      (KWinnersOps.winnersWith backend 2 x).sum().backward()

                      Expect.equal
                          (numbers x.PresentGrad)
                          [| 1.0; 1.0; 0.0; 0.0; 0.0; 1.0; 1.0; 0.0; 0.0; 0.0 |]
                          "gradient"))

          testCase "straight-through: the output is the winners', the gradient goes to all" (fun () ->
              scoped (fun () ->
                  use through =
                      new KWinners(
                          5,
                          { KWinnersOptions.ofK 2 with
                              StraightThrough = true
                              Boost = Boost.None }
                      )

                  let x = (torch.tensor [| 1.0f; 5.0f; 2.0f; 4.0f; 3.0f |]).requires_grad_ true
                  let y = through.call x
                  Expect.equal (numbers y) [| 0.0; 5.0; 0.0; 4.0; 0.0 |] "output"

                  let g =
                      torch.autograd.grad (
                          [| y.pow(2.0.ToScalar()).sum() |],
                          [| x |],
                          retain_graph = true,
                          create_graph = true
                      )

                  Expect.equal (numbers g[0]) [| 0.0; 10.0; 0.0; 8.0; 0.0 |] "first"
                  (through.call x).sum().backward()
                  Expect.equal (numbers x.PresentGrad) (Array.create 5 1.0) "to all"))

          testCase "an expanded upstream gradient is taken as it is" (fun () ->
              scoped (fun () ->
                  let x = (quarters 3 [| 4L; 33L |]).requires_grad_ true
                  let y = KWinnersOps.winners 7 x
                  y.sum().backward()
                  Expect.equal (numbers (x.PresentGrad.sum 1L)) (Array.create 4 7.0) "7 a sample")) ]

// ---------------------------------------------------------------------------------------------------------
// The module and its specification
// ---------------------------------------------------------------------------------------------------------

type private Spec = { Duty: float[]; Seen: int64 }

/// A forward of the specification, with the scores that the layer's own terms give.
let private specified (layer: KWinners) (rule: DutyCycle) (spec: Spec) (rows: float[][]) : float[] * Spec =
    let n, k = layer.Features, layer.K

    let winners =
        rows |> Array.map (scoresOf layer (float k / float n) >> KWinners.winners k)

    let wins =
        Array.init n (fun i -> winners |> Array.filter (Array.contains i) |> Array.length)

    let seen = spec.Seen + int64 rows.Length
    let weight = DutyCycle.weight rule seen rows.Length

    Array.map2 (fun (x: float[]) won -> Array.mapi (fun i v -> if Array.contains i won then v else 0.0) x) rows winners
    |> Array.concat,
    { Duty = DutyCycle.update weight rows.Length wins spec.Duty
      Seen = seen }

let private boosts = [ Boost.None; Boost.Exponential 3.0; Boost.Additive 2.0 ]

[<Tests>]
let moduleTests =
    testList
        "KWinners layer"
        [ for boost in boosts do
              for rule in [ DutyCycle.Alpha 0.2; DutyCycle.Period 20 ] do
                  for name, backend in backends do
                      testCase $"{boost}, {rule}, {name}: output and duty cycle are the specification's" (fun () ->
                          scoped (fun () ->
                              use layer =
                                  match rule with
                                  | DutyCycle.Alpha alpha ->
                                      new KWinners(
                                          35,
                                          { KWinnersOptions.ofSparsity 0.8 with
                                              DutyCycle = DutyCycle.Alpha alpha
                                              Boost = boost }
                                      )
                                  | DutyCycle.Period period ->
                                      new KWinners(
                                          35,
                                          { KWinnersOptions.ofSparsity 0.8 with
                                              DutyCycle = DutyCycle.Period period
                                              Boost = boost }
                                      )

                              let mutable spec =
                                  { Duty = Array.zeroCreate 35
                                    Seen = 0L }

                              // Up to the period and beyond, and one batch that is larger than it.
                              for batch in [ 3; 8; 1; 12; 30; 5 ] do
                                  let x = quarters batch [| int64 batch; 35L |]
                                  let wanted, after = specified layer rule spec (rowsOf 35 (numbers x))
                                  Expect.equal (numbers (layer.ForwardWith(backend, x))) wanted $"output, {batch}"
                                  spec <- after
                                  let duty = layer.DutyCycles()

                                  for i in 0..34 do
                                      // Each batch rounds a number up to 1 a few times.
                                      Expect.isLessThan (abs (duty[i] - spec.Duty[i])) 1e-6 $"duty cycle {i}, {batch}"

                              Expect.equal layer.SamplesSeen spec.Seen "samples seen"))

          testCase "the terms are those of the specification's scores" (fun () ->
              scoped (fun () ->
                  for boost in boosts do
                      use layer =
                          new KWinners(
                              12,
                              { KWinnersOptions.ofK 3 with
                                  Boost = boost
                                  DutyCycle = DutyCycle.Alpha 0.3 }
                          )

                      for seed in 1..5 do
                          (layer.call (quarters seed [| 4L; 12L |])).Dispose()

                      let x = numbers (quarters 9 [| 12L |])
                      let wanted = Boost.scores boost 0.25 (layer.DutyCycles()) x

                      for got, wanted in Seq.zip (scoresOf layer 0.25 x) wanted do
                          // exp and the product, in float32, of numbers up to 4.
                          Expect.isLessThan (abs (got - wanted)) 4e-6 $"{boost}"))

          testCase "exactly k in every sample, also where all are equal" (fun () ->
              scoped (fun () ->
                  use layer = new KWinners(50, KWinnersOptions.ofSparsity 0.8)
                  let y = layer.call (torch.ones (7L, 3L, 50L))
                  Expect.equal (numbers (y.sum -1L)) (Array.create 21 10.0) "k"))

          testCase "evaluation changes nothing and lets a factor more win" (fun () ->
              scoped (fun () ->
                  use layer =
                      new KWinners(
                          20,
                          { KWinnersOptions.ofK 4 with
                              InferenceFactor = 1.5 }
                      )

                  (layer.call (quarters 1 [| 8L; 20L |])).Dispose()
                  let before = layer.DutyCycles(), layer.SamplesSeen
                  layer.eval ()
                  let x = torch.rand(5L, 20L).add(1.0f.ToScalar())
                  let y = layer.call x
                  Expect.equal (layer.DutyCycles(), layer.SamplesSeen) before "state"
                  Expect.equal (numbers (y.ne(0.0f.ToScalar()).sum 1L)) (Array.create 5 6.0) "6 of 20"
                  Expect.equal layer.KAtInference 6 "k"))

          testCase "no sample changes nothing" (fun () ->
              scoped (fun () ->
                  use layer =
                      new KWinners(
                          20,
                          { KWinnersOptions.defaults with
                              DutyCycle = DutyCycle.Period 10 }
                      )

                  let y = layer.call (torch.zeros (0L, 20L))
                  Expect.equal y.shape [| 0L; 20L |] "shape"
                  Expect.equal layer.SamplesSeen 0L "samples"
                  Expect.equal (layer.DutyCycles()) (Array.zeroCreate 20) "duty cycle"))

          testCase "the duty cycle is outside the graph, and its mean tends to k / n" (fun () ->
              scoped (fun () ->
                  use layer =
                      new KWinners(
                          40,
                          { KWinnersOptions.ofSparsity 0.75 with
                              DutyCycle = DutyCycle.Alpha 0.2 }
                      )

                  for seed in 1..60 do
                      let x = (torch.rand (16L, 40L)).requires_grad_ true
                      (layer.call x).sum().backward()

                  Expect.isFalse layer.duty_cycle.requires_grad "no gradient"
                  let duty = layer.DutyCycles()
                  Expect.all duty (fun d -> d >= 0.0 && d <= 1.0) "in [0, 1]"
                  // What is left of the start is 0.8^60 < 2e-6; float32 adds a few roundings.
                  Expect.isLessThan (abs (Array.average duty - 0.25)) 1e-5 "mean"))

          testCase "a unit that never wins is boosted until it does" (fun () ->
              scoped (fun () ->
                  for boost in [ Boost.Exponential 8.0; Boost.Additive 8.0 ] do
                      use layer =
                          new KWinners(
                              8,
                              { KWinnersOptions.ofK 2 with
                                  DutyCycle = DutyCycle.Alpha 0.05
                                  Boost = boost }
                          )

                      let x = torch.tensor(Array.init 8 (fun i -> 1.0f + float32 i / 10.0f)).unsqueeze(0L)
                      let first = layer.call x
                      let first, largest = numbers first, numbers x
                      Expect.equal first[6..] largest[6..] "at first the largest"
                      let won: float[] = Array.zeroCreate 8

                      for _ in 1..400 do
                          let y = numbers (layer.call x)

                          for i in 0..7 do
                              if y[i] <> 0.0 then
                                  won[i] <- won[i] + 1.0

                      Expect.all won (fun w -> w > 0.0) "each wins"))

          testCase "the strength of the boost decays by epoch" (fun () ->
              use layer =
                  new KWinners(
                      10,
                      { KWinnersOptions.defaults with
                          Boost = Boost.Exponential 2.0
                          BoostDecay = 0.5 }
                  )

              layer.EndEpoch()
              layer.EndEpoch()
              Expect.equal layer.Boost (Boost.Exponential 0.5) "2 · 0.5²")

          testCase "entropy is that of the duty cycle" (fun () ->
              scoped (fun () ->
                  use layer =
                      new KWinners(
                          4,
                          { KWinnersOptions.ofK 2 with
                              DutyCycle = DutyCycle.Alpha 1.0
                              Boost = Boost.None }
                      )

                  (layer.call (torch.tensor (array2D [ [ 2.0f; 1.0f; 0.0f; 0.0f ]; [ 0.0f; 0.0f; 1.0f; 2.0f ] ])))
                      .Dispose()

                  Expect.equal (layer.Entropy()) 4.0 "coins"
                  Expect.equal (layer.MaxEntropy()) 4.0 "the most"))

          testCase "it prints as one line" (fun () ->
              use layer = new KWinners(2000)

              Expect.equal
                  (string layer)
                  "KWinners(features=2000, k=700, sparsity=0.65, alpha=0.1, boost=exponential, strength=1.5)"
                  "defaults"

              use layer =
                  new KWinners(
                      10,
                      { KWinnersOptions.ofK 3 with
                          DutyCycle = DutyCycle.Period 1000
                          Boost = Boost.Additive 1.0
                          BoostDecay = 0.9
                          InferenceFactor = 1.5 }
                  )

              Expect.equal
                  (string layer)
                  "KWinners(features=10, k=3, period=1000, boost=additive, strength=1, decay=0.9, inference_factor=1.5)"
                  "all"

              use layer =
                  new KWinners2d(
                      8,
                      { KWinnersOptions.ofSparsity 0.9 with
                          Boost = Boost.None },
                      local = true
                  )

              Expect.equal
                  (string layer)
                  "KWinners2d(channels=8, local=True, sparsity=0.9, alpha=0.1, boost=None)"
                  "2d") ]
