namespace SparseFs

open System
open System.Numerics

/// A number that a rule cannot order: the update is refused, and nothing has been changed.
exception internal NotFinite of what: string

/// <summary>Which slots an update drops.</summary>
module internal Dropping =

    /// Refuses what is not finite.
    [<FullyOptimized>]
    let checkFinite (what: string) (numbers: float32[]) =
        let largest = Vector<float32> Single.MaxValue
        let lanes = Vector<float32>.Count
        let mutable i = 0

        while i + lanes <= numbers.Length
              && Vector.LessThanOrEqualAll(Vector.Abs(Vector<float32>(numbers, i)), largest) do
            i <- i + lanes

        while i < numbers.Length && abs numbers[i] <= Single.MaxValue do
            i <- i + 1

        if i < numbers.Length then
            raise (NotFinite $"{what} {numbers[i]} at slot {i}")

    /// Marks the count lowest scores; a tie keeps the lower slot.
    let private lowest (scores: float32[]) (count: int) : bool[] =
        Selection.allBut false scores (scores.Length - count)

    /// SET's: as many of each sign as is their share.
    let private nearestZero (weight: float32[]) (count: int) : bool[] =
        let negatives = weight |> Array.sumBy (fun w -> if w < 0.0f then 1 else 0) |> int64

        let ofNegatives =
            if weight.Length = 0 then
                0
            else
                decimal count * decimal negatives / decimal weight.Length
                |> fun share -> int (Math.Round(share, MidpointRounding.ToEven))

        // The other sign's weights are put above all of this one's.
        let marked (isSide: float32 -> bool) (ofSide: int) =
            let scores =
                weight
                |> Array.map (fun w -> if isSide w then abs w else Single.PositiveInfinity)

            lowest scores ofSide

        Array.map2
            (||)
            (marked (fun w -> w < 0.0f) ofNegatives)
            (marked (fun w -> not (w < 0.0f)) (count - ofNegatives))

    /// <summary>Marks count slots.</summary>
    let mark (rule: Drop) (state: LayerState) (seed: Seed) (count: int) : bool[] =
        let weight = state.Weight

        match rule with
        | Drop.Magnitude -> Selection.allBut true weight (weight.Length - count)
        | Drop.NearestZero -> nearestZero weight count
        | Drop.Random ->
            let marked: bool[] = Array.zeroCreate weight.Length

            for slot in Drawing.distinct (int64 weight.Length) count (Draws seed) do
                marked[int slot] <- true

            marked
        | Drop.Score score ->
            let scores = score state

            if isNull scores || scores.Length <> weight.Length then
                let got = if isNull scores then "null" else $"{scores.Length}"
                raise (ArgumentException($"expected a score for each of the {weight.Length} slots, got {got}", "drop"))

            checkFinite "drop score" scores
            lowest scores count

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
