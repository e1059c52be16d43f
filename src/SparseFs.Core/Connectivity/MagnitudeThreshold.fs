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

    /// <summary>The count-th largest magnitude of all numbers, and how many of those that equal it are among the count.</summary>
    /// <param name="count">1 .. how many numbers there are.</param>
    /// <param name="lists">Numbers; none is NaN.</param>
    /// <remarks>A radix selection: one pass counts the upper halves of the keys, a second the lower halves of those that
    /// have the upper half in question. No number is copied.</remarks>
    let threshold (count: int64) (lists: float32[,][]) : struct (float32 * int64) =
        let countOf (digit: uint32 -> int) =
            let counts: int64[] = Array.zeroCreate 65536

            for numbers in lists do
                for row in 0 .. Array2D.length1 numbers - 1 do
                    for col in 0 .. Array2D.length2 numbers - 1 do
                        let place = digit (OrderedKey.magnitude numbers[row, col])

                        if place >= 0 then
                            counts[place] <- counts[place] + 1L

            counts

        let struct (upper, left) = place (countOf (fun key -> int (key >>> 16))) count

        let lowerOf (key: uint32) =
            if key >>> 16 = upper then int (key &&& 0xFFFFu) else -1

        let struct (lower, left) = place (countOf lowerOf) left
        struct (OrderedKey.ofMagnitude ((upper <<< 16) ||| lower), left)
