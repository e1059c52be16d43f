namespace SparseFs

open System
open System.Numerics

/// <summary>Which absent cells an update grows.</summary>
module internal Growing =

    /// Cells of scores that are looked at together: 4 MB of them.
    let private blockCells = 1_048_576L

    /// Copies numbers, or their magnitudes, to the start of a buffer.
    [<FullyOptimized>]
    let private copy (magnitude: bool) (source: float32[]) (target: float32[]) =
        if magnitude then
            let lanes = Vector<float32>.Count
            let mutable i = 0

            while i + lanes <= source.Length do
                Vector.Abs(Vector<float32>(source, i)).CopyTo(target, i)
                i <- i + lanes

            while i < source.Length do
                target[i] <- abs source[i]
                i <- i + 1
        else
            Array.Copy(source, target, source.Length)

    /// <summary>Calls body for runs of rows with the scores of their cells, at most blockCells at a time, taken being
    /// minus infinity.</summary>
    /// <param name="what">What the scores are, for errors.</param>
    /// <param name="scores">The source; its arrays are copied, so it may use one again and again.</param>
    /// <param name="taken">Cells that are no candidates.</param>
    /// <param name="magnitude">Whether it is the magnitude that counts.</param>
    /// <param name="body">First row, number of rows, scores, of which only those of these rows count.</param>
    let eachBlock
        (what: string)
        (scores: CellScores)
        (taken: Connectivity)
        (magnitude: bool)
        (body: int -> int -> float32[] -> unit)
        =
        let rows, cols = taken.Rows, taken.Cols
        let perBlock = int (max 1L (min (int64 rows) (blockCells / max 1L (int64 cols))))
        let block: float32[] = Array.zeroCreate (perBlock * cols)
        let mutable first = 0

        while first < rows do
            let count = min perBlock (rows - first)
            let given = scores.Invoke(first, count)

            if isNull given || given.LongLength <> int64 count * int64 cols then
                let got = if isNull given then "null" else $"{given.LongLength}"

                let message =
                    $"expected {int64 count * int64 cols} scores for {count} rows, got {got}"

                raise (ArgumentException(message, what))

            copy magnitude given block

            // Below, minus infinity means that a cell is taken: a rule's own would pass unseen. No magnitude is.
            let place =
                if magnitude then
                    -1
                else
                    Array.IndexOf(block, Single.NegativeInfinity, 0, given.Length)

            if place >= 0 then
                raise (NotFinite $"{what} {block[place]} at ({first + place / cols}, {place % cols})")

            for row in first .. first + count - 1 do
                for slot in taken.RowPtrArray[row] .. taken.RowPtrArray[row + 1] - 1 do
                    let place = (row - first) * cols + taken.ColIdxArray[slot]

                    // What is taken is not looked at, but a gradient that is no number must not pass unseen.
                    if not (abs block[place] <= Single.MaxValue) then
                        raise (NotFinite $"{what} {block[place]} at ({row}, {taken.ColIdxArray[slot]})")

                    block[place] <- Single.NegativeInfinity

            body first count block
            first <- first + count

    let private offer (what: string) (best: Selection.Best) (block: float32[]) offset size firstCell =
        if not (best.Offer(block, offset, size, firstCell)) then
            raise (NotFinite $"{what} that is not finite")

    /// The count best cells of the layer.
    let private bestCells what (scores: CellScores) magnitude (taken: Connectivity) (count: int) : int64[] =
        let best = Selection.Best count

        eachBlock what scores taken magnitude (fun first rows block ->
            offer what best block 0 (rows * taken.Cols) (int64 first * int64 taken.Cols))

        best.Cells()

    /// The best cells of each row, as many as it wants.
    let private bestOfRows what (scores: CellScores) magnitude (taken: Connectivity) (wanted: int[]) : int64[] =
        let chosen = ResizeArray<int64[]>()

        eachBlock what scores taken magnitude (fun first rows block ->
            for row in first .. first + rows - 1 do
                let best = Selection.Best wanted[row]
                offer what best block ((row - first) * taken.Cols) taken.Cols (int64 row * int64 taken.Cols)
                chosen.Add(best.Cells()))

        Array.concat chosen

    /// The absent cell of each rank, counted from the rank of the row's first absent cell; ranks rise.
    let private absentOfRow (taken: Connectivity) (row: int) (ranks: int64[]) : int64[] =
        let mutable slot = taken.RowPtrArray[row]
        let last = taken.RowPtrArray[row + 1]
        let mutable passed = 0L // taken columns before the current place

        ranks
        |> Array.map (fun rank ->
            while slot < last && int64 taken.ColIdxArray[slot] <= rank + passed do
                slot <- slot + 1
                passed <- passed + 1L

            int64 row * int64 taken.Cols + rank + passed)

    let private fanIn (c: Connectivity) (row: int) =
        c.RowPtrArray[row + 1] - c.RowPtrArray[row]

    /// Any absent cells of the layer.
    let private randomCells (taken: Connectivity) (count: int) (draws: Draws) : int64[] =
        let ranks = Drawing.distinct (taken.Cells - int64 taken.Nnz) count draws
        let chosen = ResizeArray<int64[]>()
        let mutable next = 0
        let mutable before = 0L // absent cells of the rows before

        for row in 0 .. taken.Rows - 1 do
            let absent = int64 (taken.Cols - fanIn taken row)
            let first = next

            while next < ranks.Length && ranks[next] < before + absent do
                next <- next + 1

            if next > first then
                let start = before
                chosen.Add(absentOfRow taken row (Array.init (next - first) (fun i -> ranks[first + i] - start)))

            before <- before + absent

        Array.concat chosen

    let private randomOfRows (taken: Connectivity) (wanted: int[]) (draws: Draws) : int64[] =
        Array.concat
            [ for row in 0 .. taken.Rows - 1 do
                  if wanted[row] > 0 then
                      let absent = int64 (taken.Cols - fanIn taken row)
                      absentOfRow taken row (Drawing.distinct absent wanted[row] draws) ]

    /// <summary>Count cells whose scores are largest, or that the rule draws; rising.</summary>
    /// <param name="rule">The rule.</param>
    /// <param name="state">The layer.</param>
    /// <param name="seed">For rules that draw.</param>
    /// <param name="taken">Cells that are no candidates; there are at least count others.</param>
    /// <param name="count">How many.</param>
    let ofLayer (rule: Grow) (state: LayerState) (seed: Seed) (taken: Connectivity) (count: int) : int64[] =
        match rule with
        | Grow.Gradient -> bestCells "gradient" state.Gradient true taken count
        | Grow.Momentum -> bestCells "momentum" state.Momentum true taken count
        | Grow.Score(_, score) -> bestCells "grow" (score state) false taken count
        | Grow.Random -> randomCells taken count (Draws seed)
        | Grow.Nearby(placement, lambda) -> Nearby.ofLayer placement lambda taken count (Draws seed)

    /// <summary>As ofLayer, so many of each row.</summary>
    let ofRows (rule: Grow) (state: LayerState) (seed: Seed) (taken: Connectivity) (wanted: int[]) : int64[] =
        match rule with
        | Grow.Gradient -> bestOfRows "gradient" state.Gradient true taken wanted
        | Grow.Momentum -> bestOfRows "momentum" state.Momentum true taken wanted
        | Grow.Score(_, score) -> bestOfRows "grow" (score state) false taken wanted
        | Grow.Random -> randomOfRows taken wanted (Draws seed)
        | Grow.Nearby(placement, lambda) -> Nearby.ofRows placement lambda taken wanted (Draws seed)

    /// How many of the count cells with the largest |gradient| are in each row.
    let salientOfRows (state: LayerState) (taken: Connectivity) (count: int) : int[] =
        let ofRow: int[] = Array.zeroCreate taken.Rows

        for cell in bestCells "gradient" state.Gradient true taken count do
            let row = int (cell / int64 taken.Cols)
            ofRow[row] <- ofRow[row] + 1

        ofRow
