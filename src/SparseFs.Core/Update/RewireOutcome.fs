namespace SparseFs

open System.Runtime.InteropServices

/// <summary>Outcome of an update: what was done, or why nothing was.</summary>
[<RequireQualifiedAccess>]
type RewireOutcome =
    /// <summary>The update was done; where its part is 0, it changes nothing.</summary>
    | Done of counts: RewireCounts
    /// <summary>Nothing has changed, and why: a weight or a score that is not finite, or a layer that no backward pass has
    /// reached.</summary>
    | Refused of reason: string

    /// <summary>Gives the counts of an update that was done.</summary>
    /// <param name="counts">The counts, where the result is true.</param>
    /// <returns>Whether the update was done.</returns>
    member o.TryGetCounts([<Out>] counts: byref<RewireCounts>) : bool =
        match o with
        | Done given ->
            counts <- given
            true
        | Refused _ -> false

    /// <summary>Gives the reason of a refusal.</summary>
    /// <param name="reason">Why nothing has changed, where the result is true.</param>
    /// <returns>Whether the update was refused.</returns>
    member o.TryGetReason([<Out>] reason: byref<string>) : bool =
        match o with
        | Done _ -> false
        | Refused given ->
            reason <- given
            true

    override o.ToString() =
        match o with
        | Done counts -> counts.ToString()
        | Refused reason -> "refused, " + reason
