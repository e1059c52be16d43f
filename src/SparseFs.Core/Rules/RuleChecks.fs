namespace SparseFs

open System

/// Checks of a policy's rules, each by itself; a message names the part that is outside its range.
module internal RuleChecks =

    let refuse (name: string) (message: string) =
        raise (ArgumentException(message, name))

    /// Files hold the name as UTF-8, which has no half of a surrogate pair.
    let private checkName (part: string) (name: string) =
        let isText =
            not (String.IsNullOrWhiteSpace name)
            && Text.Encoding.UTF8.GetString(Text.Encoding.UTF8.GetBytes name) = name

        if not isText then
            refuse "name" (invariant $"expected a name for the policy's own {part} rule, got '{name}'")

    let budget (budget: Budget) : unit =
        match budget with
        | Budget.RowWithAblation salient when not (salient >= 0.0 && salient <= 1.0) ->
            refuse "salient" (invariant $"expected γ in [0, 1], got {salient}")
        | Budget.GradualPruning(initial, final) ->
            Sparsity.check "initial" initial
            Sparsity.check "final" final

            if final < initial then
                refuse "final" (invariant $"expected a sparsity of {initial} or more, got {final}")
        | _ -> ()

    let grownWeight (weight: GrownWeight) : unit =
        let scale (name: string) (value: float) =
            if not (value >= 0.0 && Double.IsFinite value) then
                refuse name (invariant $"expected a finite number of 0 or more, got {value}")

        match weight with
        | GrownWeight.Zero -> ()
        | GrownWeight.Uniform bound -> scale "bound" bound
        | GrownWeight.Normal deviation -> scale "deviation" deviation

    let drop (drop: Drop) : unit =
        match drop with
        | Drop.NamedScore(name, _) -> checkName "drop" name
        | _ -> ()

    let grow (grow: Grow) : unit =
        match grow with
        | Grow.NamedScore(name, _, _) -> checkName "grow" name
        | Grow.DistanceDecay(placement, lambda) ->
            SmallWorld.checkPlacement placement

            if not (lambda >= 0.0 && lambda <= 1000.0) then
                refuse "lambda" (invariant $"expected λ in [0, 1000], got {lambda}")
        | _ -> ()
