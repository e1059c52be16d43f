namespace SparseFs

open System

/// <summary>The largest of many numbers, by magnitude.</summary>
module internal MagnitudeThreshold =

    /// The digit that holds place number left, counted from the highest, and the place within that digit.
    let private place (counts: int64[]) (left: int64) : struct (uint32 * int64) =
        let mutable digit = counts.Length - 1
        let mutable left = left

        while counts[digit] < left do
            left <- left - counts[digit]
            digit <- digit - 1

        struct (uint32 digit, left)

    let checkNumbers (name: string) (weight: float32[,]) =
        for row in 0 .. Array2D.length1 weight - 1 do
            for col in 0 .. Array2D.length2 weight - 1 do
                if Single.IsNaN weight[row, col] then
                    raise (ArgumentException((invariant $"expected numbers, got NaN at ({row}, {col})"), name))

    /// <summary>The magnitude at which the largest have so many slots together, and the slots left for those that equal it.</summary>
    /// <param name="nnz">1 .. the slots of all numbers.</param>
    /// <param name="slots">What a number of each list is worth in slots.</param>
    /// <param name="lists">Numbers; none is NaN.</param>
    /// <remarks>A radix selection: one pass counts the upper halves of the keys, a second the lower halves of those that
    /// have the upper half in question. No number is copied.</remarks>
    let private threshold (nnz: int64) (slots: int[]) (lists: float32[,][]) : struct (float32 * int64) =
        let countOf (digit: uint32 -> int) =
            let counts: int64[] = Array.zeroCreate 65536

            for list in 0 .. lists.Length - 1 do
                let numbers, each = lists[list], int64 slots[list]

                for row in 0 .. Array2D.length1 numbers - 1 do
                    for col in 0 .. Array2D.length2 numbers - 1 do
                        let place = digit (OrderedKey.magnitude numbers[row, col])

                        if place >= 0 then
                            counts[place] <- counts[place] + each

            counts

        let struct (upper, left) = place (countOf (fun key -> int (key >>> 16))) nnz

        let lowerOf (key: uint32) =
            if key >>> 16 = upper then int (key &&& 0xFFFFu) else -1

        let struct (lower, left) = place (countOf lowerOf) left
        struct (OrderedKey.ofMagnitude ((upper <<< 16) ||| lower), left)

    let private countAbove (threshold: float32) (lists: float32[,][]) : int64 =
        let mutable count = 0L

        for numbers in lists do
            for row in 0 .. Array2D.length1 numbers - 1 do
                for col in 0 .. Array2D.length2 numbers - 1 do
                    if abs numbers[row, col] > threshold then
                        count <- count + 1L

        count

    /// <summary>Whether a number is one of the largest, which are taken until the next brings their slots no nearer to so
    /// many; of two sums that are equally near, the one of an even count.</summary>
    /// <param name="nnz">0 .. the slots of all numbers.</param>
    /// <param name="slots">What a number of each list is worth in slots.</param>
    /// <param name="lists">Numbers; none is NaN.</param>
    /// <returns>From a list's index to a question that is asked once of each number, in order, list after list: of equal
    /// magnitudes the first are taken.</returns>
    let largest (nnz: int64) (slots: int[]) (lists: float32[,][]) : int -> float32 -> bool =
        let struct (threshold, left) =
            if nnz = 0L then
                struct (Single.PositiveInfinity, 0L)
            else
                threshold nnz slots lists

        let left, taken = ref left, ref 0L

        /// Whether one more makes the count even.
        let isOdd () =
            (countAbove threshold lists + taken.Value) % 2L = 1L

        let takeTied (each: int64) =
            let isNearer =
                2L * left.Value > each
                || (left.Value > 0L && 2L * left.Value = each && isOdd ())

            if isNearer then
                left.Value <- left.Value - each
                taken.Value <- taken.Value + 1L
            else
                left.Value <- 0L

            isNearer

        fun list ->
            let each = int64 slots[list]
            fun value -> abs value > threshold || (abs value = threshold && takeTied each)
