namespace SparseFs

open System

/// <summary>A layer as rules see it when it is to be rewired.</summary>
type LayerState =
    {
        /// <summary>Which weights exist, shape [rows, cols].</summary>
        Connectivity: Connectivity
        /// <summary>Length nnz, in slot order.</summary>
        Weight: float32[]
        /// <summary>The loss's gradient for every cell, signed, also where there is no slot: only for rules that say that
        /// they need it, and asked for in rising order of rows.</summary>
        Gradient: CellScores
        /// <summary>The running mean of that gradient, for rules that say that they need it.</summary>
        Momentum: CellScores
        /// <summary>Cells that have ever been slots.</summary>
        Explored: Explored
        /// <summary>The optimizer step, counted from 1.</summary>
        Step: int64
        /// <summary>Randomness for this layer and this step alone.</summary>
        Seed: Seed
    }

    override s.ToString() =
        invariant $"{s.Connectivity}, step {s.Step}"

/// <summary>Which slots are dropped. A tie keeps the lower cell.</summary>
[<RequireQualifiedAccess>]
type Drop =
    /// <summary>Those of the smallest magnitude.</summary>
    | Magnitude
    /// <summary>Those nearest to zero on each side, in proportion to the number of weights there; zeros count as positive:
    /// Mocanu et al., Nature Communications 9, 2018 (SET).</summary>
    | NearestZero
    /// <summary>Any, all alike.</summary>
    | Random
    /// <summary>Those of the lowest score; the function gives one a slot, in slot order.</summary>
    | Score of (LayerState -> float32[])
    /// <summary>As <c>Score</c>, by a name that files of training runs hold: a run does not go on under a rule of another
    /// name.</summary>
    | NamedScore of name: string * score: (LayerState -> float32[])

    override d.ToString() =
        match d with
        | Magnitude -> "Magnitude"
        | NearestZero -> "NearestZero"
        | Random -> "Random"
        | Score _ -> "Score"
        | NamedScore(name, _) -> name

/// <summary>What a rule of one's own has to know beside the weights.</summary>
[<Flags>]
type Needs =
    /// Nothing.
    | Nothing = 0
    /// The gradient of every cell.
    | Gradient = 1
    /// The momentum of every cell.
    | Momentum = 2

/// <summary>Which absent cells become slots. A tie goes to the lower cell.</summary>
[<RequireQualifiedAccess>]
type Grow =
    /// <summary>Those of the largest |gradient|: Evci et al., ICML 2020 (RigL).</summary>
    | Gradient
    /// <summary>Those of the largest |momentum|: Dettmers and Zettlemoyer, 2019 (SNFS).</summary>
    | Momentum
    /// <summary>Any, all alike: Mocanu et al., 2018 (SET).</summary>
    | Random
    /// <summary>By chance, in proportion to (d + 1)^−lambda, d the distance of the cell's two nodes: what was a small
    /// world stays one.</summary>
    | Nearby of placement: Placement * lambda: float
    /// <summary>Those of the highest score.</summary>
    | Score of needs: Needs * score: (LayerState -> CellScores)
    /// <summary>As <c>Score</c>, by a name that files of training runs hold: a run does not go on under a rule of another
    /// name.</summary>
    | NamedScore of name: string * needs: Needs * score: (LayerState -> CellScores)

    override g.ToString() =
        match g with
        | Gradient -> "Gradient"
        | Momentum -> "Momentum"
        | Random -> "Random"
        | Nearby(placement, lambda) -> invariant $"Nearby({placement}, {lambda})"
        | Score _ -> "Score"
        | NamedScore(name, _, _) -> name

/// <summary>Whether a slot that an update drops may be grown by the same update.</summary>
type Regrow =
    /// It may not.
    | Never = 0
    /// It may, and starts as any grown slot does.
    | Fresh = 1
    /// It may, and keeps its weight and its moments, as if it had not been dropped: RigL's code.
    | Kept = 2

/// <summary>The weight that a grown slot starts with.</summary>
[<RequireQualifiedAccess>]
type GrownWeight =
    /// <summary>0: growing changes no output until the weight has trained.</summary>
    | Zero
    /// <summary>Uniform within ± bound.</summary>
    | Uniform of bound: float
    /// <summary>Normal around 0.</summary>
    | Normal of deviation: float

    override w.ToString() =
        match w with
        | Zero -> "Zero"
        | Uniform bound -> invariant $"Uniform({bound})"
        | Normal deviation -> invariant $"Normal({deviation})"

/// <summary>Optimizer state of grown slots.</summary>
/// <remarks>Optimizers count steps by the weight, not by the slot. Moments of 0 under the count of a long run make the first
/// updates of a grown slot too long: 2.9 learning rates under Adam, 14 under NAdam, 0.1 under Adamax. <c>Fresh</c> and
/// <c>Seeded</c> count the steps of grown slots by themselves, which <c>Rewirer.Step</c> does and <c>Rewirer.Follow</c>
/// cannot.</remarks>
type Moments =
    /// That of a weight that it has never seen, under the run's count of steps: 0, but for Rprop's step and Adagrad's
    /// initial sum.
    | Zero = 0
    /// The mean over the row's slots that stay.
    | RowMean = 1
    /// That of a weight in a fresh optimizer: the updates that follow are those that it would make.
    | Fresh = 2
    /// That after one step with the gradient that the cell has at the update, whatever rule grew it: the corrected means
    /// of the gradient and of its square are exactly the gradient and its square.
    | Seeded = 3

