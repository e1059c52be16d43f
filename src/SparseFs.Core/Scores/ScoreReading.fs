namespace SparseFs

open System
open System.Threading

/// Reading of scores by an update, whoever may have written their source.
module internal ScoreReading =

    /// <summary>Hands all rows to body, the parts side by side.</summary>
    /// <exception cref="T:System.ArgumentException">A block is shorter than its rows, a row is left out, or one comes
    /// twice.</exception>
    let eachBlock (name: string) (scores: CellScores) (rows: int) (cols: int) (body: ScoreBlock) : unit =
        let refuse (expected: string) (got: string) =
            raise (ArgumentException((invariant $"expected {expected}, got {got}"), name))

        let seen = [| 0L |] // a closure holds no mutable local

        scores.EachBlock(
            name,
            rows,
            cols,
            ScoreBlock(fun part first count block stride ->
                if part < 0 || part >= scores.Parts then
                    refuse (invariant $"a part in 0..{scores.Parts - 1}") (invariant $"{part}")

                if first < 0 || count < 1 || count > rows - first then
                    refuse (invariant $"rows in 0..{rows - 1}") (invariant $"{count} from {first} on")

                if stride < cols then
                    refuse (invariant $"a stride of {cols} or more") (invariant $"{stride}")

                let least = int64 (count - 1) * int64 stride + int64 cols

                if isNull (box block) || block.LongLength < least then
                    let got =
                        if isNull (box block) then
                            "null"
                        else
                            (invariant $"{block.LongLength}")

                    refuse (invariant $"{least} scores or more for {count} rows") got

                Interlocked.Add(&seen[0], int64 count) |> ignore
                body.Invoke(part, first, count, block, stride))
        )

        if seen[0] <> int64 rows then
            refuse (invariant $"each of the {rows} rows once") (invariant $"{seen[0]} rows")
