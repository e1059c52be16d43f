/// An optimizer of a user's own is rewired, saved, resumed and carried over as TorchSharp's are.
module SparseFs.Tests.OwnOptimizerTests

open System
open System.Collections.Generic
open Expecto
open SparseFs
open SparseFs.Torch
open SparseFs.Tests.CheckpointFiles
open SparseFs.Tests.OwnOptimizers
open SparseFs.Tests.Refusals
open TorchSharp
open TorchSharp.Modules

let private rigL = Policy.rigL (Schedule.constant 0.3 3L 30L)

let private network () =
    torch.manual_seed 4L |> ignore

    torch.nn.Sequential(
        new SparseLinear(Topology.uniform 20 12 72 (Seed.ofInt 1)),
        torch.nn.ReLU(),
        new SparseLinear(Topology.uniform 5 20 30 (Seed.ofInt 2))
    )

let private sparseOf (model: torch.nn.Module) : SparseLinear list =
    [ for m in model.children () do
          match m with
          | :? SparseLinear as layer -> layer
          | _ -> () ]

let private backward (seed: int64) (model: torch.nn.Module<torch.Tensor, torch.Tensor>) =
    use _ = torch.NewDisposeScope()
    let random = new torch.Generator(uint64 seed)
    let x = torch.randn ([| 6L; 12L |], generator = random)
    let y = torch.randn ([| 6L; 5L |], generator = random)
    torch.nn.functional.mse_loss(model.call x, y).backward()

let private cellsOf (c: Connectivity) : int[] =
    Array.map2 (fun row col -> row * c.Cols + col) (Connectivity.rowIndices c) (c.ColIdx.ToArray())

let private train (rewirer: Rewirer) (model: torch.nn.Module<torch.Tensor, torch.Tensor>) (steps: int64 seq) =
    for step in steps do
        rewirer.ZeroGrad()
        backward step model
        rewirer.Step() |> ignore

let private statefulOf (optimizer: torch.optim.Optimizer) : IStatefulOptimizer =
    match box optimizer with
    | :? IStatefulOptimizer as own -> own
    | _ -> failtest "expected an optimizer of one's own"

let private tensor (optimizer: IStatefulOptimizer) (p: Parameter) (name: string) : float32[] =
    let found = (optimizer.StateOf p).Tensors |> Seq.find (fun t -> t.Name = name)
    use _ = torch.NewDisposeScope()
    (present name found.Value).detach().flatten().contiguous().data<float32>().ToArray()

let private weight (layer: SparseLinear) : float32[] =
    use _ = torch.NewDisposeScope()
    layer.weight.detach().clone().data<float32>().ToArray()

/// All numbers of a model and of what its optimizer keeps.
let private everything (model: torch.nn.Module) (optimizer: IStatefulOptimizer) =
    [ for p in model.parameters () do
          let state = optimizer.StateOf p

          [ for t in state.Tensors ->
                match t.Value with
                | null -> t.Name, ""
                | value -> t.Name, Convert.ToHexString(bytesOf value) ],
          [ for n in state.Numbers -> n.Name, string n.Value ],
          Convert.ToHexString(bytesOf p) ],
    [ for layer in sparseOf model -> layer.Connectivity ]

let private progress: TrainingProgress =
    { Step = 0L
      Seed = Seed.ofInt 0
      Notes = Dictionary() }

/// A run of a model, an optimizer and a rewirer, and another that goes on from the file of its sixth step.
let private resumes (name: string) (make: torch.nn.Module -> torch.optim.Optimizer) =
    testCase $"{name}: a resumed run is, to the bit, the run that went through" (fun () ->
        withFile (fun file ->
            let start () =
                let model = network ()
                let optimizer = make model
                model, optimizer, new Rewirer(model, optimizer, rigL, Seed.ofInt 9)

            let model, optimizer, rewirer = start ()
            train rewirer model [ 1L .. 6L ]
            Checkpoint.saveTraining progress file model optimizer (ValueSome rewirer)
            train rewirer model [ 7L .. 14L ]
            let wanted = everything model (statefulOf optimizer)

            let again, other, followed = start ()
            Checkpoint.resume file again other (ValueSome followed) |> ignore
            Expect.notEqual (everything again (statefulOf other)) wanted "not vacuous"
            train followed again [ 7L .. 14L ]
            Expect.equal (everything again (statefulOf other)) wanted "resumed"))

/// An optimizer whose class tells nonsense of itself.
type private Odd(parameters, kind: string, options: OptimizerField list, state: Parameter -> IParameterState) =
    inherit Lion(parameters, 0.01)

    interface IStatefulOptimizer with
        member _.Kind = kind
        member _.OptionsOf _ = options
        member _.StateOf p = state p
        member _.Forget _ = ()