/// <summary>Whose number of slots stays the same.</summary>
[<RequireQualifiedAccess>]
type Budget =
    /// <summary>Each layer's.</summary>
    | Layer
    /// <summary>Each row's: constant fan-in stays constant.</summary>
    /// <remarks>Where a row has too few absent cells to grow what it drops, it keeps the largest magnitudes of them, whatever
    /// the rule that dropped them.</remarks>
    | Row
    /// <summary>Each row's, but rows with few salient slots lose all of theirs to the others, and fan-ins differ by one at
    /// most: Lasby et al., ICLR 2024 (SRigL). salient is γ, the part of a fan-in that must be salient, in [0, 1].</summary>
    | RowAblated of salient: float
    /// <summary>That of all layers together: what they drop is grown where kept weights are largest in the mean.</summary>
    | AcrossByMagnitude
    /// <summary>That of all layers together: what they drop is grown where the momentum of kept weights is largest in the
    /// mean (SNFS).</summary>
    | AcrossByMomentum
    /// <summary>None: slots are dropped until the sparsity is what the cubic schedule says, and none grow: Zhu and Gupta,
    /// 2017.</summary>
    | Falling of initial: float * final: float

    override b.ToString() =
        match b with
        | Layer -> "Layer"
        | Row -> "Row"
        | RowAblated salient -> invariant $"RowAblated({salient})"
        | AcrossByMagnitude -> "AcrossByMagnitude"
        | AcrossByMomentum -> "AcrossByMomentum"
        | Falling(initial, final) -> invariant $"Falling({initial}, {final})"

/// <summary>How a layer is rewired: a value made of rules.</summary>
type Policy =
    {
        /// <summary>When, and what part of the slots.</summary>
        Schedule: Schedule
        /// <summary>Which slots are dropped.</summary>
        Drop: Drop
        /// <summary>Which cells are grown.</summary>
        Grow: Grow
        /// <summary>Whether what an update drops may be grown by it.</summary>
        Regrow: Regrow
        /// <summary>Whose number of slots stays the same.</summary>
        Budget: Budget
        /// <summary>The weight that a grown slot starts with.</summary>
        GrownWeight: GrownWeight
        /// <summary>What the optimizer remembers of a grown slot.</summary>
        Moments: Moments
        /// <summary>Whether the optimizer also steps at an update: RigL's does not.</summary>
        StepsAtUpdates: bool
    }

    override p.ToString() =
        invariant
            $"drop {p.Drop}, grow {p.Grow}, budget {p.Budget}, grown weights {p.GrownWeight}, moments {p.Moments}; {p.Schedule}"

