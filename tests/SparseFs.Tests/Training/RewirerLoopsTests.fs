/// Rewirers in training loops of other people's.
module SparseFs.Tests.RewirerLoopsTests

open System
open Expecto
open SparseFs
open SparseFs.Torch
open TorchSharp
open SparseFs.Tests.Outcomes

let private rows, cols, nnz = 8, 10, 24

/// Three of ten slots go at every step, and the largest gradients of absent cells come.
let private policy =
    { Policy.rigL (Schedule.constant 0.3 1L 1000L) with
        Regrow = Regrow.Never }

let private numbers (t: torch.Tensor) =
    t.detach().to_type(torch.float64).contiguous().data<float>().ToArray()

let private cellsOf (c: Connectivity) =
    let rowOf = Connectivity.rowIndices c
    set [ for slot in 0 .. c.Nnz - 1 -> rowOf[slot] * cols + c.ColIdx[slot] ]

/// A layer under a rewirer, and the dense gradient of what its optimizer is to step with, in float64.
type private Bench() =
    let layer = new SparseLinear(Topology.uniform rows cols nnz (Seed.ofInt 1))
    let optimizer = torch.optim.SGD(layer.parameters (), 0.01)
    let rewirer = new Rewirer(layer, optimizer, policy, Seed.ofInt 2)
    let expected = Array.create (rows * cols) 0.0

    let batch (i: int) =
        use random = new torch.Generator(uint64 (100 + i))
        torch.randn ([| 6L; int64 cols |], generator = random), torch.randn ([| 6L; int64 rows |], generator = random)

    member _.Layer = layer
    member _.Optimizer = optimizer
    member _.Rewirer = rewirer

    member _.Loss(i: int) =
        let x, target = batch i
        (layer.call x).sub(target).square().sum()

    /// The gradient of that loss for every cell, as the weights are now.
    member _.Dense(i: int) : float[] =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let x, target = batch i
        let wide (t: torch.Tensor) = t.to_type torch.float64

        let y =
            torch.nn.functional.linear (wide x, wide (layer.weightMatrix ()), wide layer.PresentBias)

        let g = y.sub(wide target).mul(2.0.ToScalar())
        numbers (g.t().mm(wide x))

    /// Says that a batch is among what the optimizer steps with.
    member b.Counts(i: int) =
        b.Dense i |> Array.iteri (fun cell g -> expected[cell] <- expected[cell] + g)

    member b.Pass(i: int) = (b.Loss i).backward()

    member b.PassThatCounts(i: int) =
        b.Counts i
        b.Pass i

    /// Steps, and holds what grew against the dense gradient.
    member _.Step() =
        let before = cellsOf layer.Connectivity
        let e = Array.exactlyOne (rewirer.Step())
        Expect.isTrue e.Outcome.IsDone "not refused"
        Expect.isGreaterThan (countsOf e.Outcome).Grown 0 "some grew"
        let grown = cellsOf layer.Connectivity - before

        let wanted =
            [ 0 .. rows * cols - 1 ]
            |> List.filter (fun cell -> not (before.Contains cell))
            |> List.sortByDescending (fun cell -> abs expected[cell])
            |> List.truncate (countsOf e.Outcome).Grown
            |> set

        Expect.equal grown wanted "the largest gradients of what was stepped with"

let private loop name (body: Bench -> unit) =
    testCase name (fun () ->
        use _ = torch.NewDisposeScope()
        torch.manual_seed 5L |> ignore
        let bench = Bench()
        body bench
        bench.Step()
        (bench.Rewirer :> IDisposable).Dispose())

