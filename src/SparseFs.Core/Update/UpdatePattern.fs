namespace SparseFs

open System

/// <summary>A layer after an update, from what was dropped and what was grown.</summary>
module internal UpdatePattern =

    /// Seeds of dropping, of growing and of the grown weights.
    let seeds (seed: Seed) =
        struct (Seed.child 0 seed, Seed.child 1 seed, Seed.child 2 seed)

    /// Kept slots and grown cells, merged; a cell may be both dropped and grown.
    [<AggressiveOptimization>]
    let private merge (c: Connectivity) (dropped: bool[]) (grown: int64[]) (keepsRegrown: bool) =
        let columns = c.ColIdxArray
        let nnz = columns.Length - dropped.AsSpan().Count true + grown.Length
        let rowPtr: int[] = Array.zeroCreate (c.Rows + 1)
        let colIdx = GC.AllocateUninitializedArray<int> nnz
        let from = GC.AllocateUninitializedArray<int> nnz
        let mutable slot = 0
        let mutable next = 0
        let mutable regrown = 0

        for row in 0 .. c.Rows - 1 do
            let start = int64 row * int64 c.Cols
            let last = c.RowPtrArray[row + 1]
            let mutable old = c.RowPtrArray[row]
            let mutable lastGrown = next

            while lastGrown < grown.Length && grown[lastGrown] < start + int64 c.Cols do
                lastGrown <- lastGrown + 1

            // A dropped slot is written too, and written over by the next: nothing to predict. Once all that comes is
            // dropped there is no room for it.
            while (old < last || next < lastGrown) && slot < nnz do
                let oldCol = if old < last then columns[old] else Int32.MaxValue

                let grownCol =
                    if next < lastGrown then
                        int (grown[next] - start)
                    else
                        Int32.MaxValue

                let isOld = oldCol <= grownCol
                let isGrown = grownCol <= oldCol
                colIdx[slot] <- (if isOld then oldCol else grownCol)
                from[slot] <- (if isOld && (keepsRegrown || not isGrown) then old else -1)
                let isKept = isGrown || not dropped[old]
                regrown <- regrown + (if isOld && isGrown then 1 else 0)
                slot <- slot + (if isKept then 1 else 0)
                old <- old + (if isOld then 1 else 0)
                next <- next + (if isGrown then 1 else 0)

            rowPtr[row + 1] <- slot

        struct (Connectivity.ofTrusted c.Rows c.Cols rowPtr colIdx, Remap(c.Nnz, from), regrown)

    /// Uniform in [0, 1), by 53 bits.
    let private unit (index: int) (seed: Seed) =
        float (Seed.bitsAt (int64 index) seed >>> 11) * (1.0 / 9007199254740992.0)

    let private grownWeights (rule: GrownWeight) (count: int) (seed: Seed) : float32[] =
        match rule with
        | GrownWeight.Zero -> Array.zeroCreate count
        | GrownWeight.Uniform bound -> Array.init count (fun i -> float32 (bound * (2.0 * unit i seed - 1.0)))
        | GrownWeight.Normal deviation ->
            // Box and Muller, Annals of Mathematical Statistics 29, 1958; a turn is measured in halves.
            Array.init count (fun i ->
                let radius = sqrt (-2.0 * ReproducibleMath.ln (1.0 - unit (2 * i) seed))
                let turn = 2.0 * unit (2 * i + 1) seed
                let cos = ReproducibleMath.cosPi (if turn > 1.0 then 2.0 - turn else turn)
                float32 (deviation * radius * cos))

    /// The scores of grown slots, in slot order.
    let private grownGradients
        (scores: CellScores)
        (after: Connectivity)
        (remap: Remap)
        : Result<float32[], NonFinite> =
        let from = remap.FromArray
        let gradients: float32[] = Array.zeroCreate remap.Grown

        // Grown slots before each row, so that rows are written side by side.
        let before =
            Array.init after.Rows (fun row ->
                let mutable grown = 0

                for slot in after.RowPtrArray[row] .. after.RowPtrArray[row + 1] - 1 do
                    if from[slot] < 0 then
                        grown <- grown + 1

                grown)
            |> Array.scan (+) 0

        ScoreReading.eachBlock
            "gradient"
            scores
            after.Rows
            after.Cols
            (ScoreBlock(fun _ first count block stride ->
                for row in first .. first + count - 1 do
                    let mutable next = before[row]

                    for slot in after.RowPtrArray[row] .. after.RowPtrArray[row + 1] - 1 do
                        if from[slot] < 0 then
                            gradients[next] <- block[(row - first) * stride + after.ColIdxArray[slot]]
                            next <- next + 1))

        match gradients |> Array.tryFind (Single.IsFinite >> not) with
        | Some gradient -> Error(NonFinite(invariant $"gradient {gradient} of a grown slot"))
        | None -> Ok gradients

    let private counts (c: Connectivity) (explored: ExploredCells) : RewireCounts =
        { Nnz = c.Nnz
          Dropped = 0
          Grown = 0
          Regrown = 0
          Explored = explored.Rate
          DeadRows = GraphMetrics.deadRows c
          DeadCols = GraphMetrics.deadCols c }

    let private asBefore (state: LayerState) (outcome: RewireOutcome) : Rewired =
        let c = state.Connectivity

        { Connectivity = c
          Remap = Remap.identity c.Nnz
          GrownWeights = [||]
          GrownGradients = [||]
          Explored = state.Explored
          Outcome = outcome }

    /// The layer as it was, after an update that had nothing to do.
    let unchanged (state: LayerState) : Rewired =
        asBefore state (RewireOutcome.Done(counts state.Connectivity state.Explored))

    /// The layer as it was, after an update that was not done.
    let refused (reason: string) (state: LayerState) : Rewired =
        asBefore state (RewireOutcome.Refused reason)

    /// Drops what is marked and grows these cells.
    let finish (policy: Policy) (state: LayerState) (dropped: bool[]) (grown: int64[]) : Result<Rewired, NonFinite> =
        let before = state.Connectivity
        let struct (_, _, ofWeights) = seeds state.Seed

        let struct (after, remap, regrown) =
            merge before dropped grown (policy.Regrow = Regrow.Restore)

        let explored = state.Explored.With grown
        let gone = before.Nnz - (after.Nnz - grown.Length)

        finite {
            let! gradients =
                if policy.Moments = Moments.Seeded && remap.Grown > 0 then
                    grownGradients state.Gradient after remap
                else
                    Ok [||]

            return
                { Connectivity = after
                  Remap = remap
                  GrownWeights = grownWeights policy.GrownWeight remap.Grown ofWeights
                  GrownGradients = gradients
                  Explored = explored
                  Outcome =
                    RewireOutcome.Done
                        { counts after explored with
                            Dropped = gone - regrown
                            Grown = grown.Length - regrown
                            Regrown = regrown } }
        }
