namespace SparseFs

open System.Collections.Generic

/// <summary>What a rewirer does where updates of a layer are refused again and again.</summary>
type Refusals =
    /// The third refusal in a row of one layer, and each after it, raises at Step or Follow, once the step is over.
    | Raise = 0
    /// Every refusal is an event, and goes to the event source "SparseFs".
    | Log = 1
    /// Every refusal is an event.
    | Ignore = 2

/// <summary>Counts refusals, and says what may be done about them.</summary>
[<Sealed>]
type internal RefusalCount() =
    let inARow = Dictionary<string, int>()

    static let most = 3

    static let cure (reason: string) =
        if reason.Contains "finite" then
            "look for a loss that overflows: lower the learning rate, clip the gradient, or skip the step where a gradient is "
            + "not finite"
        elif reason.Contains "no backward pass" then
            "call loss.backward() before Step(), and zero_grad() not before Follow()"
        else
            "run forward and backward between two calls of Step()"

    /// <summary>Takes an event in; the reason to raise, if there is one.</summary>
    member _.Take(setting: Refusals, e: RewireEvent) : string voption =
        if isNull e.Refusal then
            inARow[e.Layer] <- 0
            ValueNone
        else
            let count =
                1
                + match inARow.TryGetValue e.Layer with
                  | true, count -> count
                  | _ -> 0

            inARow[e.Layer] <- count

            if setting <> Refusals.Ignore then
                SparseFsEventSource.Log.Refused(e.Layer, e.Step, e.Refusal)

            if setting = Refusals.Raise && count >= most then
                ValueSome(
                    $"'{e.Layer}' was refused its update {count} times in a row, the last time at step {e.Step}: {e.Refusal}. "
                    + $"To mend it, {cure e.Refusal}; to go on regardless, set Refusals to Log or Ignore"
                )
            else
                ValueNone