let private growthTests =
    [ loop "one pass" (fun b -> b.PassThatCounts 0)

      loop "a GAN: the other half's pass is thrown away by zero_grad to zero" (fun b ->
          b.Pass 0
          b.Optimizer.zero_grad ()
          b.PassThatCounts 1)

      loop "a skipped step of loss scaling: thrown away by zero_grad to null" (fun b ->
          b.Pass 0
          b.Pass 1
          b.Layer.zero_grad true
          b.PassThatCounts 2)

      loop "SAM: the first pass finds the perturbation, the second counts" (fun b ->
          b.Pass 0

          use perturbation = b.Layer.weight.PresentGrad.detach().mul(0.05.ToScalar()).clone()

          b.Optimizer.zero_grad ()
          using (torch.no_grad ()) (fun _ -> b.Layer.weight.add_ perturbation |> ignore)
          b.PassThatCounts 0
          using (torch.no_grad ()) (fun _ -> b.Layer.weight.sub_ perturbation |> ignore))

      loop "saliency: autograd.grad adds to no gradient" (fun b ->
          b.PassThatCounts 0
          let x = (torch.randn (3L, int64 cols)).requires_grad_ true
          let y = (b.Layer.call x).square().sum()
          torch.autograd.grad ([| y |], [| x |]) |> ignore)

      loop "saliency before the pass" (fun b ->
          let x = (torch.randn (3L, int64 cols)).requires_grad_ true
          let y = (b.Layer.call x).square().sum()
          torch.autograd.grad ([| y |], [| x |]) |> ignore
          b.PassThatCounts 0)

      loop "saliency between two passes" (fun b ->
          b.PassThatCounts 0
          let x = (torch.randn (3L, int64 cols)).requires_grad_ true
          let y = (b.Layer.call x).square().sum()
          torch.autograd.grad ([| y |], [| x |]) |> ignore
          b.PassThatCounts 1)

      loop "clipping by norm" (fun b ->
          b.PassThatCounts 0
          b.PassThatCounts 1
          torch.nn.utils.clip_grad_norm_ (b.Layer.parameters (), 0.1) |> ignore)

      loop "clipping by value: the passes as they were" (fun b ->
          b.Pass 7
          b.Optimizer.zero_grad ()
          b.PassThatCounts 0
          torch.nn.utils.clip_grad_value_ (b.Layer.parameters (), 0.5))

      loop "accumulation with division" (fun b ->
          for i in 0..2 do
              b.Counts i
              (b.Loss(i).div(3.0.ToScalar())).backward())

      loop "more passes than are kept unasked" (fun b ->
          for i in 0..59 do
              b.PassThatCounts i)

      loop "loss scaling: multiplied and divided again" (fun b ->
          b.Counts 0
          (b.Loss(0).mul(1024.0.ToScalar())).backward()
          using (torch.no_grad ()) (fun _ -> b.Layer.weight.PresentGrad.mul_ ((1.0 / 1000.0).ToScalar()) |> ignore))

      loop "a layer used twice in one pass" (fun b ->
          b.Pass 5
          b.Optimizer.zero_grad ()
          b.Counts 0
          b.Counts 1
          (b.Loss(0) + b.Loss(1)).backward())

      loop "a gradient set by hand: the passes as they were" (fun b ->
          b.PassThatCounts 0
          let g = torch.randn (int64 nnz)
          b.Layer.weight.grad <- g) ]

let private stepWith (rewirer: Rewirer) (loss: torch.Tensor) =
    loss.backward ()
    rewirer.Step()

/// Gives a recorder to an owner whom nobody else holds; not inlined, so that no frame does.
[<System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)>]
let private owned (recorder: GradientRecorder) = recorder.Owner <- obj ()

