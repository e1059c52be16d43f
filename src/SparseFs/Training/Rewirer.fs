namespace SparseFs

open System
open System.Collections.Generic
open SparseFs.Torch
open TorchSharp

/// <summary>Rewirer of a model's sparse layers while it trains: a schedule and its rules, applied to layers and to the
/// optimizer's memory together.</summary>
/// <remarks>
/// <c>Step</c> stands where <c>optimizer.step()</c> stood, after backward. A parameter keeps its identity; kept weights
/// keep their values and their moments, and grown ones start as the policy says. Growth by gradient is exact, over all
/// micro-batches since the last step, for inputs of any rank and for a layer that is used more than once: on a step that
/// will be an update, the layers note what their backward passes see, and the gradient of all cells is computed from it a
/// block of rows at a time. On all other steps nothing is noted. Momentum rules note the passes of the steps that the
/// policy's <c>Momentum</c> looks back. The passes that count are those that <c>.grad</c> is made of at the step, times what
/// it was multiplied with since: what zero_grad threw away, autograd.grad asked for, or a skipped step of loss scaling left
/// does not count. A layer that is frozen (its weight requires no gradient) is left alone, and one that took no part in the
/// passes keeps its slots. A layer has one rewirer: the newest takes it over. Layers whose policies differ are rewired each
/// by its own; those that share one (the same object) share its budget, where it is one across layers.
/// </remarks>
[<Sealed>]
type Rewirer internal (layers: RewiredLayers, states: OptimizerStates, seed: Seed) =

    let optimizer = states.Optimizer
    let events = Event<RewireEvent>()
    let mutable seed = seed
    let mutable step = 0L
    let mutable isDisposed = false
    let mutable refusals = Refusals.Raise
    let board = NoticeBoard()
    let watch = LoopWatch(optimizer, board)

    let noted (e: RewireEvent) =
        events.Trigger e
        Telemetry.count e

        match e.Reason with
        | Some reason when refusals = Refusals.Log -> NoticeSource.Log.Refused(e.Layer, reason)
        | _ -> ()

    /// Before a step: what is wrong with it, before anything has happened, and which passes count.
    let prepareStep () =
        RewiredLayerChecks.isAlive isDisposed
        BackwardFailure.Raise()
        layers.Check()
        layers.Settle board

    let update (at: int64) (due: RewiredLayer[]) : RewireEvent[] =
        if due.Length = 0 then
            [||]
        else
            let struct (happened, _) = LayerUpdate.run seed at due
            happened

    let stepOptimizer () =
        Stepping.step states (layers.All |> Array.map (fun l -> struct (l.Layer.weight, l.Ages)))

    let finish (at: int64) (due: RewiredLayer[]) (happened: RewireEvent[]) : RewireEvent[] =
        step <- at
        layers.ForgetUntil at
        layers.Prepare(at + 1L)
        Array.iter noted happened
        let isRefused = happened |> Array.forall _.Outcome.IsRefused

        for l in due do
            l.Refused <- (if isRefused then l.Refused + 1 else 0)

        match RefusedUpdates.tooMany due happened with
        | Some message when refusals = Refusals.Raise -> raise (InvalidOperationException message)
        | _ -> happened

    do
        layers.Take()
        layers.Prepare(step + 1L)

    /// <summary>A rewirer over named layers of any kind, all under one policy.</summary>
    /// <param name="layers">The layers, each with a name; no layer twice.</param>
    /// <param name="optimizer">The optimizer that trains their weights: any of TorchSharp's but LBFGS, or one
    /// that implements <see cref="T:SparseFs.IStatefulOptimizer"/>.</param>
    /// <param name="policy">How they are rewired.</param>
    /// <param name="seed">What random rules draw from.</param>
    /// <exception cref="T:System.ArgumentException">There is no layer, a layer comes twice or is not the optimizer's, the
    /// optimizer is of another kind, or a part of the policy is outside its range.</exception>
    /// <example><code>
    /// let conv = new SparseConv2d(1, 8, 3)
    /// let layers: struct (string * SparseLayer) list = [ struct ("conv", conv) ]
    /// let policy = Policy.set (Schedule.constant 0.3 600L 60_000L)
    /// use rewirer = new Rewirer(layers, torch.optim.SGD(conv.parameters (), 0.1), policy, seed)
    /// </code></example>
    new(layers: seq<struct (string * SparseLayer)>, optimizer: torch.optim.Optimizer, policy: Policy, seed: Seed) =
        let policy = Policy.check policy
        ArgumentNullException.ThrowIfNull(layers, nameof layers)
        let states = OptimizerStates.Of optimizer
        new Rewirer(RewiredLayers.UnderPolicy(states, policy, layers), states, seed)

    /// <summary>A rewirer over named linear layers, all under one policy; as the one over layers of any kind.</summary>
    /// <example><code>
    /// let first, second = new SparseLinear(784, 300), new SparseLinear(300, 100)
    /// let sgd = torch.optim.SGD(Seq.append (first.parameters ()) (second.parameters ()), 0.1)
    /// let layers = [ struct ("first", first); struct ("second", second) ]
    /// let rewirer = new Rewirer(layers, sgd, Policy.set (Schedule.constant 0.3 600L 60_000L), seed)
    /// </code></example>
    new(layers: seq<struct (string * SparseLinear)>, optimizer: torch.optim.Optimizer, policy: Policy, seed: Seed) =
        new Rewirer(SparseLayers.ofLinear layers, optimizer, policy, seed)

    /// <summary>A rewirer over all sparse layers of a model, all under one policy.</summary>
    /// <param name="model">Any module, or a sparse layer itself.</param>
    /// <param name="optimizer">The optimizer that trains their weights, of the kinds that the other constructor
    /// lists.</param>
    /// <param name="policy">How they are rewired, whatever policies the layers carry.</param>
    /// <param name="seed">What random rules draw from; one number of torch's generator if not given.</param>
    /// <param name="layers">Those that are rewired, if not all; the others are left alone, and no budget counts them.</param>
    /// <exception cref="T:System.ArgumentException">There is no sparse layer, one is not the optimizer's, the optimizer is
    /// of another kind, a part of the policy is outside its range, a name of <c>layers</c> is no layer's, or an argument is
    /// null.</exception>
    /// <example><code>
    /// use rewirer = new Rewirer(model, optimizer, Policy.rigL (Schedule.cosine 0.3 100L 75_000L), seed)
    /// for _ in 1..3 do
    ///     optimizer.zero_grad ()
    ///     torch.nn.functional.cross_entropy(model.call x, labels).backward()
    ///     rewirer.Step() |> ignore // in the place of optimizer.step ()
    /// </code></example>
    new(model: torch.nn.Module, optimizer: torch.optim.Optimizer, policy: Policy, ?seed: Seed, ?layers: Layers) =
        let chosen: seq<struct (string * SparseLayer)> = SparseLayers.chosen layers model
        let policy = Policy.check policy
        let states = OptimizerStates.Of optimizer
        new Rewirer(RewiredLayers.UnderPolicy(states, policy, chosen), states, DrawnSeed.orDraw seed)

    /// <summary>A rewirer that follows the policies that the sparse layers of a model carry: those that were made with
    /// <c>dynamic</c>, or whose <c>Policy</c> was set. Layers without one stay as they are.</summary>
    /// <param name="model">Any module, or a sparse layer itself.</param>
    /// <param name="optimizer">The optimizer that trains the layers' weights, of the kinds that the other constructors
    /// list.</param>
    /// <param name="seed">What random rules draw from; one number of torch's generator if not given.</param>
    /// <param name="layers">Those that are rewired, of all that carry a policy, if not all.</param>
    /// <exception cref="T:System.ArgumentException">No sparse layer carries a policy, one that does is not the optimizer's,
    /// the optimizer is of another kind, a name of <c>layers</c> is no layer's, or an argument is null.</exception>
    /// <example><code>
    /// let first = new SparseLinear(784, 300, policy = Policy.rigL (Schedule.cosine 0.3 100L 75_000L))
    /// let second = new SparseLinear(300, 10) // without a policy: it stays as it is
    /// let model = torch.nn.Sequential(first, torch.nn.ReLU(), second)
    /// use rewirer = new Rewirer(model, torch.optim.Adam(model.parameters (), 1e-3))
    /// rewirer.Policies.Count // = 1
    /// </code></example>
    new(model: torch.nn.Module, optimizer: torch.optim.Optimizer, ?seed: Seed, ?layers: Layers) =
        let states = OptimizerStates.Of optimizer
        new Rewirer(RewiredLayers.Carrying(states, SparseLayers.chosen layers model), states, DrawnSeed.orDraw seed)

    /// <summary>Optimizer steps taken.</summary>
    member _.Steps: int64 = step

    /// <summary>Treatment of updates that are refused one after the other; Raise unless it is set.</summary>
    /// <exception cref="T:System.ArgumentException">The value is none of them.</exception>
    /// <example><code>
    /// use rewirer = new Rewirer(model, optimizer, Policy.rigL (Schedule.cosine 0.3 100L 75_000L))
    /// rewirer.Refusals &lt;- Refusals.Log // go on, and say so in the event source "SparseFs"
    /// </code></example>
    member _.Refusals
        with get (): Refusals = refusals
        and set (value: Refusals) =
            if not (Enum.IsDefined value) then
                raise (ArgumentException($"expected Raise, Log or Ignore, got {value}", nameof value))

            refusals <- value

    /// <summary>Notices of the loop so far, each kind once a layer; the event source "SparseFs" has it
    /// too.</summary>
    /// <example><code>
    /// use rewirer = new Rewirer(model, optimizer, Policy.rigL (Schedule.cosine 0.3 100L 75_000L))
    /// for notice in rewirer.Notices do
    ///     printfn $"{notice}"
    /// </code></example>
    member _.Notices: IReadOnlyList<Notice> = board.All

    /// The board of these notices.
    member internal _.Board: NoticeBoard = board

    /// <summary>Policies of the layers, in the layers' order.</summary>
    member _.Policies: IReadOnlyList<Policy> = [| for l in layers.All -> l.Policy |]

    /// The layers, in the order of its state.
    member internal _.Layers: struct (string * SparseLayer)[] =
        [| for l in layers.All -> struct (l.Name, l.Layer) |]

    /// <summary>One event a layer at every update, refused ones too, raised on the thread that steps.</summary>
    /// <example><code>
    /// use rewirer = new Rewirer(model, optimizer, Policy.rigL (Schedule.cosine 0.3 100L 75_000L))
    /// use subscription = rewirer.Events.Subscribe(fun event -> printfn $"{event}")
    /// </code></example>
    member _.Events: IObservable<RewireEvent> = events.Publish

    /// <summary>Trains and rewires, in the place of optimizer.step(); layers are rewired where their schedule says so.</summary>
    /// <returns>One event for each layer that was due, in the layers' order; none where the step was no update.</returns>
    /// <remarks>The optimizer steps before the update if all policies that are due step at updates, else not at all. Where
    /// an update has nothing to change, it steps as on any other step. Where one is refused, nothing changes: no pattern, no
    /// weight, and no moment beyond the step of policies that step at updates.</remarks>
    /// <example><code>
    /// use rewirer = new Rewirer(model, optimizer, Policy.rigL (Schedule.cosine 0.3 1L 100L)) // each step an update
    /// torch.nn.functional.cross_entropy(model.call x, labels).backward()
    /// for event in rewirer.Step() do
    ///     printfn $"{event}"
    /// </code></example>
    member _.Step() : RewireEvent[] =
        lock (RunGate.ofOptimizer optimizer) (fun () ->
            prepareStep ()
            let at = step + 1L
            let due = layers.Due at
            watch.BeforeStep layers

            let happened =
                if due |> Array.forall (fun l -> not l.Policy.SkipGradientsAtUpdates) then
                    stepOptimizer ()
                    update at due
                else
                    let struct (happened, isChanged) = LayerUpdate.run seed at due

                    if not isChanged && happened |> Array.exists _.Outcome.IsDone then
                        stepOptimizer ()

                    happened

            watch.AfterStep layers
            finish at due happened)

    /// <summary>Follows optimizer.step(), for a loop that calls it itself: the update, if the step is one.</summary>
    /// <returns>One event for each layer that was due, in the layers' order; none where the step was no update.</returns>
    /// <exception cref="T:System.InvalidOperationException">A policy's moments are <c>Fresh</c> or <c>Seeded</c>, and the
    /// optimizer counts steps: those of grown slots are counted by <c>Step</c> alone.</exception>
    /// <example><code>
    /// use rewirer = new Rewirer(model, optimizer, Policy.set (Schedule.constant 0.3 600L 60_000L))
    /// torch.nn.functional.cross_entropy(model.call x, labels).backward()
    /// optimizer.step () |> ignore // or a scaler's, or a library's that steps by itself
    /// rewirer.Follow() // = [||]
    /// </code></example>
    member _.Follow() : RewireEvent[] =
        for l in layers.All do
            if l.CountsAges then
                let message =
                    $"expected moments of Zero or RowMean for {l.Shown}, got {l.Policy.Moments}, which counts the "
                    + $"steps of grown slots apart from {optimizer.GetType().Name}'s own: call Rewirer.Step in place of optimizer.step()"

                raise (InvalidOperationException message)

        lock (RunGate.ofOptimizer optimizer) (fun () ->
            prepareStep ()
            watch.Forget()
            let at = step + 1L
            let due = layers.Due at
            finish at due (update at due))

    /// <summary>Zeroes the optimizer's gradients and forgets the passes that made them: for a batch that is thrown away
    /// before it is stepped on.</summary>
    /// <example><code>
    /// use rewirer = new Rewirer(model, optimizer, Policy.rigL (Schedule.cosine 0.3 100L 75_000L))
    /// let loss = torch.nn.functional.cross_entropy (model.call x, labels)
    /// loss.backward ()
    /// if not (Single.IsFinite(loss.item&lt;float32>())) then
    ///     rewirer.ZeroGrad() // this batch does not count
    /// </code></example>
    member _.ZeroGrad() : unit =
        optimizer.zero_grad ()

        for l in layers.All do
            l.Recorder.Forget(fun pass -> pass > step)

    /// <summary>State of the rewirer, beside the model's and the optimizer's: restored in a rewirer of the same layers, it
    /// goes on from there, to the bit.</summary>
    /// <returns>An immutable value.</returns>
    /// <remarks>Between optimizer steps. Passes that momentum rules have noted are copied to the CPU.</remarks>
    /// <example><code>
    /// use rewirer = new Rewirer(model, optimizer, Policy.set (Schedule.constant 0.3 600L 60_000L))
    /// let before = rewirer.Capture() // with copies of the model and of the optimizer, a point to go back to
    /// </code></example>
    member _.Capture() : RewirerState =
        RewirerCapture.ofLayers layers.All step seed states.Kind

    /// <summary>Goes on from a state that was captured.</summary>
    /// <param name="state">Captured in a rewirer of layers of the same names and shapes, of an optimizer of the same
    /// type.</param>
    /// <exception cref="T:System.ArgumentException">The layers' names, shapes or numbers of slots, or the optimizer's type,
    /// are not those of the state, or it is null; nothing has changed.</exception>
    /// <example><code>
    /// let policy = Policy.set (Schedule.constant 0.3 600L 60_000L)
    /// use rewirer = new Rewirer(model, optimizer, policy)
    /// rewirer.Step() |> ignore
    /// use other = new Rewirer(model, optimizer, policy)
    /// other.Restore(rewirer.Capture())
    /// other.Steps // = 1L
    /// </code></example>
    member this.Restore(state: RewirerState) : unit =
        if isNull (box state) then
            nullArg (nameof state)

        RewirerCapture.checkAges layers.All state
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        this.Prepare state ()

    /// The optimizer that it was made with.
    member internal _.Optimizer: torch.optim.Optimizer = optimizer

    /// <summary>What puts a state in: all that it needs is checked and allocated before it runs, in the open
    /// DisposeScope.</summary>
    /// <exception cref="T:System.ArgumentException">As Restore, but for the numbers of slots.</exception>
    member internal _.Prepare(state: RewirerState) : unit -> unit =
        let put = RewirerCapture.prepare layers.All states.Kind state

        fun () ->
            step <- state.Step
            seed <- state.Seed
            watch.Forget()
            put ()
            layers.Prepare(step + 1L)

    /// <summary>Lets go of the layers, which note nothing any more, and of all that was noted. Patterns, weights and the
    /// optimizer stay as they are.</summary>
    member _.Dispose() : unit =
        if not isDisposed then
            isDisposed <- true
            watch.Forget()
            layers.Release()

    override _.ToString() =
        $"Rewirer(layers={layers.All.Length}, step={step}, optimizer={optimizer.GetType().Name})"

    interface IDisposable with
        member this.Dispose() = this.Dispose()
