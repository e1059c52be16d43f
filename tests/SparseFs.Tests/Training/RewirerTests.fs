/// Rewiring while a model trains: the layer, its optimizer and the pattern stay in step.
module SparseFs.Tests.RewirerTests

open System
open System.Collections.Generic
open System.IO
open Expecto
open SparseFs
open SparseFs.Tests.Refusals
open TorchSharp
open TorchSharp.Modules
open SparseFs.Tests.Outcomes

let private every (steps: int64) = Schedule.constant 0.3 steps 1000L

let private floats (t: torch.Tensor) : float32[] =
    use _ = torch.NewDisposeScope()
    t.detach().to_type(torch.ScalarType.Float32).cpu().contiguous().data<float32>().ToArray()

let private optimizers: (string * (Parameter seq -> torch.optim.Optimizer)) list =
    [ "SGD", (fun p -> torch.optim.SGD(p, 0.05, momentum = 0.9) :> _)
      "SGD, Nesterov", (fun p -> torch.optim.SGD(p, 0.05, momentum = 0.9, nesterov = true) :> _)
      "SGD, no momentum", (fun p -> torch.optim.SGD(p, 0.05) :> _)
      "Adam", (fun p -> torch.optim.Adam(p, 0.01) :> _)
      "Adam, AMSGrad", (fun p -> torch.optim.Adam(p, 0.01, amsgrad = true) :> _)
      "AdamW", (fun p -> torch.optim.AdamW(p, 0.01) :> _)
      "RMSProp", (fun p -> torch.optim.RMSProp(p, 0.01, momentum = 0.5, centered = true) :> _)
      "Adagrad", (fun p -> torch.optim.Adagrad(p, 0.01, initial_accumulator_value = 0.25) :> _)
      "Adadelta", (fun p -> torch.optim.Adadelta(p) :> _)
      "Adamax", (fun p -> torch.optim.Adamax(p, 0.01) :> _)
      "NAdam", (fun p -> torch.optim.NAdam(p, 0.01) :> _)
      "RAdam", (fun p -> torch.optim.RAdam(p, 0.01) :> _)
      "ASGD", (fun p -> torch.optim.ASGD(p, 0.01) :> _)
      "Rprop", (fun p -> torch.optim.Rprop(p, 0.01) :> _) ]

/// A layer, an optimizer of it, and what one step needs.
type private Bench =
    { Layer: SparseLinear
      Optimizer: torch.optim.Optimizer
      X: torch.Tensor
      Target: torch.Tensor }

    member b.Backward() =
        use _ = torch.NewDisposeScope()
        b.Optimizer.zero_grad ()
        let loss = torch.nn.functional.mse_loss (b.Layer.call b.X, b.Target)
        loss.backward ()

let private bench (make: Parameter seq -> torch.optim.Optimizer) : Bench =
    torch.manual_seed 3L |> ignore
    let layer = new SparseLinear(Topology.uniform 20 30 150 (Seed.ofInt 5))

    { Layer = layer
      Optimizer = make (layer.parameters ())
      X = torch.randn (16L, 30L)
      Target = torch.randn (16L, 20L) }

/// Every number that the optimizer keeps a slot of the layer's weight, by the name of its field.
let private memory (b: Bench) : (string * float32[]) list =
    let state = (b.Optimizer :?> OptimizerHelper).state_dict().State |> Seq.head // weight comes before bias

    [ for field in state.GetType().GetFields() do
          match field.GetValue state with
          | :? torch.Tensor as t when t.numel () = int64 b.Layer.Connectivity.Nnz -> field.Name, floats t
          | _ -> () ]

/// What a slot holds that no step has seen, by field.
let private unseen (name: string) (field: string) : float32 voption =
    match name, field with
    | "Adagrad", "sum" -> ValueSome 0.25f
    | "Rprop", "step_size" -> ValueSome 0.01f
    | _ -> ValueSome 0.0f

