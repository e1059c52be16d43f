namespace SparseFs

open System

/// <summary>The one rounding of counts: half to even, in whole numbers, so that a tie is a tie however large the count.</summary>
module internal Rounding =

    /// Numerator and denominator of a decimal.
    let ratio (value: decimal) : struct (bigint * bigint) =
        let places = (Decimal.GetBits(value)[3] >>> 16) &&& 0xFF
        let scale = pown 10I places
        struct (bigint (value * decimal scale), scale)

    /// <summary>numerator / denominator to the nearest integer, a tie to the even one.</summary>
    /// <param name="numerator">0 or more.</param>
    /// <param name="denominator">1 or more.</param>
    let halfToEven (numerator: bigint) (denominator: bigint) : bigint =
        let floor = numerator / denominator
        let half = bigint.Compare(2I * (numerator % denominator), denominator)

        if half > 0 || (half = 0 && not floor.IsEven) then
            floor + 1I
        else
            floor

    /// <summary>A part of a count, rounded half to even.</summary>
    /// <param name="fraction">0 or more; above 1 for a multiple.</param>
    /// <param name="count">0 or more.</param>
    let part (fraction: decimal) (count: bigint) : bigint =
        let struct (numerator, denominator) = ratio fraction
        halfToEven (numerator * count) denominator
