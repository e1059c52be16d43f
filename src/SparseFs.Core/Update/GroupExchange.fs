namespace SparseFs

open System

/// Groups of one size of a layer, as a layer with a row for each group and a column for each kernel, and the policy over them.
[<NoEquality; NoComparison>]
type internal GroupedRows =
    { First: int
      Size: int
      Cells: int
      State: LayerState
      Policy: Policy }

/// <summary>Updates of patterns of row groups, and of whole kernels: those of the pattern of groups, a row each, and of kernels, a
/// column each, whose weights and gradients are norms.</summary>
/// <remarks>A last group of fewer rows is a layer of its own, so that both keep their numbers of slots. What is dropped and grown
/// there is dropped and grown in all rows of the groups and all cells of the kernels, which stay such.</remarks>
module internal GroupExchange =

    /// Cells of the kernels that a policy rewires as wholes; 1 where each slot goes and comes by itself.
    let cellsOf (policy: Policy) (state: LayerState) : int =
        if policy.WholeKernels then state.KernelCells else 1

    /// Rows of a layer that a policy rewires together.
    let sizeOf (policy: Policy) (state: LayerState) : int =
        RowGroups.within state.ChannelGroups state.Connectivity.Rows policy.RowGroup

    /// Whether a policy rewires groups of rows, or kernels, of this layer.
    let isGrouped (policy: Policy) (state: LayerState) : bool =
        sizeOf policy state > 1 || cellsOf policy state > 1

    /// <exception cref="T:System.ArgumentException">The pattern has not the groups and kernels that the policy rewires.</exception>
    let check (policy: Policy) (state: LayerState) =
        let c = state.Connectivity
        let cells = cellsOf policy state

        if not (WholeKernels.has cells c.RowPtrArray c.ColIdxArray) then
            raise (ArgumentException(WholeKernels.refusal cells (string c), "policy"))

        let wanted = sizeOf policy state

        if wanted > 1 && not (RowGroups.has wanted c.RowPtrArray c.ColIdxArray) then
            let size = RowGroups.size c.RowPtrArray c.ColIdxArray
            raise (ArgumentException(RowGroups.refusal wanted (string c) size, "policy"))

    /// One number for each slot of the groups, from those of their rows' slots.
    let private together
        (c: Connectivity)
        (first: int)
        (size: int)
        (cells: int)
        (groups: Connectivity)
        (combine: float32[] -> float32)
        values
        =
        let result: float32[] = Array.zeroCreate groups.Nnz
        let own: float32[] = Array.zeroCreate (size * cells)

        for group in 0 .. groups.Rows - 1 do
            let from = groups.RowPtrArray[group]

            for slot in from .. groups.RowPtrArray[group + 1] - 1 do
                for row in 0 .. size - 1 do
                    let first = c.RowPtrArray[first + group * size + row] + (slot - from) * cells

                    for cell in 0 .. cells - 1 do
                        own[row * cells + cell] <- Array.get values (first + cell)

                result[slot] <- combine own

        result

    let private norm (norm: RowGroupNorm) (values: float32[]) : float32 =
        match norm with
        | RowGroupNorm.L1 -> float32 (Array.sumBy (fun (v: float32) -> abs (float v)) values)
        | _ -> float32 (sqrt (Array.sumBy (fun (v: float32) -> float v * float v) values))

    let private mean (values: float32[]) : float32 = float32 (Array.averageBy float values)

    /// So many groups from a row on, each of the same number of rows, under a policy whose own scores are these.
    let private grouped
        (policy: Policy)
        (state: LayerState)
        (ownDrop: Lazy<float32[]>)
        (ownGrow: Lazy<CellScores>)
        (first: int)
        (size: int)
        (count: int)
        (seed: Seed)
        : GroupedRows =
        let c = state.Connectivity

        let cells = cellsOf policy state

        let fanIn group =
            (c.RowPtrArray[first + group * size + 1] - c.RowPtrArray[first + group * size])
            / cells

        let rowPtr = Array.scan (+) 0 (Array.init count fanIn)

        let colIdx =
            Array.concat
                [ for group in 0 .. count - 1 ->
                      let from = c.RowPtrArray[first + group * size]
                      Array.init (fanIn group) (fun kernel -> c.ColIdxArray[from + kernel * cells] / cells) ]

        let groups = Connectivity.ofTrusted count (c.Cols / cells) rowPtr colIdx

        let scores (source: CellScores) (worth: RowGroupNorm voption) : CellScores =
            GroupScores(source, c.Rows, first, size, cells, size * cells, worth)

        let drop (_: LayerState) =
            let scores = ownDrop.Value

            if isNull (box scores) || scores.Length <> c.Nnz then
                scores // refused where it is used
            else
                together c first size cells groups mean scores

        { First = first
          Size = size
          Cells = cells
          State =
            { Connectivity = groups
              Weight = together c first size cells groups (norm policy.GroupNorm) state.Weight
              Gradient = scores state.Gradient (ValueSome policy.GroupNorm)
              Momentum = scores state.Momentum (ValueSome policy.GroupNorm)
              Explored = ExploredCells.Of groups
              ChannelGroups = 1
              KernelCells = 1
              Step = state.Step
              Seed = seed }
          Policy =
            { policy with
                RowGroup = 1
                WholeKernels = false
                Drop =
                    match policy.Drop with
                    | Drop.Score _
                    | Drop.NamedScore _ -> Drop.Score drop
                    | Drop.NearestZero -> Drop.Magnitude // norms have no sign
                    | rule -> rule
                Grow =
                    match policy.Grow with
                    | Grow.Score(inputs, _)
                    | Grow.NamedScore(_, inputs, _) ->
                        Grow.Score(inputs, (fun (_: LayerState) -> scores ownGrow.Value ValueNone))
                    | rule -> rule } }

    /// <summary>The whole groups of a layer, and a last group of fewer rows, if there is one.</summary>
    /// <remarks>A score of the user's is asked for once, and counts by its mean over the rows and cells. A layer without groups is
    /// one whole, as it is.</remarks>
    let split (policy: Policy) (state: LayerState) : struct (GroupedRows * GroupedRows voption) =
        let rows, size = state.Connectivity.Rows, sizeOf policy state

        let ownDrop =
            Lazy<float32[]>(fun () ->
                match policy.Drop with
                | Drop.Score score
                | Drop.NamedScore(_, score) -> score state
                | _ -> [||])

        let ownGrow =
            Lazy<CellScores>(fun () ->
                match policy.Grow with
                | Grow.Score(_, score)
                | Grow.NamedScore(_, _, score) -> score state
                | _ -> state.Gradient)

        let grouped = grouped policy state ownDrop ownGrow

        let last =
            if rows % size = 0 then
                ValueNone
            else
                ValueSome(grouped (rows - rows % size) (rows % size) 1 (Seed.child 3 state.Seed))

        if isGrouped policy state then
            struct (grouped 0 size (rows / size) state.Seed, last)
        else
            struct ({ First = 0
                      Size = 1
                      Cells = 1
                      State = state
                      Policy = policy },
                    ValueNone)

    /// A number that is not finite is told by the row of the groups' pattern.
    let inGroups (whole: GroupedRows) (result: Result<'a, NonFinite>) : Result<'a, NonFinite> =
        result
        |> Result.mapError (fun (NonFinite what) ->
            let rows =
                if whole.Size > 1 then
                    invariant $", rows counted in groups of {whole.Size}"
                else
                    ""

            let columns = if whole.Cells > 1 then ", columns in kernels" else ""
            NonFinite $"{what}{rows}{columns}")

    let inLastGroup (result: Result<'a, NonFinite>) : Result<'a, NonFinite> =
        result
        |> Result.mapError (fun (NonFinite what) -> NonFinite $"{what} of the last group")

    /// What was exchanged in groups, in their rows.
    let expand
        (state: LayerState)
        (exchanged: struct (GroupedRows * bool[] * int64[]) list)
        : struct (bool[] * int64[]) =
        let c = state.Connectivity
        let dropped: bool[] = Array.zeroCreate c.Nnz
        let grown = ResizeArray<int64>()

        for struct (rows, ofGroups, cells) in exchanged do
            let groups, cellsEach = rows.State.Connectivity, rows.Cells
            let mutable next = 0

            for group in 0 .. groups.Rows - 1 do
                let from = groups.RowPtrArray[group]
                let until = int64 (group + 1) * int64 groups.Cols
                let first = next

                while next < cells.Length && cells[next] < until do
                    next <- next + 1

                for row in rows.First + group * rows.Size .. rows.First + (group + 1) * rows.Size - 1 do
                    for slot in from .. groups.RowPtrArray[group + 1] - 1 do
                        let first = c.RowPtrArray[row] + (slot - from) * cellsEach
                        Array.fill dropped first cellsEach ofGroups[slot]

                    for i in first .. next - 1 do
                        let kernel = cells[i] - int64 group * int64 groups.Cols
                        let first = int64 row * int64 c.Cols + kernel * int64 cellsEach

                        for cell in 0L .. int64 cellsEach - 1L do
                            grown.Add(first + cell)

        struct (dropped, grown.ToArray())

    /// <summary>An exchange of a layer's groups, or of a layer without them.</summary>
    /// <param name="exchange">An exchange of a layer by a policy that knows no groups.</param>
    /// <param name="policy">Any.</param>
    /// <param name="state">The layer.</param>
    let ofLayer (exchange: Policy -> LayerState -> Exchange) (policy: Policy) (state: LayerState) : Exchange =
        let one (rows: GroupedRows) =
            exchange rows.Policy rows.State
            |> Result.map (fun (struct (dropped, grown)) -> struct (rows, dropped, grown))

        if isGrouped policy state then
            let struct (whole, last) = split policy state

            finite {
                let! ofWhole = one whole |> inGroups whole

                let! ofLast =
                    match last with
                    | ValueSome rows -> one rows |> Result.map List.singleton |> inLastGroup
                    | ValueNone -> Ok []

                return expand state (ofWhole :: ofLast)
            }
        else
            exchange policy state