/// <summary>The policies of the literature, and their parts.</summary>
[<RequireQualifiedAccess>]
module Policy =

    /// <summary>Nothing is ever rewired.</summary>
    let staticSparse: Policy =
        { Schedule = Schedule.never
          Drop = Drop.Magnitude
          Grow = Grow.Random
          Regrow = Regrow.Never
          Budget = Budget.Layer
          GrownWeight = GrownWeight.Zero
          Moments = Moments.Zero
          StepsAtUpdates = true }

    /// <summary>RigL: smallest magnitudes go, largest gradients come.</summary>
    /// <param name="schedule">RigL's own is <c>Schedule.cosine 0.3 100L end</c>, with the end at three quarters of the
    /// training.</param>
    /// <remarks>Evci et al., "Rigging the lottery", ICML 2020, algorithm 1: candidates are all cells that are not kept, the
    /// just dropped too, which then keep their weight, as in its code; weights are not updated at an update.</remarks>
    let rigL (schedule: Schedule) : Policy =
        { staticSparse with
            Schedule = schedule
            Grow = Grow.Gradient
            Regrow = Regrow.Kept
            StepsAtUpdates = false }

    /// <summary>SET: the nearest to zero go, random cells come.</summary>
    /// <param name="schedule">SET's own is <c>Schedule.constant 0.3</c> once an epoch.</param>
    /// <remarks>Mocanu et al., Nature Communications 9, 2018, algorithm 2.</remarks>
    let set (schedule: Schedule) : Policy =
        { staticSparse with
            Schedule = schedule
            Drop = Drop.NearestZero
            Grow = Grow.Random }

    /// <summary>Sparse networks from scratch: smallest magnitudes go, and largest momenta come, in the layers whose
    /// weights have the largest.</summary>
    /// <param name="schedule">Its own is <c>Schedule.cosine 0.5</c> once an epoch.</param>
    /// <remarks>Dettmers and Zettlemoyer, 2019, algorithm 1.</remarks>
    let snfs (schedule: Schedule) : Policy =
        { staticSparse with
            Schedule = schedule
            Grow = Grow.Momentum
            Budget = Budget.AcrossByMomentum }

    /// <summary>SRigL: RigL with the same number of slots in every row, and rows that are hardly used given up.</summary>
    /// <param name="salient">γ in [0, 1]: a row stays if that part of its fan-in is salient; 0.3 in the paper; none for no
    /// ablation.</param>
    /// <param name="schedule">As RigL's.</param>
    /// <remarks>Lasby et al., "Dynamic sparse training with structured sparsity", ICLR 2024, section 3.1.</remarks>
    let srigL (salient: float voption) (schedule: Schedule) : Policy =
        { rigL schedule with
            Regrow = Regrow.Never
            Budget =
                match salient with
                | ValueSome gamma -> Budget.RowAblated gamma
                | ValueNone -> Budget.Row }

    /// <summary>Gradual magnitude pruning: the sparsity rises by Zhu and Gupta's cubic schedule.</summary>
    /// <param name="initial">Sparsity at the start, in [0, 1).</param>
    /// <param name="final">Sparsity at the end, initial or more and below 1.</param>
    /// <param name="schedule">When: Start, End and Every; its fraction does not count.</param>
    /// <remarks>Zhu and Gupta, "To prune, or not to prune", 2017.</remarks>
    let gradual (initial: float) (final: float) (schedule: Schedule) : Policy =
        { staticSparse with
            Schedule = schedule
            Budget = Budget.Falling(initial, final) }

    /// <summary>What the rules of a policy need to know beside the weights.</summary>
    /// <param name="policy">The policy.</param>
    let needs (policy: Policy) : Needs =
        let ofMoments =
            if policy.Moments = Moments.Seeded then
                Needs.Gradient
            else
                Needs.Nothing

        let ofGrow =
            match policy.Grow with
            | Grow.Gradient -> Needs.Gradient
            | Grow.Momentum -> Needs.Momentum
            | Grow.Score(needs, _)
            | Grow.NamedScore(_, needs, _) -> needs
            | Grow.Random
            | Grow.Nearby _ -> Needs.Nothing

        match policy.Budget with
        | Budget.Falling _ -> Needs.Nothing
        | Budget.AcrossByMomentum -> ofMoments ||| ofGrow ||| Needs.Momentum
        | Budget.RowAblated _ -> ofGrow ||| Needs.Gradient
        | _ -> ofMoments ||| ofGrow

    let private refuse (name: string) (message: string) =
        raise (ArgumentException(message, name))

    /// Files hold the name as UTF-8, which has no half of a surrogate pair.
    let private checkName (part: string) (name: string) =
        let isText =
            not (String.IsNullOrWhiteSpace name)
            && Text.Encoding.UTF8.GetString(Text.Encoding.UTF8.GetBytes name) = name

        if not isText then
            refuse "name" (invariant $"expected a name for the policy's own {part} rule, got '{name}'")

    /// <summary>Checks a policy and gives it back.</summary>
    /// <param name="policy">The policy.</param>
    /// <exception cref="T:System.ArgumentException">A part is outside its range; the message names it.</exception>
    let check (policy: Policy) : Policy =
        if isNull (box policy) then
            nullArg (nameof policy)

        Schedule.check policy.Schedule |> ignore

        let inUnit (name: string) (value: float) =
            if not (value >= 0.0 && value < 1.0) then
                refuse name (invariant $"expected a sparsity in [0, 1), got {value}")

        match policy.Budget with
        | Budget.RowAblated salient when not (salient >= 0.0 && salient <= 1.0) ->
            refuse "salient" (invariant $"expected γ in [0, 1], got {salient}")
        | Budget.Falling(initial, final) ->
            inUnit "initial" initial
            inUnit "final" final

            if final < initial then
                refuse "final" (invariant $"expected a sparsity of {initial} or more, got {final}")
        | _ -> ()

        let scale (name: string) (value: float) =
            if not (value >= 0.0 && Double.IsFinite value) then
                refuse name (invariant $"expected a finite number of 0 or more, got {value}")

        match policy.GrownWeight with
        | GrownWeight.Zero -> ()
        | GrownWeight.Uniform bound -> scale "bound" bound
        | GrownWeight.Normal deviation -> scale "deviation" deviation

        match policy.Drop with
        | Drop.NamedScore(name, _) -> checkName "drop" name
        | _ -> ()

        match policy.Grow with
        | Grow.NamedScore(name, _, _) -> checkName "grow" name
        | Grow.Nearby(placement, lambda) ->
            SmallWorld.checkPlacement placement

            if not (lambda >= 0.0 && lambda <= 1000.0) then
                refuse "lambda" (invariant $"expected λ in [0, 1000], got {lambda}")
        | _ -> ()

        if not (Enum.IsDefined policy.Regrow) then
            refuse "regrow" (invariant $"expected Never, Fresh or Kept, got {policy.Regrow}")

        if not (Enum.IsDefined policy.Moments) then
            refuse "moments" (invariant $"expected Zero, RowMean, Fresh or Seeded, got {policy.Moments}")

        policy
