namespace SparseFs

open System
open SparseFs.Kernels

/// <summary>Drop rules at work: the slots that an update drops.</summary>
module internal DropSlots =

    /// Refuses what is not finite, by the first such number.
    let checkFinite (what: string) (numbers: float32[]) : Result<unit, NonFinite> =
        let slot = ScoreScan.firstNotFinite Widths.widest numbers

        if slot < numbers.Length then
            Error(NonFinite(invariant $"{what} {numbers[slot]} at slot {slot}"))
        else
            Ok()

    /// Marks the count lowest scores; a tie keeps the lower slot.
    let private lowest (scores: float32[]) (count: int) : bool[] =
        RadixSelect.allBut false scores (scores.Length - count)

    /// The slots of one sign, and their weights.
    [<AggressiveOptimization>]
    let private side (weight: float32[]) (isNegative: bool) (count: int) : struct (int[] * float32[]) =
        // Branchless compaction writes one beyond the last.
        let slots: int[] = Array.zeroCreate (count + 1)
        let mutable found = 0

        for slot in 0 .. weight.Length - 1 do
            slots[found] <- slot
            found <- found + (if (weight[slot] < 0.0f) = isNegative then 1 else 0)

        let ofSide: float32[] = Array.zeroCreate count

        for i in 0 .. count - 1 do
            ofSide[i] <- weight[slots[i]]

        struct (slots, ofSide)

    /// SET's: as many of each sign as is their share.
    [<AggressiveOptimization>]
    let private nearestZero (weight: float32[]) (count: int) : bool[] =
        let mutable negatives = 0

        for slot in 0 .. weight.Length - 1 do
            negatives <- negatives + (if weight[slot] < 0.0f then 1 else 0)

        let ofNegatives =
            if weight.Length = 0 then
                0
            else
                int (Rounding.halfToEven (bigint count * bigint negatives) (bigint weight.Length))

        let marked: bool[] = Array.zeroCreate weight.Length

        for isNegative in [ true; false ] do
            let ofSign = if isNegative then negatives else weight.Length - negatives
            let dropped = if isNegative then ofNegatives else count - ofNegatives
            let struct (slots, weights) = side weight isNegative ofSign
            let isDropped = RadixSelect.allBut true weights (ofSign - dropped)

            for i in 0 .. ofSign - 1 do
                marked[slots[i]] <- isDropped[i]

        marked

    /// <summary>Marks count slots.</summary>
    let mark (rule: Drop) (state: LayerState) (seed: Seed) (count: int) : Result<bool[], NonFinite> =
        let weight = state.Weight

        match rule with
        | Drop.Magnitude -> Ok(RadixSelect.allBut true weight (weight.Length - count))
        | Drop.NearestZero -> Ok(nearestZero weight count)
        | Drop.Random ->
            let marked: bool[] = Array.zeroCreate weight.Length

            for slot in SampleWithoutReplacement.distinct (int64 weight.Length) count (Draws seed) do
                marked[int slot] <- true

            Ok marked
        | Drop.Score score
        | Drop.NamedScore(_, score) ->
            let scores = score state

            if isNull (box scores) || scores.Length <> weight.Length then
                let got =
                    if isNull (box scores) then
                        "null"
                    else
                        (invariant $"{scores.Length}")

                raise (
                    ArgumentException(
                        (invariant $"expected a score for each of the {weight.Length} slots, got {got}"),
                        "drop"
                    )
                )

            finite {
                do! checkFinite "drop score" scores
                return lowest scores count
            }

    /// <summary>Takes marks back where a row would be left with more to grow than it has room for.</summary>
    /// <param name="most">How many slots each row may lose.</param>
    /// <param name="state">The layer.</param>
    /// <param name="marked">Changed in place: the largest magnitudes stay, of a tie the lower slot.</param>
    let limitRows (most: int -> int) (state: LayerState) (marked: bool[]) =
        let c = state.Connectivity

        for row in 0 .. c.Rows - 1 do
            let first, last = c.RowPtrArray[row], c.RowPtrArray[row + 1] - 1

            let inRow =
                [| for slot in first..last do
                       if marked[slot] then
                           slot |]

            if inRow.Length > most row then
                let back = inRow.Length - most row

                for slot in
                    inRow
                    |> Array.sortBy (fun slot -> -(abs state.Weight[slot]), slot)
                    |> Array.truncate back do
                    marked[slot] <- false
