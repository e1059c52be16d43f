namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// What an update did.
type internal Outcome =
    {
        /// One event a layer that was due.
        Happened: RewireEvent[]
        IsChanged: bool
        /// Which of the layers took no part in a step that others took part in.
        PassedOver: bool[]
    }

    /// Whether an update was refused, so that the optimizer must not step either.
    member o.IsRefused =
        Array.exists2
            (fun (e: RewireEvent) isPassedOver -> not (isNull e.Refusal || isPassedOver))
            o.Happened
            o.PassedOver

/// <summary>An update of the layers of a rewirer.</summary>
module internal RewirerUpdate =

    /// The weight of a step's gradient falls by this a step, as in SNFS.
    let private momentum = 0.9

    let private stateOf (seed: Seed) (at: int64) (l: Rewirable) : LayerState =
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
          Seed = seed |> Seed.child (int (at % 2147483647L)) |> Seed.child l.Index }

    /// What an update that does not look at a layer would see.
    let private bare (seed: Seed) (at: int64) (l: Rewirable) : LayerState =
        { Connectivity = l.Layer.Connectivity
          Weight = [||]
          Gradient = null
          Momentum = null
          Explored = l.Explored
          Step = at
          Seed = seed }

    /// Changes layers and optimizer: everything is computed first.
    let private apply (helper: OptimizerHelper) (due: Rewirable[]) (rewired: Rewired[]) =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()

        let changes =
            Array.map2 (fun (l: Rewirable) r -> RemapState.prepare helper l.Policy.Moments l.Layer.weight r) due rewired

        for l, r, change in Array.zip3 due rewired changes do
            RemapState.commit change
            l.Layer.Adopt r.Connectivity
            l.Explored <- r.Explored

    /// What layers that share a policy become, in their order.
    let private rewire (due: Rewirable[]) (states: LayerState[]) : Rewired[] =
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

    /// The update of the layers that are due at a step, whatever the optimizer has done before: each by itself, but for a
    /// budget that they share.
    let run (helper: OptimizerHelper) (seed: Seed) (at: int64) (due: Rewirable[]) : Outcome =
        let rewired = due |> Array.map (fun l -> Rewire.refuse null (bare seed at l))
        let isOthers = lazy (LoopSigns.hasGradient helper)
        let isPassedOver (l: Rewirable) = l.TookNoPart && isOthers.Value

        let looked =
            [| for place, l in Array.indexed due do
                   if l.MayChange at then
                       match l.Unseen with
                       | ValueNone -> place
                       | ValueSome why -> rewired[place] <- Rewire.refuse why (bare seed at l) |]

        let those = looked |> Array.map (fun place -> due[place])

        for place, result in Array.zip looked (rewire those (those |> Array.map (stateOf seed at))) do
            rewired[place] <- result

        let isChanged (r: Rewired) =
            r.Event.Dropped + r.Event.Grown + r.Event.Regrown > 0

        let changed = Array.zip due rewired |> Array.filter (fun (_, r) -> isChanged r)

        if changed.Length > 0 then
            apply helper (Array.map fst changed) (Array.map snd changed)

        { Happened = Array.map2 (fun (l: Rewirable) r -> { r.Event with Layer = l.Name }) due rewired
          IsChanged = changed.Length > 0
          PassedOver = due |> Array.map (fun l -> l.MayChange at && isPassedOver l) }

    /// The noted passes of a state, for each layer, as tensors of the open DisposeScope. Those of a step that was not taken
    /// are left out: they are in no gradient that a state holds.
    let passesOf (state: RewirerState) (layers: Rewirable[]) : struct (int64 * torch.Tensor * torch.Tensor)[][] =
        Array.map2
            (fun (l: Rewirable) passes ->
                let device = l.Layer.weight.device

                [| for at, n, g: Numbers, x: Numbers in passes do
                       if at <= state.Step then
                           let g = g.Tensor(int64 n, l.Layer.out_features).``to`` device
                           let x = x.Tensor(int64 n, l.Layer.in_features).``to`` device
                           struct (at, g, x) |])
            layers
            state.Passes
