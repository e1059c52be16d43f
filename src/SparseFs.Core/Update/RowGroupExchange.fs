namespace SparseFs

open System

/// Scores of the columns of groups, from those of their rows.
[<Sealed>]
type internal GroupScores(source: CellScores, first: int, size: int, worth: GroupNorm voption) =
    inherit CellScores()

    override _.Rows(group, count) =
        let scores = source.Rows(first + group * size, count * size)
        let cols = scores.Length / (count * size)
        let together: float32[] = Array.zeroCreate (count * cols)

        for row in 0 .. count * size - 1 do
            let target = Span(together, row / size * cols, cols)
            let own = ReadOnlySpan(scores, row * cols, cols)

            match worth with
            | ValueSome GroupNorm.L2 ->
                for col in 0 .. cols - 1 do
                    target[col] <- target[col] + own[col] * own[col]
            | ValueSome _ ->
                for col in 0 .. cols - 1 do
                    target[col] <- target[col] + abs own[col]
            | ValueNone ->
                for col in 0 .. cols - 1 do
                    target[col] <- target[col] + own[col] / float32 size

        if worth = ValueSome GroupNorm.L2 then
            for i in 0 .. together.Length - 1 do
                together[i] <- MathF.Sqrt together[i]

        together

/// Groups of one size of a layer, as a layer with a row for each group.
[<NoEquality; NoComparison>]
type internal GroupedRows =
    { First: int
      Size: int
      State: LayerState }

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

    let private norm (norm: GroupNorm) (values: float32[]) : float32 =
        match norm with
        | GroupNorm.L1 -> Array.sumBy abs values
        | _ -> MathF.Sqrt(Array.sumBy (fun v -> v * v) values)

    let private mean (values: float32[]) : float32 =
        Array.sum values / float32 values.Length

    /// So many groups from a row on, each of the same number of rows.
    let private grouped (policy: Policy) (state: LayerState) (first: int) (size: int) (count: int) (seed: Seed) =
        let c = state.Connectivity

        let fanIn group =
            c.RowPtrArray[first + group * size + 1] - c.RowPtrArray[first + group * size]

        let rowPtr = Array.scan (+) 0 (Array.init count fanIn)

        let colIdx =
            Array.concat
                [ for group in 0 .. count - 1 ->
                      Array.sub c.ColIdxArray c.RowPtrArray[first + group * size] (fanIn group) ]

        let groups = Connectivity.ofTrusted count c.Cols rowPtr colIdx

        let scores (source: CellScores) =
            GroupScores(source, first, size, ValueSome policy.GroupNorm)

        { First = first
          Size = size
          State =
            { Connectivity = groups
              Weight = together c first size groups (norm policy.GroupNorm) state.Weight
              Gradient = scores state.Gradient
              Momentum = scores state.Momentum
              Explored = ExploredCells.Of groups
              Step = state.Step
              Seed = seed } }

    /// The policy as it goes over the groups, from that row on: a score of the user's is the mean of the rows' own.
    let private over (policy: Policy) (state: LayerState) (rows: GroupedRows) : Policy =
        let drop (score: LayerState -> float32[]) =
            Drop.Score(fun (_: LayerState) ->
                let scores = score state

                if isNull (box scores) || scores.Length <> state.Weight.Length then
                    scores // refused where it is used
                else
                    together state.Connectivity rows.First rows.Size rows.State.Connectivity mean scores)

        let grow (inputs: GrowthInputs) (score: LayerState -> CellScores) =
            Grow.Score(
                inputs,
                (fun (_: LayerState) -> GroupScores(score state, rows.First, rows.Size, ValueNone) :> CellScores)
            )

        { policy with
            RowGroup = 1
            Drop =
                match policy.Drop with
                | Drop.Score score
                | Drop.NamedScore(_, score) -> drop score
                | Drop.NearestZero -> Drop.Magnitude // norms have no sign
                | rule -> rule
            Grow =
                match policy.Grow with
                | Grow.Score(inputs, score)
                | Grow.NamedScore(_, inputs, score) -> grow inputs score
                | rule -> rule }

    /// The whole groups of a layer, and the policy over them.
    let whole (policy: Policy) (state: LayerState) : struct (GroupedRows * Policy) =
        let rows =
            grouped policy state 0 policy.RowGroup (state.Connectivity.Rows / policy.RowGroup) state.Seed

        struct (rows, over policy state rows)

    /// A last group of fewer rows, if there is one, and the policy over it.
    let last (policy: Policy) (state: LayerState) : struct (GroupedRows * Policy) voption =
        let left = state.Connectivity.Rows % policy.RowGroup

        if left = 0 then
            ValueNone
        else
            let rows =
                grouped policy state (state.Connectivity.Rows - left) left 1 (Seed.child 3 state.Seed)

            ValueSome(struct (rows, over policy state rows))

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
        let one (struct (rows: GroupedRows, policy: Policy)) =
            exchange policy rows.State
            |> Result.map (fun (struct (dropped, grown)) -> struct (rows, dropped, grown))

        finite {
            let! ofWhole = one (whole policy state)

            let! ofLast =
                match last policy state with
                | ValueSome rows -> one rows |> Result.map List.singleton
                | ValueNone -> Ok []

            return expand state (ofWhole :: ofLast)
        }
