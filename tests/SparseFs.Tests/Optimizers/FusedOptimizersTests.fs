/// Optimizers with a step of ours beside TorchSharp's, number by number.
module SparseFs.Tests.FusedOptimizersTests

open System
open System.IO
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.CSharp
open TorchSharp
open TorchSharp.Modules

/// Options that all kinds have, and those that some have.
type private Options =
    { Rate: float
      Decay: float
      Momentum: float
      Switch: bool
      Maximize: bool }

type private Kind =
    { Name: string
      Theirs: Parameter[] -> Options -> torch.optim.Optimizer
      Ours: Parameter[] -> Options -> torch.optim.Optimizer }

let private kinds =
    [ { Name = "AdamW"
        Theirs =
          fun ps o ->
              torch.optim.AdamW(
                  ps,
                  o.Rate,
                  0.8,
                  0.99,
                  1e-6,
                  weight_decay = o.Decay,
                  amsgrad = o.Switch,
                  maximize = o.Maximize
              )
        Ours =
          fun ps o ->
              SparseOptim.adamW (
                  ps,
                  o.Rate,
                  0.8,
                  0.99,
                  1e-6,
                  weightDecay = o.Decay,
                  amsgrad = o.Switch,
                  maximize = o.Maximize
              ) }
      { Name = "Adam"
        Theirs =
          fun ps o ->
              torch.optim.Adam(
                  ps,
                  o.Rate,
                  0.8,
                  0.99,
                  1e-6,
                  weight_decay = o.Decay,
                  amsgrad = o.Switch,
                  maximize = o.Maximize
              )
        Ours =
          fun ps o ->
              SparseOptim.adam (
                  ps,
                  o.Rate,
                  0.8,
                  0.99,
                  1e-6,
                  weightDecay = o.Decay,
                  amsgrad = o.Switch,
                  maximize = o.Maximize
              ) }
      // TorchSharp's SGD turns the sign of the decay too where a loss is to rise: a test of its own.
      { Name = "SGD"
        Theirs =
          fun ps o ->
              torch.optim.SGD(ps, o.Rate, o.Momentum, weight_decay = o.Decay, nesterov = (o.Switch && o.Momentum > 0.0))
        Ours =
          fun ps o ->
              SparseOptim.sgd (ps, o.Rate, o.Momentum, weightDecay = o.Decay, nesterov = (o.Switch && o.Momentum > 0.0)) }
      { Name = "RMSProp"
        Theirs =
          fun ps o ->
              torch.optim.RMSProp(
                  ps,
                  o.Rate,
                  0.9,
                  1e-6,
                  weight_decay = o.Decay,
                  momentum = o.Momentum,
                  centered = o.Switch,
                  maximize = o.Maximize
              )
        Ours =
          fun ps o ->
              SparseOptim.rmsProp (
                  ps,
                  o.Rate,
                  0.9,
                  1e-6,
                  weightDecay = o.Decay,
                  momentum = o.Momentum,
                  centered = o.Switch,
                  maximize = o.Maximize
              ) } ]

let private options =
    gen {
        let! rate = Gen.elements [ 0.001; 0.1 ]
        let! decay = Gen.elements [ 0.0; 0.05 ]
        let! momentum = Gen.elements [ 0.0; 0.9 ]
        let! switch = Gen.elements [ false; true ]
        let! maximize = Gen.elements [ false; true ]

        return
            { Rate = rate
              Decay = decay
              Momentum = momentum
              Switch = switch
              Maximize = maximize }
    }

let private plain =
    { Rate = 0.01
      Decay = 0.05
      Momentum = 0.9
      Switch = false
      Maximize = false }

/// Parameters of these shapes, with the same numbers for both.
let private twins (make: unit -> torch.Tensor list) : Parameter[] * Parameter[] =
    let numbers = make ()

    Array.ofList [ for t in numbers -> new Parameter(t.clone ()) ],
    Array.ofList [ for t in numbers -> new Parameter(t.clone ()) ]

