namespace SparseFs

open System

/// <summary>Policy of rewiring a layer: a value made of rules.</summary>
type Policy =
    {
        /// <summary>Schedule of updates, and the part of the slots that each rewires.</summary>
        Schedule: Schedule
        /// <summary>Rule that says which slots are dropped.</summary>
        Drop: Drop
        /// <summary>Rule that says which cells are grown.</summary>
        Grow: Grow
        /// <summary>Whether what an update drops may be grown by it.</summary>
        Regrow: Regrow
        /// <summary>The budget of slots: each layer's, each row's, that of all layers, or one that falls.</summary>
        Budget: Budget
        /// <summary>The weight that a grown slot starts with.</summary>
        GrownWeight: GrownWeight
        /// <summary>Optimizer state of grown slots.</summary>
        Moments: Moments
        /// <summary>Whether the optimizer leaves out its step at an update, as RigL's does (jaxpruner's
        /// <c>skip_gradients</c>).</summary>
        SkipGradientsAtUpdates: bool
        /// <summary>The running mean of gradients, for rules that look at momentum.</summary>
        Momentum: MomentumWindow
        /// <summary>Rows that are rewired together, 1 for each by itself: of a pattern of row groups of that size
        /// (<c>Topology.rowGroups</c>), whole columns of groups go and come, so that it stays one. No group has rows of two groups of
        /// a convolution's channels: where these have no multiple of it, it is the largest number that divides both.</summary>
        RowGroup: int
        /// <summary>Whether the cells of a convolution's kernels are rewired together: of a pattern of whole kernels
        /// (<c>Topology.inKernels</c>), whole ones go and come, so that it stays one. Layers without kernels are rewired as ever.</summary>
        WholeKernels: bool
        /// <summary>What the weights, and the gradients, of a group's column or of a kernel are worth together.</summary>
        GroupNorm: RowGroupNorm
    }

    override p.ToString() =
        invariant
            $"drop {p.Drop}, grow {p.Grow}, budget {p.Budget}, grown weights {p.GrownWeight}, moments {p.Moments}{p.Groups}; {p.Schedule}"

    member private p.Groups =
        match p.RowGroup, p.WholeKernels with
        | 1, false -> ""
        | 1, true -> invariant $", whole kernels by {p.GroupNorm}"
        | rows, false -> invariant $", groups of {rows} rows by {p.GroupNorm}"
        | rows, true -> invariant $", groups of {rows} rows and whole kernels by {p.GroupNorm}"

