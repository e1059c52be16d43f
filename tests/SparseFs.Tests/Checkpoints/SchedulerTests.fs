/// A scheduler of the learning rate that is resumed goes on as the one that never stopped.
module SparseFs.Tests.SchedulerTests

open System
open System.Collections.Generic
open Expecto
open SparseFs
open SparseFs.Tests.CheckpointFiles
open SparseFs.Tests.Refusals
open TorchSharp

type private Scheduler = torch.optim.lr_scheduler.LRScheduler
type private Schedulers = torch.optim.lr_scheduler

let private steps = 24

/// A metric that gets better, stalls and gets better again.
let private metric (step: int) =
    if step % 9 < 4 then 10.0 / float (step + 1) else 8.0

let private schedulers: (string * (torch.optim.Optimizer -> Scheduler)) list =
    [ "StepLR", (fun o -> Schedulers.StepLR(o, 5, 0.5))
      "MultiStepLR", (fun o -> Schedulers.MultiStepLR(o, [| 3; 8; 15 |], 0.3))
      "LambdaLR", (fun o -> Schedulers.LambdaLR(o, (fun epoch -> 1.0 / (1.0 + float epoch / 3.0))))
      "MultiplicativeLR", (fun o -> Schedulers.MultiplicativeLR(o, (fun epoch -> 1.0 - 1.0 / (2.0 + float epoch))))
      "PolynomialLR", (fun o -> Schedulers.PolynomialLR(o, 20, 1.5))
      "ExponentialLR", (fun o -> Schedulers.ExponentialLR(o, 0.93))
      "ConstantLR", (fun o -> Schedulers.ConstantLR(o, 0.25, 7))
      "LinearLR", (fun o -> Schedulers.LinearLR(o, 0.2, 1.0, 11))
      "CosineAnnealingLR", (fun o -> Schedulers.CosineAnnealingLR(o, 9.0, 1e-4))
      "OneCycleLR", (fun o -> Schedulers.OneCycleLR(o, 0.4, total_steps = 30))
      "CyclicLR", (fun o -> Schedulers.CyclicLR(o, 0.01, 0.3, step_size_up = 4, cycle_momentum = false))
      "CyclicLR that halves",
      (fun o ->
          Schedulers.CyclicLR(
              o,
              0.01,
              0.3,
              step_size_up = 3,
              step_size_down = 4,
              mode = Schedulers.impl.CyclicLR.Mode.Triangular2,
              cycle_momentum = false
          ))
      "SequentialLR",
      (fun o ->
          Schedulers.SequentialLR(
              o,
              [ Schedulers.LinearLR(o, 0.1, 1.0, 6)
                Schedulers.ExponentialLR(o, 0.9)
                Schedulers.StepLR(o, 3, 0.5) ],
              [ 6; 14 ]
          ))
      "ChainedLR",
      (fun o -> Schedulers.ChainedLR [ Schedulers.LinearLR(o, 0.3, 1.0, 8); Schedulers.ExponentialLR(o, 0.95) ]) ]

/// Only over an optimizer with a momentum.
let private ofMomentum: (string * (torch.optim.Optimizer -> Scheduler)) list =
    [ "CyclicLR with momentum",
      (fun o -> Schedulers.CyclicLR(o, 0.01, 0.3, step_size_up = 4, base_momentum = 0.5, max_momentum = 0.6)) ]

let private optimizers: (string * (torch.nn.Module -> torch.optim.Optimizer)) list =
    let halves (model: torch.nn.Module) =
        let parameters = Array.ofSeq (model.parameters ())
        parameters[..0], parameters[1..]

    [ "SGD",
      fun model ->
          let a, b = halves model

          torch.optim.SGD(
              [ Modules.SGD.ParamGroup(a, Modules.SGD.Options(LearningRate = 0.1, momentum = 0.9))
                Modules.SGD.ParamGroup(b, Modules.SGD.Options(LearningRate = 0.03, momentum = 0.8)) ],
              0.05
          )
      "Adam",
      fun model ->
          let a, b = halves model

          torch.optim.Adam(
              [ Modules.Adam.ParamGroup(a, Modules.Adam.Options(LearningRate = 0.1))
                Modules.Adam.ParamGroup(b, Modules.Adam.Options(LearningRate = 0.03)) ]
          )
      "RMSProp with one group", (fun model -> torch.optim.RMSProp(model.parameters (), 0.02, momentum = 0.7)) ]

