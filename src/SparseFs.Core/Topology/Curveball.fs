namespace SparseFs

open System.Numerics

/// <summary>Shuffling a pattern without changing a fan-in or a fan-out.</summary>
/// <remarks>Strona et al., "A fast and unbiased procedure to randomize ecological binary matrices with fixed row and column
/// totals", Nature Communications 5, 2014; in rounds where every row trades once: Carstens et al., "Parallel and
/// I/O-efficient randomisation of massive networks using global curveball trades", ESA 2018. Every pattern with these
/// fan-ins and fan-outs is equally likely in the limit of many rounds.</remarks>
module internal Curveball =

    /// <summary>Two rows keep the columns that both have and share out the others by chance, each as many as it had.</summary>
    /// <remarks>Columns rise before and after: the shares are drawn in rising order (Knuth's algorithm S).</remarks>
    [<AggressiveOptimization>]
    let private trade (colIdx: int[]) (scratch: int[]) (a: int) (b: int) (fanIn: int) (draws: Draws) =
        // The columns of either row alone, rising, are drawn between the rows; a place in both rows keeps its column.
        let mutable i = 0
        let mutable j = 0
        let mutable common = 0

        while i < fanIn && j < fanIn do
            let colA, colB = colIdx[a + i], colIdx[b + j]

            if colA <= colB then
                i <- i + 1

            if colB <= colA then
                j <- j + 1

            if colA = colB then
                common <- common + 1

        let mutable left = 2L * int64 (fanIn - common)
        let mutable wanted = int64 (fanIn - common)
        let mutable toA = 0
        let mutable toB = fanIn // the second row's columns stand behind the first one's
        i <- 0
        j <- 0

        while i < fanIn || j < fanIn do
            let colA = if i < fanIn then colIdx[a + i] else System.Int32.MaxValue
            let colB = if j < fanIn then colIdx[b + j] else System.Int32.MaxValue

            if colA <= colB then
                i <- i + 1

            if colB <= colA then
                j <- j + 1

            if colA = colB then
                scratch[toA] <- colA
                scratch[toB] <- colA
                toA <- toA + 1
                toB <- toB + 1
            else
                if draws.Below left < wanted then
                    scratch[toA] <- min colA colB
                    toA <- toA + 1
                    wanted <- wanted - 1L
                else
                    scratch[toB] <- min colA colB
                    toB <- toB + 1

                left <- left - 1L

        System.Array.Copy(scratch, 0, colIdx, a, fanIn)
        System.Array.Copy(scratch, fanIn, colIdx, b, fanIn)

    /// A permutation of 0..count − 1: Fisher and Yates.
    let permutation (count: int) (draws: Draws) : int[] =
        let order = Array.init count id

        for last in count - 1 .. -1 .. 1 do
            let other = int (draws.Below(int64 last + 1L))
            let swap = order[last]
            order[last] <- order[other]
            order[other] <- swap

        order

    /// <summary>Shuffles rows of equal fan-in, in place.</summary>
    /// <param name="rows">How many rows.</param>
    /// <param name="fanIn">Slots of each; row r has columns colIdx[r · fanIn ..], rising, before and after.</param>
    /// <param name="colIdx">Length rows · fanIn.</param>
    /// <param name="draws">Where the chances come from.</param>
    /// <remarks>A column's slots reach at most twice as many rows a round, so it takes log2 rows rounds until each could be
    /// anywhere; ten more are what Carstens et al. found enough for the rest.</remarks>
    let shuffle (rows: int) (fanIn: int) (colIdx: int[]) (draws: Draws) =
        let scratch: int[] = Array.zeroCreate (2 * fanIn)

        for _ in 1 .. BitOperations.Log2(uint32 (max 1 rows)) + 11 do
            let order = permutation rows draws

            for pair in 0 .. rows / 2 - 1 do
                trade colIdx scratch (order[2 * pair] * fanIn) (order[2 * pair + 1] * fanIn) fanIn draws
