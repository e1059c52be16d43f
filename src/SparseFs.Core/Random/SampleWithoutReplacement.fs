namespace SparseFs

open System

/// Drawing without repeats.
module internal SampleWithoutReplacement =

    /// Cells a slot up to which scanning all cells is cheaper than sorting the drawn ones.
    let private scanLimit = 8L

    /// <summary>Knuth's selection sampling: one integer draw a cell, in order.</summary>
    /// <remarks>The Art of Computer Programming, volume 2, section 3.4.2, algorithm S. O(cells).</remarks>
    [<AggressiveOptimization>]
    let private scan (cells: int64) (nnz: int) (draws: Draws) : int64[] =
        let chosen: int64[] = Array.zeroCreate nnz
        let mutable count = 0
        let mutable cell = 0L

        while count < nnz do
            if draws.Below(cells - cell) < int64 (nnz - count) then
                chosen[count] <- cell
                count <- count + 1

            cell <- cell + 1L

        chosen

    /// <summary>Sorts cells that are all below a bound: a radix sort from the low digits, 11 bits a pass.</summary>
    /// <returns>The sorted cells; <paramref name="drawn"/> is used as scratch.</returns>
    [<AggressiveOptimization>]
    let sorted (cells: int64) (drawn: int64[]) : int64[] =
        let digits = 2048
        let next: int[] = Array.zeroCreate digits
        let mutable source = drawn
        let mutable target: int64[] = Array.zeroCreate drawn.Length
        let mutable shift = 0

        while shift < 63 && (cells - 1L) >>> shift > 0L do
            Array.Clear next

            for i in 0 .. source.Length - 1 do
                let digit = int (source[i] >>> shift) &&& (digits - 1)
                next[digit] <- next[digit] + 1

            let mutable start = 0

            for digit in 0 .. digits - 1 do
                let count = next[digit]
                next[digit] <- start
                start <- start + count

            for i in 0 .. source.Length - 1 do
                let digit = int (source[i] >>> shift) &&& (digits - 1)
                target[next[digit]] <- source[i]
                next[digit] <- next[digit] + 1

            let swap = source
            source <- target
            target <- swap
            shift <- shift + 11

        source

    /// Merges two rising arrays and drops repeats, within and between them.
    [<AggressiveOptimization>]
    let private mergeDistinct (a: int64[]) (b: int64[]) : int64[] =
        let merged: int64[] = Array.zeroCreate (a.Length + b.Length)
        let mutable count = 0
        let mutable i = 0
        let mutable j = 0

        while i < a.Length || j < b.Length do
            let cell =
                if j = b.Length || (i < a.Length && a[i] <= b[j]) then
                    i <- i + 1
                    a[i - 1]
                else
                    j <- j + 1
                    b[j - 1]

            if count = 0 || merged[count - 1] <> cell then
                merged[count] <- cell
                count <- count + 1

        Array.sub merged 0 count

    /// <summary>Draws with repeats, sorts, drops the repeats and draws what is missing, until all are distinct.</summary>
    /// <remarks>Every draw is uniform and independent, so this is drawing one by one and rejecting repeats: each set of
    /// nnz cells is equally likely. O(nnz) a round while nnz is a small part of the cells, and few rounds.</remarks>
    [<AggressiveOptimization>]
    let private drawSparse (cells: int64) (nnz: int) (draws: Draws) : int64[] =
        let mutable chosen: int64[] = [||]

        while chosen.Length < nnz do
            let fresh: int64[] = Array.zeroCreate (nnz - chosen.Length)

            for i in 0 .. fresh.Length - 1 do
                fresh[i] <- draws.Below cells

            chosen <- mergeDistinct chosen (sorted cells fresh)

        chosen

    /// Up to this count, a repeat is looked for among the drawn ones.
    let private fewLimit = 24

    [<AggressiveOptimization>]
    let private few (cells: int64) (count: int) (draws: Draws) : int64[] =
        let chosen: int64[] = Array.zeroCreate count
        let mutable known = 0

        while known < count do
            let cell = draws.Below cells
            let mutable place = known

            while place > 0 && chosen[place - 1] > cell do
                place <- place - 1

            if place = 0 || chosen[place - 1] <> cell then
                Array.Copy(chosen, place, chosen, place + 1, known - place)
                chosen[place] <- cell
                known <- known + 1

        chosen

    /// <summary>Exactly count distinct numbers below cells, rising; every such set is equally likely.</summary>
    /// <remarks>O(count), times the passes of a radix sort.</remarks>
    let distinct (cells: int64) (count: int) (draws: Draws) : int64[] =
        if cells / scanLimit <= int64 count then
            scan cells count draws
        elif count <= fewLimit then
            few cells count draws
        else
            drawSparse cells count draws
