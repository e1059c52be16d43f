namespace SparseFs

open System

/// <summary>How many keys have each value of their 13 upper bits.</summary>
[<Sealed>]
type internal KeyCounts() =
    let counts: int[] = Array.zeroCreate (1 <<< (32 - OrderedKey.LowerBits))
    let mutable highest = 0
    let mutable lowest = counts.Length - 1

    member _.Add(key: uint32) =
        let upper = int (key >>> OrderedKey.LowerBits)
        counts[upper] <- counts[upper] + 1
        highest <- max highest upper
        lowest <- min lowest upper

    member _.Clear() =
        if lowest <= highest then
            Array.Clear(counts, lowest, highest - lowest + 1)

        highest <- 0
        lowest <- counts.Length - 1

    /// The upper bits that hold the count-th largest key, and its place among those that share them; 1 ≤ count ≤ keys.
    member _.Place(count: int) : struct (uint32 * int) =
        let mutable upper = highest
        let mutable left = count

        while counts[upper] < left do
            left <- left - counts[upper]
            upper <- upper - 1

        struct (uint32 upper, left)

/// <summary>The largest of many scores; a tie goes to the lower index.</summary>
module internal RadixSelect =

    /// <summary>The count-th largest of the first length keys, whose bits from shift on agree, and how many of those that
    /// equal it are among the count.</summary>
    /// <remarks>Digit by digit, over ever fewer keys; the keys are moved about.</remarks>
    [<AggressiveOptimization>]
    let rec private thresholdBelow (shift: int) (keys: uint32[]) (length: int) (count: int) : struct (uint32 * int) =
        if shift = 0 then
            struct (keys[0], count)
        else
            let bits = min shift 13
            let next = shift - bits

            let digit (key: uint32) =
                int (key >>> next) &&& ((1 <<< bits) - 1)

            let counts: int[] = Array.zeroCreate (1 <<< bits)

            for i in 0 .. length - 1 do
                let at = digit keys[i]
                counts[at] <- counts[at] + 1

            let mutable chosen = counts.Length - 1
            let mutable left = count

            while counts[chosen] < left do
                left <- left - counts[chosen]
                chosen <- chosen - 1

            let mutable kept = 0

            for i in 0 .. length - 1 do
                if digit keys[i] = chosen then
                    keys[kept] <- keys[i]
                    kept <- kept + 1

            thresholdBelow next keys kept left

    /// Up to this many, sorting costs less than counting digits.
    [<Literal>]
    let private Few = 256

    /// <summary>The count-th largest key among the first length scores, whose keys have been counted, and how many of those
    /// that equal it are among the count; 1 ≤ count ≤ length.</summary>
    /// <remarks>Of a score, only some bits count.</remarks>
    [<AggressiveOptimization>]
    let threshold
        (bits: int)
        (counts: KeyCounts)
        (scores: float32[])
        (length: int)
        (count: int)
        : struct (uint32 * int) =
        let struct (upper, left) = counts.Place count
        let mutable keys: uint32[] = Array.zeroCreate (min length Few)
        let mutable found = 0

        for i in 0 .. length - 1 do
            let key = OrderedKey.unsigned (OrderedKey.masked bits scores[i])

            if key >>> OrderedKey.LowerBits = upper then
                if found = keys.Length then
                    Array.Resize(&keys, min length (4 * found))

                keys[found] <- key
                found <- found + 1

        if found <= Few then
            Array.Sort(keys, 0, found)
            let key = keys[found - left]
            let mutable above = 0

            while above < left && keys[found - 1 - above] > key do
                above <- above + 1

            struct (key, left - above)
        else
            thresholdBelow OrderedKey.LowerBits keys found left

    /// <summary>Marks all but the count largest scores, or magnitudes of scores.</summary>
    /// <param name="isMagnitude">Whether it is the magnitude that counts.</param>
    /// <param name="scores">None is NaN.</param>
    /// <param name="count">0..length.</param>
    [<AggressiveOptimization>]
    let allBut (isMagnitude: bool) (scores: float32[]) (count: int) : bool[] =
        let marked: bool[] = Array.zeroCreate scores.Length

        if count = 0 then
            Array.Fill(marked, true)
        elif count < scores.Length then
            // The bits that count: all, or all but the sign.
            let bits = if isMagnitude then OrderedKey.Magnitude else -1
            let counts = KeyCounts()

            for i in 0 .. scores.Length - 1 do
                counts.Add(OrderedKey.unsigned (OrderedKey.masked bits scores[i]))

            let struct (least, ties) = threshold bits counts scores scores.Length count
            let mutable tied = 0

            for i in 0 .. scores.Length - 1 do
                let key = OrderedKey.unsigned (OrderedKey.masked bits scores[i])
                marked[i] <- key < least
                tied <- tied + (if key = least then 1 else 0)

            // Of those that equal the least, the lower ones are among the largest.
            let mutable i = scores.Length - 1

            while tied > ties do
                if OrderedKey.unsigned (OrderedKey.masked bits scores[i]) = least then
                    marked[i] <- true
                    tied <- tied - 1

                i <- i - 1

        marked