/// Everything that a scheduler sets, to the bit.
let private options (optimizer: torch.optim.Optimizer) : int64 list =
    [ for group in optimizer.ParamGroups do
          BitConverter.DoubleToInt64Bits group.LearningRate
          BitConverter.DoubleToInt64Bits group.InitialLearningRate

          match group with
          | :? torch.optim.IMomentum as m -> BitConverter.DoubleToInt64Bits m.Momentum
          | _ -> ()

          match group with
          | :? torch.optim.IBetas as b ->
              let struct (first, second) = b.Betas
              BitConverter.DoubleToInt64Bits first
              BitConverter.DoubleToInt64Bits second
          | _ -> () ]

/// What a scheduler says that it set last; ChainedLR says nothing.
let private said (scheduler: Scheduler) : int64 list =
    match scheduler.get_last_lr () with
    | null -> []
    | rates -> rates |> Seq.map BitConverter.DoubleToInt64Bits |> List.ofSeq

let private train (model: torch.nn.Module<torch.Tensor, torch.Tensor>) (optimizer: torch.optim.Optimizer) =
    optimizer.zero_grad ()
    use loss = (model.call (torch.ones (2L, 3L))).square().sum()
    loss.backward ()
    optimizer.step () |> ignore

let private start () = torch.nn.Linear(3L, 2L)

let private progress (step: int) : TrainingProgress =
    { Step = int64 step
      Seed = Seed.ofInt 0
      Notes = Dictionary() }

/// How a run's scheduler is brought to its place in a process that starts anew.
type private Way =
    | ResumeFirst
    | ResumeLast
    /// As everybody would do it first: the constructor's step multiplies once more, and the count starts at 0.
    | Naive

/// Rates of a run that was saved at a step and resumed, and of the one that went on.
let private compare
    (makeOptimizer: torch.nn.Module -> torch.optim.Optimizer)
    (make: torch.optim.Optimizer -> Scheduler)
    (step: Scheduler -> int -> unit)
    (bring: int -> torch.optim.Optimizer -> (unit -> Scheduler) -> Scheduler)
    (way: Way)
    (at: int)
    : (int64 list * int64 list) list * (int64 list * int64 list) list * bool =
    withFile (fun file ->
        let record (model: Modules.Linear) (optimizer: torch.optim.Optimizer) (scheduler: Scheduler) =
            [ for i in at .. steps - 1 do
                  train model optimizer
                  step scheduler i
                  options optimizer, said scheduler ]

        use model = start ()
        let optimizer = makeOptimizer model
        let scheduler = make optimizer

        for i in 0 .. at - 1 do
            train model optimizer
            step scheduler i

        Checkpoint.saveTraining (progress at) file model optimizer ValueNone
        use again = start ()
        let theirs = makeOptimizer again

        let resume () =
            Checkpoint.resume file again theirs ValueNone |> ignore

        let make () = make theirs

        let resumed =
            match way with
            | ResumeFirst ->
                resume ()
                let before = options theirs
                let scheduler = bring at theirs make
                Expect.equal (options theirs) before "the optimizer as it was"
                scheduler
            | ResumeLast ->
                let scheduler = bring at theirs make
                resume ()
                scheduler
            | Naive ->
                resume ()
                make ()

        let whole = record model optimizer scheduler
        let parts = record again theirs resumed
        whole, parts, (stateOf model = stateOf again))

let private bySteps (at: int) (optimizer: torch.optim.Optimizer) (make: unit -> Scheduler) =
    Checkpoint.resumeScheduler (int64 at) optimizer make

let private byMetrics (at: int) (optimizer: torch.optim.Optimizer) (make: unit -> Scheduler) =
    Checkpoint.resumeSchedulerOn (Seq.init at metric) optimizer make

let private plainStep (scheduler: Scheduler) (_: int) = scheduler.step ()
let private plateauStep (scheduler: Scheduler) (i: int) = scheduler.step (metric i)

let private plateau (o: torch.optim.Optimizer) : Scheduler =
    Schedulers.ReduceLROnPlateau(o, factor = 0.5, patience = 1, cooldown = 1)

