namespace SparseFs

open System
open System.Collections.Generic

/// <summary>Scores of the columns of row groups, from those of their rows, or of the kernels in them, from those of their cells.</summary>
/// <remarks>Sums are in float64 and in the order of rows, so that no square of a float32 is lost, and results do not depend on
/// the parts that compute rows side by side.</remarks>
/// <param name="source">Scores of the rows.</param>
/// <param name="sourceRows">How many rows there are.</param>
/// <param name="first">The row with which the groups begin.</param>
/// <param name="size">Rows of a group.</param>
/// <param name="cells">Columns of a kernel, which are one column of these; 1 where each stays one.</param>
/// <param name="comparedTo">Slots of the columns that these are ranked with: a norm is that of so many slots which are like these
/// in the mean. size · cells where they are ranked among themselves.</param>
/// <param name="worth">The norm that is taken; the mean if none.</param>
[<Sealed>]
type internal GroupScores
    (
        source: CellScores,
        sourceRows: int,
        first: int,
        size: int,
        cells: int,
        comparedTo: int,
        worth: RowGroupNorm voption
    ) =
    inherit CellScores()

    let worthOf (score: float32) : float =
        match worth with
        | ValueSome RowGroupNorm.L2 -> float score * float score
        | ValueSome _ -> abs (float score)
        | ValueNone -> float score

    let add (row: ReadOnlySpan<float32>) (sums: float[]) =
        if cells = 1 then
            for col in 0 .. sums.Length - 1 do
                sums[col] <- sums[col] + worthOf row[col]
        else
            for col in 0 .. sums.Length - 1 do
                let mutable sum = sums[col]

                for cell in col * cells .. (col + 1) * cells - 1 do
                    sum <- sum + worthOf row[cell]

                sums[col] <- sum

    /// What a sum over the rows would be over those that it is compared to.
    let compared (sum: float) =
        if comparedTo = size * cells then
            sum
        else
            sum * float comparedTo / float (size * cells)

    /// Scores of a group from the sums of its rows, which begin anew.
    let finish (sums: float[]) (target: Span<float32>) =
        for col in 0 .. sums.Length - 1 do
            target[col] <-
                match worth with
                | ValueSome RowGroupNorm.L2 -> float32 (sqrt (compared sums[col]))
                | ValueSome _ -> float32 (compared sums[col])
                | ValueNone -> float32 (sums[col] / float (size * cells))

        Array.Clear sums

    override _.Rows(group, count) =
        let scores = source.Rows(first + group * size, count * size)
        let width = if count = 0 then 0 else scores.Length / (count * size)
        let cols = width / cells
        let together: float32[] = Array.zeroCreate (count * cols)
        let sums: float[] = Array.zeroCreate cols

        for row in 0 .. count * size - 1 do
            add (ReadOnlySpan(scores, row * width, width)) sums

            if row % size = size - 1 then
                finish sums (Span(together, row / size * cols, cols))

        together

    override _.Parts = source.Parts

    override scores.EachBlock(name, rows, cols, body) =
        if first > 0 then
            scores.InOrder(name, rows, cols, body) // a last group: few rows
        else
            let sums = Array.init source.Parts (fun _ -> Array.zeroCreate<float> cols)
            let own: float32[][] = Array.create source.Parts [||]
            // The group that a part has begun and not ended; the rows with which the next parts go on with it.
            let begun: int[] = Array.create source.Parts -1
            let left = SortedDictionary<int, float32[]>()

            ScoreReading.eachBlock
                name
                source
                sourceRows
                (cols * cells)
                (ScoreBlock(fun part firstRow count block stride ->
                    let mutable ended = 0

                    if own[part].Length < (count / size + 1) * cols then
                        own[part] <- Array.zeroCreate ((count / size + 1) * cols)

                    let last = min (firstRow + count) (rows * size) - 1

                    for row in firstRow..last do
                        let scores = ReadOnlySpan(block, (row - firstRow) * stride, cols * cells)

                        if row % size = 0 then
                            begun[part] <- row / size

                        if begun[part] < 0 then
                            let kept = scores.ToArray()
                            lock left (fun () -> left.Add(row, kept))
                        else
                            add scores sums[part]

                            if row % size = size - 1 then
                                finish sums[part] (Span(own[part], ended * cols, cols))
                                ended <- ended + 1
                                begun[part] <- -1

                    if ended > 0 then
                        body.Invoke(part, (last + 1) / size - ended, ended, own[part], cols)))

            for part in 0 .. source.Parts - 1 do
                if begun[part] >= 0 then
                    for row in left do
                        if row.Key / size = begun[part] then
                            add (ReadOnlySpan row.Value) sums[part]

                    let group: float32[] = Array.zeroCreate cols
                    finish sums[part] (Span group)
                    body.Invoke(part, begun[part], 1, group, cols)