let private optimizerKeepsStep (name: string, make: Parameter seq -> torch.optim.Optimizer) =
    testCase $"{name}: kept slots keep weight, gradient and moments, grown ones start anew" (fun () ->
        let b = bench make
        let rewirer = new Rewirer(b.Layer, b.Optimizer, Policy.rigL (every 4L))
        let parameter = b.Layer.weight
        let handle = parameter.Handle

        for _ in 1..3 do
            b.Backward()
            Expect.isEmpty (rewirer.Step()) "no update yet"

        b.Backward()
        let before = b.Layer.Connectivity
        let weight, memoryBefore = floats b.Layer.weight, memory b
        let gradient = floats b.Layer.weight.PresentGrad
        let event = Array.exactlyOne (rewirer.Step())
        let after = b.Layer.Connectivity
        let from = (Remap.between before after).From.ToArray()
        Expect.isGreaterThan (countsOf event.Outcome).Grown 10 "not vacuous"
        Expect.equal after.Nnz before.Nnz "nnz"
        Expect.equal (b.Layer.weight.Handle, obj.ReferenceEquals(b.Layer.weight, parameter)) (handle, true) "identity"

        let carried what (old: float32[]) (now: float32[]) (grown: float32) =
            for slot in 0 .. from.Length - 1 do
                let wanted = if from[slot] < 0 then grown else old[from[slot]]

                if now[slot] <> wanted then
                    failtest $"{what}, slot {slot} from {from[slot]}: expected {wanted}, got {now[slot]}"

        carried "weight" weight (floats b.Layer.weight) 0.0f
        carried "gradient" gradient (floats b.Layer.weight.PresentGrad) 0.0f
        let memoryAfter = memory b
        Expect.equal (List.map fst memoryAfter) (List.map fst memoryBefore) "fields"

        if name <> "SGD, no momentum" then
            Expect.isNonEmpty memoryAfter "not vacuous: moments"

        for (field, old), (_, now) in List.zip memoryBefore memoryAfter do
            carried field old now (unseen name field).Value

        // The optimizer goes on, and trains the grown slots.
        for _ in 1..3 do
            b.Backward()
            rewirer.Step() |> ignore

        let trained = floats b.Layer.weight

        for slot in 0 .. from.Length - 1 do
            if from[slot] < 0 then
                Expect.notEqual trained[slot] 0.0f "a grown slot trains")

/// The dense gradient of all passes, by torch's own linear.
let private denseGradient (layer: SparseLinear) (lossOf: (torch.Tensor -> torch.Tensor) -> torch.Tensor) : float32[] =
    use _ = torch.NewDisposeScope()
    let dense = layer.weightMatrix().detach().requires_grad_ true
    let bias = layer.PresentBias.detach ()
    (lossOf (fun x -> torch.nn.functional.linear (x, dense, bias))).backward()
    floats dense.PresentGrad

let private expectGrownByGradient (before: Connectivity) (after: Connectivity) (scores: float32[]) =
    let cells (c: Connectivity) =
        set (Array.map2 (fun row col -> row * c.Cols + col) (Connectivity.rowIndices c) (c.ColIdx.ToArray()))

    let grown = cells after - cells before
    Expect.isGreaterThan grown.Count 10 "not vacuous"
    let size cell = abs scores[cell]
    let least = grown |> Seq.map size |> Seq.min

    let most =
        [ 0 .. scores.Length - 1 ]
        |> List.filter (fun cell -> not (Set.contains cell (cells before) || Set.contains cell grown))
        |> List.map size
        |> List.max

    // Float32 sums in another order: their rounding alone may turn two neighbours round.
    Expect.isGreaterThanOrEqual least (most * (1.0f - 1e-5f)) "no absent cell has a larger gradient than a grown one"

let private growsExactly
    (name: string)
    (losses: torch.Tensor -> ((torch.Tensor -> torch.Tensor) -> torch.Tensor) list)
    =
    testCase $"growth is by the exact gradient: {name}" (fun () ->
        torch.manual_seed 4L |> ignore
        let layer = new SparseLinear(Topology.uniform 24 24 140 (Seed.ofInt 6))
        let optimizer = torch.optim.SGD(layer.parameters (), 0.1)

        let policy =
            { Policy.rigL (every 1L) with
                Regrow = Regrow.Never }

        let rewirer = new Rewirer(layer, optimizer, policy)
        let all = losses (torch.randn (6L, 5L, 24L))
        let before = layer.Connectivity

        for loss in all do
            (loss layer.call).backward()

        let scores = all |> List.map (denseGradient layer) |> List.reduce (Array.map2 (+))

        rewirer.Step() |> ignore
        expectGrownByGradient before layer.Connectivity scores)