/// <summary>The policies of the literature, and their parts.</summary>
[<RequireQualifiedAccess>]
module Policy =

    let private noDistance (groups: string) : string =
        invariant
            $"expected Gradient, Momentum, Random or a score for {groups}, which have no one distance, got DistanceDecay"

    /// <summary>Static sparsity: nothing is ever rewired.</summary>
    /// <example><code>
    /// let policy =
    ///     { Policy.staticSparse with
    ///         Schedule = Schedule.cosine 0.3 100L 75_000L
    ///         Drop = Drop.Magnitude
    ///         Grow = Grow.DistanceDecay(Placement.Centred, 2.0) } // a small world stays one
    /// </code></example>
    [<CompiledName "StaticSparse">]
    let staticSparse: Policy =
        { Schedule = Schedule.never
          Drop = Drop.Magnitude
          Grow = Grow.Random
          Regrow = Regrow.Never
          Budget = Budget.Layer
          GrownWeight = GrownWeight.Zero
          Moments = Moments.Zero
          SkipGradientsAtUpdates = false
          Momentum = MomentumWindow.standard
          RowGroup = 1
          WholeKernels = false
          GroupNorm = RowGroupNorm.L2 }

    /// <summary>RigL: smallest magnitudes go, largest gradients come.</summary>
    /// <param name="schedule">RigL's own is <c>Schedule.cosine 0.3 100L end</c>, with the end at three quarters of the
    /// training.</param>
    /// <remarks>Evci et al., "Rigging the lottery", ICML 2020, algorithm 1: candidates are all cells that are not kept, the
    /// just dropped too, which then keep their weight, as in its code; weights are not updated at an update.</remarks>
    /// <example><code>
    /// let policy = Policy.rigL (Schedule.cosine 0.3 100L 75_000L)
    /// use rewirer = new Rewirer(model, optimizer, policy)
    /// </code></example>
    [<CompiledName "RigL">]
    let rigL (schedule: Schedule) : Policy =
        { staticSparse with
            Schedule = schedule
            Grow = Grow.Gradient
            Regrow = Regrow.Restore
            SkipGradientsAtUpdates = true }

    /// <summary>SET: the nearest to zero go, random cells come.</summary>
    /// <param name="schedule">SET's own is <c>Schedule.constant 0.3</c> once an epoch.</param>
    /// <remarks>Mocanu et al., Nature Communications 9, 2018, algorithm 2.</remarks>
    /// <example><code>
    /// let stepsPerEpoch, epochs = 600L, 100L
    /// let policy = Policy.set (Schedule.constant 0.3 stepsPerEpoch (stepsPerEpoch * epochs))
    /// Policy.growthInputs policy // = Nothing
    /// </code></example>
    [<CompiledName "Set">]
    let set (schedule: Schedule) : Policy =
        { staticSparse with
            Schedule = schedule
            Drop = Drop.NearestZero
            Grow = Grow.Random }

    /// <summary>Sparse networks from scratch: smallest magnitudes go, and largest momenta come, in the layers whose
    /// weights have the largest.</summary>
    /// <param name="schedule">Its own is <c>Schedule.cosine 0.5</c> once an epoch.</param>
    /// <remarks>Dettmers and Zettlemoyer, 2019, algorithm 1.</remarks>
    /// <example><code>
    /// let policy =
    ///     { Policy.snfs (Schedule.cosine 0.5 600L 60_000L) with
    ///         Momentum = { Beta = 0.9; Steps = 8 } } // a shorter window, which takes less memory
    /// </code></example>
    [<CompiledName "Snfs">]
    let snfs (schedule: Schedule) : Policy =
        { staticSparse with
            Schedule = schedule
            Grow = Grow.Momentum
            Budget = Budget.RedistributedByMomentum }

    /// <summary>SRigL: RigL with the same number of slots in every row, and rows that are hardly used given up.</summary>
    /// <param name="salient">γ in [0, 1]: a row stays if that part of its fan-in is salient; 0.3 in the paper; none for no
    /// ablation.</param>
    /// <param name="schedule">As RigL's.</param>
    /// <remarks>Lasby et al., "Dynamic sparse training with structured sparsity", ICLR 2024, section 3.1.</remarks>
    /// <example><code>
    /// let schedule = Schedule.cosine 0.3 100L 75_000L
    /// let ablating, constantFanIn = Policy.srigL (ValueSome 0.3) schedule, Policy.srigL ValueNone schedule
    /// constantFanIn.Budget // = Row
    /// </code></example>
    [<CompiledName "SRigL">]
    let srigL (salient: float voption) (schedule: Schedule) : Policy =
        { rigL schedule with
            Regrow = Regrow.Never
            Budget =
                match salient with
                | ValueSome gamma -> Budget.RowWithAblation gamma
                | ValueNone -> Budget.Row }

    /// <summary>Gradual magnitude pruning: the sparsity rises by Zhu and Gupta's cubic schedule.</summary>
    /// <param name="initial">Sparsity at the start, in [0, 1).</param>
    /// <param name="final">Sparsity at the end, initial or more and below 1.</param>
    /// <param name="schedule">When: Start, End and Every; its fraction does not count.</param>
    /// <remarks>Zhu and Gupta, "To prune, or not to prune", 2017.</remarks>
    /// <example><code>
    /// // From dense to nine tenths in 10,000 steps, after 1000 of dense training.
    /// let policy = Policy.gradual 0.0 0.9 (Schedule.constant 0.0 100L 11_000L |> Schedule.from 1000L)
    /// let layer = new SparseLinear(Connectivity.full 300 784, policy = policy)
    /// </code></example>
    [<CompiledName "Gradual">]
    let gradual (initial: float) (final: float) (schedule: Schedule) : Policy =
        { staticSparse with
            Schedule = schedule
            Budget = Budget.GradualPruning(initial, final) }

    /// <summary>The same policy over groups of rows that share their columns: whole columns of groups go and come, so that
    /// groups stay groups.</summary>
    /// <param name="size">Rows of a group, 1 or more; the pattern's groups are as large or a multiple of it.</param>
    /// <param name="norm">What the weights, and the gradients, of a group's column are worth together.</param>
    /// <param name="policy">Any but one that grows by distance. Scores of its own rules count by their mean over the rows.</param>
    /// <exception cref="T:System.ArgumentException">size is below 1, or the policy grows by distance.</exception>
    /// <example><code>
    /// let policy = Policy.rigL (Schedule.cosine 0.3 100L 75_000L) |> Policy.inRowGroups 4 RowGroupNorm.L2
    /// let layer = new SparseLinear(784, 300, topology = Topology.rowGroups 4, policy = policy)
    /// </code></example>
    [<CompiledName "InRowGroups">]
    let inRowGroups (size: int) (norm: RowGroupNorm) (policy: Policy) : Policy =
        if size < 1 then
            raise (ArgumentException((invariant $"expected 1 row or more, got {size}"), nameof size))

        match policy.Grow with
        | Grow.DistanceDecay _ when size > 1 ->
            raise (ArgumentException(noDistance (invariant $"groups of {size} rows"), nameof policy))
        | _ ->
            { policy with
                RowGroup = size
                GroupNorm = norm }

    /// <summary>The same policy over whole kernels of convolutions: all cells of a pair of channels go and come together, by
    /// their norm, so that whole kernels stay whole.</summary>
    /// <param name="norm">What the weights, and the gradients, of a kernel are worth together.</param>
    /// <param name="policy">Any but one that grows by distance. Scores of its own rules count by their mean over the
    /// cells.</param>
    /// <exception cref="T:System.ArgumentException">The policy grows by distance.</exception>
    /// <remarks>With row groups too, a kernel goes and comes in all rows of its group. Layers that share a budget share it with
    /// those of as many rows and cells together.</remarks>
    /// <example><code>
    /// let policy = Policy.rigL (Schedule.cosine 0.3 100L 75_000L) |> Policy.inKernels RowGroupNorm.L2
    /// let topology = Topology.inKernels 9 Topology.uniform
    /// let layer = new SparseConv2d(64, 128, 3, sparsity = 0.9, topology = topology, policy = policy)
    /// </code></example>
    [<CompiledName "InKernels">]
    let inKernels (norm: RowGroupNorm) (policy: Policy) : Policy =
        match policy.Grow with
        | Grow.DistanceDecay _ -> raise (ArgumentException(noDistance "whole kernels", nameof policy))
        | _ ->
            { policy with
                WholeKernels = true
                GroupNorm = norm }

    /// <summary>Inputs of a policy's rules beside the weights.</summary>
    /// <param name="policy">The policy.</param>
    /// <example><code>
    /// let policy = Policy.rigL (Schedule.cosine 0.3 100L 75_000L)
    /// Policy.growthInputs policy // = Gradient
    /// </code></example>
    [<CompiledName "GrowthInputs">]
    let growthInputs (policy: Policy) : GrowthInputs =
        let ofMoments =
            if policy.Moments = Moments.Seeded then
                GrowthInputs.Gradient
            else
                GrowthInputs.Nothing

        let ofGrow =
            match policy.Grow with
            | Grow.Gradient -> GrowthInputs.Gradient
            | Grow.Momentum -> GrowthInputs.Momentum
            | Grow.Score(needs, _)
            | Grow.NamedScore(_, needs, _) -> needs
            | Grow.Random
            | Grow.DistanceDecay _ -> GrowthInputs.Nothing

        match policy.Budget with
        | Budget.GradualPruning _ -> GrowthInputs.Nothing
        | Budget.RedistributedByMomentum -> ofMoments ||| ofGrow ||| GrowthInputs.Momentum
        | Budget.RowWithAblation _ -> ofGrow ||| GrowthInputs.Gradient
        | _ -> ofMoments ||| ofGrow

    /// <summary>Checks a policy and gives it back.</summary>
    /// <param name="policy">The policy.</param>
    /// <exception cref="T:System.ArgumentException">A part is outside its range; the message names it.</exception>
    /// <example><code>
    /// let policy = { Policy.staticSparse with Budget = Budget.RowWithAblation 1.5 }
    ///
    /// try
    ///     Policy.check policy |> ignore
    /// with :? System.ArgumentException as wrong ->
    ///     printfn $"{wrong.Message}" // expected γ in [0, 1], got 1.5 (Parameter 'salient')
    /// </code></example>
    [<CompiledName "Check">]
    let check (policy: Policy) : Policy =
        if isNull (box policy) then
            nullArg (nameof policy)

        Schedule.check policy.Schedule |> ignore
        MomentumWindow.check policy.Momentum

        RuleChecks.budget policy.Budget
        RuleChecks.grownWeight policy.GrownWeight
        RuleChecks.drop policy.Drop
        RuleChecks.grow policy.Grow
        let refuse = RuleChecks.refuse

        if policy.RowGroup < 1 then
            refuse "rowGroup" (invariant $"expected 1 row or more, got {policy.RowGroup}")

        if not (Enum.IsDefined policy.GroupNorm) then
            refuse "groupNorm" (invariant $"expected L1 or L2, got {policy.GroupNorm}")

        match policy.Grow with
        | Grow.DistanceDecay _ when policy.RowGroup > 1 ->
            refuse "grow" (noDistance (invariant $"groups of {policy.RowGroup} rows"))
        | Grow.DistanceDecay _ when policy.WholeKernels -> refuse "grow" (noDistance "whole kernels")
        | _ -> ()

        if not (Enum.IsDefined policy.Regrow) then
            refuse "regrow" (invariant $"expected Never, Reinitialize or Restore, got {policy.Regrow}")

        if not (Enum.IsDefined policy.Moments) then
            refuse "moments" (invariant $"expected Zero, RowMean, Fresh or Seeded, got {policy.Moments}")

        policy
