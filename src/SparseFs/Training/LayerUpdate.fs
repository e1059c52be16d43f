namespace SparseFs

open System
open System.Diagnostics
open SparseFs.Torch
open TorchSharp

/// <summary>The update of a rewirer's layers: the pure function over them, timed, and what it does to tensors.</summary>
module internal LayerUpdate =

    /// The layer as rules see it; layers of one step draw from one seed each.
    let private stateOf (seed: Seed) (at: int64) (l: RewiredLayer) : LayerState =
        let c = l.Layer.Connectivity

        let weight =
            use _ = torch.no_grad ()
            use _ = torch.NewDisposeScope()
            l.Layer.weight.detach().to_type(torch.ScalarType.Float32).cpu().contiguous().data<float32>().ToArray()

        { Connectivity = c
          Weight = weight
          Gradient = l.Recorder.Scores(c.Rows, c.Cols, (fun pass -> if pass = at then 1.0 else 0.0))
          Momentum =
            l.Recorder.Scores(c.Rows, c.Cols, (fun pass -> MomentumWindow.weight l.Policy.Momentum (at - pass)))
          Explored = l.Explored
          ChannelGroups = l.Layer.Description.Channels.Groups
          KernelCells = l.Layer.Description.Channels.Cells
          Step = at
          Seed = seed |> Seed.child (int (at % 2147483647L)) |> Seed.child l.Place }

    /// Places of layers that are rewired together: those that share a budget, or one alone.
    let private together (layers: RewiredLayer[]) : int[][] =
        let isShared (policy: Policy) =
            policy.Budget.IsRedistributedByMagnitude
            || policy.Budget.IsRedistributedByMomentum

        [| 0 .. layers.Length - 1 |]
        |> Array.groupBy (fun place ->
            if isShared layers[place].Policy then
                Array.FindIndex(layers, (fun l -> obj.ReferenceEquals(l.Policy, layers[place].Policy)))
            else
                place)
        |> Array.map snd

    /// Results of layers that are rewired, in their order, and the seconds that each took.
    let private rewire (layers: RewiredLayer[]) (states: LayerState[]) : struct (Rewired * float)[] =
        let results: struct (Rewired * float)[] = Array.zeroCreate layers.Length

        for places in together layers do
            let watch = Stopwatch.StartNew()

            let rewired =
                Rewire.step layers[places[0]].Policy (places |> Array.map (fun place -> states[place]))

            let seconds = watch.Elapsed.TotalSeconds

            for place, result in Array.zip places rewired do
                results[place] <- struct (result, seconds)

        results

    /// <summary>Results of all layers that are due. One that took no part in the backward passes keeps its slots, and
    /// shares no budget; where none did, or a number is not finite, all are refused.</summary>
    let private outcomes (seed: Seed) (at: int64) (due: RewiredLayer[]) : struct (Rewired * float)[] =
        let states = due |> Array.map (stateOf seed at)

        let working =
            [| 0 .. due.Length - 1 |] |> Array.filter (fun place -> due[place].HasWork at)

        let isSeen (l: RewiredLayer) = not (l.Looks at) || l.Recorder.Has at
        let seen = working |> Array.filter (fun place -> isSeen due[place])

        let results =
            rewire (seen |> Array.map (fun place -> due[place])) (seen |> Array.map (fun place -> states[place]))

        let whyUnseen (l: RewiredLayer) =
            if seen.Length = 0 then
                $"no backward pass has reached {l.Shown} since the last step"
            else
                "the layer took no part in the backward passes since the last step"

        let reasons =
            results
            |> Array.choose (fun (struct (r, _)) ->
                match r.Outcome with
                | RewireOutcome.Refused reason -> Some reason
                | RewireOutcome.Done _ -> None)

        match Array.tryHead reasons with
        | Some reason ->
            states
            |> Array.map (fun state -> struct (UpdatePattern.refused reason state, 0.0)) // all or none
        | None ->
            Array.init due.Length (fun place ->
                match Array.IndexOf(seen, place) with
                | -1 when due[place].HasWork at ->
                    struct (UpdatePattern.refused (whyUnseen due[place]) states[place], 0.0)
                | -1 -> struct (UpdatePattern.unchanged states[place], 0.0)
                | i -> results[i])

    /// Changes layers and optimizer: everything is computed first.
    let private apply (due: RewiredLayer[]) (rewired: Rewired[]) : unit =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()

        let changes =
            Array.map2
                (fun (l: RewiredLayer) r ->
                    let state = l.State
                    let ofGrown = RemapMoments.ageOfGrown state l.Policy.Moments
                    struct (RemapMoments.prepare state l.Policy.Moments l.Layer.weight r, ofGrown))
                due
                rewired

        for l, r, (struct (change, ofGrown)) in Array.zip3 due rewired changes do
            let struct (weight, others) = change
            RemapMoments.commit others
            l.Ages.Remap(r.Remap, ofGrown)
            l.Layer.Versions.Rewire(r.Connectivity, weight, r.Remap)
            l.Explored <- r.Explored
            l.Known <- r.Connectivity

    let private alone (seed: Seed) (at: int64) (due: RewiredLayer[]) : struct (RewireEvent[] * bool) =
        let results = outcomes seed at due

        let isChanged =
            results
            |> Array.exists (fun (struct (r, _)) ->
                match r.Outcome with
                | RewireOutcome.Done counts -> counts.Dropped + counts.Grown + counts.Regrown > 0
                | RewireOutcome.Refused _ -> false)

        if isChanged then
            apply due (results |> Array.map (fun (struct (r, _)) -> r))

        let events =
            Array.map2
                (fun (l: RewiredLayer) (struct (r: Rewired, seconds)) ->
                    { Step = at
                      Layer = l.Name
                      Seconds = seconds
                      Outcome = r.Outcome })
                due
                results

        struct (events, isChanged)

    /// <summary>Updates the layers that are due at a step, whatever the optimizer has done before, while no other thread
    /// changes them: a load comes before it or after it.</summary>
    /// <returns>An event a layer, in their order, and whether anything has changed.</returns>
    let run (seed: Seed) (at: int64) (due: RewiredLayer[]) : struct (RewireEvent[] * bool) =
        let rec exclusively (layers: RewiredLayer list) =
            match layers with
            | [] -> alone seed at due
            | l :: others -> l.Layer.Versions.Exclusively(fun () -> exclusively others)

        exclusively (List.ofArray due)