/// Two layers with a ReLU, trained on noise: everything that a run consists of.
type private Run(policy: Policy) =
    let hidden = new SparseLinear(Topology.uniform 40 30 200 (Seed.ofInt 1))
    let output = new SparseLinear(Topology.uniform 10 40 120 (Seed.ofInt 2))
    let model = torch.nn.Sequential(hidden, torch.nn.ReLU(), output)
    let optimizer = torch.optim.Adam(model.parameters (), 0.01)
    let rewirer = new Rewirer(model, optimizer, policy, Seed.ofInt 9)
    member _.Model = model
    member _.Optimizer = optimizer
    member _.Rewirer = rewirer
    member _.Layers = [ hidden; output ]

    member _.Train(steps: int64 seq) =
        [ for step in steps do
              use _ = torch.NewDisposeScope()
              let random = new torch.Generator(uint64 step)
              let x = torch.randn ([| 8L; 30L |], generator = random)
              let y = torch.randn ([| 8L; 10L |], generator = random)
              optimizer.zero_grad ()
              let loss = torch.nn.functional.mse_loss (model.call x, y)
              loss.backward ()
              yield! rewirer.Step() ]

    member r.Everything =
        [ for layer in r.Layers -> layer.Connectivity.Fingerprint, floats layer.weight, floats layer.PresentBias ],
        r.Rewirer.Steps

let private policies =
    [ "RigL", Policy.rigL (Schedule.cosine 0.3 5L 30L)
      "SET", Policy.set (Schedule.constant 0.3 5L 30L)
      "SNFS", Policy.snfs (Schedule.linear 0.3 5L 30L)
      "SRigL", Policy.srigL (ValueSome 0.3) (Schedule.cosine 0.3 5L 30L)
      "gradual", Policy.gradual 0.7 0.95 (Schedule.constant 0.0 5L 30L)
      "nearby, normal, means",
      { Policy.set (Schedule.constant 0.3 5L 30L) with
          Grow = Grow.DistanceDecay(Placement.Stretched, 1.0)
          GrownWeight = GrownWeight.Normal 0.1
          Moments = Moments.RowMean } ]

let private resumes (name: string, policy: Policy) =
    testCase $"{name}: a run that is stopped at any step and resumed is equal to one that was not" (fun () ->
        let start () =
            torch.manual_seed 8L |> ignore
            Run policy

        let whole = start ()
        whole.Train [ 1L .. 24L ] |> ignore

        for stop in [ 0L; 4L; 5L; 13L ] do
            let first = start ()
            first.Train [ 1L .. stop ] |> ignore
            let second = start ()

            // Patterns may differ in size by now, which load_state_dict refuses; take them over one by one.
            for old, layer in List.zip first.Layers second.Layers do
                if old.Connectivity.Nnz = layer.Connectivity.Nnz then
                    layer.load_state_dict (Dictionary(old.state_dict ())) |> ignore

            if
                List.forall2
                    (fun (a: SparseLinear) (b: SparseLinear) -> a.Connectivity = b.Connectivity)
                    first.Layers
                    second.Layers
            then
                use file = new MemoryStream()
                use writer = new BinaryWriter(file)
                first.Optimizer.save_state_dict writer
                writer.Flush()
                file.Position <- 0L
                use reader = new BinaryReader(file)
                second.Optimizer.load_state_dict reader
                second.Rewirer.Restore(first.Rewirer.Capture())
                second.Train [ stop + 1L .. 24L ] |> ignore
                Expect.equal second.Everything whole.Everything $"stopped after {stop}"
            else
                // Only a policy that changes a layer's size comes here, and not before its first update.
                Expect.isTrue (name = "SNFS" || name = "gradual") $"{name} at {stop}")