[<Tests>]
let rewirerLoopsTests =
    testList
        "Rewirer, loops"
        [ testList "growth looks at what the optimizer steps with" growthTests

          testCase "an abandoned rewirer keeps few passes, and one that was collected none" (fun () ->
              use _ = torch.NewDisposeScope()
              let b = Bench()

              for i in 1..200 do
                  b.Optimizer.zero_grad ()
                  b.Pass i
                  b.Optimizer.step () |> ignore

              Expect.isLessThanOrEqual (present "a recorder" b.Layer.Recorder).Passes.Length 41 "kept"
              let recorder = present "a recorder" b.Layer.Recorder
              owned recorder
              GC.Collect()
              GC.WaitForPendingFinalizers()
              b.Pass 0
              Expect.isEmpty recorder.Passes "none"
              GC.KeepAlive b.Rewirer)

          testCase
              "passes that pile up without a step or a zero_grad are let go of, and the next step begins anew"
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  let b = Bench()

                  for i in 1..1100 do
                      b.Pass(i % 7)

                  Expect.isEmpty (present "a recorder" b.Layer.Recorder).Passes "none"
                  Expect.isTrue (Array.exactlyOne (b.Rewirer.Step())).Outcome.IsRefused "nothing to look at"
                  b.Optimizer.zero_grad ()
                  b.PassThatCounts 0
                  b.Step())

          testCase "a disposed rewirer notes nothing, and its step says so" (fun () ->
              use _ = torch.NewDisposeScope()
              let b = Bench()
              (b.Rewirer :> IDisposable).Dispose()
              b.Pass 0
              Expect.isNull b.Layer.Recorder "no recorder"
              Expect.throwsT<ObjectDisposedException> (fun () -> b.Rewirer.Step() |> ignore) "step")

          testCase "a newer rewirer takes a layer over, and the older one says so" (fun () ->
              use _ = torch.NewDisposeScope()
              let b = Bench()
              let newer = new Rewirer(b.Layer, b.Optimizer, policy, Seed.ofInt 3)
              b.Pass 0
              let e = Expect.throwsC (fun () -> b.Rewirer.Step() |> ignore) id
              Expect.stringContains e.Message "newer rewirer" "said"
              Expect.isGreaterThan (countsOf (Array.exactlyOne (newer.Step())).Outcome).Grown 0 "works"
              // The older one lets go of nothing that is the newer one's.
              (b.Rewirer :> IDisposable).Dispose()
              Expect.isNotNull b.Layer.Recorder "still noted")

          testList
              "a frozen layer is left alone, and stops nobody"
              [ for name, policy in
                    [ "SET", Policy.set (Schedule.constant 0.3 1L 100L)
                      "RigL", policy
                      "gradual", Policy.gradual 0.5 0.9 (Schedule.constant 0.0 1L 10L) ] do
                    testCase name (fun () ->
                        use _ = torch.NewDisposeScope()
                        let frozen = new SparseLinear(Topology.uniform rows cols nnz (Seed.ofInt 1))
                        let trained = new SparseLinear(Topology.uniform 4 rows 16 (Seed.ofInt 2))
                        let model = torch.nn.Sequential(frozen, torch.nn.ReLU(), trained)
                        frozen.weight.requires_grad_ false |> ignore
                        let optimizer = torch.optim.SGD(model.parameters (), 0.1)
                        use rewirer = new Rewirer(model, optimizer, policy)
                        let before, weights = frozen.Connectivity, numbers frozen.weight

                        for i in 1..5 do
                            optimizer.zero_grad ()
                            let loss = (model.call (torch.ones (2L, int64 cols))).square().sum()
                            let events = stepWith rewirer loss
                            Expect.equal (Array.exactlyOne events).Layer "2" "the other layer alone"

                        Expect.equal frozen.Connectivity before "pattern"
                        Expect.equal (numbers frozen.weight) weights "weights"
                        Expect.notEqual trained.Connectivity (Topology.uniform 4 rows 16 (Seed.ofInt 2)) "rewired") ]

          testCase "an expert that was not routed to keeps its slots, and the others are rewired" (fun () ->
              use _ = torch.NewDisposeScope()

              let experts =
                  [| for i in 1..2 -> new SparseLinear(Topology.uniform rows cols nnz (Seed.ofInt i)) |]

              let model = torch.nn.Sequential(experts[0], experts[1])
              let optimizer = torch.optim.SGD(model.parameters (), 0.1)
              use rewirer = new Rewirer(model, optimizer, policy)

              for at in 1..6 do
                  let used = at % 2
                  let before = experts |> Array.map _.Connectivity
                  optimizer.zero_grad ()
                  let loss = (experts[used].call(torch.randn (4L, int64 cols))).square().sum()
                  let events = stepWith rewirer loss
                  Expect.isGreaterThan (countsOf events[used].Outcome).Grown 0 "the one that was used"
                  Expect.stringContains (reasonOf events[1 - used].Outcome) "took no part" "the other"
                  Expect.equal experts[1 - used].Connectivity before[1 - used] "as it was")

          testCase "the third refusal in a row raises, with the reason; or is logged, or ignored" (fun () ->
              use _ = torch.NewDisposeScope()
              let b = Bench()

              for _ in 1..2 do
                  Expect.isTrue (Array.exactlyOne (b.Rewirer.Step())).Outcome.IsRefused "an event"

              let e = Expect.throwsC (fun () -> b.Rewirer.Step() |> ignore) id
              Expect.stringContains e.Message "no backward pass" "the reason"
              Expect.stringContains e.Message "Refusals" "what helps"
              Expect.equal b.Rewirer.Steps 3L "the step was taken"

              for setting in [ Refusals.Log; Refusals.Ignore ] do
                  b.Rewirer.Refusals <- setting
                  Expect.isTrue (Array.exactlyOne (b.Rewirer.Step())).Outcome.IsRefused "an event"

              b.Rewirer.Refusals <- Refusals.Raise
              b.PassThatCounts 0
              b.Step()
              Expect.isTrue (Array.exactlyOne (b.Rewirer.Step())).Outcome.IsRefused "counted anew")

          testCase "an update of fraction 0 is an ordinary step of the optimizer" (fun () ->
              use _ = torch.NewDisposeScope()

              for policy in
                  [ Policy.rigL (Schedule.cosine 0.3 2L 2L)
                    Policy.set (Schedule.cosine 0.3 2L 2L) ] do
                  let run (step: SparseLinear -> torch.optim.Optimizer -> (unit -> unit)) =
                      let layer =
                          new SparseLinear(Topology.uniform rows cols nnz (Seed.ofInt 1), init = Init.Zeros)

                      using (torch.no_grad ()) (fun _ ->
                          layer.weight.copy_ (torch.linspace (-1.0, 1.0, int64 nnz)) |> ignore)

                      let optimizer = torch.optim.Adam(layer.parameters (), 0.1)
                      let step = step layer optimizer

                      for i in 1..3 do
                          optimizer.zero_grad ()
                          (layer.call (torch.ones (2L, int64 cols))).square().sum().backward()
                          step ()

                      numbers layer.weight, layer.Connectivity

                  let rewired =
                      run (fun layer optimizer ->
                          let rewirer = new Rewirer(layer, optimizer, policy)
                          fun () -> rewirer.Step() |> ignore)

                  let plain = run (fun _ optimizer -> fun () -> optimizer.step () |> ignore)
                  Expect.equal rewired plain "weights and pattern")

          testCase "refusals are counted by layers, also where two have one name" (fun () ->
              use _ = torch.NewDisposeScope()

              let layer seed =
                  new SparseLinear(Topology.uniform rows cols nnz (Seed.ofInt seed))

              let first, second = layer 1, layer 2

              let often =
                  { policy with
                      Schedule = Schedule.constant 0.3 1L 100L }

              let seldom =
                  { policy with
                      Schedule = Schedule.constant 0.3 100L 1000L }

              first.Policy <- seldom
              second.Policy <- often

              let model =
                  torch.nn.Sequential(
                      struct ("a", first :> torch.nn.Module<torch.Tensor, torch.Tensor>),
                      struct ("a", second :> torch.nn.Module<torch.Tensor, torch.Tensor>)
                  )

              use rewirer =
                  new Rewirer(model, torch.optim.SGD([ first.weight; second.weight ], 0.1))

              rewirer.Step() |> ignore
              rewirer.Step() |> ignore
              Expect.throwsT<InvalidOperationException> (fun () -> rewirer.Step() |> ignore) "the second's third")

          testCase "a step that the library takes is seen by graphs that saved the weight" (fun () ->
              use _ = torch.NewDisposeScope()
              let layer = new SparseLinear(Topology.uniform rows cols nnz (Seed.ofInt 1))
              let optimizer = torch.optim.Adam(layer.parameters (), 0.1)

              let fresh =
                  { policy with
                      Moments = Moments.Fresh
                      Schedule = Schedule.constant 0.3 2L 2L }

              use rewirer = new Rewirer(layer, optimizer, fresh)
              let x = (torch.ones (2L, int64 cols)).requires_grad_ true

              for _ in 1..2 do
                  optimizer.zero_grad ()
                  stepWith rewirer ((layer.call x).square().sum()) |> ignore

              // Slots are young now.
              let loss = (layer.call x).square().sum()
              loss.backward (retain_graph = true)
              let before = NativeTensor.version layer.weight
              rewirer.Step() |> ignore
              Expect.isGreaterThan (NativeTensor.version layer.weight) before "version"
              let e = Expect.throwsC (fun () -> SparseOps.backward loss) id
              Expect.stringContains e.PresentInner.Message "inplace operation" "refused")

          testCase "a pattern that was loaded behind the rewirer is noticed at the next step" (fun () ->
              use _ = torch.NewDisposeScope()
              let b = Bench()
              let other = new SparseLinear(Topology.uniform rows cols nnz (Seed.ofInt 9))
              b.Layer.load_state_dict (other.state_dict ()) |> ignore
              b.Pass 0
              let e = Expect.throwsC (fun () -> b.Rewirer.Step() |> ignore) id
              Expect.stringContains e.Message "behind the rewirer" "said") ]