let private stateOf numbers tensors : IParameterState =
    { new IParameterState with
        member _.Numbers = numbers
        member _.Tensors = tensors }

let private noState _ = stateOf [||] [||]

let private count name =
    OptimizerField.Count(name, (fun () -> 1L), ignore)

let private switch name =
    OptimizerField.Switch(name, (fun () -> true), ignore)

/// Adam that can be held: a class of a user's own, with a step of its own.
type private HeldAdam(parameters: Parameter seq) =
    inherit Adam(parameters, 0.01)
    member val IsHeld = false with get, set

    override o.step(closure) =
        if o.IsHeld then null else base.step closure

/// A test that saving a run of such an optimizer is refused, with a message that says this.
let private odd (name: string) (says: string) kind options state =
    testCase name (fun () ->
        withFile (fun file ->
            use model = network ()
            use optimizer = new Odd(model.parameters (), kind, options, state)

            let message =
                try
                    Checkpoint.saveTraining progress file model optimizer ValueNone
                    ""
                with :? InvalidOperationException as e ->
                    e.Message

            Expect.stringContains message says "message"
            Expect.isFalse (IO.File.Exists file) "nothing was written"))

[<Tests>]
let tests =
    testSequenced
    <| testList
        "Own optimizers"
        [ testCase "a rewired layer keeps what stays, and grown slots begin as the optimizer says" (fun () ->
              use model = network ()
              use optimizer = new Lion(model.parameters (), 0.01)
              // It steps and then rewires; grown weights are not 0, so that an average tells them from a mean.
              let policy =
                  { Policy.set (Schedule.constant 0.3 3L 30L) with
                      GrownWeight = GrownWeight.Uniform 0.1 }

              use rewirer = new Rewirer(model, optimizer, policy, Seed.ofInt 9)
              train rewirer model [ 1L; 2L ]

              let before = [ for layer in sparseOf model -> layer.Connectivity ]
              train rewirer model [ 3L ]

              for layer, old in List.zip (sparseOf model) before do
                  let now = layer.Connectivity
                  Expect.equal now.Nnz old.Nnz "nnz stays"
                  Expect.notEqual now old "the pattern has changed"
                  let mean = tensor optimizer layer.weight "mean"
                  let average = tensor optimizer layer.weight "average"
                  let weight = weight layer
                  let stayed = Set.ofArray (cellsOf old)
                  let cells = cellsOf now

                  for slot in 0 .. now.Nnz - 1 do
                      if not (stayed.Contains cells[slot]) then
                          Expect.equal mean[slot] 0.0f "a mean begins with 0"
                          Expect.equal average[slot] weight[slot] "an average begins with the weight")

          testCase "the mean of a slot that stays is the one that it had" (fun () ->
              use model = network ()
              use optimizer = new Lion(model.parameters (), 0.01)
              optimizer.Beta2 <- 1.0 // a step leaves the means alone
              let layer = List.head (sparseOf model)

              use rewirer =
                  new Rewirer(model, optimizer, Policy.set (Schedule.constant 0.3 2L 30L), Seed.ofInt 9)

              train rewirer model [ 1L ]
              let old = layer.Connectivity

              let state = (optimizer :> IStatefulOptimizer).StateOf layer.weight
              let mean = state.Tensors |> Seq.find (fun t -> t.Name = "mean")
              let marked = Array.init old.Nnz (fun slot -> float32 (slot + 1))
              mean.Give(torch.tensor(marked).DetachFromDisposeScope())
              train rewirer model [ 2L ]
              let now = layer.Connectivity
              Expect.notEqual now old "the pattern has changed"
              let marks = Map.ofArray (Array.zip (cellsOf old) marked)

              let wanted =
                  cellsOf now
                  |> Array.map (fun cell -> Map.tryFind cell marks |> Option.defaultValue 0.0f)

              Expect.equal (tensor optimizer layer.weight "mean") wanted "means by their cells")

          resumes "Lion" (fun model -> new Lion(model.parameters (), 0.01))
          resumes "SAM of Adam" (fun model -> new Sam(torch.optim.Adam(model.parameters (), 0.01), 0.05))

          testCase "SAM of no radius is the optimizer that it wraps, through every update" (fun () ->
              let run (wrap: Adam -> torch.optim.Optimizer) (climb: torch.optim.Optimizer -> unit) =
                  let model = network ()
                  let adam = torch.optim.Adam(model.parameters (), 0.01)
                  let optimizer = wrap adam
                  use rewirer = new Rewirer(model, optimizer, rigL, Seed.ofInt 9)

                  for step in 1L .. 10L do
                      rewirer.ZeroGrad()
                      backward step model
                      climb optimizer
                      rewirer.Step() |> ignore

                  everything model (StatefulOptimizer.Of adam)

              let plain = run (fun adam -> adam) ignore

              Expect.equal
                  (run (fun adam -> new Sam(adam, 0.0)) (fun sam -> (sam :?> Sam).Climb()))
                  plain
                  "of radius 0"

              Expect.notEqual (run (fun adam -> new Sam(adam, 0.5)) (fun sam -> (sam :?> Sam).Climb())) plain "of 0.5")

          testCase "Sparsify carries it over" (fun () ->
              torch.manual_seed 4L |> ignore

              use model =
                  torch.nn.Sequential(torch.nn.Linear(12L, 16L), torch.nn.ReLU(), torch.nn.Linear(16L, 5L))

              use optimizer = new Lion(model.parameters (), 0.01)

              for step in 1L .. 3L do
                  optimizer.zero_grad ()
                  backward step model
                  optimizer.step () |> ignore

              let dense = model.children () |> Seq.head :?> Linear
              let mean = tensor optimizer dense.weight "mean"
              let kept = optimizer.Kept
              Sparsify.modelWith optimizer (Sparsify.each 0.7) model |> ignore
              let layer = List.head (sparseOf model)
              let c = layer.Connectivity

              Expect.equal
                  (tensor optimizer layer.weight "mean")
                  (cellsOf c |> Array.map (fun cell -> mean[cell]))
                  "means of the cells that stay"

              Expect.equal optimizer.Kept kept "what it kept for the old parameters is gone"

              let steps =
                  ((optimizer :> IStatefulOptimizer).StateOf layer.weight).Numbers
                  |> Seq.find (fun n -> n.Name = "step")

              Expect.equal (string steps.Value) (string (OptimizerNumber.Count 3L)) "and its count goes on"
              use rewirer = new Rewirer(model, optimizer, rigL, Seed.ofInt 9)
              train rewirer model [ 1L .. 4L ])

          testCase "Sparsify carries a wrapper over, by the state of what it wraps" (fun () ->
              torch.manual_seed 4L |> ignore

              use model =
                  torch.nn.Sequential(torch.nn.Linear(12L, 16L), torch.nn.ReLU(), torch.nn.Linear(16L, 5L))

              let adam = torch.optim.Adam(model.parameters (), 0.01, amsgrad = true)
              use sam = new Sam(adam, 0.05)

              for step in 1L .. 3L do
                  sam.zero_grad ()
                  backward step model
                  sam.step () |> ignore

              let dense = model.children () |> Seq.head :?> Linear
              let inner = StatefulOptimizer.Of adam

              let before =
                  [ for name in [ "exp_avg"; "max_exp_avg_sq" ] -> name, tensor inner dense.weight name ]

              let states = adam.state_dict().State.Count
              Sparsify.modelWith sam (Sparsify.each 0.7) model |> ignore
              let layer = List.head (sparseOf model)

              for name, numbers in before do
                  Expect.equal
                      (tensor inner layer.weight name)
                      (cellsOf layer.Connectivity |> Array.map (fun cell -> numbers[cell]))
                      name

              Expect.equal (adam.state_dict().State.Count) states "as many states as before"
              use rewirer = new Rewirer(model, sam, rigL, Seed.ofInt 9)
              train rewirer model [ 1L .. 4L ])

          testCase "one that keeps other tensors for a new parameter is refused, and nothing changes" (fun () ->
              use model =
                  torch.nn.Sequential(torch.nn.Linear(12L, 16L), torch.nn.ReLU(), torch.nn.Linear(16L, 5L))

              let first = model.parameters () |> Seq.map _.Handle |> Set.ofSeq
              let mean = torch.zeros (16L, 12L)

              let stateFor (p: Parameter) =
                  let tensors =
                      if p.shape = [| 16L; 12L |] then
                          [| OptimizerTensor("m", 0.0, (fun () -> mean), ignore) |]
                      else
                          [||]

                  stateOf [||] tensors

              use optimizer = new Odd(model.parameters (), "Odd", [], stateFor)

              let message =
                  try
                      Sparsify.modelWith optimizer (Sparsify.each 0.5) model |> ignore
                      ""
                  with :? InvalidOperationException as e ->
                      e.Message

              Expect.stringContains message "to keep the tensor 'm' for a new parameter too" "message"
              Expect.equal (model.parameters () |> Seq.map _.Handle |> Set.ofSeq) first "the model")

          testCase "a second step for one batch is noticed by its count" (fun () ->
              use model = network ()
              use optimizer = new Lion(model.parameters (), 0.01)
              use rewirer = new Rewirer(model, optimizer, rigL, Seed.ofInt 9)

              for step in 1L .. 2L do
                  rewirer.ZeroGrad()
                  backward step model
                  optimizer.step () |> ignore
                  rewirer.Step() |> ignore

              Expect.exists rewirer.Notices (fun n -> n.Kind = NoticeKind.SteppedTwice) "noticed")

          testCase "a class derived from Adam steps itself, young slots too" (fun () ->
              use model = network ()
              use optimizer = new HeldAdam(model.parameters ())

              let policy =
                  { Policy.set (Schedule.constant 0.3 2L 30L) with
                      Moments = Moments.Fresh }

              use rewirer = new Rewirer(model, optimizer, policy, Seed.ofInt 9)
              train rewirer model [ 1L; 2L ]
              optimizer.IsHeld <- true
              let before = List.map weight (sparseOf model)
              train rewirer model [ 3L ]
              Expect.equal (List.map weight (sparseOf model)) before "held")

          refuses "ages of an optimizer whose steps are not known" "policy" "Lion" (fun () ->
              use model = network ()
              let policy = { rigL with Moments = Moments.Fresh }
              new Rewirer(model, new Lion(model.parameters (), 0.01), policy, Seed.ofInt 1))

          testCase "a file of another kind is refused, and nothing changes" (fun () ->
              withFile (fun file ->
                  use model = network ()
                  use lion = new Lion(model.parameters (), 0.01)
                  let adam = torch.optim.Adam(model.parameters (), 0.01)
                  Checkpoint.saveTraining progress file model adam ValueNone
                  let before = everything model lion

                  let e =
                      Expect.throwsT<CheckpointException>
                          (fun () -> Checkpoint.resume file model lion ValueNone |> ignore)
                          "refused"

                  ignore e
                  Expect.equal (everything model lion) before "as it was"))

          testCase "a tensor of another shape is refused before anything changes" (fun () ->
              use model = network ()

              use optimizer =
                  new Odd(
                      model.parameters (),
                      "Odd",
                      [],
                      fun _ -> stateOf [||] [| OptimizerTensor("m", 0.0, (fun () -> torch.zeros 3L), ignore) |]
                  )

              use rewirer =
                  new Rewirer(model, optimizer, Policy.set (Schedule.constant 0.3 1L 30L), Seed.ofInt 9)

              let before = [ for layer in sparseOf model -> layer.Connectivity ]
              backward 1L model

              let message =
                  try
                      rewirer.Step() |> ignore
                      ""
                  with :? InvalidOperationException as e ->
                      e.Message

              Expect.stringContains message "expected 'm' of an optimizer to be a tensor of shape" "message"
              Expect.equal [ for layer in sparseOf model -> layer.Connectivity ] before "patterns")

          odd "no kind" "expected a Kind" "" [] noState
          odd "a kind with spaces" "without spaces, got 'a b'" "a b" [] noState
          odd "no list of options" "a list of options, got null" "Odd" (Unchecked.defaultof<_>) noState
          odd "an option twice" "'x' twice" "Odd" [ switch "x"; count "x" ] noState
          odd "an option that is a learning rate" "'LearningRate', which" "Odd" [ count "LearningRate" ] noState
          odd "no state" "StateOf to return a state" "Odd" [] (fun _ -> Unchecked.defaultof<_>)
          odd "a number that files have for something else" "'grad', which" "Odd" [] (fun _ ->
              stateOf [| count "grad" |] [||])
          odd "a null among the tensors" "a list of Tensors, got null" "Odd" [] (fun _ ->
              stateOf [||] [| Unchecked.defaultof<_> |])
          odd "a tensor that is not there" "OptimizerTensor.Lazy" "Odd" [] (fun _ ->
              stateOf [||] [| OptimizerTensor("m", 0.0, (fun () -> Unchecked.defaultof<_>), ignore) |])

          for name in [ ""; "a b"; "a=b"; "a.b"; "ä" ] do
              refuses $"a field of the name '{name}'" "name" "letters, digits" (fun () -> count name)

              refuses $"a tensor of the name '{name}'" "name" "letters, digits" (fun () ->
                  OptimizerTensor(name, 0.0, (fun () -> Unchecked.defaultof<_>), ignore))

          refuses "a number of a weight never seen that is none" "unseen" "finite" (fun () ->
              OptimizerTensor("m", nan, (fun () -> Unchecked.defaultof<_>), ignore)) ]
