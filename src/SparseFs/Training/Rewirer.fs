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
/// <c>MomentumSteps</c> steps. The passes that count are those that <c>.grad</c> is made of at the step, times what it was
/// multiplied with since: what zero_grad threw away, autograd.grad asked for, or a skipped step of loss scaling left does
/// not count. A layer that is frozen (its weight requires no gradient) is left alone, and one that took no part in the
/// passes keeps its slots. A layer has one rewirer: the newest takes it over. Layers whose policies differ are rewired each by its own; those that share one (the same
/// object) share its budget, where it is one across layers.
/// </remarks>
[<Sealed>]
type Rewirer
    internal
    (layers: seq<struct (string * SparseLinear * Policy)>, optimizer: torch.optim.Optimizer, seed: Seed, missing: string)
    =

    /// The weight of a step's gradient falls by this a step, as in SNFS.
    static let momentum = 0.9

    let helper = OptimizerState.known optimizer

    let layers =
        [| for struct (name, layer, policy) in layers do
               if isNull (box layer) then
                   nullArg (nameof layers)

               RewiredLayerChecks.fires name policy
               RewiredLayerChecks.isTrained helper name layer
               RewiredLayer(name, layer, policy, helper) |]

    do
        if layers.Length = 0 then
            raise (ArgumentException(missing, nameof layers))

        let distinct =
            HashSet<obj>(layers |> Seq.map (fun l -> box l.Layer), HashIdentity.Reference)

        if distinct.Count < layers.Length then
            raise (ArgumentException("expected each layer once, got one twice", nameof layers))

    let events = Event<RewireEvent>()
    let mutable seed = seed
    let mutable step = 0L
    let mutable isDisposed = false
    let mutable refusals = Refusals.Raise
    let board = NoticeBoard()
    let watch = LoopWatch(helper, board)

    /// Stands for this rewirer in its layers and recorders, which do not keep it.
    let token = obj ()

    let isOurs (l: RewiredLayer) =
        not (isNull l.Layer.Rewiring)
        && obj.ReferenceEquals(l.Layer.Rewiring.Target, token)

    let dueAt (at: int64) =
        let due = layers |> Array.filter (fun l -> l.IsUpdate at && not l.IsFrozen)

        for l in due do
            if not l.IsHeld then
                let message =
                    $"{l.Shown} trains, but its weight is none of the optimizer's: add it with add_param_group where the "
                    + "layer was frozen, or make optimizer and rewirer after the model was moved or converted"

                raise (InvalidOperationException message)

        due

    /// The weight of a layer that trains, and what the optimizer keeps for it.
    let watched () =
        layers
        |> Array.tryFind (fun l -> not l.IsFrozen && l.IsHeld)
        |> Option.map (fun l -> l.Layer.weight, l.Followed.Memory l.Layer.weight)

    /// Whether the passes of a step are wanted by an update.
    let isWanted (l: RewiredLayer) (at: int64) =
        (l.GrowthInputs.HasFlag GrowthInputs.Gradient && l.IsUpdate at && l.HasWork at)
        || (l.GrowthInputs.HasFlag GrowthInputs.Momentum
            && Seq.exists l.IsUpdate (seq { at .. at + int64 Rewirer.MomentumSteps - 1L }))

    /// Sets the layers up for the passes of the next step.
    let prepare () =
        let next = step + 1L

        for l in layers do
            l.Recorder.Step <- next

            if isOurs l then
                l.Layer.Recorder <- (if isWanted l next then l.Recorder else null)
                l.Layer.Unattended <- 0

    let stateOf (at: int64) (l: RewiredLayer) : LayerState =
        let index = Array.IndexOf(layers, l)
        let c = l.Layer.Connectivity

        let weight =
            use _ = torch.no_grad ()
            use _ = torch.NewDisposeScope()
            l.Layer.weight.detach().to_type(torch.ScalarType.Float32).cpu().contiguous().data<float32>().ToArray()

        { Connectivity = c
          Weight = weight
          Gradient = l.Recorder.Scores(c.Rows, c.Cols, (fun pass -> if pass = at then 1.0 else 0.0))
          Momentum = l.Recorder.Scores(c.Rows, c.Cols, (fun pass -> momentum ** float (at - pass)))
          Explored = l.Explored
          Step = at
          Seed = seed |> Seed.child (int (at % 2147483647L)) |> Seed.child index }

    let noted (e: RewireEvent) =
        events.Trigger e
        Telemetry.count e

        if not (isNull e.Refusal) && refusals = Refusals.Log then
            NoticeSource.Log.Refused(e.Layer, e.Refusal)

    /// What is wrong with a step, before anything has happened.
    let check () =
        ObjectDisposedException.ThrowIf(isDisposed, typeof<Rewirer>)
        BackwardFailure.Raise()

        for l in layers do
            if not (isOurs l) then
                let message =
                    $"{l.Shown} has a newer rewirer, which has taken it over: step with that one, and dispose of this one"

                raise (InvalidOperationException message)

            let now = l.Layer.Connectivity

            if not (obj.ReferenceEquals(now, l.Known)) then
                if now <> l.Known then
                    let message =
                        $"the pattern of {l.Shown} was loaded behind the rewirer, so that the optimizer's moments belong "
                        + "to other connections: make optimizer and rewirer after the load, or use Checkpoint.resume"

                    raise (InvalidOperationException message)

                l.Known <- now

    /// Which passes count: those that the gradients are made of that the optimizer steps with.
    let settle () =
        for l in layers do
            if l.GrowthInputs <> GrowthInputs.Nothing then
                use grad = l.Layer.weight.grad

                if not (l.Recorder.Settle grad) then
                    board.Post(
                        NoticeKind.ChangedGradient,
                        l.Name,
                        "the weight's gradient is not a multiple of what its backward passes gave (clipped by value, "
                        + "noise, or set by hand): growth looks at the passes as they were"
                    )

    /// Changes layers and optimizer: everything is computed first.
    let apply (due: RewiredLayer[]) (rewired: Rewired[]) =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()

        let changes =
            Array.map2
                (fun (l: RewiredLayer) r ->
                    let memory = l.Followed.Memory l.Layer.weight
                    let ofGrown = RemapMoments.ageOfGrown memory l.Policy.Moments
                    struct (RemapMoments.prepare memory l.Policy.Moments l.Layer.weight r, ofGrown))
                due
                rewired

        for l, r, (struct (change, ofGrown)) in Array.zip3 due rewired changes do
            let struct (weight, others) = change
            RemapMoments.commit others
            l.Ages.Remap(r.Remap, ofGrown)
            l.Layer.Versions.Rewire(r.Connectivity, weight, r.Remap)
            l.Explored <- r.Explored
            l.Known <- r.Connectivity

    /// What layers that share a policy become, in their order.
    let rewire (due: RewiredLayer[]) (states: LayerState[]) : Rewired[] =
        let rewired: Rewired[] = Array.zeroCreate due.Length

        for _, places in
            [| 0 .. due.Length - 1 |]
            |> Array.groupBy (fun place ->
                Array.FindIndex(due, (fun l -> obj.ReferenceEquals(l.Policy, due[place].Policy)))) do
            let policy = due[places[0]].Policy
            let results = Rewire.step policy (places |> Array.map (fun place -> states[place]))

            for place, result in Array.zip places results do
                rewired[place] <- result

        rewired

    /// The update of the layers that are due at a step, whatever the optimizer has done before; whether anything changed.
    /// A layer that took no part in the backward passes keeps its slots, and shares no budget; where none did, or a number
    /// is not finite, all are refused.
    let updateAlone (at: int64) (due: RewiredLayer[]) : RewireEvent[] * bool =
        let states = due |> Array.map (stateOf at)
        let isUnseen (l: RewiredLayer) = l.Looks at && not (l.Recorder.Has at)

        let working =
            [| 0 .. due.Length - 1 |] |> Array.filter (fun place -> due[place].HasWork at)

        let seen = working |> Array.filter (fun place -> not (isUnseen due[place]))

        let unseen (place: int) =
            let why =
                if seen.Length = 0 then
                    $"no backward pass has reached {due[place].Shown} since the last step"
                else
                    "the layer took no part in the backward passes since the last step"

            Rewire.refuse why states[place]

        let results =
            rewire (seen |> Array.map (fun place -> due[place])) (seen |> Array.map (fun place -> states[place]))

        let rewired =
            match results |> Array.tryFind (fun r -> not (isNull r.Event.Refusal)) with
            | Some refused -> Array.map (Rewire.refuse refused.Event.Refusal) states // all or none
            | None ->
                let places = Dictionary(Seq.mapi (fun i place -> KeyValuePair(place, i)) seen)

                Array.init due.Length (fun place ->
                    match places.TryGetValue place with
                    | true, i -> results[i]
                    | _ when due[place].HasWork at -> unseen place
                    | _ -> Rewire.refuse null states[place])

        let isChanged =
            rewired
            |> Array.exists (fun r -> r.Event.Dropped + r.Event.Grown + r.Event.Regrown > 0)

        if isChanged then
            apply due rewired

        Array.map2 (fun (l: RewiredLayer) r -> { r.Event with Layer = l.Name }) due rewired, isChanged

    /// As updateAlone, while no other thread changes these layers: a load comes before it or after it.
    let update (at: int64) (due: RewiredLayer[]) : RewireEvent[] * bool =
        let rec exclusively (layers: RewiredLayer list) =
            match layers with
            | [] -> updateAlone at due
            | l :: others -> l.Layer.Versions.Exclusively(fun () -> exclusively others)

        exclusively (List.ofArray due)

    let stepOptimizer () =
        Stepping.step helper (layers |> Array.map (fun l -> struct (l.Layer.weight, l.Followed)))

    let finish (at: int64) (due: RewiredLayer[]) (happened: RewireEvent[]) =
        step <- at

        for l in layers do
            if l.GrowthInputs <> GrowthInputs.Nothing then
                // Momentum rules look back, all others not.
                let oldest =
                    if l.GrowthInputs.HasFlag GrowthInputs.Momentum then
                        at - int64 Rewirer.MomentumSteps + 2L
                    else
                        at + 1L

                l.Recorder.Forget(fun pass -> pass < oldest)

        prepare ()
        Array.iter noted happened
        let isRefused = happened |> Array.forall (fun e -> not (isNull e.Refusal))

        for l in due do
            l.Refused <- (if isRefused then l.Refused + 1 else 0)

        match due |> Array.tryFindIndex (fun l -> l.Refused >= Rewirer.Patience) with
        | Some place when refusals = Refusals.Raise ->
            let message =
                $"{due[place].Refused} updates of {due[place].Shown} in a row were refused: {happened[place].Refusal}. Call "
                + "backward before Step, with finite losses; or set Refusals to Log or Ignore to go on without updates"

            raise (InvalidOperationException message)
        | _ -> happened

    do
        for l in layers do
            l.Recorder.Owner <- token
            l.Layer.Rewiring <- WeakReference token

        prepare ()

    /// <summary>A rewirer over named layers, all under one policy.</summary>
    /// <param name="layers">The layers, each with a name; no layer twice.</param>
    /// <param name="optimizer">The optimizer that trains their weights: SGD, Adam, AdamW, RMSprop, Adagrad, Adadelta, Adamax,
    /// NAdam, RAdam, ASGD or Rprop.</param>
    /// <param name="policy">How they are rewired.</param>
    /// <param name="seed">What random rules draw from.</param>
    /// <exception cref="T:System.ArgumentException">There is no layer, a layer comes twice or is not the optimizer's, the
    /// optimizer is of another kind, or a part of the policy is outside its range.</exception>
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
    /// <exception cref="T:System.ArgumentException">There is no sparse layer, one is not the optimizer's, the optimizer is
    /// of another kind, a part of the policy is outside its range, or an argument is null.</exception>
    new(model: torch.nn.Module, optimizer: torch.optim.Optimizer, policy: Policy, ?seed: Seed) =
        let layers: seq<struct (string * SparseLinear)> = SparseLayers.ofModel model
        new Rewirer(layers, optimizer, policy, defaultArg seed (Seed.ofInt 0))

    /// <summary>A rewirer that follows the policies that the sparse layers of a model carry: those that were made with
    /// <c>dynamic</c>, or whose <c>Policy</c> was set. Layers without one stay as they are.</summary>
    /// <param name="model">Any module, or a sparse layer itself.</param>
    /// <param name="optimizer">The optimizer that trains the layers' weights, of the kinds that the other constructors
    /// list.</param>
    /// <param name="seed">What random rules draw from; Seed.ofInt 0 by default.</param>
    /// <exception cref="T:System.ArgumentException">No sparse layer carries a policy, one that does is not the optimizer's,
    /// the optimizer is of another kind, or an argument is null.</exception>
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

    /// The refused update in a row that raises.
    static member private Patience = 3

    /// <summary>Optimizer steps taken.</summary>
    member _.Steps: int64 = step

    /// <summary>What happens where updates are refused one after the other; Raise unless it is set.</summary>
    /// <exception cref="T:System.ArgumentException">The value is none of them.</exception>
    member _.Refusals
        with get (): Refusals = refusals
        and set (value: Refusals) =
            if not (Enum.IsDefined value) then
                raise (ArgumentException($"expected Raise, Log or Ignore, got {value}", nameof value))

            refusals <- value

    /// <summary>What was noticed about the loop so far, each kind once a layer; the event source "SparseFs" has it
    /// too.</summary>
    member _.Notices: IReadOnlyList<Notice> = board.All

    /// Where what is noticed is posted.
    member internal _.Board: NoticeBoard = board

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
    /// an update has nothing to change, it steps as on any other step. Where one is refused, nothing changes: no pattern, no
    /// weight, and no moment beyond the step of policies that step at updates.</remarks>
    member _.Step() : RewireEvent[] =
        lock (RunGate.ofOptimizer optimizer) (fun () ->
            check ()
            settle ()
            let at = step + 1L
            let due = dueAt at
            watched () |> Option.iter watch.BeforeStep

            let happened =
                if due |> Array.forall (fun l -> not l.Policy.SkipGradientsAtUpdates) then
                    stepOptimizer ()
                    if due.Length = 0 then [||] else fst (update at due)
                else
                    let happened, isChanged = update at due

                    if not isChanged && happened |> Array.exists (fun e -> isNull e.Refusal) then
                        stepOptimizer ()

                    happened

            watched () |> Option.iter watch.AfterStep
            finish at due happened)

    /// <summary>Follows optimizer.step(), for a loop that calls it itself: the update, if the step is one.</summary>
    /// <returns>One event for each layer that was due, in the layers' order; none where the step was no update.</returns>
    /// <exception cref="T:System.InvalidOperationException">A policy's moments are <c>Fresh</c> or <c>Seeded</c>, and the
    /// optimizer counts steps: those of grown slots are counted by <c>Step</c> alone.</exception>
    member _.Follow() : RewireEvent[] =
        for l in layers do
            if
                not l.IsFrozen
                && RemapMoments.ageOfGrown (l.Followed.Memory l.Layer.weight) l.Policy.Moments
                   >= 0L
            then
                let message =
                    $"expected moments of Zero or RowMean for {l.Shown}, got {l.Policy.Moments}, which counts the "
                    + $"steps of grown slots apart from {optimizer.GetType().Name}'s own: let Rewirer.Step take the step"

                raise (InvalidOperationException message)

        lock (RunGate.ofOptimizer optimizer) (fun () ->
            check ()
            settle ()
            watch.Forget()
            let at = step + 1L
            let due = dueAt at
            finish at due (if due.Length > 0 then fst (update at due) else [||]))

    /// <summary>Zeroes the optimizer's gradients and forgets the passes that made them: for a batch that is thrown away
    /// before it is stepped on.</summary>
    member _.ZeroGrad() : unit =
        optimizer.zero_grad ()

        for l in layers do
            l.Recorder.Forget(fun pass -> pass > step)

    /// <summary>All that the rewirer knows; putting it into a rewirer of the same layers goes on from there, to the bit.</summary>
    /// <exception cref="T:System.ArgumentException">On setting: the layers' names or shapes, or the optimizer's type, are
    /// not those of the state; nothing has changed.</exception>
    member this.State
        with get (): RewirerState =
            RewirerState(
                step,
                seed,
                OptimizerFields.kind optimizer,
                [| for l in layers -> l.Name, l.Explored |],
                [| for l in layers -> l.Recorder.Read(fun at g x -> at, int g.shape[0], Numbers.Of g, Numbers.Of x) |],
                [| for l in layers -> l.Ages.OfSlots |]
            )
        and set (value: RewirerState) =
            if not (isNull value) && value.Ages.Length = layers.Length then
                for l, ages in Array.zip layers value.Ages do
                    if not (isNull ages) && ages.Length <> l.Layer.Connectivity.Nnz then
                        let message =
                            $"expected ages of {l.Layer.Connectivity.Nnz} slots for '{l.Name}', got {ages.Length}"

                        raise (ArgumentException(message, nameof value))

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

        let refuse (what: string) =
            raise (ArgumentException(what, nameof value))

        let kind = OptimizerFields.kind optimizer

        if value.Optimizer <> kind then
            refuse $"expected a state for {kind}, got one for {value.Optimizer}"

        let listed (names: seq<string>) = String.Join(", ", names)

        if (value.Explored |> Array.map fst) <> (layers |> Array.map _.Name) then
            refuse $"expected layers {listed (layers |> Seq.map _.Name)}, got {listed (value.Explored |> Seq.map fst)}"

        for l, (name, explored) in Array.zip layers value.Explored do
            if not (explored.Fits l.Layer.Connectivity) then
                refuse $"expected cells of {l.Layer.Connectivity} for '{name}', got {explored}"

        let passes =
            Array.map2
                (fun (l: RewiredLayer) passes ->
                    let device = l.Layer.weight.device

                    [| for at, n, g: Numbers, x: Numbers in passes ->
                           let g = g.Tensor(int64 n, l.Layer.out_features).``to`` device
                           let x = x.Tensor(int64 n, l.Layer.in_features).``to`` device
                           struct (at, g, x) |])
                layers
                value.Passes

        fun () ->
            step <- value.Step
            seed <- value.Seed
            watch.Forget()

            for l, (_, explored), passes in Array.zip3 layers value.Explored passes do
                l.Explored <- explored
                l.Known <- l.Layer.Connectivity
                l.Refused <- 0
                l.Recorder.Replace passes

            for l, ages in Array.zip layers value.Ages do
                l.Ages.Replace ages

            prepare ()

    /// <summary>Lets go of the layers, which note nothing any more, and of all that was noted. Patterns, weights and the
    /// optimizer stay as they are.</summary>
    member _.Dispose() : unit =
        if not isDisposed then
            isDisposed <- true
            watch.Forget()

            for l in layers do
                if isOurs l then
                    l.Layer.Recorder <- null
                    l.Layer.Rewiring <- null

                l.Recorder.Forget(fun _ -> true)

    interface IDisposable with
        member this.Dispose() = this.Dispose()
