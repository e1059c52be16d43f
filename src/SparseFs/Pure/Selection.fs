namespace SparseFs

open System
open System.Numerics

/// <summary>The largest of many scores; a tie goes to the lower index.</summary>
module internal Selection =

    /// Bits in the order of the numbers themselves, the negative ones too; −0 counts as 0.
    let inline private key (score: float32) : uint32 =
        let bits = BitConverter.SingleToUInt32Bits(score + 0.0f)

        if bits &&& 0x80000000u <> 0u then
            ~~~bits
        else
            bits ||| 0x80000000u

    /// <summary>The count-th largest key among the first length scores, and how many of those that equal it are among the
    /// count.</summary>
    /// <remarks>Radix selection by halves of the bits; 1 ≤ count ≤ length.</remarks>
    [<FullyOptimized>]
    let private thresholdOfMany (scores: float32[]) (length: int) (count: int) : struct (uint32 * int) =
        let counts: int64[] = Array.zeroCreate 65536

        for i in 0 .. length - 1 do
            let upper = int (key scores[i] >>> 16)
            counts[upper] <- counts[upper] + 1L

        let struct (upper, left) = Radix.place counts (int64 count)
        Array.Clear counts

        for i in 0 .. length - 1 do
            let bits = key scores[i]

            if bits >>> 16 = upper then
                let lower = int (bits &&& 0xFFFFu)
                counts[lower] <- counts[lower] + 1L

        let struct (lower, left) = Radix.place counts left
        struct ((upper <<< 16) ||| lower, int left)

    /// Up to this many, sorting costs less than counting digits.
    let private few = 4096

    [<FullyOptimized>]
    let private thresholdOfFew (scores: float32[]) (length: int) (count: int) : struct (uint32 * int) =
        let keys: uint32[] = Array.zeroCreate length

        for i in 0 .. length - 1 do
            keys[i] <- key scores[i]

        Array.Sort keys
        let first = length - count
        let mutable last = first

        while last < length && keys[last] = keys[first] do
            last <- last + 1

        struct (keys[first], last - first)

    let private threshold (scores: float32[]) (length: int) (count: int) : struct (uint32 * int) =
        if length <= few then
            thresholdOfFew scores length count
        else
            thresholdOfMany scores length count

    /// <summary>Marks the count largest scores.</summary>
    /// <param name="scores">None is NaN.</param>
    /// <param name="count">0..length.</param>
    [<FullyOptimized>]
    let largest (scores: float32[]) (count: int) : bool[] =
        let chosen: bool[] = Array.zeroCreate scores.Length

        if count > 0 then
            let struct (least, ties) = threshold scores scores.Length count
            let mutable tied = ties

            for i in 0 .. scores.Length - 1 do
                let bits = key scores[i]

                if bits > least then
                    chosen[i] <- true
                elif bits = least && tied > 0 then
                    chosen[i] <- true
                    tied <- tied - 1

        chosen

    /// <summary>The cells with the count largest scores among many that come in blocks, in rising order of cells.</summary>
    /// <remarks>Holds at most 2 · count + 65,536 candidates, fewer for a small count: when they are that many, all but the
    /// count best are forgotten, and what comes later must be above the worst of these: an equal one would lose the
    /// tie.</remarks>
    [<Sealed>]
    type Best(count: int) =
        // The least that counts is known after the first room is full, so that little room is better for few.
        let room =
            int (min (int64 Array.MaxLength) (2L * int64 count + min 65536L (2L * int64 count + 256L)))

        // They grow as candidates come: a row needs little room.
        let mutable scores: float32[] =
            Array.zeroCreate (min room (2 * min count 32768 + 16))

        let mutable cells: int64[] = Array.zeroCreate scores.Length
        let mutable length = 0
        let mutable least = Single.NegativeInfinity // what comes must be above it

        let shrink () =
            if length > count then
                if count = 0 then
                    length <- 0
                else
                    let struct (worst, ties) = threshold scores length count
                    let mutable tied = ties
                    let mutable kept = 0
                    let mutable lowest = Single.PositiveInfinity

                    for i in 0 .. length - 1 do
                        let bits = key scores[i]
                        let isTie = bits = worst && tied > 0

                        if isTie then
                            tied <- tied - 1

                        if bits > worst || isTie then
                            scores[kept] <- scores[i]
                            cells[kept] <- cells[i]
                            lowest <- min lowest scores[i]
                            kept <- kept + 1

                    length <- kept
                    least <- lowest

        let makeRoom () =
            if length = room then
                shrink ()
            elif length = scores.Length then
                let size = min room (2 * length)
                Array.Resize(&scores, size)
                Array.Resize(&cells, size)

        /// <summary>Takes in the scores of neighbouring cells; negative infinity stands for a cell that is no candidate.</summary>
        /// <returns>False where a score is NaN or infinite: nothing more is to be done with any of them.</returns>
        [<FullyOptimized>]
        member _.Offer(block: float32[], offset: int, size: int, firstCell: int64) : bool =
            let mutable isFinite = true
            let mutable i = 0
            let lanes = Vector<float32>.Count

            while i < size && isFinite do
                // Most are not above the least that counts, many at once; NaN is not either.
                while i + lanes <= size
                      && Vector.LessThanOrEqualAll(Vector<float32>(block, offset + i), Vector<float32> least) do
                    i <- i + lanes

                let last = min size (i + lanes)

                while i < last && isFinite do
                    let score = block[offset + i]

                    if not (score <= least) then
                        if not (score <= Single.MaxValue) then
                            isFinite <- false
                        elif count > 0 then
                            if length = scores.Length then
                                makeRoom ()

                            if score > least then
                                scores[length] <- score
                                cells[length] <- firstCell + int64 i
                                length <- length + 1

                    i <- i + 1

            isFinite

        /// The chosen cells, rising; fewer than count where there were not as many candidates.
        member _.Cells() : int64[] =
            shrink ()
            Array.sub cells 0 length
