namespace SparseFs

open System
open SparseFs.UpdatePattern

/// Marks of the slots that go, and the cells that come, or a number that is not finite.
type internal Exchange = Result<struct (bool[] * int64[]), NonFinite>

/// <summary>Budgets at work: how many slots an update drops and grows, and where.</summary>
module internal Redistribution =

    /// The part of a count, rounded half to even.
    let part (fraction: float) (count: int) =
        int (Rounding.part (decimal fraction) (bigint count))

    /// Cells that may not be grown: all slots, or those that stay.
    let takenOf (policy: Policy) (c: Connectivity) (dropped: bool[]) : ActiveMask =
        { Slots = c
          Freed = if policy.Regrow = Regrow.Never then null else dropped }

    /// The most slots that can be dropped and as many be grown.
    let most (policy: Policy) (c: Connectivity) =
        if policy.Regrow = Regrow.Never then
            int (min (int64 c.Nnz) (ActiveMask.slots c).Free)
        else
            c.Nnz

    let countMarked (marked: bool[]) = marked.AsSpan().Count true

    /// A budget of the layer.
    let ofLayer (policy: Policy) (fraction: float) (state: LayerState) : Exchange =
        let c = state.Connectivity
        let struct (ofDrop, ofGrow, _) = seeds state.Seed
        let count = min (part fraction c.Nnz) (most policy c)

        finite {
            let! dropped = DropSlots.mark policy.Drop state ofDrop count
            let! grown = Growth.ofLayer policy.Grow state ofGrow (takenOf policy c dropped) count
            return struct (dropped, grown)
        }

    let droppedOfRows (c: Connectivity) (dropped: bool[]) : int[] =
        Array.init c.Rows (fun row ->
            let mutable count = 0

            for slot in c.RowPtrArray[row] .. c.RowPtrArray[row + 1] - 1 do
                if dropped[slot] then
                    count <- count + 1

            count)

    /// So many cells of each row, in place of these slots.
    let private growRows (policy: Policy) (state: LayerState) (dropped: bool[]) (wanted: int[]) : Exchange =
        let struct (_, ofGrow, _) = seeds state.Seed

        Growth.ofRows policy.Grow state ofGrow (takenOf policy state.Connectivity dropped) wanted
        |> Result.map (fun grown -> struct (dropped, grown))

    /// A budget of each row.
    let ofRows (policy: Policy) (fraction: float) (state: LayerState) : Exchange =
        let c = state.Connectivity
        let struct (ofDrop, _, _) = seeds state.Seed

        DropSlots.mark policy.Drop state ofDrop (min (part fraction c.Nnz) (most policy c))
        |> Result.bind (fun dropped ->
            if policy.Regrow = Regrow.Never then
                DropSlots.limitRows (fun row -> c.Cols - (c.RowPtrArray[row + 1] - c.RowPtrArray[row])) state dropped

            growRows policy state dropped (droppedOfRows c dropped))

    /// The slots that rows get instead of those that are marked, where rows with few salient slots are given up: marked
    /// are more in the end. The sum of fan-ins stays.
    let private ablate (policy: Policy) (salient: float) (state: LayerState) (dropped: bool[]) (salientGrown: int[]) =
        let c = state.Connectivity
        let fanIn = Connectivity.fanIn c
        let lost = droppedOfRows c dropped

        let salientOf row =
            fanIn[row] - lost[row] + salientGrown[row]

        let active = fanIn |> Array.filter (fun n -> n > 0) |> Array.length

        let usual = if active = 0 then 0.0 else float c.Nnz / float active

        // At least one salient slot, and never so few rows that the others could not hold what is there.
        let enough = max 1.0 (salient * usual)

        let fewest = if c.Cols = 0 then 0 else (c.Nnz + c.Cols - 1) / c.Cols

        let staying =
            [| 0 .. c.Rows - 1 |]
            |> Array.filter (fun row -> fanIn[row] > 0)
            |> Array.sortBy (fun row -> -(salientOf row), row)

        let enoughRows =
            staying |> Array.filter (fun row -> float (salientOf row) >= enough) |> _.Length

        let staying = staying |> Array.truncate (max fewest enoughRows) |> Array.sort // by row again
        let target: int[] = Array.zeroCreate c.Rows

        staying
        |> Array.iteri (fun i row ->
            target[row] <- c.Nnz / staying.Length + (if i < c.Nnz % staying.Length then 1 else 0))

        // A row that is given up loses its slots; one that stays keeps at most its new fan-in.
        for row in 0 .. c.Rows - 1 do
            let first, last = c.RowPtrArray[row], c.RowPtrArray[row + 1] - 1

            if target[row] = 0 then
                Array.Fill(dropped, true, first, last - first + 1)
            else
                let kept =
                    [| for slot in first..last do
                           if not dropped[slot] then
                               slot |]

                if kept.Length > target[row] then
                    for slot in
                        kept
                        |> Array.sortBy (fun slot -> abs state.Weight[slot], -slot)
                        |> Array.truncate (kept.Length - target[row]) do
                        dropped[slot] <- true

        // Where a row needs more than it has free cells, some of what it dropped has to come back.
        if policy.Regrow = Regrow.Never then
            DropSlots.limitRows
                (fun row ->
                    if target[row] = 0 then
                        Int32.MaxValue
                    else
                        max 0 (c.Cols - target[row]))
                state
                dropped

        let left = droppedOfRows c dropped
        Array.init c.Rows (fun row -> target[row] - (fanIn[row] - left[row]))

    /// A budget of each row with ablation: Lasby et al., ICLR 2024 (SRigL).
    let ofAblatedRows (policy: Policy) (salient: float) (fraction: float) (state: LayerState) : Exchange =
        let c = state.Connectivity
        let struct (ofDrop, _, _) = seeds state.Seed
        let count = min (part fraction c.Nnz) (most policy c)

        finite {
            let! dropped = DropSlots.mark policy.Drop state ofDrop count
            let! salientGrown = Growth.salientOfRows state count
            let wanted = ablate policy salient state dropped salientGrown
            return! growRows policy state dropped wanted
        }

    /// A budget that falls by the cubic schedule.
    let ofFalling initial final (policy: Policy) (state: LayerState) : Exchange =
        let c = state.Connectivity
        let struct (ofDrop, _, _) = seeds state.Seed

        let wanted =
            Schedule.cubicSparsity initial final state.Step policy.Schedule
            |> Sparsity.nnz c.Rows c.Cols

        DropSlots.mark policy.Drop state ofDrop (max 0 (c.Nnz - wanted))
        |> Result.map (fun dropped -> struct (dropped, [||]))

    /// Mean magnitude over the slots that stay: of the weights, or of the momentum.
    let contribution (policy: Policy) (state: LayerState) (dropped: bool[]) : Result<float, NonFinite> =
        let c = state.Connectivity
        let mutable sum = 0.0
        let mutable kept = 0

        let add (slot: int) (value: float32) =
            if not dropped[slot] then
                sum <- sum + float (abs value)
                kept <- kept + 1

        match policy.Budget with
        | Budget.RedistributedByMomentum ->
            // In order, so that the sum does not depend on the number of threads.
            state.Momentum.InOrder(
                "momentum",
                c.Rows,
                c.Cols,
                fun _ first rows block stride ->
                    for row in first .. first + rows - 1 do
                        for slot in c.RowPtrArray[row] .. c.RowPtrArray[row + 1] - 1 do
                            add slot block[(row - first) * stride + c.ColIdxArray[slot]]
            )
        | _ -> Array.iteri add state.Weight

        if not (Double.IsFinite sum) then
            Error(NonFinite(invariant $"momentum {sum}"))
        else
            Ok(if kept = 0 then 0.0 else sum / float kept)

    /// <summary>Counts in proportion to shares, none above its room; their sum is the total.</summary>
    /// <remarks>What a full layer cannot take goes to the others. Largest remainders; a tie goes to the lower layer.</remarks>
    let shareOut (total: int64) (shares: float[]) (room: int64[]) : int[] =
        Apportionment.counts
            (bigint total)
            (bigint total)
            1I
            (Apportionment.exactShares shares)
            (Array.map (fun (n: int64) -> bigint n) room)
        |> Array.map int
