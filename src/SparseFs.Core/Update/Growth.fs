namespace SparseFs

open System

/// <summary>Growth: the absent cells that an update makes slots.</summary>
module internal Growth =

    /// The first score of a row that is not finite; there is one. What is taken does not count, but a gradient that is no
    /// number must not pass unseen there either.
    let private firstNonFinite (what: string) (row: int) (scores: ReadOnlySpan<float32>) : NonFinite =
        let mutable col = 0

        while abs scores[col] <= Single.MaxValue do
            col <- col + 1

        NonFinite(invariant $"{what} {scores[col]} at ({row}, {col})")

    /// <summary>Calls body for each row, the parts of the scores side by side.</summary>
    /// <param name="what">What the scores are, for errors.</param>
    /// <param name="scores">The source.</param>
    /// <param name="taken">Cells that are no candidates.</param>
    /// <param name="body">Part, row, marks of the row's taken cells, block of scores and the row's place in it; gives
    /// false where a score of the row is not finite.</param>
    let private eachRow
        what
        (scores: CellScores)
        (taken: ActiveMask)
        (body: int -> int -> byte[] -> float32[] -> int -> bool)
        : Result<unit, NonFinite> =
        let rows, cols = taken.Slots.Rows, taken.Slots.Cols
        let body = OptimizedClosures.FSharpFunc<_, _, _, _, _, _>.Adapt body

        let marks =
            Array.init scores.Parts (fun _ -> Array.zeroCreate<byte>((cols + 7) / 8))

        // Each part stops at its first; that of the first part counts, so that the result does not depend on their number.
        let found: NonFinite voption[] = Array.create scores.Parts ValueNone

        ScoreReading.eachBlock
            what
            scores
            rows
            cols
            (ScoreBlock(fun part first count block stride ->
                let mutable row = first

                while row < first + count && found[part].IsNone do
                    taken.MarkRow(row, marks[part])
                    let offset = (row - first) * stride

                    if not (body.Invoke(part, row, marks[part], block, offset)) then
                        found[part] <- ValueSome(firstNonFinite what row (ReadOnlySpan(block, offset, cols)))

                    row <- row + 1))

        match Array.tryFind ValueOption.isSome found with
        | Some first -> Error first.Value
        | None -> Ok()

    /// Factor of spare cells above a guessed bound: rows may differ that much from the first.
    let private spare = 1.5

    /// The count best cells of the layer.
    let private bestCells
        what
        (scores: CellScores)
        magnitude
        (taken: ActiveMask)
        (count: int)
        : Result<int64[], NonFinite> =
        let cols = taken.Slots.Cols

        let look (guess: float) =
            let best = Array.init scores.Parts (fun _ -> StreamingTopK count)

            if guess < 1.0 then
                for b in best do
                    b.Guess guess

            finite {
                do!
                    eachRow what scores taken (fun part row marks block offset ->
                        best[part].Offer(block, offset, cols, marks, magnitude, int64 row * int64 cols))

                return StreamingTopK.cellsOf best count
            }

        let free = taken.Free

        finite {
            let! cells = look (spare * float count / float (max 1L free))

            // The first rows were no measure of the others.
            if cells.LongLength < min free (int64 count) then
                return! look 1.0
            else
                return cells
        }

    /// The best cells of each row, as many as it wants.
    let private bestOfRows
        what
        (scores: CellScores)
        magnitude
        (taken: ActiveMask)
        (wanted: int[])
        : Result<int64[], NonFinite> =
        let cols = taken.Slots.Cols
        let most = if wanted.Length = 0 then 0 else Array.max wanted
        let best = Array.init scores.Parts (fun _ -> StreamingTopK most)
        let chosen: int64[][] = Array.create wanted.Length [||]

        finite {
            do!
                eachRow what scores taken (fun part row marks block offset ->
                    best[part].Begin wanted[row]

                    let isFinite =
                        best[part].Offer(block, offset, cols, marks, magnitude, int64 row * int64 cols)

                    chosen[row] <- best[part].Cells()
                    isFinite)

            return Array.concat chosen
        }

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
        let ranks =
            SampleWithoutReplacement.distinct (taken.Cells - int64 taken.Nnz) count draws

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
                      absentOfRow taken row (SampleWithoutReplacement.distinct absent wanted[row] draws) ]

    /// <summary>Count cells whose scores are largest, or that the rule draws; rising.</summary>
    /// <param name="rule">The rule.</param>
    /// <param name="state">The layer.</param>
    /// <param name="seed">For rules that draw.</param>
    /// <param name="taken">Cells that are no candidates; there are at least count others.</param>
    /// <param name="count">How many.</param>
    let ofLayer
        (rule: Grow)
        (state: LayerState)
        (seed: Seed)
        (taken: ActiveMask)
        (count: int)
        : Result<int64[], NonFinite> =
        match rule with
        | Grow.Gradient -> bestCells "gradient" state.Gradient true taken count
        | Grow.Momentum -> bestCells "momentum" state.Momentum true taken count
        | Grow.Score(_, score)
        | Grow.NamedScore(_, _, score) -> bestCells "grow" (score state) false taken count
        | Grow.Random -> Ok(randomCells (taken.ToConnectivity()) count (Draws seed))
        | Grow.DistanceDecay(placement, lambda) ->
            Ok(DistanceGrowth.ofLayer placement lambda (taken.ToConnectivity()) count (Draws seed))

    /// <summary>As ofLayer, so many of each row.</summary>
    let ofRows
        (rule: Grow)
        (state: LayerState)
        (seed: Seed)
        (taken: ActiveMask)
        (wanted: int[])
        : Result<int64[], NonFinite> =
        match rule with
        | Grow.Gradient -> bestOfRows "gradient" state.Gradient true taken wanted
        | Grow.Momentum -> bestOfRows "momentum" state.Momentum true taken wanted
        | Grow.Score(_, score)
        | Grow.NamedScore(_, _, score) -> bestOfRows "grow" (score state) false taken wanted
        | Grow.Random -> Ok(randomOfRows (taken.ToConnectivity()) wanted (Draws seed))
        | Grow.DistanceDecay(placement, lambda) ->
            Ok(DistanceGrowth.ofRows placement lambda (taken.ToConnectivity()) wanted (Draws seed))

    /// Counts, by row, of the count cells with the largest |gradient|.
    let salientOfRows (state: LayerState) (count: int) : Result<int[], NonFinite> =
        let c = state.Connectivity

        bestCells "gradient" state.Gradient true (ActiveMask.slots c) count
        |> Result.map (fun cells ->
            let ofRow: int[] = Array.zeroCreate c.Rows

            for cell in cells do
                let row = int (cell / int64 c.Cols)
                ofRow[row] <- ofRow[row] + 1

            ofRow)
