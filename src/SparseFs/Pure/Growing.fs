namespace SparseFs

open System

/// <summary>Which absent cells an update grows.</summary>
module internal Growing =

    /// Cells of scores that are looked at together: 4 MB of them, or 64 rows.
    let private blockCells = 1_048_576L

    let private refuseFirst (what: string) (first: int) (cols: int) (block: float32[]) (length: int) =
        let place =
            Array.FindIndex(block, 0, length, (fun score -> not (abs score <= Single.MaxValue)))

        raise (NotFinite $"{what} {block[place]} at ({first + place / cols}, {place % cols})")

    /// <summary>Calls body for runs of rows with the scores of their cells.</summary>
    /// <param name="what">What the scores are, for errors.</param>
    /// <param name="scores">The source.</param>
    /// <param name="rows">Rows of the layer.</param>
    /// <param name="cols">Columns of the layer.</param>
    /// <param name="body">First row, number of rows, scores.</param>
    let eachBlock (what: string) (scores: CellScores) (rows: int) (cols: int) (body: int -> int -> float32[] -> unit) =
        // A product of few rows reads the whole input for little work.
        let perBlock =
            int (max 1L (min (int64 rows) (max 64L (blockCells / max 1L (int64 cols)))))

        let mutable first = 0

        while first < rows do
            let count = min perBlock (rows - first)
            let given = scores.Invoke(first, count)

            if isNull given || given.LongLength <> int64 count * int64 cols then
                let got = if isNull given then "null" else $"{given.LongLength}"

                let message =
                    $"expected {int64 count * int64 cols} scores for {count} rows, got {got}"

                raise (ArgumentException(message, what))

            body first count given
            first <- first + count

    /// What is taken does not count, but a gradient that is no number must not pass unseen there either.
    let private eachRow what (scores: CellScores) (taken: Taken) (body: int -> byte[] -> float32[] -> int -> bool) =
        let rows, cols = taken.Slots.Rows, taken.Slots.Cols
        let marks: byte[] = Array.zeroCreate ((cols + 7) / 8)

        eachBlock what scores rows cols (fun first count block ->
            for row in first .. first + count - 1 do
                taken.MarkRow(row, marks)

                if not (body row marks block ((row - first) * cols)) then
                    refuseFirst what first cols block (count * cols))

    /// The count best cells of the layer.
    let private bestCells what (scores: CellScores) magnitude (taken: Taken) (count: int) : int64[] =
        let cols = taken.Slots.Cols
        let best = Best count

        eachRow what scores taken (fun row marks block offset ->
            best.Offer(block, offset, cols, marks, magnitude, int64 row * int64 cols))

        best.Cells()

    /// The best cells of each row, as many as it wants.
    let private bestOfRows what (scores: CellScores) magnitude (taken: Taken) (wanted: int[]) : int64[] =
        let cols = taken.Slots.Cols
        let chosen = ResizeArray<int64[]>()
        let best = Best(if wanted.Length = 0 then 0 else Array.max wanted)

        eachRow what scores taken (fun row marks block offset ->
            best.Begin wanted[row]

            let isFinite =
                best.Offer(block, offset, cols, marks, magnitude, int64 row * int64 cols)

            chosen.Add(best.Cells())
            isFinite)

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
    let ofLayer (rule: Grow) (state: LayerState) (seed: Seed) (taken: Taken) (count: int) : int64[] =
        match rule with
        | Grow.Gradient -> bestCells "gradient" state.Gradient true taken count
        | Grow.Momentum -> bestCells "momentum" state.Momentum true taken count
        | Grow.Score(_, score) -> bestCells "grow" (score state) false taken count
        | Grow.Random -> randomCells (taken.ToConnectivity()) count (Draws seed)
        | Grow.Nearby(placement, lambda) -> Nearby.ofLayer placement lambda (taken.ToConnectivity()) count (Draws seed)

    /// <summary>As ofLayer, so many of each row.</summary>
    let ofRows (rule: Grow) (state: LayerState) (seed: Seed) (taken: Taken) (wanted: int[]) : int64[] =
        match rule with
        | Grow.Gradient -> bestOfRows "gradient" state.Gradient true taken wanted
        | Grow.Momentum -> bestOfRows "momentum" state.Momentum true taken wanted
        | Grow.Score(_, score) -> bestOfRows "grow" (score state) false taken wanted
        | Grow.Random -> randomOfRows (taken.ToConnectivity()) wanted (Draws seed)
        | Grow.Nearby(placement, lambda) -> Nearby.ofRows placement lambda (taken.ToConnectivity()) wanted (Draws seed)

    /// How many of the count cells with the largest |gradient| are in each row.
    let salientOfRows (state: LayerState) (count: int) : int[] =
        let c = state.Connectivity
        let ofRow: int[] = Array.zeroCreate c.Rows

        for cell in bestCells "gradient" state.Gradient true (Taken.slots c) count do
            let row = int (cell / int64 c.Cols)
            ofRow[row] <- ofRow[row] + 1

        ofRow