let private setGrad (p: Parameter) (grad: torch.Tensor) = p.grad <- grad

/// Every number of both, within the units in the last place by which the root of torch's vectors may be off at each step. A step
/// moves a weight by a few rates at most.
let private areAlike (what: string) (steps: int) (rate: float) (theirs: Parameter[]) (ours: Parameter[]) =
    for a, b in Array.zip theirs ours do
        use _ = torch.NewDisposeScope()
        let difference = a.sub(b).abs().to_type torch.ScalarType.Float64

        let size =
            a.abs().to_type(torch.ScalarType.Float64).add((10.0 * rate * float steps).ToScalar())

        let most = difference.div(size).max().item<float>()
        Expect.isLessThanOrEqual most (float steps * 2.0 ** -22.0) $"{what}, of {a.numel ()} numbers"

[<Tests>]
let tests =
    testList
        "Fused optimizers"
        [ for kind in kinds do
              testPropertyWithConfig
                  { FsCheckConfig.defaultConfig with
                      maxTest = 40 }
                  $"{kind.Name} steps as TorchSharp's"
                  (Prop.forAll (Arb.fromGen (Gen.zip options (Gen.choose (1, 200)))) (fun (o, length) ->
                      use _ = torch.NewDisposeScope()

                      let theirs, ours =
                          twins (fun () -> [ torch.randn (int64 length); torch.randn (3L, int64 length) ])

                      use a = kind.Theirs theirs o
                      use b = kind.Ours ours o

                      for _ in 1..10 do
                          for p, q in Array.zip theirs ours do
                              let grad = torch.randn_like p
                              setGrad p grad
                              setGrad q (grad.clone ())

                          a.step () |> ignore
                          b.step () |> ignore

                      areAlike $"{o}" 10 o.Rate theirs ours))

              testCase $"{kind.Name}: large parameters, by threads, and parameters that are not plain" (fun () ->
                  use _ = torch.NewDisposeScope()

                  let make () =
                      [ torch.randn 100_003L
                        torch.randn (7L, dtype = torch.ScalarType.Float64)
                        torch.randn(5L, 4L).t()
                        torch.randn [||]
                        torch.zeros [| 0L; 3L |]
                        torch.randn 6L ]

                  let theirs, ours = twins make
                  use a = kind.Theirs theirs plain
                  use b = kind.Ours ours plain

                  for step in 1..5 do
                      for i, (p, q) in Array.indexed (Array.zip theirs ours) do
                          // The last one has no gradient at first.
                          if i < 5 || step > 2 then
                              let grad = torch.randn_like p
                              setGrad p grad
                              setGrad q (grad.clone ())

                      a.step () |> ignore
                      b.step () |> ignore

                  // The empty one has no largest difference.
                  let full = Array.filter (fun (p: Parameter) -> p.numel () > 0L)
                  areAlike kind.Name 5 plain.Rate (full theirs) (full ours)

                  for q in ours do
                      Expect.isNotNull (q.grad: torch.Tensor | null) "gradients are given back")

              testCase $"{kind.Name}: a graph that has saved a weight is refused after a step" (fun () ->
                  use _ = torch.NewDisposeScope()
                  let p = new Parameter(torch.randn 4L)
                  use optimizer = kind.Ours [| p |] plain
                  let y = p.mul(p).sum()
                  setGrad p (torch.ones 4L)
                  optimizer.step () |> ignore
                  Expect.throws (fun () -> y.backward ()) "backward")

              testCase $"{kind.Name}: a step leaves no garbage but its scope" (fun () ->
                  use _ = torch.NewDisposeScope()
                  let threads = torch.get_num_threads ()
                  torch.set_num_threads 1

                  try
                      let parameters = [| for _ in 1..50 -> new Parameter(torch.randn 100L) |]

                      for p in parameters do
                          setGrad p (torch.ones 100L)

                      use optimizer = kind.Ours parameters plain

                      for _ in 1..50 do
                          optimizer.step () |> ignore

                      let before = GC.GetAllocatedBytesForCurrentThread()

                      for _ in 1..10 do
                          optimizer.step () |> ignore

                      let each = (GC.GetAllocatedBytesForCurrentThread() - before) / 10L
                      Expect.isLessThan each 200L "bytes"
                  finally
                      torch.set_num_threads threads)

              testCase $"{kind.Name}: a run goes on from TorchSharp's file, and TorchSharp's from ours" (fun () ->
                  use _ = torch.NewDisposeScope()
                  let folder = Directory.CreateTempSubdirectory "sparsefs-fused"

                  try
                      let make () =
                          torch.nn.Sequential(
                              new SparseLinear(20, 30, sparsity = 0.5, seed = Seed.ofInt 1),
                              torch.nn.Linear(30L, 2L)
                          )

                      // Other tests draw from torch's generator meanwhile: all begin with the numbers of one.
                      let first = make ()

                      let start () =
                          let model = make ()
                          model.load_state_dict (first.state_dict ()) |> ignore
                          model

                      let parametersOf (m: torch.nn.Module) = Array.ofSeq (m.parameters ())
                      let x = torch.randn (16L, 20L)

                      let train (model: Sequential) (optimizer: torch.optim.Optimizer) =
                          for _ in 1..4 do
                              optimizer.zero_grad ()
                              model.call(x).square().mean().backward()
                              optimizer.step () |> ignore

                      let half
                          (first: Parameter[] -> torch.optim.Optimizer)
                          (second: Parameter[] -> torch.optim.Optimizer)
                          =
                          let file = Path.Combine(folder.FullName, Path.GetRandomFileName() + ".safetensors")
                          let model = start ()
                          use optimizer = first (parametersOf model)
                          train model optimizer

                          Checkpoint.saveTraining
                              { Step = 4L
                                Seed = Seed.ofInt 1
                                Notes = Map.empty }
                              file
                              model
                              optimizer
                              ValueNone

                          let other = start ()
                          use resumed = second (parametersOf other)
                          Checkpoint.resume file other resumed ValueNone |> ignore
                          train other resumed
                          parametersOf other

                      let theirs = fun ps -> kind.Theirs ps plain
                      let ours = fun ps -> kind.Ours ps plain
                      let wanted = half theirs theirs
                      areAlike "ours from theirs" 8 plain.Rate wanted (half theirs ours)
                      areAlike "theirs from ours" 8 plain.Rate wanted (half ours theirs)
                  finally
                      folder.Delete true)

          for name, make in
              [ "AdamW",
                (fun (maker: string) (a: Parameter) (b: Parameter) ->
                    let options =
                        AdamW.Options(LearningRate = Nullable 0.1, weight_decay = Nullable 0.25)

                    let groups = [ AdamW.ParamGroup([ a ], options); AdamW.ParamGroup([ b ]) ]

                    match maker with
                    | "torch" -> torch.optim.AdamW(groups, 0.01, weight_decay = 0.01) :> torch.optim.Optimizer
                    | "F#" -> SparseOptim.adamW (groups, lr = 0.01)
                    | _ -> sparseoptim.AdamW(groups, 0.01))
                "Adam",
                (fun (maker: string) (a: Parameter) (b: Parameter) ->
                    let options =
                        Adam.Options(LearningRate = Nullable 0.1, weight_decay = Nullable 0.25)

                    let groups = [ Adam.ParamGroup([ a ], options); Adam.ParamGroup([ b ]) ]

                    match maker with
                    | "torch" -> torch.optim.Adam(groups, 0.01) :> torch.optim.Optimizer
                    | "F#" -> SparseOptim.adam (groups, lr = 0.01)
                    | _ -> sparseoptim.Adam(groups, 0.01))
                "SGD",
                (fun (maker: string) (a: Parameter) (b: Parameter) ->
                    let options = SGD.Options(LearningRate = Nullable 0.1, weight_decay = Nullable 0.25)
                    let groups = [ SGD.ParamGroup([ a ], options); SGD.ParamGroup([ b ]) ]

                    match maker with
                    | "torch" -> torch.optim.SGD(groups, 0.01) :> torch.optim.Optimizer
                    | "F#" -> SparseOptim.sgd (groups, lr = 0.01)
                    | _ -> sparseoptim.SGD(groups, 0.01))
                "RMSProp",
                (fun (maker: string) (a: Parameter) (b: Parameter) ->
                    let options =
                        RMSProp.Options(LearningRate = Nullable 0.1, weight_decay = Nullable 0.25)

                    let groups = [ RMSProp.ParamGroup([ a ], options); RMSProp.ParamGroup([ b ]) ]

                    match maker with
                    | "torch" -> torch.optim.RMSProp(groups, 0.01) :> torch.optim.Optimizer
                    | "F#" -> SparseOptim.rmsProp (groups, lr = 0.01)
                    | _ -> sparseoptim.RMSProp(groups, 0.01)) ] do
              testCase $"{name}: groups have rates and decays of their own" (fun () ->
                  for language in [ "F#"; "C#" ] do
                      use _ = torch.NewDisposeScope()
                      let first, second = twins (fun () -> [ torch.randn 30L; torch.randn 20L ])
                      use a = make "torch" first[0] first[1]
                      use b = make language second[0] second[1]

                      for _ in 1..5 do
                          for p, q in Array.zip first second do
                              let grad = torch.randn_like p
                              setGrad p grad
                              setGrad q (grad.clone ())

                          a.step () |> ignore
                          b.step () |> ignore

                      areAlike $"{name}, {language}" 5 0.1 first second)

          Refusals.refuses "a parameter in two groups is refused" "groups" "shape [3] in groups 0 and 2" (fun () ->
              use _ = torch.NewDisposeScope()
              let p, q = new Parameter(torch.zeros 3L), new Parameter(torch.zeros (2L, 5L))

              SparseOptim.adamW [ AdamW.ParamGroup [ p ]; AdamW.ParamGroup [ q; q ]; AdamW.ParamGroup [ p; q ] ])

          testCase "SGD of a loss that is to rise turns the gradient's sign alone" (fun () ->
              use _ = torch.NewDisposeScope()
              let p = new Parameter(torch.tensor [| 2.0f; -1.0f |])
              use optimizer = SparseOptim.sgd ([| p |], 0.5, weightDecay = 0.25, maximize = true)
              setGrad p (torch.tensor [| 1.0f; 4.0f |])
              optimizer.step () |> ignore
              // p − 0.5 · (−g + 0.25 · p)
              Expect.equal (p.data<float32>().ToArray()) [| 2.25f; 1.125f |] "weights")

          testCase "SGD's buffer is TorchSharp's where a loss is to rise" (fun () ->
              use _ = torch.NewDisposeScope()
              let p, q = new Parameter(torch.zeros 3L), new Parameter(torch.zeros 3L)
              use theirs = torch.optim.SGD([| p |], 0.1, 0.9, maximize = true)
              use ours = SparseOptim.sgd ([| q |], 0.1, 0.9, maximize = true)

              let step (optimizers: torch.optim.Optimizer list) =
                  for p in [ p; q ] do
                      setGrad p (torch.ones 3L)

                  for optimizer in optimizers do
                      optimizer.step () |> ignore

              step [ theirs; ours ]
              // Each goes on from the other's.
              let ofTheirs = (theirs.state_dict().State[0] :?> SGD.State).momentum_buffer.clone()
              let ofOurs = (ours.state_dict().State[0] :?> SGD.State).momentum_buffer
              Expect.isTrue (ofTheirs.allclose ofOurs) "buffers"
              step [ theirs; ours ]
              areAlike "weights" 2 0.1 [| p |] [| q |])

          testCase "a model that was converted since is not left untrained in silence" (fun () ->
              use _ = torch.NewDisposeScope()

              use model =
                  torch.nn.Sequential(torch.nn.Linear(20L, 30L), torch.nn.ReLU(), torch.nn.Linear(30L, 2L))

              use optimizer = SparseOptim.adamW (model.parameters ())
              Sparsify.model (Sparsify.each 0.5) model |> ignore
              model.call(torch.randn (4L, 20L)).sum().backward()

              Expect.stringContains
                  (Expect.throwsC (fun () -> optimizer.step () |> ignore) _.Message)
                  "the model was converted, moved or extended since"
                  "message"

              use carried =
                  torch.nn.Sequential(torch.nn.Linear(20L, 30L), torch.nn.ReLU(), torch.nn.Linear(30L, 2L))

              use goesOn = SparseOptim.adamW (carried.parameters ())
              Sparsify.modelWith goesOn (Sparsify.each 0.5) carried |> ignore
              carried.call(torch.randn (4L, 20L)).sum().backward()
              goesOn.step () |> ignore)

          testCase "an option that asks for what is not there is TorchSharp's to refuse" (fun () ->
              use _ = torch.NewDisposeScope()
              let p = new Parameter(torch.ones 3L)
              use optimizer = SparseOptim.adam [| p |]
              setGrad p (torch.ones 3L)

              for group in optimizer.ParamGroups do
                  (group :?> Adam.ParamGroup).Options.amsgrad <- Nullable true

              Expect.throws (fun () -> optimizer.step () |> ignore) "amsgrad without its largest squares")

          testCase "gradients are clipped together, as clip_grad_norm_ does it" (fun () ->
              use _ = torch.NewDisposeScope()

              for maxNorm in [ 0.5; 100.0 ] do
                  let theirs, ours =
                      twins (fun () ->
                          [ torch.randn 50L
                            torch.randn 70_000L
                            torch.randn (9L, dtype = torch.ScalarType.Float64) ])

                  use a = torch.optim.SGD(theirs, 0.1)
                  use b = SparseOptim.sgd (ours, 0.1, maxNorm = maxNorm)

                  for p, q in Array.zip theirs ours do
                      let grad = torch.randn_like(p).mul(0.1.ToScalar())
                      setGrad p grad
                      setGrad q (grad.clone ())

                  torch.nn.utils.clip_grad_norm_ (theirs, maxNorm) |> ignore
                  a.step () |> ignore
                  b.step () |> ignore
                  areAlike $"{maxNorm}" 4 0.1 theirs ours)

          testCase "a norm that no float32 holds is one" (fun () ->
              use _ = torch.NewDisposeScope()
              let p = new Parameter(torch.zeros 2L)
              use optimizer = SparseOptim.sgd ([| p |], 1.0, maxNorm = 1.0)
              setGrad p (torch.tensor [| 3e30f; 4e30f |])
              optimizer.step () |> ignore
              let w = p.data<float32>().ToArray()
              Expect.floatClose Accuracy.medium (float w[0]) -0.6 "first"
              Expect.floatClose Accuracy.medium (float w[1]) -0.8 "second")

          testCase "groups have their own rates, a scheduler changes them, and one may be added" (fun () ->
              use _ = torch.NewDisposeScope()
              let first, second = new Parameter(torch.ones 3L), new Parameter(torch.ones 3L)
              use optimizer = SparseOptim.sgd ([| first |], 1.0)
              optimizer.add_param_group (SGD.ParamGroup([| second |], SGD.Options(LearningRate = Nullable 0.5)))
              let scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)

              let step () =
                  for p in [ first; second ] do
                      setGrad p (torch.ones 3L)

                  optimizer.step () |> ignore

              step ()
              scheduler.step ()
              step ()
              Expect.floatClose Accuracy.medium (float (first.data<float32>().[0])) (1.0 - 1.0 - 0.1) "first"
              Expect.floatClose Accuracy.medium (float (second.data<float32>().[0])) (1.0 - 0.5 - 0.05) "second")

          testCase "a parameter that two modules share steps once" (fun () ->
              use _ = torch.NewDisposeScope()
              let p = new Parameter(torch.ones 3L)
              use optimizer = SparseOptim.sgd ([| p; p |], 0.25)
              setGrad p (torch.ones 3L)
              optimizer.step () |> ignore
              Expect.equal (p.data<float32>().ToArray()) [| 0.75f; 0.75f; 0.75f |] "weights")

          testCase "a closure's loss is returned" (fun () ->
              use _ = torch.NewDisposeScope()
              let p = new Parameter(torch.tensor [| 3.0f |])
              use optimizer = SparseOptim.sgd ([| p |], 0.5)

              let loss =
                  optimizer.step (fun () ->
                      optimizer.zero_grad ()
                      let loss = p.square().sum()
                      loss.backward ()
                      loss)

              Expect.equal (loss.item<float32>()) 9.0f "loss"
              Expect.equal (p.item<float32>()) 0.0f "weight")

          testCase "layers that are rewired keep their moments, and grown slots step as fresh ones" (fun () ->
              use _ = torch.NewDisposeScope()

              for moments in [ Moments.Zero; Moments.Fresh ] do
                  let x = torch.randn (64L, 30L)
                  use start = new SparseLinear(30, 20, sparsity = 0.7, seed = Seed.ofInt 2)

                  let run (make: Parameter seq -> torch.optim.Optimizer) =
                      use layer = new SparseLinear(30, 20, sparsity = 0.7, seed = Seed.ofInt 2)
                      layer.load_state_dict (start.state_dict ()) |> ignore
                      use optimizer = make (layer.parameters ())

                      let policy =
                          { Policy.set (Schedule.constant 0.3 5L 100L) with
                              Moments = moments }

                      use rewirer = new Rewirer(layer, optimizer, policy, Seed.ofInt 3)

                      for _ in 1..12 do
                          optimizer.zero_grad ()
                          layer.call(x).square().mean().backward()
                          rewirer.Step() |> ignore

                      layer.Connectivity, new Parameter(layer.weight.detach().clone())

                  let pattern, theirs = run (fun ps -> torch.optim.Adam(ps, 0.01))
                  let ownPattern, ours = run (fun ps -> SparseOptim.adam (ps, 0.01))
                  Expect.equal ownPattern pattern $"{moments}: pattern"
                  areAlike $"{moments}" 12 0.01 [| theirs |] [| ours |])

          testCase "what is out of range is refused" (fun () ->
              let p = new Parameter(torch.ones 3L)

              Expect.equal
                  (Expect.throwsC (fun () -> SparseOptim.adamW ([| p |], maxNorm = 0.0) |> ignore) _.Message)
                  "expected a norm above 0, got 0 (Parameter 'maxNorm')"
                  "norm"

              Expect.throwsT<ArgumentNullException>
                  (fun () -> SparseOptim.sgd (Unchecked.defaultof<Parameter seq>) |> ignore)
                  "parameters"

              Expect.throws (fun () -> SparseOptim.sgd ([| p |], -1.0) |> ignore) "rate")

          testCase "C# makes the same optimizers" (fun () ->
              let p = new Parameter(torch.ones 3L)
              use adamW = sparseoptim.AdamW([| p |], maxNorm = Nullable 2.0)
              Expect.equal adamW.MaxNorm 2.0 "norm"
              Expect.equal (string adamW) "FusedAdamW(1 parameters, rate 0.001, norm of gradients at most 2)" "text"
              use adam = sparseoptim.Adam([| p |])
              Expect.equal adam.MaxNorm infinity "no norm"
              use sgd = sparseoptim.SGD([| p |], momentum = 0.9, nesterov = true)
              use rmsProp = sparseoptim.RMSProp([| p |], centered = true)
              setGrad p (torch.ones 3L)

              let all: torch.optim.Optimizer list = [ adamW; adam; sgd; rmsProp ]

              for optimizer in all do
                  let before = p.detach().clone()
                  optimizer.step () |> ignore
                  Expect.isFalse (p.allclose before) $"{optimizer.GetType().Name} steps") ]
