namespace SparseFs.Testing

open System
open global.FsCheck
open global.FsCheck.FSharp
open SparseFs

/// <summary>What holds for every pattern, generator of patterns, policy and schedule, as FsCheck properties: for yours
/// too.</summary>
/// <remarks>The laws look at a pattern from the outside, through its public members alone, and each names the part that
/// fails. Those that compare with a set of pairs take time in proportion to nnz · log nnz.</remarks>
[<RequireQualifiedAccess>]
module Laws =

    /// <summary>Every invariant of a pattern holds, seen from the outside.</summary>
    /// <param name="c">Any pattern.</param>
    /// <returns>RowPtr runs from 0 to nnz over rows + 1 entries and never falls; columns are in 0..cols − 1 and strictly
    /// rising in each row; nnz, cells, density and sparsity agree; the buffers make an equal pattern again.</returns>
    /// <example><code>
    /// Prop.forAll Generators.seed (fun seed -> Laws.isPattern (Topology.scaleFree 30 40 200 3.0 seed))
    /// |> Check.QuickThrowOnFailure
    /// </code></example>
    [<CompiledName "IsPattern">]
    let isPattern (c: Connectivity) : Property =
        LawConditions.all (LawConditions.ofPattern c)

    /// <summary>A pattern's rows come in groups of neighbours that share their columns.</summary>
    /// <param name="size">Rows of a group; the last one may have fewer.</param>
    /// <param name="c">Any pattern.</param>
    /// <returns>It is a pattern; the rows of each group have the same columns; <c>Connectivity.rowGroupSize</c> is a multiple of
    /// the size, or all rows.</returns>
    /// <example><code>
    /// Prop.forAll Generators.seed (fun seed -> Laws.hasRowGroups 4 (Topology.rowGroups 4 30 40 240 seed))
    /// |> Check.QuickThrowOnFailure
    /// </code></example>
    [<CompiledName "HasRowGroups">]
    let hasRowGroups (size: int) (c: Connectivity) : Property =
        LawConditions.all (LawConditions.ofPattern c @ LawConditions.ofRowGroups size c)

    /// <summary>A convolution's pattern has whole kernels: all cells of a pair of channels, or none.</summary>
    /// <param name="cells">Cells of a kernel.</param>
    /// <param name="c">Any pattern.</param>
    /// <returns>It is a pattern; its columns are whole kernels; each kernel has all of its cells, or none.</returns>
    /// <example><code>
    /// let drawn seed = Topology.inKernels 9 Topology.uniform 32 144 450 seed
    /// Prop.forAll Generators.seed (fun seed -> Laws.hasKernels 9 (drawn seed)) |> Check.QuickThrowOnFailure
    /// </code></example>
    [<CompiledName "HasKernels">]
    let hasKernels (cells: int) (c: Connectivity) : Property =
        LawConditions.all (LawConditions.ofPattern c @ LawConditions.ofKernels cells c)

    /// <summary>The transpose swaps every pair, and its slot map says where each value comes from.</summary>
    /// <param name="c">Any pattern, shape [rows, cols].</param>
    /// <returns>Transposing twice gives the pattern back; the transpose is a pattern that holds exactly the swapped pairs;
    /// <c>valuesT[s] = values[from[s]]</c>, and going there and back moves no value.</returns>
    /// <example><code>
    /// Check.QuickThrowOnFailure(Prop.forAll Generators.connectivity Laws.transposeTwice)
    /// </code></example>
    [<CompiledName "TransposeTwice">]
    let transposeTwice (c: Connectivity) : Property =
        let t, from = Connectivity.transpose c
        let back, fromT = Connectivity.transpose t
        let rowIdx = Connectivity.rowIndices c
        let colIdx = c.ColIdx.ToArray()
        let rowIdxT = Connectivity.rowIndices t
        let colIdxT = t.ColIdx.ToArray()

        let swapped =
            LawConditions.pairs c |> Set.map (fun struct (row, col) -> struct (col, row))

        LawConditions.all
            [ "transposing twice gives the pattern back", back = c
              "the transpose holds exactly the swapped pairs", LawConditions.pairs t = swapped
              LawConditions.same "rows of the transpose" c.Cols t.Rows
              LawConditions.same "columns of the transpose" c.Rows t.Cols
              LawConditions.same "length of the slot map" c.Nnz from.Length
              "slot s of the transpose is the cell of slot from[s]",
              Seq.forall
                  (fun slot -> rowIdxT[slot] = colIdx[from[slot]] && colIdxT[slot] = rowIdx[from[slot]])
                  (seq { 0 .. from.Length - 1 })
              "the slot maps there and back cancel",
              Seq.forall (fun slot -> from[fromT[slot]] = slot) (seq { 0 .. fromT.Length - 1 })
              yield! LawConditions.ofPattern t ]

    /// <summary>The set algebra of patterns is that of sets of (row, column) pairs.</summary>
    /// <param name="a">Shape [rows, cols].</param>
    /// <param name="b">The same shape.</param>
    /// <returns>union, intersect, difference and diff hold exactly the pairs that the sets have; isSubset agrees with the
    /// sets; replaying a diff gives the second pattern; union and intersect do not depend on the order.</returns>
    /// <example><code>
    /// Prop.forAll (Generators.ofOneShape 2) (fun pair -> Laws.algebra pair[0] pair[1]) |> Check.QuickThrowOnFailure
    /// </code></example>
    [<CompiledName "Algebra">]
    let algebra (a: Connectivity) (b: Connectivity) : Property =
        let union = Connectivity.union a b
        let common = Connectivity.intersect a b
        let onlyA = Connectivity.difference a b
        let diff = Connectivity.diff a b
        let pairsA, pairsB = LawConditions.pairs a, LawConditions.pairs b

        LawConditions.all
            [ "union holds the pairs of either", LawConditions.pairs union = pairsA + pairsB
              "intersect holds the pairs of both", LawConditions.pairs common = Set.intersect pairsA pairsB
              "difference holds the pairs of the first alone", LawConditions.pairs onlyA = pairsA - pairsB
              "Added holds the pairs of the second alone", LawConditions.pairs diff.Added = pairsB - pairsA
              "Removed holds the pairs of the first alone", LawConditions.pairs diff.Removed = pairsA - pairsB
              "replaying the diff gives the second pattern",
              Connectivity.union (Connectivity.difference a diff.Removed) diff.Added = b
              LawConditions.same "isSubset" (Set.isSubset pairsA pairsB) (Connectivity.isSubset a b)
              "union does not depend on the order", Connectivity.union b a = union
              "intersect does not depend on the order", Connectivity.intersect b a = common
              for result in [ union; common; onlyA; diff.Added; diff.Removed ] do
                  yield! LawConditions.ofPattern result ]

    /// <summary>A generator of patterns gives the shape and the number of slots that it promises, whatever the seed.</summary>
    /// <param name="rows">The promised out_features.</param>
    /// <param name="cols">The promised in_features.</param>
    /// <param name="nnz">The promised number of slots: exact, not nearly.</param>
    /// <param name="generate">The generator, all but its seed filled in.</param>
    /// <returns>For every seed: a valid pattern of shape [rows, cols] with nnz distinct slots.</returns>
    /// <example><code>
    /// Check.QuickThrowOnFailure(Laws.exactNnz 30 78 240 (Topology.smallWorld 30 78 240))
    /// </code></example>
    [<CompiledName "ExactNnz">]
    let exactNnz (rows: int) (cols: int) (nnz: int) (generate: Seed -> Connectivity) : Property =
        Prop.forAll Generators.seed (fun seed ->
            LawConditions.all (LawConditions.ofOrder rows cols nnz (generate seed)))

    /// <summary>A generator of patterns is a pure function of its seed.</summary>
    /// <param name="generate">The generator, all but its seed filled in.</param>
    /// <returns>For every seed: the same pattern when asked again, also after another seed was used, and on another thread.</returns>
    /// <example><code>
    /// Check.QuickThrowOnFailure(Laws.sameSeedSamePattern (Topology.constantFanIn 30 78 8))
    /// </code></example>
    [<CompiledName "SameSeedSamePattern">]
    let sameSeedSamePattern (generate: Seed -> Connectivity) : Property =
        Prop.forAll (Arb.zip (Generators.seed, Generators.seed)) (fun (seed, other) ->
            LawConditions.all (LawConditions.ofSeed generate seed other))

    /// <summary>A generator of patterns keeps its promises for every shape and every number of slots.</summary>
    /// <param name="generator">Yours, or one of <c>Topology</c>'s, from rows, cols, nnz and a seed. It may refuse some
    /// numbers of slots by an ArgumentException, but then for every seed, and neither 0 nor all cells.</param>
    /// <returns>For any shape up to 70 × 70, any nnz and any seed: a valid pattern of that shape with exactly nnz distinct
    /// slots, the same for the same seed; no slot and all slots too. Eight seeds do not all give one pattern of 40, 200 or
    /// 360 slots in a 20 × 20 matrix, of which there are more than 10^50 each.</returns>
    /// <example><code>
    /// /// A topology of one's own: what is uniform over the columns and the rows exchanged.
    /// let mine rows cols nnz seed = fst (Connectivity.transpose (Topology.uniform cols rows nnz seed))
    /// Check.QuickThrowOnFailure(Laws.topology mine)
    /// </code></example>
    [<CompiledName "Topology">]
    let topology (generator: int -> int -> int -> Seed -> Connectivity) : Property =
        let isRefused rows cols nnz seed =
            try
                generator rows cols nnz seed |> ignore
                false
            with :? ArgumentException ->
                true

        let differs =
            lazy
                ([ 40; 200; 360 ]
                 |> List.forall (fun nnz ->
                     List.init 8 (Seed.ofInt >> generator 20 20 nnz) |> List.distinct |> List.length > 1))

        let holds (struct (rows, cols, nnz), (seed, other)) =
            let ofCount count =
                LawConditions.ofOrder rows cols count (generator rows cols count seed)

            LawConditions.all
                [ if isRefused rows cols nnz seed then
                      "refused for another seed too", isRefused rows cols nnz other
                  else
                      yield! ofCount nnz
                      yield! LawConditions.ofSeed (generator rows cols nnz) seed other
                  yield! ofCount 0
                  yield! ofCount (rows * cols)
                  "seeds give different patterns", differs.Value ]

        Prop.forAll (Arb.zip (Generators.order, Arb.zip (Generators.seed, Generators.seed))) holds

    let private cells (c: Connectivity) : int64[] =
        Array.map2
            (fun row col -> int64 row * int64 c.Cols + int64 col)
            (Connectivity.rowIndices c)
            (c.ColIdx.ToArray())

    /// <summary>An update of a layer by a policy whose budget is not shared between layers.</summary>
    /// <param name="policy">Yours, or one of <c>Policy</c>'s.</param>
    /// <returns>For any layer, in row groups or whole kernels if the policy is, and any part of its slots: nnz stays (or falls, if it
    /// is to); the result is a pattern of the same shape, and groups stay groups, kernels whole; the remap maps slots of the same cell one to one, and kept slots keep their weights; what was grown had
    /// been absent, or the policy lets it come back; a part of 0 changes nothing; equal arguments give equal results;
    /// the outcome counts what happened.</returns>
    /// <example><code>
    /// let policy =
    ///     { Policy.set (Schedule.constant 0.3 100L 1000L) with
    ///         Drop = Drop.Score(fun state -> state.Weight |> Array.map (fun w -> w * w)) }
    ///
    /// Check.QuickThrowOnFailure(Laws.rewire policy)
    /// </code></example>
    [<CompiledName "Rewire">]
    let rewire (policy: Policy) : Property =
        let isFalling = policy.Budget.IsGradualPruning

        let holds (state: LayerState, tenths: int) =
            let before = state.Connectivity
            let r = Rewire.layerBy policy (float tenths / 10.0) state
            let after = r.Connectivity
            let from = r.Remap.From.ToArray()
            let old, now = cells before, cells after
            let kept = from |> Array.filter (fun slot -> slot >= 0)
            let weights = Remap.apply nanf r.Remap state.Weight
            let known = Set.ofArray old

            let grown =
                Array.zip now from |> Array.filter (fun (_, slot) -> slot < 0) |> Array.map fst

            let isSlot cell = Set.contains cell known
            let again = Rewire.layerBy policy (float tenths / 10.0) state
            let none = Rewire.layerBy policy 0.0 state
            let common = now |> Array.filter isSlot |> Array.length

            let isCounted (counts: RewireCounts) =
                counts.Nnz = after.Nnz
                && counts.Grown = after.Nnz - common
                && counts.Dropped = before.Nnz - common
                && counts.DeadRows = GraphMetrics.deadRows after
                && counts.DeadCols = GraphMetrics.deadCols after

            LawConditions.all
                [ "not refused", r.Outcome.IsDone
                  "the shape stays", (after.Rows, after.Cols) = (before.Rows, before.Cols)
                  "nnz stays",
                  (if isFalling then
                       after.Nnz <= before.Nnz
                   else
                       after.Nnz = before.Nnz)
                  "the result is a pattern",
                  Connectivity.tryCreate after.Rows after.Cols (after.RowPtr.ToArray()) (after.ColIdx.ToArray()) =
                      Ok after
                  yield! LawConditions.ofRowGroups (RewireGenerators.groupOf policy.RowGroup state) after
                  if policy.WholeKernels then
                      yield! LawConditions.ofKernels state.KernelCells after
                  "the remap is between the two", (r.Remap.Before, r.Remap.After) = (before.Nnz, after.Nnz)
                  "no old slot is continued twice", (Array.distinct kept).Length = kept.Length
                  "a continued slot is in the same cell",
                  Array.forall2 (fun cell slot -> slot < 0 || old[slot] = cell) now from
                  "what stays keeps its value",
                  Array.forall2 (fun w slot -> slot < 0 || w = state.Weight[slot]) weights from
                  "what was grown had been absent", (policy.Regrow <> Regrow.Never || not (Array.exists isSlot grown))
                  "a grown weight for each grown slot", r.GrownWeights.Length = r.Remap.Grown
                  "a part of 0 changes nothing", (isFalling || (none.Connectivity = before && none.Remap.IsIdentity))
                  "the same seed gives the same result", again = r
                  "the outcome counts what happened",
                  (match r.Outcome with
                   | RewireOutcome.Done counts -> isCounted counts
                   | RewireOutcome.Refused _ -> false)
                  "explored are all cells of before and after",
                  r.Explored.Count = int64 (Set.union known (Set.ofArray now)).Count ]

        let states =
            if policy.WholeKernels then
                RewireGenerators.statesInKernels policy.RowGroup
            elif policy.RowGroup > 1 then
                RewireGenerators.statesInRowGroups policy.RowGroup
            else
                RewireGenerators.states

        Prop.forAll (Arb.zip (states, Arb.fromGen (Gen.choose (0, 10)))) holds

    /// <summary>A schedule from its first step to beyond its last.</summary>
    /// <param name="schedule">Yours; Start, End and Every in the thousands at most.</param>
    /// <returns>Updates are at Start + i · Every up to End and nowhere else; the part is in [0, Fraction], 0 off updates,
    /// and never rises.</returns>
    /// <example><code>Check.QuickThrowOnFailure(Laws.schedule (Schedule.cosine 0.3 100L 5000L))</code></example>
    [<CompiledName "Schedule">]
    let schedule (schedule: Schedule) : Property =
        let steps = [ 1L .. schedule.End + 2L * min schedule.Every 1000L + 1L ]

        let isDue step =
            step > schedule.Start
            && step <= schedule.End
            && (step - schedule.Start) % schedule.Every = 0L

        let updates = steps |> List.filter (fun step -> Schedule.isUpdate step schedule)
        let parts = updates |> List.map (fun step -> Schedule.fraction step schedule)

        LawConditions.all
            [ "updates are when they are due", updates = List.filter isDue steps
              "nothing is rewired between updates",
              steps
              |> List.forall (fun step -> isDue step || Schedule.fraction step schedule = 0.0)
              "the part is in [0, Fraction]",
              parts |> List.forall (fun part -> part >= 0.0 && part <= schedule.Fraction)
              "the part never rises", parts |> List.pairwise |> List.forall (fun (a, b) -> b <= a) ]
