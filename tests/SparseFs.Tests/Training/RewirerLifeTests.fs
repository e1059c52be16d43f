/// A rewirer in loops that are not as they should be: left over, made twice, over frozen layers, refused again and again.
module SparseFs.Tests.RewirerLifeTests

open System
open System.Collections.Generic
open System.Diagnostics.Tracing
open System.Runtime.CompilerServices
open Expecto
open SparseFs
open SparseFs.Tests.Refusals
open TorchSharp
open TorchSharp.Modules
open SparseFs.Tests.Outcomes

type private Raising = SparseFs.Refusals

let private floats (t: torch.Tensor) : float32[] =
    use _ = torch.NewDisposeScope()
    t.detach().to_type(torch.ScalarType.Float32).cpu().contiguous().data<float32>().ToArray()

let private every (steps: int64) = Schedule.constant 0.3 steps 100_000L

let private layerOf (seed: int) =
    new SparseLinear(Topology.uniform 20 20 120 (Seed.ofInt seed))

let private sgd (model: torch.nn.Module) =
    torch.optim.SGD(model.parameters (), 0.05) :> torch.optim.Optimizer

let private backward (model: torch.nn.Module<torch.Tensor, torch.Tensor>) =
    use _ = torch.NewDisposeScope()
    (model.call (torch.randn (8L, 20L))).square().sum().backward()

/// Tensors that are left after what has no owner is gone.
let private tensorsLeft () =
    GC.Collect()
    GC.WaitForPendingFinalizers()
    torch.Tensor.TotalCount

let private kinds (rewirer: Rewirer) =
    rewirer.Notices |> Seq.map _.Kind |> List.ofSeq

/// A rewirer that nobody holds.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let private abandon (layer: SparseLinear) (optimizer: torch.optim.Optimizer) =
    new Rewirer(layer, optimizer, Policy.rigL (every 1L)) |> ignore

/// Heads, of which one is used at a time.
type private Heads(heads: SparseLinear[]) as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("Heads")
    let list = new ModuleList<SparseLinear>(heads)
    do this.RegisterComponents()
    member val Routed = 0 with get, set
    member _.List = list
    override this.forward x = list[this.Routed].call x

let private policies =
    [ "RigL", Policy.rigL (every 1L)
      "SET", Policy.set (every 1L)
      "SNFS", Policy.snfs (every 1L)
      "gradual", Policy.gradual 0.7 0.95 (Schedule.constant 0.0 1L 20L) ]

/// Everything that the event source says while work runs, as name and text.
type private Listener() =
    inherit EventListener()
    let said = List<string>()

    override this.OnEventSourceCreated source =
        if source.Name = "SparseFs" then
            this.EnableEvents(source, EventLevel.Verbose)

    override _.OnEventWritten e =
        lock said (fun () -> said.Add($"""{e.EventName}: {String.Join(" | ", present "a payload" e.Payload)}"""))

    member _.Said = lock said (fun () -> said.ToArray())

