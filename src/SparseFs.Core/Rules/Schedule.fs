namespace SparseFs

open System

/// <summary>Schedule of updates: the steps that rewire a layer, and the part of its slots that each rewires.</summary>
type Schedule =
    {
        /// <summary>α: the part of the slots that the first update would drop and grow, in [0, 1].</summary>
        Fraction: float
        /// <summary>Decay of that part.</summary>
        Decay: Decay
        /// <summary>The optimizer step after which updates begin, 0 or more.</summary>
        Start: int64
        /// <summary>The last optimizer step that may be an update.</summary>
        End: int64
        /// <summary>ΔT: optimizer steps from one update to the next, 1 or more.</summary>
        Every: int64
    }

    override s.ToString() =
        invariant $"{s.Decay} {s.Fraction}, every {s.Every} steps from {s.Start} to {s.End}"

/// <summary>Making and asking schedules. Steps are optimizer steps, counted from 1.</summary>
[<RequireQualifiedAccess>]
module Schedule =

    /// <summary>As <c>check</c>, for callers whose own arguments the parts are.</summary>
    /// <param name="nameOf">From fraction, every, start, end or power to the argument's name.</param>
    /// <param name="schedule">The schedule.</param>
    let internal checkAs (nameOf: string -> string) (schedule: Schedule) : Schedule =
        let refuse (part: string) (message: string) =
            raise (ArgumentException(message, nameOf part))

        if not (schedule.Fraction >= 0.0 && schedule.Fraction <= 1.0) then
            let got =
                invariant $"expected a part of the slots, α in [0, 1], got {schedule.Fraction}"

            refuse
                "fraction"
                (match Percentage.cure schedule.Fraction with
                 | "" -> got
                 | cure -> $"{got}: {cure}")

        if schedule.Every < 1L then
            refuse "every" (invariant $"expected ΔT of 1 or more, got {schedule.Every}")

        if schedule.Start < 0L then
            refuse "start" (invariant $"expected a start of 0 or more, got {schedule.Start}")

        if schedule.End < schedule.Start then
            refuse "end" (invariant $"expected an end at {schedule.Start} or later, got {schedule.End}")

        match schedule.Decay with
        | Decay.InversePower power when not (power >= 0.0 && Double.IsFinite power) ->
            refuse "power" (invariant $"expected a number of 0 or more, got {power}")
        | _ -> schedule

    /// <summary>Checks a schedule and gives it back.</summary>
    /// <param name="schedule">The schedule.</param>
    /// <exception cref="T:System.ArgumentException">Fraction is outside [0, 1], Every is below 1, Start is negative, End is
    /// before Start, or a power is not a number of 0 or more.</exception>
    /// <example><code>
    /// let schedule = Schedule.check { Schedule.cosine 0.3 100L 75_000L with Decay = Decay.InversePower 3.0 }
    /// schedule.Every // = 100L
    /// </code></example>
    [<CompiledName "Check">]
    let check (schedule: Schedule) : Schedule = checkAs id schedule

    let private make (decay: Decay) (fraction: float) (every: int64) (last: int64) : Schedule =
        check
            { Fraction = fraction
              Decay = decay
              Start = 0L
              End = last
              Every = every }

    /// <summary>α at every update.</summary>
    /// <param name="fraction">α in [0, 1].</param>
    /// <param name="every">ΔT, 1 or more.</param>
    /// <param name="last">The last step that may be an update.</param>
    /// <exception cref="T:System.ArgumentException">As <c>check</c>.</exception>
    /// <example><code>
    /// let schedule = Schedule.constant 0.3 1000L 20_000L // 0.3 of the slots, every 1000 steps
    /// Schedule.fraction 20_000L schedule // = 0.3
    /// </code></example>
    [<CompiledName "Constant">]
    let constant (fraction: float) (every: int64) (last: int64) : Schedule = make Decay.Constant fraction every last

    /// <summary>α/2 · (1 + cos(π t / T_end)): RigL's.</summary>
    /// <param name="fraction">α in [0, 1].</param>
    /// <param name="every">ΔT, 1 or more.</param>
    /// <param name="last">T_end.</param>
    /// <exception cref="T:System.ArgumentException">As <c>check</c>.</exception>
    /// <example><code>
    /// let steps = 100_000L
    /// let policy = Policy.rigL (Schedule.cosine 0.3 100L (steps * 3L / 4L)) // the last quarter trains a fixed pattern
    /// </code></example>
    [<CompiledName "Cosine">]
    let cosine (fraction: float) (every: int64) (last: int64) : Schedule = make Decay.Cosine fraction every last

    /// <summary>α · (1 − t / T_end).</summary>
    /// <param name="fraction">α in [0, 1].</param>
    /// <param name="every">ΔT, 1 or more.</param>
    /// <param name="last">T_end.</param>
    /// <exception cref="T:System.ArgumentException">As <c>check</c>.</exception>
    /// <example><code>
    /// let schedule = Schedule.linear 0.5 100L 1000L
    /// [ 100L; 500L; 1000L ] |> List.map (fun step -> Schedule.fraction step schedule) // = [0.45; 0.25; 0.0]
    /// </code></example>
    [<CompiledName "Linear">]
    let linear (fraction: float) (every: int64) (last: int64) : Schedule = make Decay.Linear fraction every last

    /// <summary>α · (1 − t / T_end)^power.</summary>
    /// <param name="power">0 or more; 3 is Zhu and Gupta's.</param>
    /// <param name="fraction">α in [0, 1].</param>
    /// <param name="every">ΔT, 1 or more.</param>
    /// <param name="last">T_end.</param>
    /// <exception cref="T:System.ArgumentException">As <c>check</c>.</exception>
    /// <example><code>
    /// let schedule = Schedule.inversePower 3.0 0.3 100L 75_000L // falls faster at first than the cosine
    /// Schedule.fraction 37_500L schedule &lt; Schedule.fraction 37_500L (Schedule.cosine 0.3 100L 75_000L) // = true
    /// </code></example>
    [<CompiledName "InversePower">]
    let inversePower (power: float) (fraction: float) (every: int64) (last: int64) : Schedule =
        make (Decay.InversePower power) fraction every last

    /// <summary>A schedule without an update.</summary>
    /// <example><code>Schedule.isUpdate 1_000_000L Schedule.never // = false</code></example>
    [<CompiledName "Never">]
    let never: Schedule = constant 0.0 Int64.MaxValue 0L

    /// <summary>The same schedule, begun later.</summary>
    /// <param name="start">The step after which updates begin, 0..End.</param>
    /// <param name="schedule">The schedule.</param>
    /// <exception cref="T:System.ArgumentException">As <c>check</c>.</exception>
    /// <example><code>
    /// let afterWarmUp = Schedule.cosine 0.3 100L 75_000L |> Schedule.from 5000L
    /// Seq.initInfinite int64 |> Seq.find (fun step -> Schedule.isUpdate step afterWarmUp) // = 5100L
    /// </code></example>
    [<CompiledName "From">]
    let from (start: int64) (schedule: Schedule) : Schedule = check { schedule with Start = start }

    /// <summary>Whether a step is an update: Start + Every, Start + 2 · Every, … up to End.</summary>
    /// <param name="step">An optimizer step, counted from 1.</param>
    /// <param name="schedule">The schedule.</param>
    /// <example><code>
    /// let schedule = Schedule.cosine 0.3 100L 75_000L
    /// seq { 1L .. 100_000L } |> Seq.filter (fun step -> Schedule.isUpdate step schedule) |> Seq.length // = 750
    /// </code></example>
    [<CompiledName "IsUpdate">]
    let isUpdate (step: int64) (schedule: Schedule) : bool =
        step > schedule.Start
        && step <= schedule.End
        && (step - schedule.Start) % schedule.Every = 0L

    /// <summary>Progress p of a schedule: (step − Start) / (End − Start), in [0, 1].</summary>
    /// <param name="step">An optimizer step, counted from 1.</param>
    /// <param name="schedule">The schedule.</param>
    /// <example><code>
    /// let schedule = Schedule.cosine 0.3 100L 9000L |> Schedule.from 1000L
    /// Schedule.progress 3000L schedule // = 0.25
    /// </code></example>
    [<CompiledName "Progress">]
    let progress (step: int64) (schedule: Schedule) : float =
        if step >= schedule.End then
            1.0
        elif step <= schedule.Start then
            0.0 // also where End is Start
        else
            float (step - schedule.Start) / float (schedule.End - schedule.Start)

    /// <summary>(1 − p)^power, with the same bits on every machine.</summary>
    let private falling (power: float) (p: float) =
        if power = 0.0 then
            1.0
        elif p >= 1.0 then
            0.0
        else
            ReproducibleMath.exp (power * ReproducibleMath.ln (1.0 - p))

    /// <summary>The part of the slots that an update at this step drops and grows.</summary>
    /// <param name="step">An optimizer step, counted from 1.</param>
    /// <param name="schedule">The schedule.</param>
    /// <returns>In [0, Fraction]; 0 where the step is no update.</returns>
    /// <example><code>
    /// let schedule = Schedule.cosine 0.3 100L 75_000L
    /// let slots = float (Sparsity.nnz 300 784 0.9)
    /// printfn $"the update at step 100 exchanges about {slots * Schedule.fraction 100L schedule} slots"
    /// Schedule.fraction 101L schedule // = 0.0
    /// </code></example>
    [<CompiledName "Fraction">]
    let fraction (step: int64) (schedule: Schedule) : float =
        if not (isUpdate step schedule) then
            0.0
        else
            let p = progress step schedule

            schedule.Fraction
            * match schedule.Decay with
              | Decay.Constant -> 1.0
              | Decay.Cosine -> 0.5 * (1.0 + ReproducibleMath.cosPi p)
              | Decay.Linear -> 1.0 - p
              | Decay.InversePower power -> falling power p

    /// <summary>The sparsity that gradual magnitude pruning wants at a step.</summary>
    /// <param name="initial">Sparsity at the start, in [0, 1).</param>
    /// <param name="final">Sparsity at the end, in [0, 1).</param>
    /// <param name="step">An optimizer step, counted from 1.</param>
    /// <param name="schedule">Start, End and Every count; Fraction and Decay do not.</param>
    /// <returns>final + (initial − final) · (1 − p)³.</returns>
    /// <remarks>Zhu and Gupta, "To prune, or not to prune", 2017, equation 1.</remarks>
    /// <example><code>
    /// let schedule = Schedule.constant 0.0 100L 1000L
    /// [ 0L; 250L; 500L; 1000L ]
    /// |> List.map (fun step -> Schedule.cubicSparsity 0.0 0.5 step schedule) // = [0.0; 0.2890625; 0.4375; 0.5]
    /// </code></example>
    [<CompiledName "CubicSparsity">]
    let cubicSparsity (initial: float) (final: float) (step: int64) (schedule: Schedule) : float =
        let left = 1.0 - progress step schedule
        final + (initial - final) * left * left * left
