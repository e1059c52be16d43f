namespace SparseFs

/// Selection by counted digits.
module internal Radix =

    /// The digit that holds place number left, counted from the highest, and the place within that digit.
    let place (counts: int64[]) (left: int64) : struct (uint32 * int64) =
        let mutable digit = counts.Length - 1
        let mutable left = left

        while counts[digit] < left do
            left <- left - counts[digit]
            digit <- digit - 1

        struct (uint32 digit, left)
