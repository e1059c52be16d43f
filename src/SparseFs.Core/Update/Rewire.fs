namespace SparseFs

open System
open SparseFs.UpdatePattern

/// <summary>Drop and grow as pure functions: an update of one layer, or of several that share a budget.</summary>
[<RequireQualifiedAccess>]
module Rewire =

    let private checkState (state: LayerState) =
        if isNull (box state.Connectivity) then
            nullArg "Connectivity"

        if isNull (box state.Weight) || state.Weight.Length <> state.Connectivity.Nnz then
            let got =
                if isNull (box state.Weight) then
                    "null"
                else
                    (invariant $"{state.Weight.Length}")

            raise (ArgumentException((invariant $"expected {state.Connectivity.Nnz} weights, got {got}"), "Weight"))

        if state.ChannelGroups < 1 || state.Connectivity.Rows % state.ChannelGroups <> 0 then
            let message =
                invariant
                    $"expected a divisor of the {state.Connectivity.Rows} rows, got {state.ChannelGroups} groups of channels"

            raise (ArgumentException(message, "ChannelGroups"))

        if state.KernelCells < 1 || state.Connectivity.Cols % state.KernelCells <> 0 then
            let message =
                invariant
                    $"expected a divisor of the {state.Connectivity.Cols} columns, got kernels of {state.KernelCells} cells"

            raise (ArgumentException(message, "KernelCells"))

        if isNull (box state.Explored) || not (state.Explored.Fits state.Connectivity) then
            raise (
                ArgumentException(
                    (invariant $"expected cells of {state.Connectivity}, got {state.Explored}"),
                    "Explored"
                )
            )

    /// <summary>A layer as it is before its first update, for rules that need nothing but its weights.</summary>
    /// <param name="connectivity">Which weights exist.</param>
    /// <param name="weight">Length nnz, in slot order; not copied.</param>
    /// <param name="step">The optimizer step, counted from 1.</param>
    /// <param name="seed">Randomness for this update alone.</param>
    /// <exception cref="T:System.ArgumentException">weight does not have nnz numbers.</exception>
    /// <example><code>
    /// let pattern = Topology.uniform 300 784 23_520 seed
    /// let state = Rewire.state pattern (Array.init pattern.Nnz (fun slot -> sin (float32 slot))) 100L seed
    /// </code></example>
    [<CompiledName "State">]
    let state (connectivity: Connectivity) (weight: float32[]) (step: int64) (seed: Seed) : LayerState =
        let unknown (what: string) =
            RowScores(fun _ _ -> raise (InvalidOperationException(invariant $"no {what} was given to this state")))

        let state =
            { Connectivity = connectivity
              Weight = weight
              Gradient = unknown "gradient"
              Momentum = unknown "momentum"
              Explored = ExploredCells.Of connectivity
              ChannelGroups = 1
              KernelCells = 1
              Step = step
              Seed = seed }

        checkState state
        state

    let private checkFraction (fraction: float) =
        if not (fraction >= 0.0 && fraction <= 1.0) then
            raise (ArgumentException((invariant $"expected a part in [0, 1], got {fraction}"), nameof fraction))

    /// <summary>Drops and grows a given part of a layer's slots.</summary>
    /// <param name="policy">Its budget is the layer's or the rows'; the schedule is asked by <c>GradualPruning</c> alone.</param>
    /// <param name="fraction">The part of the slots, in [0, 1]; 0 changes nothing; <c>GradualPruning</c> asks the schedule alone.</param>
    /// <param name="state">The layer.</param>
    /// <returns>The same number of slots, unless the budget is <c>GradualPruning</c>. Kept slots keep their values, by the remap.
    /// A weight or a score that is not finite refuses the update: nothing changes, and the outcome says why. Equal
    /// arguments give equal results.</returns>
    /// <exception cref="T:System.ArgumentException">The fraction is outside [0, 1], the state does not fit together, a rule
    /// gives another number of scores than it should, or layers share the budget.</exception>
    /// <remarks>O(nnz + cells asked for), and 4 MB a block of scores.</remarks>
    /// <example><code>
    /// let pattern = Topology.uniform 300 784 1000 seed
    /// let state = Rewire.state pattern (Array.init 1000 float32) 100L seed
    /// let rewired = Rewire.layerBy (Policy.set (Schedule.constant 0.3 100L 1000L)) 0.3 state
    /// (rewired.Remap.Dropped, rewired.Remap.Grown) // = (300, 300)
    /// </code></example>
    [<CompiledName "LayerBy">]
    let layerBy (policy: Policy) (fraction: float) (state: LayerState) : Rewired =
        Policy.check policy |> ignore
        checkState state
        checkFraction fraction

        GroupExchange.check policy state

        let exchange (policy: Policy) (state: LayerState) : Exchange =
            match policy.Budget with
            | Budget.Layer -> Redistribution.ofLayer policy fraction state
            | Budget.Row -> Redistribution.ofRows policy fraction state
            | Budget.RowWithAblation _ when Redistribution.part fraction state.Connectivity.Nnz = 0 ->
                Ok(struct (Array.zeroCreate state.Connectivity.Nnz, [||]))
            | Budget.RowWithAblation salient -> Redistribution.ofAblatedRows policy salient fraction state
            | Budget.GradualPruning(initial, final) -> Redistribution.ofFalling initial final policy state
            | Budget.RedistributedByMagnitude
            | Budget.RedistributedByMomentum ->
                let message =
                    "expected a budget of one layer, got one that layers share: use Rewire.layersBy"

                raise (ArgumentException(message, nameof policy))

        let rewired =
            finite {
                do! DropSlots.checkFinite "weight" state.Weight

                let! struct (dropped, grown) = GroupExchange.ofLayer exchange policy state
                return! finish policy state dropped grown
            }

        match rewired with
        | Ok rewired -> rewired
        | Error found -> refused found.Reason state

    /// Numbers of slots that the layers of a shared budget grow.
    let private shares (policy: Policy) (states: LayerState[]) (dropped: bool[][]) : Result<int[], NonFinite> =
        let total = dropped |> Array.sumBy (Redistribution.countMarked >> int64)

        if total = 0L then
            Ok(Array.zeroCreate states.Length)
        else
            Array.zip states dropped
            |> allFinite (fun (state, marked) -> Redistribution.contribution policy state marked)
            |> Result.map (fun contributions ->
                let room =
                    Array.map2
                        (fun (state: LayerState) marked ->
                            (Redistribution.takenOf policy state.Connectivity marked).Free)
                        states
                        dropped

                Redistribution.shareOut total contributions room)

    /// Marks and cells of layers that share a budget; none of them has groups.
    let private exchangeAcross (policy: Policy) (fraction: float) (states: (Policy * LayerState)[]) =
        let mark (policy: Policy, state: LayerState) =
            let struct (ofDrop, _, _) = seeds state.Seed
            let c = state.Connectivity

            DropSlots.mark
                policy.Drop
                state
                ofDrop
                (min (Redistribution.part fraction c.Nnz) (Redistribution.most policy c))

        let grow ((policy: Policy, state: LayerState), marked: bool[], count: int) =
            let struct (_, ofGrow, _) = seeds state.Seed

            Growth.ofLayer policy.Grow state ofGrow (Redistribution.takenOf policy state.Connectivity marked) count
            |> Result.map (fun cells -> struct (marked, cells))

        finite {
            let! dropped = allFinite mark states
            let! counts = shares policy (Array.map snd states) dropped
            return! Array.zip3 states dropped counts |> allFinite grow
        }

    let private across (policy: Policy) (fraction: float) (states: LayerState[]) : Rewired[] =
        /// Layers share the slots of whole groups; a last group of fewer rows keeps its own number.
        let inGroups (states: LayerState[]) =
            let split = states |> Array.map (GroupExchange.split policy)

            let wholes =
                split |> Array.map (fun (struct (whole, _)) -> whole.Policy, whole.State)

            let ofLast (struct (_: GroupedRows, last: GroupedRows voption)) =
                match last with
                | ValueNone -> Ok []
                | ValueSome rows ->
                    Redistribution.ofLayer rows.Policy fraction rows.State
                    |> Result.map (fun (struct (dropped, grown)) -> [ struct (rows, dropped, grown) ])
                    |> GroupExchange.inLastGroup

            finite {
                // All of them are alike in what goes together.
                let struct (first, _) = split[0]

                let! exchanged =
                    exchangeAcross policy fraction wholes |> GroupExchange.inGroups first

                let! lasts = allFinite ofLast split

                return
                    Array.init states.Length (fun i ->
                        let struct (whole, _) = split[i]
                        let struct (dropped, grown) = exchanged[i]
                        GroupExchange.expand states[i] (struct (whole, dropped, grown) :: lasts[i]))
            }

        /// Layers that drop and grow as many slots at once share what they drop, so that the number of slots stays.
        let exchangeAll () =
            let classes =
                states
                |> Array.indexed
                |> Array.groupBy (fun (_, state) ->
                    GroupExchange.sizeOf policy state, GroupExchange.cellsOf policy state)

            let ofClass (_, members: (int * LayerState)[]) =
                let own = Array.map snd members

                let exchanged =
                    if Array.exists (GroupExchange.isGrouped policy) own then
                        inGroups own
                    else
                        exchangeAcross policy fraction (own |> Array.map (fun state -> policy, state))

                exchanged |> Result.map (Array.zip (Array.map fst members))

            allFinite ofClass classes
            |> Result.map (Array.concat >> Array.sortBy fst >> Array.map snd)

        let rewired =
            finite {
                let! _ =
                    states |> allFinite (fun state -> DropSlots.checkFinite "weight" state.Weight)

                let! exchanged = exchangeAll ()

                return!
                    Array.zip states exchanged
                    |> allFinite (fun (state, struct (dropped, grown)) -> finish policy state dropped grown)
            }

        match rewired with
        | Ok rewired -> rewired
        | Error found -> states |> Array.map (refused found.Reason)

    /// <summary>Drops and grows a given part of the slots of several layers under one policy.</summary>
    /// <param name="policy">Any; the schedule is asked by <c>GradualPruning</c> alone.</param>
    /// <param name="fraction">The part of each layer's slots, in [0, 1]; 0 changes nothing; <c>GradualPruning</c> asks the schedule alone.</param>
    /// <param name="states">The layers.</param>
    /// <returns>One result a layer. Where layers share a budget their slots add up to what they were, and one number that
    /// is not finite refuses all.</returns>
    /// <exception cref="T:System.ArgumentException">As <c>layerBy</c>.</exception>
    /// <example><code>
    /// let policy = { Policy.set (Schedule.constant 0.3 100L 1000L) with Budget = Budget.RedistributedByMagnitude }
    /// let layerOf weight = Rewire.state (Topology.uniform 100 100 1000 seed) (Array.create 1000 weight) 100L seed
    /// let rewired = Rewire.layersBy policy 0.2 [| layerOf 0.1f; layerOf 0.3f |]
    /// rewired |> Array.map _.Connectivity.Nnz // = [|900; 1100|]
    /// </code></example>
    [<CompiledName "LayersBy">]
    let layersBy (policy: Policy) (fraction: float) (states: LayerState[]) : Rewired[] =
        ArgumentNullException.ThrowIfNull(states, nameof states)

        match policy.Budget with
        | Budget.RedistributedByMagnitude
        | Budget.RedistributedByMomentum ->
            Policy.check policy |> ignore
            checkFraction fraction
            Array.iter checkState states
            Array.iter (GroupExchange.check policy) states
            across policy fraction states
        | _ -> states |> Array.map (layerBy policy fraction)

    /// <summary>An update as the policy's schedule has it at the layers' step.</summary>
    /// <param name="policy">Any.</param>
    /// <param name="states">The layers, all at the same step.</param>
    /// <returns>As <c>layersBy</c>; where the step is no update, nothing changes.</returns>
    /// <exception cref="T:System.ArgumentException">As <c>layersBy</c>, or the steps differ.</exception>
    /// <example><code>
    /// let policy = Policy.set (Schedule.constant 0.3 100L 1000L)
    /// let pattern = Topology.uniform 100 100 1000 seed
    /// let at step = Rewire.step policy [| Rewire.state pattern (Array.init 1000 float32) step seed |] |> Array.head
    /// (at 99L).Connectivity = pattern // = true
    /// (at 100L).Remap.Grown // = 300
    /// </code></example>
    [<CompiledName "Step">]
    let step (policy: Policy) (states: LayerState[]) : Rewired[] =
        ArgumentNullException.ThrowIfNull(states, nameof states)

        match states |> Array.map (fun (state: LayerState) -> state.Step) |> Array.distinct with
        | [||] -> [||]
        | [| step |] when Schedule.isUpdate step policy.Schedule ->
            layersBy policy (Schedule.fraction step policy.Schedule) states
        | [| _ |] -> Array.map unchanged states
        | steps ->
            raise (
                ArgumentException(
                    (invariant $"expected layers at the same step, got {steps.Length} steps"),
                    nameof states
                )
            )
