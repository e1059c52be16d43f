/// Optimizer state of grown slots: what their first updates are, under every optimizer.
module SparseFs.Tests.MomentsTests

open System
open Expecto
open SparseFs
open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules
open SparseFs.Tests.Outcomes

#nowarn "9"

/// An optimizer with its options, over any parameters.
type private Make = Parameter seq -> torch.optim.Optimizer

let private of' (make: Parameter seq -> #torch.optim.Optimizer) : Make = fun p -> make p :> _

/// Those whose updates of a fresh weight depend on nothing but the gradients since.
let private wholly: (string * Make) list =
    [ "SGD, momentum", of' (fun p -> torch.optim.SGD(p, 0.05, momentum = 0.9))
      "SGD, Nesterov, decay",
      of' (fun p -> torch.optim.SGD(p, 0.05, momentum = 0.9, nesterov = true, weight_decay = 0.01))
      "SGD, dampening",
      of' (fun p -> torch.optim.SGD(p, 0.05, momentum = 0.9, dampening = 0.4, weight_decay = 0.01, maximize = true))
      "SGD", of' (fun p -> torch.optim.SGD(p, 0.05))
      "Adam", of' (fun p -> torch.optim.Adam(p, 0.01))
      "Adam, AMSGrad, decay", of' (fun p -> torch.optim.Adam(p, 0.01, amsgrad = true, weight_decay = 0.01))
      "Adam, large eps, maximize", of' (fun p -> torch.optim.Adam(p, 0.01, eps = 0.1, maximize = true))
      "Adam, short means", of' (fun p -> torch.optim.Adam(p, 0.01, beta1 = 0.0, beta2 = 0.5))
      "AdamW", of' (fun p -> torch.optim.AdamW(p, 0.01, weight_decay = 0.1))
      "AdamW, AMSGrad", of' (fun p -> torch.optim.AdamW(p, 0.01, weight_decay = 0.1, amsgrad = true, maximize = true))
      "NAdam", of' (fun p -> torch.optim.NAdam(p, 0.01))
      "NAdam, decay", of' (fun p -> torch.optim.NAdam(p, 0.01, weight_decay = 0.01, momentum_decay = 0.04))
      "Adamax", of' (fun p -> torch.optim.Adamax(p, 0.01))
      "Adamax, decay", of' (fun p -> torch.optim.Adamax(p, 0.01, weight_decay = 0.01))
      "Rprop", of' (fun p -> torch.optim.Rprop(p, 0.01))
      "Adam, a group with options of its own",
      of' (fun p ->
          new Adam(
              [| Adam.ParamGroup(p, 0.01, beta1 = 0.8, beta2 = 0.99, weight_decay = 0.01)
                 Adam.ParamGroup([ new Parameter(torch.zeros 3L) ], 0.5) |],
              0.3,
              0.5,
              0.6
          ))
      "SGD, a group with options of its own",
      of' (fun p ->
          new SGD(
              [| SGD.ParamGroup(p, 0.05, momentum = 0.8, dampening = 0.4)
                 SGD.ParamGroup([ new Parameter(torch.zeros 3L) ], 0.5) |],
              0.3
          )) ]