[<Tests>]
let life =
    testSequenced
    <| testList
        "Rewirer's life"
        [ testCase "a rewirer that is disposed of lets go of layers and tensors, and steps no more" (fun () ->
              let layer = layerOf 1
              let optimizer = sgd layer
              let rewirer = new Rewirer(layer, optimizer, Policy.rigL (every 1L))
              let before = tensorsLeft ()
              backward layer
              rewirer.Dispose()
              rewirer.Dispose()
              Expect.isNull layer.Recorder "detached"
              Expect.throwsT<ObjectDisposedException> (fun () -> rewirer.Step() |> ignore) "Step"
              Expect.throwsT<ObjectDisposedException> (fun () -> rewirer.Follow() |> ignore) "Follow"
              Expect.isLessThanOrEqual (tensorsLeft ()) (before + 2L) "only the gradients of weight and bias are new"
              use next = new Rewirer(layer, optimizer, Policy.rigL (every 1L))
              backward layer
              Expect.isTrue (Array.exactlyOne (next.Step())).Outcome.IsDone "the next one rewires")

          testCase "a rewirer that was collected keeps nothing, and makes room for another" (fun () ->
              let layer = layerOf 2
              let optimizer = sgd layer
              abandon layer optimizer
              backward layer
              let before = tensorsLeft ()

              for _ in 1..20 do
                  backward layer

              Expect.isLessThanOrEqual (tensorsLeft ()) before "tensors"
              use next = new Rewirer(layer, optimizer, Policy.rigL (every 1L))
              optimizer.zero_grad ()
              backward layer
              Expect.isTrue (Array.exactlyOne (next.Step())).Outcome.IsDone "the next one rewires")

          testCase "a pass that is accumulated for long stays whole: nothing is bounded that is needed" (fun () ->
              let layer = layerOf 4
              use rewirer = new Rewirer(layer, sgd layer, Policy.rigL (every 1L))

              for _ in 1..100 do
                  backward layer

              Expect.isTrue (Array.exactlyOne (rewirer.Step())).Outcome.IsDone "refusal"
              Expect.isEmpty rewirer.Notices "notices")

          for name, policy, isListed in
              [ for name, policy in policies do
                    for isListed in [ true; false ] -> name, policy, isListed ] do
              let listed =
                  if isListed then
                      "of the optimizer"
                  else
                      "that the optimizer does not know"

              testCase $"{name}: a frozen layer {listed} is untouched, and the others rewire" (fun () ->
                  let frozen, trained = layerOf 9, layerOf 10
                  let model = torch.nn.Sequential(frozen, trained)
                  frozen.weight.requires_grad <- false

                  let optimizer =
                      torch.optim.Adam(model.parameters () |> Seq.filter (fun p -> isListed || p.requires_grad), 0.01)

                  use rewirer = new Rewirer(model, optimizer, policy)
                  let weight, pattern = floats frozen.weight, frozen.Connectivity
                  let before = trained.Connectivity

                  let events =
                      [ for _ in 1..5 do
                            optimizer.zero_grad ()
                            backward model
                            yield! rewirer.Step() ]

                  Expect.equal (events |> List.map _.Layer |> List.distinct) [ "1" ] "only the other is due"
                  Expect.all events (fun e -> e.Outcome.IsDone) "not refused"
                  Expect.notEqual trained.Connectivity before "the other rewires"
                  Expect.isTrue (obj.ReferenceEquals(frozen.Connectivity, pattern)) "pattern"
                  Expect.equal (floats frozen.weight) weight "weight"

                  frozen.weight.requires_grad <- true

                  if not isListed then
                      let e =
                          Expect.throwsC
                              (fun () ->
                                  backward model
                                  rewirer.Step() |> ignore)
                              id

                      Expect.stringContains e.Message "add_param_group" "nobody steps it"
                      optimizer.add_param_group (Adam.ParamGroup([ frozen.weight ]))

                  let thawed =
                      [ for _ in 1..3 do
                            optimizer.zero_grad ()
                            backward model
                            yield! rewirer.Step() ]

                  Expect.equal (thawed |> List.map _.Layer |> List.distinct) [ "0"; "1" ] "thawed, it takes part")

          for name, policy in policies do
              testCase $"{name}: a head that is not used stops nobody, however long" (fun () ->
                  let model = new Heads([| layerOf 11; layerOf 12; layerOf 13 |])
                  let optimizer = sgd model
                  use rewirer = new Rewirer(model, optimizer, policy)
                  let unused = model.List[2].Connectivity

                  for step in 1..10 do
                      // Both ways of being without a gradient.
                      if step > 5 then
                          optimizer.zero_grad ()
                      else
                          model.zero_grad true

                      let before = model.List[step % 2].Connectivity
                      model.Routed <- step % 2
                      backward model
                      let events = rewirer.Step()
                      Expect.equal events.Length 3 "events"
                      Expect.isTrue events[step % 2].Outcome.IsDone "the one that was used is not refused"
                      Expect.notEqual model.List[step % 2].Connectivity before "it is rewired"

                      if name = "RigL" then
                          Expect.stringContains (reasonOf events[2].Outcome) "took no part" "the unused one says why"

                  if name = "RigL" || name = "SNFS" then
                      Expect.isTrue (obj.ReferenceEquals(model.List[2].Connectivity, unused)) "nothing was known of it"
                      Expect.equal (floats model.List[2].weight).Length 120 "its slots are its own")

          testCase "a forgotten backward is noticed at once, and raises in the end" (fun () ->
              let layer = layerOf 15
              use rewirer = new Rewirer(layer, sgd layer, Policy.rigL (every 1L))
              rewirer.Step() |> ignore
              Expect.equal (kinds rewirer) [ NoticeKind.NoGradient ] "noticed"
              rewirer.Step() |> ignore

              let message =
                  try
                      rewirer.Step() |> ignore
                      ""
                  with :? InvalidOperationException as e ->
                      e.Message

              Expect.stringContains message "call loss.backward() before rewirer.Step()" "the cure"
              Expect.equal (kinds rewirer) [ NoticeKind.NoGradient ] "once")

          for name, make in
              [ "SGD", (fun (m: torch.nn.Module) -> torch.optim.SGD(m.parameters (), 0.05) :> torch.optim.Optimizer)
                "SGD with momentum",
                fun m -> torch.optim.SGD(m.parameters (), 0.05, momentum = 0.9, weight_decay = 0.01)
                "SGD, Nesterov", fun m -> torch.optim.SGD(m.parameters (), 0.05, momentum = 0.9, nesterov = true)
                "Adam", fun m -> torch.optim.Adam(m.parameters (), 0.01)
                "Rprop", fun m -> torch.optim.Rprop(m.parameters (), 0.01) ] do
              testCase $"{name}: optimizer.step() and Step() for one batch are noticed, and nothing else is" (fun () ->
                  let run (between: SparseLinear -> torch.optim.Optimizer -> unit) =
                      let layer = layerOf 16
                      let optimizer = make layer
                      use rewirer = new Rewirer(layer, optimizer, Policy.rigL (every 3L))

                      for _ in 1..12 do
                          optimizer.zero_grad ()
                          backward layer
                          between layer optimizer
                          rewirer.Step() |> ignore

                      kinds rewirer

                  Expect.equal
                      (run (fun _ optimizer -> optimizer.step () |> ignore))
                      [ NoticeKind.SteppedTwice ]
                      "both"

                  Expect.isEmpty (run (fun _ _ -> ())) "an ordinary loop"

                  let perturbed (layer: SparseLinear) (_: torch.optim.Optimizer) =
                      use _ = torch.no_grad ()
                      use _ = torch.NewDisposeScope()
                      let up = layer.weight.PresentGrad.mul (0.01.ToScalar())
                      layer.weight.add_ up |> ignore
                      layer.weight.sub_ up |> ignore

                  Expect.isEmpty (run perturbed) "weights that are moved and moved back")

          testCase
              "a layer that carries a policy which nobody follows says so once, one that is followed never"
              (fun () ->
                  use listener = new Listener()

                  let train (layer: SparseLinear) (steps: int) =
                      for _ in 1..steps do
                          backward layer

                  let dynamic (cols: int) =
                      new SparseLinear(
                          20,
                          cols,
                          seed = Seed.ofInt 0,
                          policy = Policy.rigL (Schedule.cosine 0.1 5L 100L)
                      )

                  let said (cols: int) =
                      listener.Said
                      |> Array.filter (fun text -> text.Contains "NotFollowed" && text.Contains $"out_features={cols}")

                  train (dynamic 31) 999
                  let still = dynamic 32
                  still.eval ()
                  train still 1100
                  let followed = dynamic 33
                  use _ = new Rewirer(followed, sgd followed)
                  train followed 999
                  train (dynamic 34) 1100
                  Expect.isEmpty (said 31) "too early"
                  Expect.isEmpty (said 32) "it does not train"
                  Expect.isEmpty (said 33) "followed"
                  Expect.equal (said 34).Length 1 "once")

          testCase "a rewirer that is not stepped while its layer trains says so once" (fun () ->
              use listener = new Listener()
              let layer = new SparseLinear(20, 35, seed = Seed.ofInt 0)
              let optimizer = sgd layer

              use rewirer =
                  new Rewirer(layer, optimizer, Policy.rigL (Schedule.constant 0.3 100L 1000L))

              let said () =
                  listener.Said
                  |> Array.filter (fun text -> text.Contains "NotStepped" && text.Contains "out_features=35")

              let train (steps: int) =
                  for _ in 1..steps do
                      backward layer
                      optimizer.step () |> ignore

              train 999
              rewirer.Step() |> ignore
              train 999
              Expect.isEmpty (said ()) "stepped now and then"
              train 1000
              Expect.equal (said ()).Length 1 "once")

          for name, policy in
              [ "RigL", Policy.rigL (Schedule.cosine 0.3 100L 50L)
                "SET, begun late", Policy.set (Schedule.from 60L (Schedule.constant 0.3 50L 100L))
                "gradual", Policy.gradual 0.5 0.9 (Schedule.constant 0.0 30L 20L) ] do
              refuses $"a schedule that never fires: {name}" "policy" "with at least one update" (fun () ->
                  let layer = layerOf 17
                  new Rewirer(layer, sgd layer, policy) |> ignore)

          testCase "an update whose part is 0 asks for no pass and refuses no number" (fun () ->
              let layer = layerOf 19
              let optimizer = sgd layer

              use rewirer =
                  new Rewirer(layer, optimizer, Policy.rigL (Schedule.constant 0.0 1L 10L))

              Expect.isNull layer.Recorder "nothing is noted"
              use _ = torch.NewDisposeScope()
              (layer.call (torch.full ([| 8L; 20L |], infinityf.ToScalar()))).sum().backward()
              Expect.isTrue (Array.exactlyOne (rewirer.Step())).Outcome.IsDone "not refused"
              Expect.exists (floats layer.weight) (fun w -> not (Single.IsFinite w)) "the optimizer has stepped") ]
