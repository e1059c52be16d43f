namespace SparseFs

open System

/// Groups of one size of a layer, as a layer with a row for each group, and the policy over them.
[<NoEquality; NoComparison>]
type internal GroupedRows =
    { First: int
      Size: int
      State: LayerState
      Policy: Policy }

/// <summary>Updates of patterns whose rows come in groups: those of the pattern of groups, a row each, whose weights and gradients
/// are norms.</summary>
/// <remarks>A last group of fewer rows is a layer of its own, so that both keep their numbers of slots. What is dropped and grown
/// there is dropped and grown in all rows of the groups, which stay groups.</remarks>
module internal RowGroupExchange =

    /// One number for each slot of the groups, from those of their rows' slots.
    let private together
        (c: Connectivity)
        (first: int)
        (size: int)
        (groups: Connectivity)
        (combine: float32[] -> float32)
        values
        =
        let result: float32[] = Array.zeroCreate groups.Nnz
        let own: float32[] = Array.zeroCreate size

        for group in 0 .. groups.Rows - 1 do
            let from = groups.RowPtrArray[group]

            for slot in from .. groups.RowPtrArray[group + 1] - 1 do
                for row in 0 .. size - 1 do
                    own[row] <- Array.get values (c.RowPtrArray[first + group * size + row] + slot - from)

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

        let fanIn group =
            c.RowPtrArray[first + group * size + 1] - c.RowPtrArray[first + group * size]

        let rowPtr = Array.scan (+) 0 (Array.init count fanIn)

        let colIdx =
            Array.concat
                [ for group in 0 .. count - 1 ->
                      Array.sub c.ColIdxArray c.RowPtrArray[first + group * size] (fanIn group) ]

        let groups = Connectivity.ofTrusted count c.Cols rowPtr colIdx

        let scores (source: CellScores) (worth: RowGroupNorm voption) : CellScores =
            GroupScores(source, c.Rows, first, size, size, worth)

        let drop (_: LayerState) =
            let scores = ownDrop.Value

            if isNull (box scores) || scores.Length <> c.Nnz then
                scores // refused where it is used
            else
                together c first size groups mean scores

        { First = first
          Size = size
          State =
            { Connectivity = groups
              Weight = together c first size groups (norm policy.GroupNorm) state.Weight
              Gradient = scores state.Gradient (ValueSome policy.GroupNorm)
              Momentum = scores state.Momentum (ValueSome policy.GroupNorm)
              Explored = ExploredCells.Of groups
              Step = state.Step
              Seed = seed }
          Policy =
            { policy with
                RowGroup = 1
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
    /// <remarks>A score of the user's is asked for once, and counts by its mean over the rows.</remarks>
    let split (policy: Policy) (state: LayerState) : struct (GroupedRows * GroupedRows voption) =
        let rows, size = state.Connectivity.Rows, policy.RowGroup

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

        struct (grouped 0 size (rows / size) state.Seed, last)

    /// A number that is not finite is told by the row of the groups' pattern.
    let inGroups (policy: Policy) (result: Result<'a, NonFinite>) : Result<'a, NonFinite> =
        result
        |> Result.mapError (fun (NonFinite what) ->
            NonFinite(invariant $"{what}, rows counted in groups of {policy.RowGroup}"))

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
            let groups = rows.State.Connectivity
            let mutable next = 0

            for group in 0 .. groups.Rows - 1 do
                let from = groups.RowPtrArray[group]
                let until = int64 (group + 1) * int64 c.Cols
                let first = next

                while next < cells.Length && cells[next] < until do
                    next <- next + 1

                for row in rows.First + group * rows.Size .. rows.First + (group + 1) * rows.Size - 1 do
                    for slot in from .. groups.RowPtrArray[group + 1] - 1 do
                        dropped[c.RowPtrArray[row] + slot - from] <- ofGroups[slot]

                    for i in first .. next - 1 do
                        grown.Add(int64 row * int64 c.Cols + (cells[i] - int64 group * int64 c.Cols))

        struct (dropped, grown.ToArray())

    /// <summary>An exchange of a layer's groups.</summary>
    /// <param name="exchange">An exchange of a layer by a policy that knows no groups.</param>
    /// <param name="policy">One with groups.</param>
    /// <param name="state">The layer.</param>
    let ofLayer (exchange: Policy -> LayerState -> Exchange) (policy: Policy) (state: LayerState) : Exchange =
        let struct (whole, last) = split policy state

        let one (rows: GroupedRows) =
            exchange rows.Policy rows.State
            |> Result.map (fun (struct (dropped, grown)) -> struct (rows, dropped, grown))

        finite {
            let! ofWhole = one whole |> inGroups policy

            let! ofLast =
                match last with
                | ValueSome rows -> one rows |> Result.map List.singleton |> inLastGroup
                | ValueNone -> Ok []

            return expand state (ofWhole :: ofLast)
        }