[<Tests>]
let rewirerTests =
    testSequenced
    <| testList
        "Rewirer"
        [ yield! List.map optimizerKeepsStep optimizers

          growsExactly "one pass" (fun x ->
              let x = x.select (1L, 0L)
              [ fun f -> (f x).square().sum() ])
          growsExactly "inputs of three dimensions" (fun x -> [ fun f -> (f x).square().sum() ])
          growsExactly "several micro-batches" (fun x ->
              [ for i in 0L .. 5L -> fun f -> (f (x.select (0L, i))).pow(3.0f.ToScalar()).sum() ])
          growsExactly "a layer used twice in a graph" (fun x -> [ fun f -> (f (torch.tanh (f x))).square().sum() ])

          yield! List.map resumes policies

          for name, policy in policies do
              testCase $"{name}: every event tells what happened, and the totals hold" (fun () ->
                  let run = Run policy
                  let total = run.Layers |> List.sumBy _.Connectivity.Nnz
                  let seen = ResizeArray<RewireEvent>()
                  use _ = run.Rewirer.Events.Subscribe(fun e -> seen.Add e)
                  let returned = run.Train [ 1L .. 31L ]
                  Expect.equal returned.Length 12 "two layers, six updates"
                  Expect.equal (List.ofSeq seen) returned "raised and returned"
                  Expect.all returned (fun e -> e.Outcome.IsDone) "none refused"
                  Expect.equal (returned |> List.map _.Step |> List.distinct) [ 5L..5L..30L ] "steps"

                  for layer, e in List.zip run.Layers (List.skip 10 returned) do
                      let counts = countsOf e.Outcome
                      Expect.equal counts.Nnz layer.Connectivity.Nnz "nnz"
                      Expect.equal counts.DeadRows (GraphMetrics.deadRows layer.Connectivity) "dead rows"
                      Expect.isLessThanOrEqual layer.Connectivity.Density counts.Explored "R_s"
                      Expect.equal (layer.weight.numel ()) (int64 counts.Nnz) "the weight's length"

                  for e in returned do
                      let counts = countsOf e.Outcome

                      if counts.Grown + counts.Dropped > 0 then
                          Expect.isGreaterThan e.Seconds 0.0 "timed"

                  let now = run.Layers |> List.sumBy _.Connectivity.Nnz

                  if name = "gradual" then
                      Expect.equal (run.Layers |> List.map _.Connectivity.Nnz) [ 60; 20 ] "5 % are left"
                  else
                      Expect.equal now total "nnz of all layers")

          testCase "RigL does not step the optimizer at an update, the others do; k = 0 is an ordinary step" (fun () ->
              let moves (policy: Policy) =
                  let b = bench (fun p -> torch.optim.SGD(p, 0.1) :> _)
                  let rewirer = new Rewirer(b.Layer, b.Optimizer, policy)
                  b.Backward()
                  let bias = floats b.Layer.PresentBias
                  rewirer.Step() |> ignore
                  floats b.Layer.PresentBias <> bias

              Expect.isFalse (moves (Policy.rigL (every 1L))) "RigL"
              Expect.isTrue (moves (Policy.set (every 1L))) "SET"
              Expect.isTrue (moves (Policy.rigL (Schedule.constant 0.0 1L 10L))) "nothing to change"
              Expect.isTrue (moves Policy.staticSparse) "static")

          testCase "nothing is noted on a step that is no update, nor by a rule that needs nothing" (fun () ->
              let noted (policy: Policy) =
                  let b = bench (fun p -> torch.optim.SGD(p, 0.1) :> _)
                  let rewirer = new Rewirer(b.Layer, b.Optimizer, policy)

                  [ for _ in 1..6 do
                        b.Backward()

                        match b.Layer.Recorder with
                        | null -> false
                        | recorder -> recorder.Has(rewirer.Steps + 1L)

                        rewirer.Step() |> ignore ]

              Expect.equal (noted (Policy.rigL (every 3L))) [ false; false; true; false; false; true ] "RigL"
              Expect.equal (noted (Policy.set (every 3L))) [ for _ in 1..6 -> false ] "SET")

          testCase "a weight or a gradient that is no number refuses the update, and nothing changes" (fun () ->
              for spoil in [ "weight"; "gradient" ] do
                  let b = bench (fun p -> torch.optim.Adam(p, 0.01) :> _)
                  let rewirer = new Rewirer(b.Layer, b.Optimizer, Policy.rigL (every 2L))
                  b.Backward()
                  rewirer.Step() |> ignore

                  if spoil = "weight" then
                      use _ = torch.no_grad ()
                      b.Layer.weight.select(0L, 7L).fill_(nanf.ToScalar()) |> ignore
                  else
                      b.X.select(0L, 0L).select(0L, 0L).fill_(infinityf.ToScalar()) |> ignore

                  b.Backward()
                  let c, weight, moments = b.Layer.Connectivity, floats b.Layer.weight, memory b
                  let event = Array.exactlyOne (rewirer.Step())
                  Expect.stringContains (reasonOf event.Outcome) "expected finite numbers" spoil
                  Expect.isTrue (obj.ReferenceEquals(b.Layer.Connectivity, c)) "pattern"
                  let same = Array.forall2 (fun (a: float32) b -> a.Equals b)
                  Expect.isTrue (same weight (floats b.Layer.weight)) "weight"
                  Expect.isTrue (List.forall2 (fun (_, a) (_, b) -> same a b) moments (memory b)) "moments")

          testCase "an update without a backward pass is refused" (fun () ->
              let b = bench (fun p -> torch.optim.SGD(p, 0.1) :> _)
              let rewirer = new Rewirer(b.Layer, b.Optimizer, Policy.rigL (every 1L))
              Expect.stringContains (reasonOf (Array.exactlyOne (rewirer.Step())).Outcome) "no backward pass" "refused")

          testCase "a batch that is thrown away does not count" (fun () ->
              let b = bench (fun p -> torch.optim.SGD(p, 0.1) :> _)
              let rewirer = new Rewirer(b.Layer, b.Optimizer, Policy.rigL (every 1L))
              b.Backward()
              rewirer.ZeroGrad()
              Expect.stringContains (reasonOf (Array.exactlyOne (rewirer.Step())).Outcome) "no backward pass" "refused")

          testCase "many updates leave no tensor behind" (fun () ->
              let run = Run(Policy.rigL (Schedule.constant 0.3 2L 1000L))
              run.Train [ 1L .. 20L ] |> ignore
              Torch.Replaced.releaseAll () // what others might still be reading
              GC.Collect()
              GC.WaitForPendingFinalizers()
              let before = torch.Tensor.TotalCount
              run.Train [ 21L .. 120L ] |> ignore
              Torch.Replaced.releaseAll () // what others might still be reading
              GC.Collect()
              GC.WaitForPendingFinalizers()
              Expect.isLessThanOrEqual torch.Tensor.TotalCount (before + 4L) "tensors")

          refuses "an optimizer whose state is not known" "optimizer" "LBFGS, whose state is not known" (fun () ->
              let b = bench (fun p -> torch.optim.SGD(p, 0.1) :> _)
              new Rewirer(b.Layer, torch.optim.LBFGS(b.Layer.parameters ()), Policy.staticSparse))
          refuses "an optimizer of other parameters" "optimizer" "without the weight of" (fun () ->
              let b = bench (fun p -> torch.optim.SGD(p, 0.1) :> _)
              let other = bench (fun p -> torch.optim.SGD(p, 0.1) :> _)
              new Rewirer(b.Layer, other.Optimizer, Policy.staticSparse))
          refuses "a model without sparse layers" "model" "got Linear without any" (fun () ->
              let dense = torch.nn.Linear(3L, 3L)
              new Rewirer(dense, torch.optim.SGD(dense.parameters (), 0.1), Policy.staticSparse))
          refuses "a layer twice" "layers" "got one twice" (fun () ->
              let b = bench (fun p -> torch.optim.SGD(p, 0.1) :> _)

              new Rewirer(
                  [ struct ("a", b.Layer); struct ("b", b.Layer) ],
                  b.Optimizer,
                  Policy.staticSparse,
                  Seed.ofInt 0
              ))
          testCase "momentum weighs the steps that are over as the policy's window says" (fun () ->
              let grownBy (window: MomentumWindow) =
                  let layer = new SparseLinear(Connectivity.ofPairs 1 4 [| 0; 0 |] [| 0; 1 |])
                  let optimizer = torch.optim.SGD(layer.parameters (), 0.01)

                  let policy =
                      { Policy.snfs (Schedule.constant 0.5 2L 9L) with
                          Budget = Budget.Layer
                          Momentum = window }

                  use rewirer = new Rewirer(layer, optimizer, policy)

                  // A large gradient of column 2 first, then a smaller one of column 3.
                  for x in [ [| 0.0f; 0.0f; 10.0f; 0.0f |]; [| 0.0f; 0.0f; 0.0f; 3.0f |] ] do
                      optimizer.zero_grad ()
                      (layer.call (torch.tensor(x).reshape(1L, 4L))).sum().backward()
                      rewirer.Step() |> ignore

                  layer.Connectivity.ColIdx[1]

              Expect.equal (grownBy MomentumWindow.standard) 2 "0.9 · 10 is above 3"
              Expect.equal (grownBy { Beta = 0.2; Steps = 32 }) 3 "0.2 · 10 is not"
              Expect.equal (grownBy { Beta = 0.9; Steps = 1 }) 3 "the last step alone")

          refuses "another optimizer at resume" "state" "expected a state for SGD, got one for Adam" (fun () ->
              let adam = bench (fun p -> torch.optim.Adam(p, 0.1) :> _)
              let sgd = bench (fun p -> torch.optim.SGD(p, 0.1) :> _)
              let state = (new Rewirer(adam.Layer, adam.Optimizer, Policy.staticSparse)).Capture()
              (new Rewirer(sgd.Layer, sgd.Optimizer, Policy.staticSparse)).Restore state) ]