[<Tests>]
let passFitTests =
    let u = 2.0 ** -24.0

    let passes =
        [| for seed in 1..4 ->
               (let order = Topology.uniform 1 100000 50 (Seed.ofInt seed) in
                Array.init 50 (fun i -> float (float32 (sin (float order.ColIdx[i]))))) |]

    let sum (weights: float[]) =
        Array.init 50 (fun slot ->
            let mutable sum = 0.0f

            for i in 0..3 do
                sum <- sum + float32 (weights[i] * passes[i][slot])

            float sum)

    testList
        "PassFit"
        [ for mask in 1..15 do
              for scale in [ 1.0; 0.25; 1.0 / 3.0; 700.0 ] do
                  testCase $"passes {mask} times {scale:f3} are found" (fun () ->
                      let weights = Array.init 4 (fun i -> if mask >>> i &&& 1 = 1 then scale else 0.0)

                      match PassFit.find u passes (sum weights) with
                      | PassFit.Exact found ->
                          for i in 0..3 do
                              Expect.equal (found[i] = 0.0) (weights[i] = 0.0) $"pass {i}"
                              Expect.isLessThanOrEqual (abs (found[i] - weights[i])) (1e-5 * scale) "scale"

                          if scale = 1.0 then
                              Expect.isTrue (found |> Array.forall (fun w -> w = 0.0 || w = 1.0)) "exactly"
                      | PassFit.Changed _ -> failtest "expected a sum")

          testCase "a gradient of 0 is made of none" (fun () ->
              Expect.equal (PassFit.find u passes (Array.zeroCreate 50)) (PassFit.Exact(Array.zeroCreate 4)) "none")

          testCase "a gradient that was clipped by value is no sum" (fun () ->
              let clipped =
                  sum [| 0.0; 1.0; 1.0; 0.0 |] |> Array.map (fun g -> max -0.5 (min 0.5 g))

              match PassFit.find u passes clipped with
              | PassFit.Changed stand -> Expect.equal stand [| 0.0; 1.0; 1.0; 0.0 |] "those that stand"
              | PassFit.Exact _ -> failtest "expected no sum") ]
