/// A run that stops and goes on is, to the bit, the run that never stopped.
module SparseFs.Tests.ResumeTests

open System
open System.Collections.Generic
open System.IO
open Expecto
open SparseFs
open SparseFs.Torch
open SparseFs.Tests.CheckpointFiles
open SparseFs.Tests.Refusals
open TorchSharp
open TorchSharp.Modules

type private MakeOptimizer = torch.nn.Module -> torch.optim.Optimizer

let private optimizers: (string * MakeOptimizer) list =
    let of' (make: Parameter seq -> #torch.optim.Optimizer) : MakeOptimizer =
        fun model -> make (model.parameters ()) :> _

    [ "SGD", of' (fun p -> torch.optim.SGD(p, 0.05, momentum = 0.9))
      "SGD, Nesterov", of' (fun p -> torch.optim.SGD(p, 0.05, momentum = 0.9, nesterov = true, weight_decay = 1e-3))
      "SGD, no momentum", of' (fun p -> torch.optim.SGD(p, 0.05))
      "Adam", of' (fun p -> torch.optim.Adam(p, 0.01))
      "Adam, AMSGrad", of' (fun p -> torch.optim.Adam(p, 0.01, amsgrad = true))
      "AdamW", of' (fun p -> torch.optim.AdamW(p, 0.01, weight_decay = 0.1))
      "AdamW, AMSGrad", of' (fun p -> torch.optim.AdamW(p, 0.01, amsgrad = true))
      "RMSProp", of' (fun p -> torch.optim.RMSProp(p, 0.01, momentum = 0.5, centered = true))
      "Adagrad", of' (fun p -> torch.optim.Adagrad(p, 0.01, lr_decay = 0.1, initial_accumulator_value = 0.25))
      "Adadelta", of' (fun p -> torch.optim.Adadelta p)
      "Adamax", of' (fun p -> torch.optim.Adamax(p, 0.01))
      "NAdam", of' (fun p -> torch.optim.NAdam(p, 0.01))
      "RAdam", of' (fun p -> torch.optim.RAdam(p, 0.01))
      "ASGD", of' (fun p -> torch.optim.ASGD(p, 0.01, t0 = 3.0))
      "Rprop", of' (fun p -> torch.optim.Rprop(p, 0.01)) ]

let private last = 16L

let private policies =
    [ "RigL", Policy.rigL (Schedule.cosine 0.3 4L 30L)
      "SET", Policy.set (Schedule.constant 0.3 4L 30L)
      "SNFS", Policy.snfs (Schedule.linear 0.3 4L 30L)
      "gradual", Policy.gradual 0.7 0.95 (Schedule.constant 0.0 4L 30L) ]

/// Sparse and dense layers, dropout that draws from torch's own generator, and a branch that only even steps take.
type private Network() as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("network")
    let hidden = new SparseLinear(Topology.uniform 20 12 72 (Seed.ofInt 1))
    let branch = torch.nn.Linear(20L, 20L)
    let dropout = torch.nn.Dropout 0.3
    let output = new SparseLinear(Topology.uniform 5 20 30 (Seed.ofInt 2))
    do this.RegisterComponents()
    member val Takes = false with get, set

    override this.forward(x) =
        let h = torch.nn.functional.relu (hidden.call x)
        let h = if this.Takes then branch.call h else h
        output.call (dropout.call h)

type private Run(policy: Policy, make: MakeOptimizer, ?dtype: torch.ScalarType) =
    let dtype = defaultArg dtype torch.ScalarType.Float32
    let model = new Network()
    do model.``to`` dtype |> ignore
    let optimizer = make model
    let rewirer = new Rewirer(model, optimizer, policy, Seed.ofInt 9)
    member _.Model = model
    member _.Optimizer = optimizer
    member _.Rewirer = rewirer

    member _.Train(step: int64) =
        use _ = torch.NewDisposeScope()
        let random = new torch.Generator(uint64 step)
        let x = torch.randn([| 6L; 12L |], generator = random).to_type dtype
        let y = torch.randn([| 6L; 5L |], generator = random).to_type dtype
        model.Takes <- (step % 2L = 0L)

        if step = 7L then
            for group in optimizer.ParamGroups do
                group.LearningRate <- group.LearningRate * 0.5

        optimizer.zero_grad ()
        let loss = torch.nn.functional.mse_loss (model.call x, y)
        loss.backward ()
        rewirer.Step() |> ignore

    member r.Save(file: string, step: int64) =
        let progress =
            { Step = step
              Seed = Seed.ofInt 5
              Notes = Dictionary(dict [ "who", "me" ]) }

        Checkpoint.saveTraining progress file model optimizer (ValueSome rewirer)

    member r.Resume(file: string) =
        Checkpoint.resume file model optimizer (ValueSome rewirer)

    /// All but gradients, which no step looks back to.
    member r.Everything =
        let moments =
            [ for state in (optimizer :?> OptimizerHelper).state_dict().State do
                  for field in state.GetType().GetFields() do
                      match field.GetValue state with
                      | :? torch.Tensor as t -> field.Name, Convert.ToHexString(bytesOf t)
                      | other -> field.Name, string other ]

        stateOf model, moments, rewirer.Steps, [ for _, explored in (rewirer.Capture()).Explored -> explored.Count ]

let private atStart: TrainingProgress =
    { Step = 0L
      Seed = Seed.ofInt 0
      Notes = Dictionary() }

let private start policy make =
    torch.manual_seed 8L |> ignore
    new Run(policy, make)

/// Trains once through and saves at every step; then goes on from every file.
let private resumesAt (every: int64) (policyName: string, policy: Policy) (name: string, make: MakeOptimizer) =
    testCase $"{policyName}, {name}: a run resumed at any step is the run that went through" (fun () ->
        inFolder (fun folder ->
            let at (step: int64) = Path.Combine(folder, $"{step}")
            let whole = start policy make
            whole.Save(at 0L, 0L)

            for step in 1L .. last do
                whole.Train step
                whole.Save(at step, step)

            let wanted = whole.Everything
            Expect.notEqual (start policy make).Everything wanted "not vacuous"

            for stop in 0L .. every .. last - 1L do
                let resumed = Run(policy, make)
                let progress = resumed.Resume(at stop)
                Expect.equal (progress.Step, progress.Seed) (stop, Seed.ofInt 5) "progress"
                Expect.equal progress.Notes["who"] "me" "notes"

                for step in stop + 1L .. last do
                    resumed.Train step

                Expect.equal resumed.Everything wanted $"resumed at {stop}"))

let private adam = List.find (fun (name, _) -> name = "Adam") optimizers |> snd
let private rigL = policies.Head |> snd

/// A file of a run, and the run that is to take it.
let private refusedRun (name: string) (says: string) (saved: unit -> Run) (loaded: unit -> Run) =
    testCase $"refused: {name}" (fun () ->
        withFile (fun file ->
            torch.manual_seed 1L |> ignore
            let first = saved ()
            first.Train 1L
            first.Save(file, 1L)
            let second = loaded ()
            let before, generator = second.Everything, bytesOf (torch.get_rng_state ())
            refusedAs CheckpointProblem.Mismatch says (fun () -> second.Resume file)
            Expect.equal second.Everything before "everything is as it was"
            Expect.equal (bytesOf (torch.get_rng_state ())) generator "torch's generator too"))

/// RigL but for the rules of the user's own that are given.
let private ownRules (drop: Drop) (grow: Grow) = { rigL with Drop = drop; Grow = grow }

let private smallest (state: LayerState) = Array.map abs state.Weight
let private steepest (state: LayerState) = state.Gradient
let private unnamedDrop = Drop.Score smallest
let private unnamedGrow = Grow.Score(GrowthInputs.Gradient, steepest)
let private dropBy (name: string) = Drop.NamedScore(name, smallest)

let private growBy (name: string) =
    Grow.NamedScore(name, GrowthInputs.Gradient, steepest)

/// What a run that is saved under one policy and resumed under another notes: layers, and what is said of them.
let private notedOf (saved: Policy) (given: Policy) : (string * string) list =
    withFile (fun file ->
        torch.manual_seed 1L |> ignore
        let first = Run(saved, adam)
        first.Train 1L
        first.Save(file, 1L)
        let second = Run(given, adam)
        second.Resume file |> ignore
        second.Resume file |> ignore
        Expect.equal second.Everything first.Everything "the run"

        [ for notice in second.Rewirer.Notices do
              Expect.equal notice.Kind NoticeKind.UnnamedRule "kind"
              notice.Layer, notice.Message ])

/// A saved run whose header or tensors are changed, and what must be said of it.
let private hostile: (string * CheckpointProblem * string * (string -> string)) list =
    let swap (was: string) (is: string) (header: string) =
        if not (header.Contains was) then
            failtest $"expected {was} in {header}"

        header.Replace(was, is)

    [ "a rewirer's step that is negative",
      CheckpointProblem.Value,
      "'step'",
      swap "\"step=3 optimizer" "\"step=-1 optimizer"
      "a rewirer's step that is no number",
      CheckpointProblem.Value,
      "'step'",
      swap "\"step=3 optimizer" "\"step=NaN optimizer"
      "an even gamma", CheckpointProblem.Value, "odd gamma", swap "gamma=9e3779b97f4a7c15" "gamma=9e3779b97f4a7c14"
      "a seed that is no number", CheckpointProblem.Value, "64 bits", swap "gamma=9e3779b97f4a7c15" "gamma=x"
      "a learning rate of NaN",
      CheckpointProblem.Value,
      "'LearningRate'",
      swap "\"LearningRate=0.01" "\"LearningRate=NaN"
      "a β of NaN", CheckpointProblem.Value, "'beta1'", swap "beta1=0.9 " "beta1=NaN "
      "an optimizer's step beyond 64 bits",
      CheckpointProblem.Value,
      "'step'",
      swap " step=3" " step=99999999999999999999"
      "an option too many", CheckpointProblem.Value, "expected nothing else", swap "beta1=0.9 " "beta1=0.9 beta3=1 "
      "an option twice", CheckpointProblem.Value, "twice", swap "beta1=0.9 " "beta1=0.9 beta1=0.9 "
      "an option too few", CheckpointProblem.Value, "'beta1'", swap "beta1=0.9 " ""
      "AMSGrad without its moments", CheckpointProblem.Mismatch, "max_exp_avg_sq", swap "amsgrad=False" "amsgrad=True"
      "a policy of NaN", CheckpointProblem.Mismatch, "Schedule", swap "Fraction = 0.3" "Fraction = NaN"
      "another number of layers", CheckpointProblem.Mismatch, "expected 2 layers", swap "layers=2" "layers=3"
      "a training step below 0", CheckpointProblem.Value, "'step'", swap "\"step=3 rewirer" "\"step=-3 rewirer"
      "a switch of 2", CheckpointProblem.Value, "True or False", swap "rewirer=True" "rewirer=2" ]

let private hostileTensors: (string * CheckpointProblem * string * string * (torch.Tensor -> torch.Tensor)) list =
    [ "a bit that is no cell's",
      CheckpointProblem.Value,
      "beyond the last",
      "@rewirer.1.explored",
      (fun t -> t.bitwise_or (torch.full_like (t, (1L <<< 60).ToScalar())))
      "a slot that has never been one",
      CheckpointProblem.Value,
      "among the cells",
      "@rewirer.0.explored",
      (fun t -> torch.zeros_like t)
      "too few words", CheckpointProblem.Mismatch, "[4]", "@rewirer.0.explored", (fun t -> t.narrow (0L, 0L, 3L))
      "a pass of the future",
      CheckpointProblem.Value,
      "expected steps in",
      "@rewirer.0.pass_steps",
      (fun t -> t.add (9L.ToScalar()))
      "more steps than passes",
      CheckpointProblem.Mismatch,
      "pass.3.gradient",
      "@rewirer.0.pass_steps",
      (fun t -> t.repeat([| 2L |]).narrow(0L, 0L, 4L))
      "a pass of another width",
      CheckpointProblem.Mismatch,
      "pass.0.input",
      "@rewirer.0.pass.0.input",
      (fun t -> t.narrow (1L, 0L, 5L))
      "a moment of another length",
      CheckpointProblem.Mismatch,
      "exp_avg",
      "@optimizer.hidden.weight.exp_avg",
      (fun t -> t.narrow (0L, 0L, 5L))
      "a moment of another dtype",
      CheckpointProblem.Mismatch,
      "exp_avg",
      "@optimizer.hidden.weight.exp_avg",
      (fun t -> t.to_type torch.ScalarType.Float64)
      "a generator that has read beyond its words",
      CheckpointProblem.Value,
      "torch's generator",
      TorchGenerator.Name,
      (fun t ->
          let t = t.clone ()
          t.bytes[16] <- 255uy
          t.bytes[17] <- 2uy
          t)
      "a generator of zeros",
      CheckpointProblem.Value,
      "torch's generator",
      TorchGenerator.Name,
      (fun t -> torch.zeros_like t)
      "a shorter generator",
      CheckpointProblem.Mismatch,
      "U8 [5056]",
      TorchGenerator.Name,
      (fun t -> t.narrow (0L, 0L, 100L)) ]

let private snfs = Policy.snfs (Schedule.linear 0.3 5L 30L)

let private hostileCase name problem (says: string) (spoil: string -> unit) =
    testCase $"refused: {name}" (fun () ->
        use _ = torch.NewDisposeScope()

        withFile (fun file ->
            let saved = start snfs adam

            for step in 1L .. 3L do
                saved.Train step

            saved.Save(file, 3L)
            let resumed = Run(snfs, adam)
            resumed.Train 1L
            spoil file
            let before = resumed.Everything
            let e = refusal (fun () -> resumed.Resume file)
            Expect.equal e.Problem problem e.Message
            Expect.stringContains e.Message says "message"
            Expect.equal resumed.Everything before "everything is as it was"))

/// What another process does: half a run, saved.
let childRun (file: string) : int =
    let run = start (policies |> List.find (fun (name, _) -> name = "SNFS") |> snd) adam

    for step in 1L .. 6L do
        run.Train step

    run.Save(file, 6L)
    0

[<Tests>]
let resumeTests =
    testSequenced
    <| testList
        "Resume"
        [ for policy in policies do
              for name in [ "SGD"; "Adam, AMSGrad"; "RMSProp" ] do
                  resumesAt 1L policy (optimizers |> List.find (fun (other, _) -> other = name))

          for optimizer in optimizers do
              resumesAt 5L ("RigL, every fifth step", rigL) optimizer

          for moments in [ Moments.Zero; Moments.RowMean; Moments.Fresh; Moments.Seeded ] do
              for name, make in
                  optimizers
                  @ [ "SGD, dampening",
                      (fun model -> torch.optim.SGD(model.parameters (), 0.05, momentum = 0.9, dampening = 0.5) :> _) ] do
                  if List.contains name [ "Adam, AMSGrad"; "NAdam"; "ASGD"; "SGD, dampening"; "RMSProp" ] then
                      resumesAt 3L ($"{moments}", { rigL with Moments = moments }) (name, make)

          testCase "ages are in the file only where a slot is young, and must be of its slots" (fun () ->
              inFolder (fun folder ->
                  let adam = optimizers |> List.find (fun (name, _) -> name = "Adam") |> snd
                  let fresh = { rigL with Moments = Moments.Fresh }
                  let run = start fresh adam
                  let file = Path.Combine(folder, "file")

                  let names () =
                      [ for t in (Safetensors.inspect file).Tensors do
                            if t.Name.EndsWith(".ages", StringComparison.Ordinal) then
                                t.Name ]

                  for step in 1L .. 6L do
                      if step = 3L then
                          run.Save(file, 3L)
                          Expect.isEmpty (names ()) "nothing is young"

                      run.Train step

                  run.Save(file, 6L)
                  Expect.equal (names ()) [ "@rewirer.0.ages"; "@rewirer.1.ages" ] "young slots"

                  for bad, problem in
                      [ torch.tensor [| 1; 2 |], CheckpointProblem.Mismatch
                        torch.tensor (Array.create 72 -2), CheckpointProblem.Value ] do
                      let tensors = Safetensors.load file
                      tensors["@rewirer.0.ages"] <- bad
                      let other = Path.Combine(folder, "other")
                      Safetensors.save other (Safetensors.inspect file).Metadata tensors
                      refusedAs problem "@rewirer.0.ages" (fun () -> (start fresh adam).Resume other)))

          resumesAt
              5L
              ("a policy with functions",
               { rigL with
                   Drop = Drop.Score(fun s -> Array.map abs s.Weight)
                   GrownWeight = GrownWeight.Normal 0.1
                   Moments = Moments.RowMean })
              optimizers.Head

          resumesAt 5L ("a policy with named rules", ownRules (dropBy "smallest") (growBy "steepest")) optimizers.Head

          testCase
              "a rule without a name, in the file or in both, is taken to be the same, and noted once a layer"
              (fun () ->
                  for saved, given, rules in
                      [ ownRules unnamedDrop unnamedGrow, ownRules unnamedDrop unnamedGrow, "Drop and Grow"
                        ownRules unnamedDrop unnamedGrow, ownRules (dropBy "a") (growBy "b"), "Drop and Grow"
                        ownRules unnamedDrop (growBy "b"), ownRules unnamedDrop (growBy "b"), "(Drop)"
                        ownRules Drop.Magnitude unnamedGrow, ownRules Drop.Magnitude (growBy "b"), "(Grow)" ] do
                      let noted = notedOf saved given
                      Expect.equal (List.map fst noted) [ "hidden"; "output" ] "once a layer"

                      for _, message in noted do
                          Expect.stringContains message rules "which rules"
                          Expect.stringContains message "NamedScore" "what helps")

          testCase "nothing is noted of rules whose names are the file's, nor of the library's rules" (fun () ->
              let named = ownRules (dropBy "a") (growBy "b")
              Expect.isEmpty (notedOf named named) "named"
              Expect.isEmpty (notedOf rigL rigL) "RigL")

          testCase "nothing is noted of a run that is refused" (fun () ->
              withFile (fun file ->
                  let first = Run(ownRules unnamedDrop (growBy "a"), adam)
                  first.Save(file, 0L)
                  let second = Run(ownRules unnamedDrop (growBy "b"), adam)
                  refusedAs CheckpointProblem.Mismatch "name = b" (fun () -> second.Resume file)
                  Expect.isEmpty second.Rewirer.Notices "notices"))

          testCase "passes that momentum rules have noted come back to the bit, of every dtype" (fun () ->
              inFolder (fun folder ->
                  for dtype in
                      [ torch.ScalarType.Float64
                        torch.ScalarType.Float32
                        torch.ScalarType.BFloat16 ] do
                      let file = Path.Combine(folder, string dtype)
                      let sgd = optimizers |> List.head |> snd
                      let snfs = policies |> List.find (fun (name, _) -> name = "SNFS") |> snd
                      let run = Run(snfs, sgd, dtype)

                      for step in 1L .. 3L do
                          run.Train step

                      run.Save(file, 3L)
                      let noted = (run.Rewirer.Capture()).Passes
                      Expect.equal (noted |> Array.map Array.length) [| 3; 3 |] $"{dtype}: not vacuous"

                      for step in 4L .. 9L do
                          run.Train step

                      let resumed = Run(snfs, sgd, dtype)
                      resumed.Resume file |> ignore
                      Expect.equal (resumed.Rewirer.Capture()).Passes noted $"{dtype}: passes"

                      for step in 4L .. 9L do
                          resumed.Train step

                      Expect.equal resumed.Everything run.Everything $"{dtype}: the whole run"))

          testCase "a run begun by another process goes on in this one" (fun () ->
              withFile (fun file ->
                  use child = startChild [ "--child-run"; file ]
                  child.WaitForExit()
                  Expect.equal child.ExitCode 0 "the child"
                  let policy = policies |> List.find (fun (name, _) -> name = "SNFS") |> snd
                  let whole = start policy adam

                  for step in 1L .. last do
                      whole.Train step

                  let resumed = Run(policy, adam)
                  resumed.Resume file |> ignore

                  for step in 7L .. last do
                      resumed.Train step

                  Expect.equal resumed.Everything whole.Everything "the whole run"))

          testCase
              "a run without a rewirer, in groups of their own rates, goes on too; gone gradients are not zeros"
              (fun () ->
                  withFile (fun file ->
                      let make () =
                          let model = new Network()

                          let groups =
                              [ SGD.ParamGroup(Seq.truncate 2 (model.parameters ()), lr = 0.1, momentum = 0.5)
                                SGD.ParamGroup(Seq.skip 2 (model.parameters ()), lr = 0.01, momentum = 0.9) ]

                          model, torch.optim.SGD(groups, 0.2, momentum = 0.8)

                      let train (model: Network) (optimizer: SGD) (steps: int64 list) =
                          for step in steps do
                              use _ = torch.NewDisposeScope()
                              model.Takes <- (step = 1L)
                              optimizer.zero_grad ()
                              let random = new torch.Generator(uint64 step)
                              model.call(torch.randn ([| 6L; 12L |], generator = random)).square().mean().backward()
                              optimizer.step () |> ignore

                      torch.manual_seed 3L |> ignore
                      let model, optimizer = make ()

                      let progress =
                          { Step = 2L
                            Seed = Seed.ofInt 0
                            Notes = Dictionary() }

                      train model optimizer [ 1L; 2L ]
                      Checkpoint.saveTraining progress file model optimizer ValueNone
                      train model optimizer [ 3L .. 9L ]

                      // One that has gradients of another run, and one that has none.
                      for isUsed in [ false; true ] do
                          let other, theirs = make ()

                          if isUsed then
                              train other theirs [ 1L .. 4L ]

                          Checkpoint.resume file other theirs ValueNone |> ignore

                          Expect.equal
                              (theirs.ParamGroups |> Seq.map _.LearningRate |> List.ofSeq)
                              [ 0.1; 0.01 ]
                              "rates"

                          train other theirs [ 3L .. 9L ]
                          Expect.equal (stateOf other) (stateOf model) "the whole run"))

          testCase "a run's file is a model's file too" (fun () ->
              withFile (fun file ->
                  let run = start rigL adam
                  run.Train 1L
                  run.Save(file, 1L)
                  use model = new Network()
                  Checkpoint.load file model
                  Expect.equal (stateOf model) (stateOf run.Model) "the model"

                  Checkpoint.save file model
                  refusedAs CheckpointProblem.Mismatch "a model alone" (fun () -> run.Resume file)))

          testCase "an optimizer's fields are numbers, switches and tensors, and no others" (fun () ->
              for name, make in optimizers do
                  let state = (make (new Network()) :?> OptimizerHelper).state_dict()

                  for o in [ box state.State[0]; box state.Options[0] ] do
                      for field in o.GetType().GetFields() do
                          Expect.contains
                              [ typeof<torch.Tensor>
                                typeof<int64>
                                typeof<float>
                                typeof<Nullable<float>>
                                typeof<Nullable<bool>> ]
                              field.FieldType
                              $"{name}: {field.Name}")

          testProperty
              "the two numbers of a seed give it back, and an even gamma is none"
              (fun (root: int) (child: uint8) ->
                  for seed in
                      [ Seed.ofInt root
                        Seed.child (int child) (Seed.ofInt root)
                        Unchecked.defaultof<Seed> ] do
                      let struct (state, gamma) = Seed.toWords seed
                      Expect.equal (Seed.tryOfWords state gamma) (ValueSome seed) "back"
                      Expect.equal (Seed.tryOfWords state (gamma + 1UL)) ValueNone "even")

          testCase "the bits of a set of cells give it back, and no others do" (fun () ->
              for rows, cols in [ 0, 5; 1, 1; 8, 8; 9, 7; 5, 13 ] do
                  for nnz in [ rows * cols / 2; rows * cols ] do
                      let set = ExploredCells.Of(Topology.uniform rows cols nnz (Seed.ofInt 3))
                      Expect.isTrue set.Cells.IsNone "not vacuous: held as bits"
                      let bits = Array.copy set.Bits
                      Expect.equal (ExploredCells.TryOfBits(rows, cols, bits)) (ValueSome set) "back"

                      Expect.equal
                          (ExploredCells.TryOfBits(rows, cols, Array.append bits [| 0UL |]))
                          ValueNone
                          "longer"

              // The 64 bits of [9, 7] have one that is no cell's, those of [8, 8] none.
              Expect.equal (ExploredCells.TryOfBits(9, 7, [| 1UL <<< 63 |])) ValueNone "no cell"
              Expect.equal (ExploredCells.TryOfBits(8, 8, [| 1UL <<< 63 |])).Value.Count 1L "the last cell")

          testCase "sets of cells that are held one by one come back" (fun () ->
              withFile (fun file ->
                  let make () =
                      let layer = new SparseLinear(Topology.uniform 200 500 40 (Seed.ofInt 3))
                      let optimizer = torch.optim.SGD(layer.parameters (), 0.1)
                      layer, optimizer, new Rewirer(layer, optimizer, Policy.set (Schedule.constant 0.3 1L 30L))

                  let layer, optimizer, rewirer = make ()

                  for _ in 1..3 do
                      layer.call(torch.ones (2L, 500L)).sum().backward()
                      rewirer.Step() |> ignore

                  let progress =
                      { Step = 3L
                        Seed = Seed.ofInt 0
                        Notes = Dictionary() }

                  Checkpoint.saveTraining progress file layer optimizer (ValueSome rewirer)
                  let other, theirs, resumed = make ()
                  Checkpoint.resume file other theirs (ValueSome resumed) |> ignore
                  let explored (r: Rewirer) = snd (r.Capture()).Explored[0]
                  Expect.isGreaterThan (explored rewirer).Count 40L "not vacuous"
                  Expect.isTrue (explored rewirer).Cells.IsSome "not vacuous"
                  Expect.equal (explored resumed) (explored rewirer) "explored"))

          testCase "layers that share a policy do not resume as layers that have one each" (fun () ->
              withFile (fun file ->
                  let make (policyOf: int -> Policy) =
                      let layer place =
                          new SparseLinear(Topology.uniform 6 6 18 (Seed.ofInt place), policy = policyOf place)

                      let model =
                          torch.nn.Sequential(
                              layer 0 :> torch.nn.Module<torch.Tensor, torch.Tensor>,
                              layer 1 :> torch.nn.Module<torch.Tensor, torch.Tensor>
                          )

                      let optimizer = torch.optim.SGD(model.parameters (), 0.1)
                      model, optimizer, new Rewirer(model, optimizer)

                  let snfs () =
                      Policy.snfs (Schedule.constant 0.3 4L 100L)

                  let shared = snfs ()
                  let model, optimizer, rewirer = make (fun _ -> shared)


                  Checkpoint.saveTraining atStart file model optimizer (ValueSome rewirer)
                  let model, optimizer, rewirer = make (fun _ -> snfs ())

                  refusedAs CheckpointProblem.Mismatch "expected first layer = 1, got 0" (fun () ->
                      Checkpoint.resume file model optimizer (ValueSome rewirer))

                  let model, optimizer, rewirer = make (fun _ -> shared)
                  Checkpoint.resume file model optimizer (ValueSome rewirer) |> ignore))

          refusedRun
              "another policy, by its part"
              "expected Grow = Gradient, got Random"
              (fun () -> Run({ rigL with Grow = Grow.Random }, adam))
              (fun () -> Run(rigL, adam))
          for what, says, given in
              [ "a drop rule of another name",
                "expected Drop = Score(Item = custom; name = b), got Score(Item = custom; name = a)",
                ownRules (dropBy "b") (growBy "a")
                "a grow rule of another name",
                "expected Grow = Score(needs = Gradient; score = custom; name = b), got Score(needs = Gradient; score = custom; "
                + "name = a)",
                ownRules (dropBy "a") (growBy "b")
                "a rule without the name that the file has",
                "expected Drop = Score(Item = custom), got Score(Item = custom; name = a)",
                ownRules unnamedDrop (growBy "a")
                "a rule of another name: the layer",
                "policy of layers 'hidden', 'output'",
                ownRules (dropBy "b") (growBy "a")
                "a rule of another name: what helps", "name it so", ownRules (dropBy "b") (growBy "a") ] do
              refusedRun what says (fun () -> Run(ownRules (dropBy "a") (growBy "a"), adam)) (fun () ->
                  Run(given, adam))

          let snfs = Policy.snfs (Schedule.linear 0.3 4L 30L)

          let slow =
              { snfs with
                  Momentum = { Beta = 0.5; Steps = 4 } }

          refusedRun
              "another momentum than the file's"
              "expected Momentum = { Beta = 0.9; Steps = 32 }, got { Beta = 0.5; Steps = 4 }"
              (fun () -> Run(slow, adam))
              (fun () -> Run(snfs, adam))

          refusedRun
              "another momentum than the standard one, of which files say nothing"
              "expected Momentum = { Beta = 0.5; Steps = 4 }, got { Beta = 0.9; Steps = 32 }"
              (fun () -> Run(snfs, adam))
              (fun () -> Run(slow, adam))

          resumesAt 5L ("SNFS over four steps", slow) optimizers.Head

          refusedRun
              "another schedule"
              "Every = 4"
              (fun () -> Run(Policy.rigL (Schedule.cosine 0.3 5L 30L), adam))
              (fun () -> Run(rigL, adam))

          refusedRun
              "another optimizer"
              "expected the state of Adam, got that of SGD"
              (fun () -> Run(rigL, snd optimizers.Head))
              (fun () -> Run(rigL, adam))

          refusedRun
              "an optimizer of other groups"
              "expected 2 groups of 6 parameters"
              (fun () -> Run(rigL, adam))
              (fun () ->
                  Run(
                      rigL,
                      fun model ->
                          let p = List.ofSeq (model.parameters ())
                          torch.optim.Adam [ Adam.ParamGroup(List.take 2 p); Adam.ParamGroup(List.skip 2 p) ] :> _
                  ))

          for name, problem, says, spoil in hostile do
              hostileCase name problem says (fun file ->
                  let header, data = readRaw file
                  writeText file (spoil header) data)

          for name, problem, says, key, spoil in hostileTensors do
              hostileCase name problem says (fun file ->
                  let tensors = Safetensors.load file
                  tensors[key] <- spoil tensors[key]
                  Safetensors.save file (Safetensors.inspect file).Metadata tensors)

          testCase "refused: a rewirer where the run had none, and none where it had one" (fun () ->
              withFile (fun file ->
                  let run = start rigL adam
                  run.Save(file, 0L)

                  refusedAs CheckpointProblem.Mismatch "has a rewirer, but none" (fun () ->
                      Checkpoint.resume file run.Model run.Optimizer ValueNone)


                  Checkpoint.saveTraining atStart file run.Model run.Optimizer ValueNone
                  refusedAs CheckpointProblem.Mismatch "has no rewirer, but one" (fun () -> run.Resume file)))

          refuses "an optimizer of another model" "optimizer" "of shape" (fun () ->
              withFile (fun file ->
                  let one, two = Run(rigL, adam), Run(rigL, adam)


                  Checkpoint.saveTraining atStart file one.Model two.Optimizer ValueNone))

          refuses "a rewirer over another optimizer" "rewirer" "over the optimizer given" (fun () ->
              withFile (fun file ->
                  let one, two = Run(rigL, adam), Run(rigL, adam)


                  Checkpoint.saveTraining atStart file one.Model one.Optimizer (ValueSome two.Rewirer)))

          refuses "a rewirer of another model" "rewirer" "of the model's layers" (fun () ->
              withFile (fun file ->
                  let one, two = Run(rigL, adam), Run(rigL, adam)


                  Checkpoint.saveTraining atStart file one.Model two.Optimizer (ValueSome two.Rewirer)))

          refuses "an optimizer whose state is not known" "optimizer" "LBFGS" (fun () ->
              use model = new Network()
              Checkpoint.resume "x" model (torch.optim.LBFGS(model.parameters ())) ValueNone) ]
