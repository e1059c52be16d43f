namespace SparseFs

open System
open System.Diagnostics

/// <summary>A layer after an update, from what was dropped and what was grown.</summary>
module internal Assembling =

    /// What is drawn for dropping, growing and the grown weights.
    let seeds (seed: Seed) =
        struct (Seed.child 0 seed, Seed.child 1 seed, Seed.child 2 seed)

    /// Kept slots and grown cells, merged; a cell may be both dropped and grown.
    [<FullyOptimized>]
    let merge (c: Connectivity) (dropped: bool[]) (grown: int64[]) (keepsRegrown: bool) =
        let columns = c.ColIdxArray
        let mutable kept = 0

        for slot in 0 .. dropped.Length - 1 do
            kept <- kept + (if dropped[slot] then 0 else 1)

        let nnz = kept + grown.Length
        let rowPtr: int[] = Array.zeroCreate (c.Rows + 1)
        // A dropped slot is written too, and written over by the next: no branch to predict. Hence room for one more.
        let colIdx: int[] = Array.zeroCreate (nnz + 1)
        let from: int[] = Array.zeroCreate (nnz + 1)
        let mutable slot = 0
        let mutable next = 0
        let mutable regrown = 0

        for row in 0 .. c.Rows - 1 do
            let start = int64 row * int64 c.Cols
            let mutable old = c.RowPtrArray[row]
            let last = c.RowPtrArray[row + 1]
            let mutable isDone = false

            while not isDone do
                let grownCol =
                    if next < grown.Length && grown[next] < start + int64 c.Cols then
                        int (grown[next] - start)
                    else
                        Int32.MaxValue

                while old < last && columns[old] < grownCol do
                    colIdx[slot] <- columns[old]
                    from[slot] <- old
                    slot <- slot + (if dropped[old] then 0 else 1)
                    old <- old + 1

                if grownCol = Int32.MaxValue then
                    isDone <- true
                else
                    let isRegrown = old < last && columns[old] = grownCol
                    colIdx[slot] <- grownCol
                    from[slot] <- (if isRegrown && keepsRegrown then old else -1)
                    slot <- slot + 1
                    next <- next + 1

                    if isRegrown then
                        regrown <- regrown + 1
                        old <- old + 1

            rowPtr[row + 1] <- slot

        let colIdx, from = Array.sub colIdx 0 nnz, Array.sub from 0 nnz
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
                let radius = sqrt (-2.0 * PortableMath.ln (1.0 - unit (2 * i) seed))
                let turn = 2.0 * unit (2 * i + 1) seed
                let cos = PortableMath.cosPi (if turn > 1.0 then 2.0 - turn else turn)
                float32 (deviation * radius * cos))

    let private event (state: LayerState) (c: Connectivity) (explored: Explored) (watch: Stopwatch) : RewireEvent =
        { Step = state.Step
          Layer = ""
          Nnz = c.Nnz
          Dropped = 0
          Grown = 0
          Regrown = 0
          Churn = 0.0
          Explored = explored.Rate
          DeadRows = Measure.deadRows c
          DeadCols = Measure.deadCols c
          Seconds = watch.Elapsed.TotalSeconds
          Refusal = null }

    let unchanged (state: LayerState) (watch: Stopwatch) (refusal: string) : Rewired =
        let c = state.Connectivity

        { Connectivity = c
          Remap = Remap.identity c.Nnz
          GrownWeights = [||]
          Explored = state.Explored
          Event =
            { event state c state.Explored watch with
                Refusal = refusal } }

    /// Drops what is marked and grows these cells.
    let finish (policy: Policy) (state: LayerState) (watch: Stopwatch) (dropped: bool[]) (grown: int64[]) =
        let before = state.Connectivity
        let struct (_, _, ofWeights) = seeds state.Seed

        let struct (after, remap, regrown) =
            merge before dropped grown (policy.Regrow = Regrow.Kept)

        let explored = state.Explored.With(after, grown)
        let gone = before.Nnz - (after.Nnz - grown.Length)

        { Connectivity = after
          Remap = remap
          GrownWeights = grownWeights policy.GrownWeight remap.Grown ofWeights
          Explored = explored
          Event =
            { event state after explored watch with
                Dropped = gone - regrown
                Grown = grown.Length - regrown
                Regrown = regrown
                Churn =
                    if after.Nnz = 0 then
                        0.0
                    else
                        float (grown.Length - regrown) / float after.Nnz } }
