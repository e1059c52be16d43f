namespace SparseFs

/// <summary>Lines with integer weights, one of which is drawn with a chance in proportion to its weight.</summary>
/// <remarks>A tree of partial sums: Fenwick, "A new data structure for cumulative frequency tables", Software: Practice
/// and Experience 24(3), 1994. Changing a weight and drawing cost O(log lines).</remarks>
[<Sealed>]
type internal FenwickTree(lines: int) =
    /// Entry i, from 1, holds the weights of the lines i − (i &&& −i) .. i − 1.
    let sums: int64[] = Array.zeroCreate (lines + 1)
    let mutable total = 0L

    let top =
        if lines = 0 then
            0
        else
            1 <<< System.Numerics.BitOperations.Log2(uint32 lines)

    /// The sum of all weights.
    member _.Total = total

    /// Adds to a line's weight, which must not fall below 0.
    member _.Add(line: int, weight: int64) =
        total <- total + weight
        let mutable i = line + 1

        while i <= lines do
            sums[i] <- sums[i] + weight
            i <- i + (i &&& -i)

    /// A line, drawn; the total must be above 0.
    member _.Draw(draws: Draws) : int =
        let mutable left = draws.Below total
        let mutable line = 0
        let mutable step = top

        while step > 0 do
            let next = line + step

            if next <= lines && sums[next] <= left then
                left <- left - sums[next]
                line <- next

            step <- step >>> 1

        line