/// Those that correct nothing.
let private uncorrected: (string * Make) list =
    [ "Adadelta", of' (fun p -> torch.optim.Adadelta(p, weight_decay = 0.01))
      "RMSProp", of' (fun p -> torch.optim.RMSProp(p, 0.01))
      "RMSProp, centred", of' (fun p -> torch.optim.RMSProp(p, 0.01, centered = true, weight_decay = 0.01))
      "RMSProp, momentum", of' (fun p -> torch.optim.RMSProp(p, 0.01, momentum = 0.9, maximize = true))
      "Adagrad", of' (fun p -> torch.optim.Adagrad(p, 0.01, initial_accumulator_value = 0.25)) ]

let private doubles (t: torch.Tensor) : float[] =
    use _ = torch.NewDisposeScope()
    t.detach().to_type(torch.ScalarType.Float64).cpu().contiguous().data<float>().ToArray()

/// The fields of a weight's state that hold a number a slot.
let private tensorsOf (optimizer: torch.optim.Optimizer) : Map<string, torch.Tensor> =
    let state = (optimizer :?> OptimizerHelper).state_dict().State |> Seq.head

    Map
        [ for field in state.GetType().GetFields() do
              match field.GetValue state with
              | :? torch.Tensor as t -> field.Name, t
              | _ -> () ]

let private momentOf (optimizer: torch.optim.Optimizer) (field: string) : float[] =
    doubles (Map.find field (tensorsOf optimizer))

let private stepsOf (optimizer: torch.optim.Optimizer) : int64 =
    let state = (optimizer :?> OptimizerHelper).state_dict().State |> Seq.head

    (present "a count of steps" (state.GetType().GetField "step")).GetValue state
    |> unbox<int64>

/// Gradients of the slots at a step, drawn from the step alone.
type private Gradients =
    | Constant
    | Noisy

    member g.At(step: int64, n: int) : float[] =
        let random =
            Random(
                match g with
                | Constant -> 7
                | Noisy -> int step
            )

        Array.init n (fun _ -> (if random.Next 2 = 0 then -1.0 else 1.0) * (0.2 + random.NextDouble()))

/// A sparse layer whose slots are given their gradients by hand.
type private Trial(make: Make, policy: Policy, dtype: torch.ScalarType) =
    do torch.manual_seed 8L |> ignore

    let layer =
        new SparseLinear(Topology.uniform 20 30 150 (Seed.ofInt 5), hasBias = false)

    do layer.``to`` dtype |> ignore
    let optimizer = make [ layer.weight ]
    let rewirer = new Rewirer(layer, optimizer, policy)
    member _.Layer = layer
    member _.Optimizer = optimizer
    member _.Rewirer = rewirer

    member _.Give(gradient: float[]) =
        let grad = torch.tensor(gradient).to_type dtype
        layer.weight.grad <- grad

    member t.Step(gradient: float[]) =
        t.Give gradient
        rewirer.Step() |> ignore

    /// One backward pass, for rules that look at it.
    member _.Backward() =
        use _ = torch.NewDisposeScope()
        optimizer.zero_grad ()
        let random = new torch.Generator(3UL)
        let x = torch.randn([| 9L; 30L |], generator = random).to_type dtype
        let loss = layer.call(x).square().sum()
        loss.backward ()

    /// The gradient of every cell in that pass.
    member _.DenseGradient() : float[] =
        use _ = torch.NewDisposeScope()
        let random = new torch.Generator(3UL)
        let x = torch.randn([| 9L; 30L |], generator = random).to_type dtype
        let dense = layer.weightMatrix().detach().requires_grad_ true
        torch.nn.functional.linear(x, dense).square().sum().backward()
        doubles dense.PresentGrad

let private growAt = 500L

let private setAt (at: int64) moments : Policy =
    { Policy.set (Schedule.constant 0.3 at at) with
        Moments = moments
        GrownWeight = GrownWeight.Uniform 0.1 }

/// Trains to the update, and gives the grown slots.
let private trainTo (at: int64) (t: Trial) (g: Gradients) : int[] =
    let before = t.Layer.Connectivity

    for step in 1L .. at do
        t.Step(g.At(step, 150))

    let from = (Remap.between before t.Layer.Connectivity).From.ToArray()

    let grown =
        [| for slot in 0 .. from.Length - 1 do
               if from[slot] < 0 then
                   slot |]

    Expect.isGreaterThan grown.Length 20 "not vacuous"
    grown

let private setOnce = setAt growAt
let private trainToGrowth = trainTo growAt

let private pick (slots: int[]) (values: float[]) =
    slots |> Array.map (fun slot -> values[slot])

/// The weights of a fresh optimizer, one step after the other, each with the gradient that is given.
type private FreshRun(make: Make, weights: float[], dtype: torch.ScalarType) =
    let p = new Parameter(torch.tensor(weights).to_type dtype)
    let optimizer = make [ p ]
    member _.Optimizer = optimizer
    member _.Weights = doubles p

    member _.Step(gradient: float[]) =
        p.grad <- torch.tensor(gradient).to_type dtype
        optimizer.step () |> ignore

    member _.Reset() =
        use _ = torch.no_grad ()
        p.copy_ (torch.tensor(weights).to_type dtype) |> ignore

/// A float32 weight tells its update to half a unit of its last place, before and after. Gradients, or seeds, that are
/// rounded to float32 and nearly cancel in a mean differ by more than the update; so there it is relative to a tenth of
/// the largest update, if that is more.
let private expectSameUpdates
    what
    dtype
    cancels
    (wanted: float[])
    (wantedBefore: float[])
    (got: float[])
    (gotBefore: float[])
    =
    let updates = Array.map2 (-) wanted wantedBefore
    let largest = updates |> Array.map abs |> Array.max

    for i in 0 .. wanted.Length - 1 do
        let rounding =
            (if dtype = torch.ScalarType.Float64 then
                 2.0 ** -51.0
             else
                 2.0 ** -22.0)
            * (abs got[i] + abs gotBefore[i] + abs wanted[i])

        let relativeTo =
            if cancels then
                max (abs updates[i]) (0.1 * largest)
            else
                abs updates[i]

        let bound = 1e-5 * relativeTo + rounding
        let update = got[i] - gotBefore[i]

        if not (abs (update - updates[i]) <= bound) then
            failtest $"{what}, slot {i}: expected an update of {updates[i]}, got {update}"

let private freshLaw (dtype: torch.ScalarType) (g: Gradients) (name: string, make: Make) =
    testCase $"{name}, {dtype}, {g}: a grown weight's first 50 updates are those of a fresh weight" (fun () ->
        let t = Trial(make, setOnce Moments.Fresh, dtype)
        let zero = Trial(make, setOnce Moments.Zero, dtype)
        let grown = trainToGrowth t g
        Expect.equal (trainToGrowth zero g) grown "the same slots"
        let fresh = FreshRun(make, pick grown (doubles t.Layer.weight), dtype)

        for k in 1L .. 50L do
            let gradient = g.At(growAt + k, 150)
            let before, freshBefore = pick grown (doubles t.Layer.weight), fresh.Weights

            // What a scheduler does.
            if k = 20L then
                for optimizer in [ t.Optimizer; zero.Optimizer; fresh.Optimizer ] do
                    for group in optimizer.ParamGroups do
                        group.LearningRate <- group.LearningRate * 0.5

            t.Step gradient
            zero.Step gradient
            fresh.Step(pick grown gradient)
            let now = pick grown (doubles t.Layer.weight)

            expectSameUpdates
                $"update {k}"
                dtype
                (dtype = torch.ScalarType.Float32)
                fresh.Weights
                freshBefore
                now
                before

        let isGrown = Set.ofArray grown

        let kept =
            [| for slot in 0..149 do
                   if not (isGrown.Contains slot) then
                       slot |]

        Expect.equal (pick kept (doubles t.Layer.weight)) (pick kept (doubles zero.Layer.weight)) "kept weights"

        for KeyValue(field, tensor) in tensorsOf t.Optimizer do
            let other = (tensorsOf zero.Optimizer)[field]
            Expect.equal (pick kept (doubles tensor)) (pick kept (doubles other)) $"kept {field}")

/// The first update in learning rates under a constant gradient, as it was found.
let private firstUpdate (moments: Moments) (make: Make) : float =
    let t = Trial(make, setAt 2000L moments, torch.ScalarType.Float64)
    let grown = trainTo 2000L t Constant
    let before = doubles t.Layer.weight
    t.Step(Constant.At(2001L, 150))
    abs ((doubles t.Layer.weight)[grown[0]] - before[grown[0]]) / 0.01

let private seeded: Policy =
    { Policy.rigL (Schedule.constant 0.3 growAt growAt) with
        Regrow = Regrow.Never
        Moments = Moments.Seeded }

/// Trains to an update whose gradient is that of a backward pass; grown slots and the gradient of each.
let private trainToSeeds (t: Trial) (g: Gradients) : int[] * float[] =
    let before = t.Layer.Connectivity

    for step in 1L .. growAt - 1L do
        t.Step(g.At(step, 150))

    t.Backward()
    let dense = t.DenseGradient()
    Expect.all (t.Rewirer.Step()) (fun e -> (countsOf e.Outcome).Grown > 20) "not vacuous"
    let after = t.Layer.Connectivity
    let from = (Remap.between before after).From.ToArray()
    let rows = Connectivity.rowIndices after

    let grown =
        [| for slot in 0 .. from.Length - 1 do
               if from[slot] < 0 then
                   slot |]

    grown, grown |> Array.map (fun slot -> dense[rows[slot] * 30 + after.ColIdx[slot]])

let private near what (tolerance: float) (wanted: float[]) (got: float[]) =
    for i in 0 .. wanted.Length - 1 do
        if not (abs (got[i] - wanted[i]) <= tolerance * abs wanted[i]) then
            failtest $"{what}, slot {i}: expected {wanted[i]}, got {got[i]}"

let private seededLaw (dtype: torch.ScalarType) (name: string, make: Make) =
    testCase
        $"{name}, {dtype}: a seeded weight's first 50 updates are those after one step with its gradient"
        (fun () ->
            let t = Trial(make, seeded, dtype)
            let grown, gradients = trainToSeeds t Noisy
            let fresh = FreshRun(make, Array.zeroCreate grown.Length, dtype)
            fresh.Step gradients
            fresh.Reset()

            for k in 1L .. 50L do
                let gradient = Noisy.At(growAt + k, 150)
                let before, freshBefore = pick grown (doubles t.Layer.weight), fresh.Weights
                t.Step gradient
                fresh.Step(pick grown gradient)
                let now = pick grown (doubles t.Layer.weight)
                expectSameUpdates $"update {k}" dtype true fresh.Weights freshBefore now before)

let private kernelNumbers (n: int) =
    let random = Random 11

    let draw () =
        Array.init n (fun _ -> float32 (random.NextDouble() * 2.0 - 1.0))

    let cohorts = Array.init n (fun _ -> byte (random.Next 4))
    cohorts, draw (), draw (), draw (), draw () |> Array.map abs, draw () |> Array.map abs

let private onKernel (stride: int) (decay: float32) (n: int) =
    let cohorts, g, w, m, v, most = kernelNumbers n
    let tables: float32[] = Array.zeroCreate (4 * stride)

    for table in 0..3 do
        for cohort in 1..3 do
            tables[table * stride + cohort] <- 0.1f * float32 table + 0.2f * float32 cohort

    let tensor (a: float32[]) = torch.tensor a
    let g, w, m, v, most = tensor g, tensor w, tensor m, tensor v, tensor most

    YoungMoments.adamOf
        ParallelFor.ThreadPool
        2
        cohorts
        tables
        stride
        2
        { Gradient = TensorView.floats "g" g
          Weight = TensorView.floats "w" w
          Mean = TensorView.floats "m" m
          Square = TensorView.floats "v" v
          Largest = TensorView.floats "most" most
          Sign = -1.0f
          Decay = decay }

    GC.KeepAlive(struct (g, w))
    [ for t in [ m; v; most ] -> t.data<float32>().ToArray() ]

[<Tests>]
let momentsTests =
    testSequenced
    <| testList
        "Moments"
        [ for optimizer in wholly @ uncorrected do
              freshLaw torch.ScalarType.Float64 Noisy optimizer

          for optimizer in wholly do
              freshLaw torch.ScalarType.Float32 Constant optimizer
              freshLaw torch.ScalarType.Float32 Noisy optimizer

          for optimizer in wholly do
              seededLaw torch.ScalarType.Float64 optimizer
              seededLaw torch.ScalarType.Float32 optimizer

          testCase "what Zero does under an old step count, and Fresh does not" (fun () ->
              // In learning rates, as 1 / √(1 − β2) · (1 − β1) and its like have it.
              let expect name make zero fresh =
                  Expect.floatClose
                      { absolute = 0.05; relative = 0.0 }
                      (firstUpdate Moments.Zero make)
                      zero
                      $"{name}, zero"

                  Expect.floatClose
                      { absolute = 0.001; relative = 0.0 }
                      (firstUpdate Moments.Fresh make)
                      fresh
                      $"{name}, fresh"

              expect "Adam" (of' (fun p -> torch.optim.Adam(p, 0.01))) 2.94 1.0
              expect "Adamax" (of' (fun p -> torch.optim.Adamax(p, 0.01))) 0.1 1.0
              expect "RMSProp" (of' (fun p -> torch.optim.RMSProp(p, 0.01))) 10.0 10.0

              Expect.isGreaterThan
                  (firstUpdate Moments.Zero (of' (fun p -> torch.optim.NAdam(p, 0.01))))
                  14.0
                  "NAdam, zero")

          for name, make, corrections in
              [ "Adam", of' (fun p -> torch.optim.Adam(p, 0.01, amsgrad = true)), (0.9, 0.999)
                "AdamW", of' (fun p -> torch.optim.AdamW(p, 0.01, maximize = true)), (0.9, 0.999)
                "RAdam", of' (fun p -> torch.optim.RAdam(p, 0.01)), (0.9, 0.999) ] do
              testCase $"{name}: seeded means are the gradient that chose the cell, and its square" (fun () ->
                  let t = Trial(make, seeded, torch.ScalarType.Float64)
                  let grown, gradients = trainToSeeds t Noisy
                  let steps = float (stepsOf t.Optimizer)
                  Expect.equal steps (float growAt - 1.0) "RigL does not step at an update"
                  let sign = if name = "AdamW" then -1.0 else 1.0

                  let corrected beta field =
                      pick grown (momentOf t.Optimizer field)
                      |> Array.map (fun m -> m / (1.0 - beta ** steps))
                  // Gradients come as float32 sums of nine products, and seeds are rounded to float32.
                  near "m" 1e-5 (gradients |> Array.map ((*) sign)) (corrected (fst corrections) "exp_avg")
                  near "v" 1e-5 (gradients |> Array.map (fun g -> g * g)) (corrected (snd corrections) "exp_avg_sq")

                  if name = "Adam" then
                      near
                          "largest"
                          1e-5
                          (gradients |> Array.map (fun g -> g * g))
                          (corrected (snd corrections) "max_exp_avg_sq"))

          testCase "RMSProp, seeded: a first update of one learning rate, where a fresh one is ten" (fun () ->
              for centered in [ false; true ] do
                  let make = of' (fun p -> torch.optim.RMSProp(p, 0.01, centered = centered))
                  let t = Trial(make, seeded, torch.ScalarType.Float64)
                  let grown, gradients = trainToSeeds t Noisy

                  near
                      "square"
                      1e-5
                      (gradients |> Array.map (fun g -> g * g))
                      (pick grown (momentOf t.Optimizer "square_avg"))

                  let all: float[] = Array.create 150 0.1
                  Array.iter2 (fun (slot: int) g -> all[slot] <- g) grown gradients
                  t.Step all
                  // The mean's own square, of one step: (1 − α)² of the gradient's.
                  let wanted =
                      gradients
                      |> Array.map (fun g -> -0.01 * float (sign g) / sqrt (1.0 - if centered then 1e-4 else 0.0))

                  near "update" 1e-4 wanted (pick grown (doubles t.Layer.weight)))

          testCase "seeds of the other optimizers: a buffer, a sum, a magnitude, a sign's gradient" (fun () ->
              for name, make, field, ofGradient in
                  [ "SGD",
                    of' (fun p -> torch.optim.SGD(p, 0.05, momentum = 0.9, dampening = 0.5)),
                    "momentum_buffer",
                    id
                    "Adagrad",
                    of' (fun p -> torch.optim.Adagrad(p, 0.01, initial_accumulator_value = 0.25)),
                    "sum",
                    (fun g -> 0.25 + g * g)
                    "Adamax", of' (fun p -> torch.optim.Adamax(p, 0.01)), "exp_inf", abs
                    "Adadelta", of' (fun p -> torch.optim.Adadelta p), "square_avg", (fun g -> g * g)
                    "Rprop", of' (fun p -> torch.optim.Rprop(p, 0.01, maximize = true)), "prev", (~-) ] do
                  let t = Trial(make, seeded, torch.ScalarType.Float64)
                  let grown, gradients = trainToSeeds t Noisy
                  near name 1e-5 (Array.map ofGradient gradients) (pick grown (momentOf t.Optimizer field)))

          testCase "seeds come from the cell's gradient whatever rule grew it" (fun () ->
              let policy = { seeded with Grow = Grow.Random }
              Expect.equal (Policy.growthInputs policy) GrowthInputs.Gradient "it is noted"

              let t =
                  Trial((fun p -> torch.optim.Adam(p, 0.01)), policy, torch.ScalarType.Float64)

              let grown, gradients = trainToSeeds t Noisy
              let v = pick grown (momentOf t.Optimizer "exp_avg_sq")
              near "v" 1e-5 (gradients |> Array.map (fun g -> g * g * (1.0 - 0.999 ** float (growAt - 1L)))) v)

          testCase "Adagrad's and ASGD's rates stay the run's, and ASGD's average is of the slot's own steps" (fun () ->
              let adagrad = of' (fun p -> torch.optim.Adagrad(p, 0.01, lr_decay = 0.1))
              let t = Trial(adagrad, setOnce Moments.Fresh, torch.ScalarType.Float64)
              let grown = trainToGrowth t Noisy

              let fresh =
                  FreshRun(adagrad, pick grown (doubles t.Layer.weight), torch.ScalarType.Float64)

              for k in 1L .. 50L do
                  let gradient = Noisy.At(growAt + k, 150)
                  let before, freshBefore = pick grown (doubles t.Layer.weight), fresh.Weights
                  t.Step gradient
                  fresh.Step(pick grown gradient)
                  let slower = (1.0 + 0.1 * float (k - 1L)) / (1.0 + 0.1 * float (growAt + k - 1L))

                  let updates =
                      Array.map2 (fun now before -> (now - before) * slower) fresh.Weights freshBefore

                  near $"update {k}" 1e-5 updates (Array.map2 (-) (pick grown (doubles t.Layer.weight)) before)

              let asgd = of' (fun p -> torch.optim.ASGD(p, 0.01, t0 = 3.0))
              let t = Trial(asgd, setOnce Moments.Fresh, torch.ScalarType.Float64)
              let grown = trainToGrowth t Noisy
              let mutable average = pick grown (doubles t.Layer.weight)

              for k in 1..50 do
                  t.Step(Noisy.At(growAt + int64 k, 150))
                  let mu = 1.0 / max 1.0 (float (k - 1) - 3.0)
                  average <- Array.map2 (fun a w -> a + mu * (w - a)) average (pick grown (doubles t.Layer.weight))
                  near $"average {k}" 1e-9 average (pick grown (momentOf t.Optimizer "ax")))

          testCase "a step that is taken here has the bits of torch's, where the machine has the vectors" (fun () ->
              // Compiled by another compiler it may round otherwise; then its own steps are taken, as the tests above show.
              if not (OperatingSystem.IsLinux()) && not AdamMemory.takesTorchsSteps.Value then
                  skiptest "this system's libtorch rounds otherwise, so that it takes every step itself"

              Expect.equal AdamMemory.takesTorchsSteps.Value YoungMoments.isFused "libtorch rounds as it did")

          testCase "the kernel gives the same bits at any width, and leaves old slots alone" (fun () ->
              for n in [ 1; 7; 8; 9; 31; 64; 200_003 ] do
                  for decay in [ 0.0f; 0.25f ] do
                      let wide, narrow = onKernel YoungMoments.Few decay n, onKernel 256 decay n
                      Expect.equal wide narrow $"{n} slots"
                      let cohorts, _, _, m, v, most = kernelNumbers n

                      for before, after in List.zip [ m; v; most ] wide do
                          for slot in 0 .. n - 1 do
                              // Cohort 3 has no mean to change.
                              let isOld =
                                  cohorts[slot] = 0uy || (cohorts[slot] = 3uy && obj.ReferenceEquals(before, m))

                              if isOld <> (before[slot] = after[slot]) then
                                  failtest $"slot {slot} of cohort {cohorts[slot]}: {before[slot]}, then {after[slot]}")

          testCase "a slot that was grown twice, kept slots of many ages, and weights without a gradient" (fun () ->
              let every = 4L

              let policy =
                  { Policy.set (Schedule.constant 0.2 every 400L) with
                      Moments = Moments.Fresh }

              let t =
                  Trial((fun p -> torch.optim.Adam(p, 0.01)), policy, torch.ScalarType.Float32)
              // The age of each cell, counted by hand.
              let mutable ages: Map<int, int> = Map.empty

              let cells () =
                  let c = t.Layer.Connectivity
                  Array.map2 (fun row col -> row * c.Cols + col) (Connectivity.rowIndices c) (c.ColIdx.ToArray())

              for step in 1L .. 120L do
                  let before = set (cells ())

                  if step % 5L = 3L then
                      t.Layer.weight.grad <- null
                      t.Rewirer.Step() |> ignore
                  else
                      t.Step(Noisy.At(step, 150))
                      ages <- Map.map (fun _ age -> age + 1) ages

                  let after = cells ()
                  let grown = after |> Array.filter (before.Contains >> not)

                  ages <-
                      Map
                          [ for cell in after do
                                match ages.TryFind cell with
                                | _ when Array.contains cell grown -> cell, 0
                                | Some age -> cell, age
                                | None -> () ]

                  let got = t.Rewirer.Capture().Ages[0]
                  let got = if got.Length = 0 then Array.create after.Length -1 else got

                  Expect.equal
                      got
                      (after
                       |> Array.map (fun cell -> ages |> Map.tryFind cell |> Option.defaultValue -1))
                      $"step {step}"

              Expect.isGreaterThan
                  (ages.Values |> Seq.distinct |> Seq.length)
                  7
                  "not vacuous: more than a vector holds")

          testCase "nothing is stored where nothing is young, and of many ages the settled ones are given up" (fun () ->
              let ages = Ages()
              ages.Remap(Remap.identity 5, 0L)
              Expect.isTrue ages.IsEmpty "no slot was grown"

              let grow =
                  Remap.between
                      (Connectivity.ofPairs 1 3 [| 0; 0 |] [| 0; 1 |])
                      (Connectivity.ofPairs 1 3 [| 0; 0 |] [| 0; 2 |])

              ages.Remap(grow, -1L)
              Expect.isTrue ages.IsEmpty "grown old"
              ages.Remap(grow, 0L)
              Expect.equal ages.OfSlots [| -1; 0 |] "grown"

              for _ in 1..3 do
                  ages.Step((fun age -> age < 4L), 255, 200L)

              Expect.equal ages.OfSlots [| -1; 3 |] "three steps"
              ages.Step((fun age -> age < 4L), 255, 200L)
              Expect.isTrue ages.IsEmpty "old"
              ages.Replace [| 0; 3; 250; 260; -1 |]
              ages.Step((fun _ -> true), 3, 200L)
              Expect.equal ages.OfSlots [| 1; 4; 251; -1; -1 |] "one of four was too many"
              ages.Replace(Array.init 300 id)
              Expect.equal (ages.OfSlots |> Array.filter ((=) -1)).Length 45 "255 ages can be told apart"
              ages.Remap(Remap.identity 300, 0L)
              Expect.equal ages.OfSlots[254] 254 "no slot was grown, and none given up")

          testCase "Follow refuses what it cannot follow, and nothing else" (fun () ->
              let follow moments (make: Make) =
                  let t = Trial(make, setOnce moments, torch.ScalarType.Float32)
                  t.Give(Noisy.At(1L, 150))
                  t.Optimizer.step () |> ignore
                  t.Rewirer.Follow() |> ignore

              let adam = of' (fun p -> torch.optim.Adam(p, 0.01))
              follow Moments.Zero adam
              follow Moments.RowMean adam
              follow Moments.Fresh (of' (fun p -> torch.optim.SGD(p, 0.05, momentum = 0.9)))
              follow Moments.Seeded (of' (fun p -> torch.optim.RMSProp(p, 0.01)))

              for moments in [ Moments.Fresh; Moments.Seeded ] do
                  let e = Expect.throwsC (fun () -> follow moments adam) id
                  Expect.isTrue (e :? InvalidOperationException) "type"
                  Expect.stringContains e.Message "Rewirer.Step" "cure") ]
