namespace SparseFs

open System
open System.Collections.Generic
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>Rewires the sparse layers of a model while it trains: a schedule and its rules, applied to layers and to the
/// optimizer's memory together.</summary>
/// <remarks>
/// <c>Step</c> stands where <c>optimizer.step()</c> stood, after backward. A parameter keeps its identity; kept weights
/// keep their values and their moments, and grown ones start as the policy says. Growth by gradient is exact, over all
/// micro-batches since the last step, for inputs of any rank and for a layer that is used more than once: on a step that
/// will be an update, the layers note what their backward passes see, and the gradient of all cells is computed from it a
/// block of rows at a time. On all other steps nothing is noted. Momentum rules note the passes of the last
/// <c>MomentumSteps</c> steps. What counts is what the weight's <c>grad</c> holds when <c>Step</c> is called, times the
/// number that it was multiplied by since: passes that zero_grad threw away, or that autograd.grad ran, do not count. Where
/// <c>grad</c> was changed in another way, growth uses the passes since it was last zero, and <c>Notices</c> says so.
/// Layers whose policies differ are rewired each by its own; those that share one (the same object) share its budget, where
/// it is one across layers. A layer whose weight does not require a gradient is left alone. One that no pass has reached is
/// passed over: the others are rewired, and share a common budget without it.
/// A layer belongs to one rewirer: <c>Dispose</c> lets go of it, and of what was noted, and so does the garbage collector.
/// </remarks>
[<Sealed>]
type Rewirer
    internal
    (layers: seq<struct (string * SparseLinear * Policy)>, optimizer: torch.optim.Optimizer, seed: Seed, missing: string)
    =

    let helper = OptimizerState.known optimizer
    let board = NoticeBoard()

    /// Lives as long as the rewirer does; layers know it weakly.
    let token = obj ()
    let owner = WeakReference token

    let layers =
        [| for index, struct (name, layer, policy) in Seq.indexed layers do
               if isNull (box layer) then
                   nullArg (nameof layers)

               RewirerChecks.fires name policy
               RewirerChecks.trains helper name layer
               Rewirable(index, name, layer, policy, helper, board, owner) |]

    do
        if layers.Length = 0 then
            raise (ArgumentException(missing, nameof layers))

        let distinct =
            HashSet<obj>(layers |> Seq.map (fun l -> box l.Layer), HashIdentity.Reference)

        if distinct.Count < layers.Length then
            raise (ArgumentException("expected each layer once, got one twice", nameof layers))

        match Claims.TryClaim([| for l in layers -> l.Layer |], owner) with
        | ValueNone -> ()
        | ValueSome place ->
            let message =
                $"expected layers without a rewirer, got '{layers[place].Name}', which belongs to another: dispose of that one "
                + "first"

            raise (ArgumentException(message, nameof layers))

    let events = Event<RewireEvent>()
    let mutable seed = seed
    let mutable step = 0L

    let watch = LoopWatch(helper, board)
    let refusals = RefusalCount()
    let mutable setting = Refusals.Raise
    let mutable isDisposed = false

    let checkAlive () =
        if isDisposed then
            raise (ObjectDisposedException(nameof Rewirer))

    let dueAt (at: int64) =
        layers |> Array.filter (fun l -> l.IsUpdate at && not l.IsFrozen)

    /// Sets the layers up for the passes of the next step.
    let prepare () =
        let next = step + 1L

        for l in layers do
            let isWanted = l.IsWanted(next, Rewirer.MomentumSteps)
            l.Recorder.Open(next, isWanted)
            l.Layer.Recorder <- (if isWanted then l.Recorder else null)

    /// Which of the step's passes are in the gradients, before anything changes those.
    let conclude (at: int64) =
        for l in layers do
            if l.IsWanted(at, Rewirer.MomentumSteps) then
                l.Concluded <- l.Recorder.Conclude()

    let noted (e: RewireEvent) =
        events.Trigger e
        Telemetry.count e

    let finish (at: int64) (outcome: Outcome) =
        step <- at

        for l in layers do
            if l.Needs <> Needs.Nothing then
                // Momentum rules look back, all others not.
                let oldest =
                    if l.Needs.HasFlag Needs.Momentum then
                        at - int64 Rewirer.MomentumSteps + 2L
                    else
                        at + 1L

                l.Recorder.Forget(fun pass -> pass < oldest)

        prepare ()
        Array.iter noted outcome.Happened

        // An expert that nothing was routed to may be passed over for long.
        let counted =
            Array.zip outcome.Happened outcome.PassedOver
            |> Array.filter (fun (_, isPassedOver) -> not isPassedOver)
            |> Array.map (fun (e, _) -> refusals.Take(setting, e))

        match counted |> Array.tryPick ValueOption.toOption with
        | Some message -> raise (InvalidOperationException message)
        | None -> outcome.Happened

    let stepOptimizer () = optimizer.step () |> ignore

    /// A weight that trains, for what is told from one.
    let trained () =
        layers
        |> Array.tryPick (fun l ->
            if l.Layer.weight.requires_grad then
                Some l.Layer.weight
            else
                None)

    do prepare ()

    /// <summary>A rewirer over named layers, all under one policy.</summary>
    /// <param name="layers">The layers, each with a name; no layer twice.</param>
    /// <param name="optimizer">The optimizer that trains their weights: SGD, Adam, AdamW, RMSprop, Adagrad, Adadelta, Adamax,
    /// NAdam, RAdam, ASGD or Rprop.</param>
    /// <param name="policy">How they are rewired.</param>
    /// <param name="seed">What random rules draw from.</param>
    /// <exception cref="T:System.ArgumentException">There is no layer, a layer comes twice, is not the optimizer's or belongs
    /// to another rewirer, the optimizer is of another kind, or a part of the policy is outside its range or gives no
    /// update.</exception>
    new(layers: seq<struct (string * SparseLinear)>, optimizer: torch.optim.Optimizer, policy: Policy, seed: Seed) =
        let policy = Policy.check policy

        if isNull (box layers) then
            nullArg (nameof layers)

        new Rewirer(
            seq { for struct (name, layer) in layers -> struct (name, layer, policy) },
            optimizer,
            seed,
            "expected a model with sparse layers, got none"
        )

    /// <summary>A rewirer over all sparse layers of a model, all under one policy.</summary>
    /// <param name="model">Any module, or a sparse layer itself.</param>
    /// <param name="optimizer">The optimizer that trains their weights, of the kinds that the other constructor
    /// lists.</param>
    /// <param name="policy">How they are rewired, whatever policies the layers carry.</param>
    /// <param name="seed">What random rules draw from; Seed.ofInt 0 by default.</param>
    /// <exception cref="T:System.ArgumentException">There is no sparse layer, one is not the optimizer's or belongs to
    /// another rewirer, the optimizer is of another kind, a part of the policy is outside its range or gives no update, or an
    /// argument is null.</exception>
    new(model: torch.nn.Module, optimizer: torch.optim.Optimizer, policy: Policy, ?seed: Seed) =
        let layers: seq<struct (string * SparseLinear)> = SparseLayers.ofModel model
        new Rewirer(layers, optimizer, policy, defaultArg seed (Seed.ofInt 0))

    /// <summary>A rewirer that follows the policies that the sparse layers of a model carry: those that were made with
    /// <c>dynamic</c>, or whose <c>Policy</c> was set. Layers without one stay as they are.</summary>
    /// <param name="model">Any module, or a sparse layer itself.</param>
    /// <param name="optimizer">The optimizer that trains the layers' weights, of the kinds that the other constructors
    /// list.</param>
    /// <param name="seed">What random rules draw from; Seed.ofInt 0 by default.</param>
    /// <exception cref="T:System.ArgumentException">No sparse layer carries a policy, one that does is not the optimizer's or
    /// belongs to another rewirer, the optimizer is of another kind, a policy gives no update, or an argument is
    /// null.</exception>
    new(model: torch.nn.Module, optimizer: torch.optim.Optimizer, ?seed: Seed) =
        new Rewirer(
            [ for struct (name, layer) in SparseLayers.ofModel model do
                  if not (isNull (box layer.Policy)) then
                      struct (name, layer, layer.Policy) ],
            optimizer,
            defaultArg seed (Seed.ofInt 0),
            "expected a model with sparse layers that carry a policy (made with dynamic = true), got none"
        )

    /// <summary>How many optimizer steps momentum rules look back: 0.9 to that power is 0.03.</summary>
    static member MomentumSteps: int = 32

    /// <summary>Optimizer steps taken.</summary>
    member _.Steps: int64 = step

    /// <summary>How each layer is rewired, in the layers' order.</summary>
    member _.Policies: IReadOnlyList<Policy> = [| for l in layers -> l.Policy |]

    /// The layers, in the order of its state.
    member internal _.Layers: struct (string * SparseLinear)[] =
        [| for l in layers -> struct (l.Name, l.Layer) |]

    /// <summary>One event a layer at every update, refused ones too, raised on the thread that steps.</summary>
    member _.Events: IObservable<RewireEvent> = events.Publish

    /// <summary>Stands where optimizer.step() stood: an optimizer step, an update, or both, as the policies say.</summary>
    /// <returns>One event for each layer that was due, in the layers' order; none where the step was no update.</returns>
    /// <remarks>The optimizer steps before the update if all policies that are due step at updates, else not at all. Where
    /// an update has nothing to change, it steps as on any other step. Where the update of a layer is refused, the layer
    /// stays as it is, beyond the step of policies that step at updates; the other layers are rewired, but for those that share
    /// a budget with it where a number was not finite. A layer that no pass has reached is passed over: its event has a
    /// refusal that is not counted.</remarks>
    /// <exception cref="T:System.InvalidOperationException">A layer was refused the third time in a row, or more often, and
    /// Refusals is Raise. The step is over; the next one may be taken.</exception>
    /// <exception cref="T:System.ObjectDisposedException">The rewirer was disposed of.</exception>
    member _.Step() : RewireEvent[] =
        checkAlive ()
        let at = step + 1L
        let weight = trained ()
        Option.iter watch.BeforeStep weight
        conclude at
        let due = dueAt at

        let outcome =
            if due |> Array.forall (fun l -> l.Policy.StepsAtUpdates || not (l.MayChange at)) then
                stepOptimizer ()
                RewirerUpdate.run helper seed at due
            else
                let outcome = RewirerUpdate.run helper seed at due

                if not (outcome.IsChanged || outcome.IsRefused) then
                    stepOptimizer ()

                outcome

        Option.iter watch.AfterStep weight
        finish at outcome

    /// <summary>Follows optimizer.step(), for a loop that calls it itself: the update, if the step is one. The gradients must
    /// still be there.</summary>
    /// <returns>One event for each layer that was due, in the layers' order; none where the step was no update.</returns>
    /// <exception cref="T:System.InvalidOperationException">As Step.</exception>
    /// <exception cref="T:System.ObjectDisposedException">The rewirer was disposed of.</exception>
    member _.Follow() : RewireEvent[] =
        checkAlive ()
        let at = step + 1L
        watch.Forget()
        conclude at
        finish at (RewirerUpdate.run helper seed at (dueAt at))

    /// <summary>optimizer.zero_grad(): passes whose gradients are thrown away do not count, whoever does it.</summary>
    member _.ZeroGrad() : unit = optimizer.zero_grad ()

    /// <summary>What is done about updates that are refused again and again; Raise by default.</summary>
    member _.Refusals
        with get (): Refusals = setting
        and set (value: Refusals) =
            if not (Enum.IsDefined value) then
                raise (ArgumentException($"expected Raise, Log or Ignore, got {value}", nameof value))

            setting <- value

    /// <summary>What was noticed about the loop so far, each kind once a layer; the event source "SparseFs" has it
    /// too.</summary>
    member _.Notices: IReadOnlyList<Notice> = board.All

    /// <summary>Lets go of the layers and of all that was noted. Patterns, weights and the optimizer stay as they
    /// are.</summary>
    member _.Dispose() : unit =
        if not isDisposed then
            isDisposed <- true
            watch.Forget()

            for l in layers do
                if obj.ReferenceEquals(l.Layer.Recorder, l.Recorder) then
                    l.Layer.Recorder <- null

                l.Recorder.Close()
                Claims.Release(l.Layer, owner)

            GC.KeepAlive token

    interface IDisposable with
        member this.Dispose() = this.Dispose()

    /// <summary>All that the rewirer knows; putting it into a rewirer of the same layers goes on from there, to the bit.</summary>
    /// <exception cref="T:System.ArgumentException">On setting: the layers' names or shapes, or the optimizer's type, are
    /// not those of the state; nothing has changed.</exception>
    member this.State
        with get (): RewirerState =
            RewirerState(
                step,
                seed,
                optimizer.GetType().Name,
                [| for l in layers -> l.Name, l.Explored |],
                [| for l in layers ->
                       [| for struct (at, g, x) in l.Recorder.Passes -> at, int g.shape[0], Numbers.Of g, Numbers.Of x |] |]
            )
        and set (value: RewirerState) =
            use _ = torch.no_grad ()
            use _ = torch.NewDisposeScope()
            this.Prepare value ()

    /// The optimizer that it was made with.
    member internal _.Optimizer: torch.optim.Optimizer = optimizer

    /// <summary>What puts a state in: all that it needs is checked and allocated before it runs, in the open
    /// DisposeScope.</summary>
    /// <exception cref="T:System.ArgumentException">As State.</exception>
    member internal _.Prepare(value: RewirerState) : unit -> unit =
        if isNull value then
            nullArg (nameof value)

        RewirerChecks.fits value (optimizer.GetType().Name) layers
        let passes = RewirerUpdate.passesOf value layers

        fun () ->
            step <- value.Step
            seed <- value.Seed
            watch.Forget()

            for l, (_, explored), passes in Array.zip3 layers value.Explored passes do
                l.Explored <- explored
                l.Recorder.Replace passes

            prepare ()
