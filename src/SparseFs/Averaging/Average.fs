namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>A running average of one tensor, number by number.</summary>
/// <remarks>Kept in the tensor's own dtype, half precision in float32. Numbers whose count differs from the others', those of
/// grown slots, have counts of their own.</remarks>
[<Sealed>]
type internal Average(start: torch.Tensor) =
    let wide (t: torch.Tensor) =
        if t.dtype = torch.ScalarType.Float16 || t.dtype = torch.ScalarType.BFloat16 then
            t.to_type torch.ScalarType.Float32
        else
            t

    let keep (t: torch.Tensor) = t.DetachFromDisposeScope()

    let mutable average =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        keep ((wide (start.detach ())).clone())

    /// How often each number has been averaged, float32; null where all have been alike.
    let mutable counts: torch.Tensor | null = null

    let replace (next: torch.Tensor) =
        let before = average
        average <- keep next
        before.Dispose()

    let replaceCounts (next: torch.Tensor | null) =
        let before = counts

        counts <-
            match next with
            | null -> null
            | next -> keep next

        match before with
        | null -> ()
        | before -> before.Dispose()

    /// The average, wide.
    member _.Value: torch.Tensor = average

    /// Counts of their own, or null.
    member _.Counts: torch.Tensor | null = counts

    /// The average in the dtype of its tensor, a copy.
    member _.As(t: torch.Tensor) : torch.Tensor =
        average.``to``(t.dtype, t.device).clone()

    /// <summary>Takes in the tensor as it is now.</summary>
    /// <param name="t">The tensor.</param>
    /// <param name="decay">The weight of what was, in [0, 1); below 0 for a plain mean.</param>
    /// <param name="before">How often it has been averaged before.</param>
    member _.Take(t: torch.Tensor, decay: float, before: int64) : unit =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        let value = wide (t.detach().``to`` average.device)

        match counts with
        | null ->
            if before = 0L then
                average.copy_ value |> ignore
            else
                let weight =
                    if decay < 0.0 then
                        1.0 / float (before + 1L)
                    else
                        1.0 - decay

                average.lerp_ (value, torch.full_like (value, Scalars.Of weight)) |> ignore
        | counts ->
            let weight =
                if decay < 0.0 then
                    counts.add(Scalars.Of 1.0).reciprocal().to_type average.dtype
                else
                    torch.full_like (average, Scalars.Of(1.0 - decay))

            // The first time, a number is its own average.
            let isFirst = counts.eq (Scalars.Of 0.0)

            average.copy_ (torch.where (isFirst, value, average.lerp (value, weight)))
            |> ignore

            counts.add_ (Scalars.Of 1.0) |> ignore

    /// <summary>Follows a rewire: averages of slots that went go, those that grew begin with the weight that they have
    /// now.</summary>
    /// <param name="remap">From the slots that were to those that are.</param>
    /// <param name="now">The weights that are.</param>
    /// <param name="before">How often the others have been averaged.</param>
    member _.Carry(remap: Remap, now: torch.Tensor, before: int64) : unit =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        let from = remap.FromArray
        let isGrown = from |> Array.map (fun slot -> slot < 0)

        let index =
            torch.tensor(from |> Array.map (fun slot -> int64 (max 0 slot))).``to`` average.device

        let grown = torch.tensor(isGrown).``to`` average.device
        // A pattern without slots has nothing to be indexed.
        let padded (t: torch.Tensor) =
            torch.cat ([| t; torch.zeros_like (t.new_zeros 1L) |], 0L)

        let carried = (padded average).index_select(0L, index)
        let value = wide (now.detach().``to`` average.device)

        let ownCounts =
            match counts with
            | null -> torch.full_like(padded average, Scalars.Of(float before)).to_type torch.ScalarType.Float32
            | counts -> padded counts

        let carriedCounts =
            ownCounts.index_select(0L, index).masked_fill(grown, Scalars.Of 0.0)

        replace (torch.where (grown, value, carried))

        if Array.contains true isGrown || not (isNull counts) then
            replaceCounts carriedCounts

    /// Numbers that were saved; taken over.
    member _.Restore(value: torch.Tensor, savedCounts: torch.Tensor | null) : unit =
        replace value
        replaceCounts savedCounts

    member _.Free() : unit =
        average.Dispose()
        replaceCounts null