let private law (name: string) (kind: string) makeOptimizer make step bring =
    testCase $"{name} over {kind} goes on to the bit" (fun () ->
        for at in [ 0; 1; 6; 14; 23 ] do
            for way in [ ResumeFirst; ResumeLast ] do
                let whole, parts, isSame = compare makeOptimizer make step bring way at
                Expect.equal parts whole $"{way} at {at}: rates, momenta and betas"
                Expect.isTrue isSame $"{way} at {at}: weights"

        // ExponentialLR looks at the present rate only, and its constructor leaves it.
        if name <> "ExponentialLR" then
            let differs (at: int) =
                let whole, parts, _ = compare makeOptimizer make step bring Naive at
                whole <> parts

            Expect.isTrue (List.exists differs [ 14; 6; 5 ]) "not vacuous: without the replay the rates are others")

[<Tests>]
let schedulerTests =
    testSequenced
    <| testList
        "Scheduler"
        [ for kind, makeOptimizer in optimizers do
              let isOne = kind = "RMSProp with one group"

              for name, make in schedulers do
                  if not isOne || name = "OneCycleLR" then
                      law name kind makeOptimizer make plainStep bySteps

              if kind <> "Adam" then
                  for name, make in ofMomentum do
                      law name kind makeOptimizer make plainStep bySteps

              law "ReduceLROnPlateau" kind makeOptimizer plateau plateauStep byMetrics

          testCase "two schedulers of one optimizer are resumed one after the other" (fun () ->
              let rates (bring: bool) =
                  withFile (fun file ->
                      use model = start ()
                      let optimizer = torch.optim.SGD(model.parameters (), 0.1)
                      let first o : Scheduler = Schedulers.LinearLR(o, 0.2, 1.0, 9)
                      let second o : Scheduler = Schedulers.StepLR(o, 4, 0.5)
                      let mutable a, b = first optimizer, second optimizer
                      let mutable optimizer = optimizer

                      [ for i in 0..15 do
                            if bring && i = 7 then
                                Checkpoint.saveTraining (progress i) file model optimizer ValueNone
                                let fresh = torch.optim.SGD(model.parameters (), 0.1)
                                Checkpoint.resume file model fresh ValueNone |> ignore
                                a <- Checkpoint.resumeScheduler 7L fresh (fun () -> first fresh)
                                b <- Checkpoint.resumeScheduler 7L fresh (fun () -> second fresh)
                                optimizer <- fresh

                            a.step ()
                            b.step ()
                            (Seq.head optimizer.ParamGroups).LearningRate ])

              Expect.equal (rates true) (rates false) "rates")

          testCase "a scheduler that cannot be made leaves the optimizer as it was" (fun () ->
              use model = start ()
              let optimizer = torch.optim.SGD(model.parameters (), 0.1, momentum = 0.9)
              (Seq.head optimizer.ParamGroups).LearningRate <- 0.07
              let before = options optimizer

              let fails (make: unit -> Scheduler) =
                  Expect.throws (fun () -> Checkpoint.resumeScheduler 5L optimizer make |> ignore) "fails"
                  Expect.equal (options optimizer) before "as it was"

              fails (fun () -> failwith "no")
              fails (fun () -> Unchecked.defaultof<_>)
              // It cannot step as often.
              fails (fun () -> Schedulers.OneCycleLR(optimizer, 0.4, total_steps = 3)))

          refuses "a plateau by steps" "make" "ReduceLROnPlateau" (fun () ->
              use model = start ()
              let optimizer = torch.optim.SGD(model.parameters (), 0.1)
              Checkpoint.resumeScheduler 3L optimizer (fun () -> plateau optimizer))
          refuses "fewer steps than 0" "steps" "got -1" (fun () ->
              use model = start ()
              let optimizer = torch.optim.SGD(model.parameters (), 0.1)
              Checkpoint.resumeScheduler -1L optimizer (fun () -> plateau optimizer))
          refuses "no optimizer" "optimizer" "" (fun () ->
              Checkpoint.resumeScheduler 1L Unchecked.defaultof<torch.optim.Optimizer> (fun () ->
                  Unchecked.defaultof<_>)) ]
