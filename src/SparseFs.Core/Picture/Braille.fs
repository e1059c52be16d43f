namespace SparseFs.Pictures

open System
open System.Text

/// <summary>Braille characters: 2 × 4 dots each, for a terminal.</summary>
module internal Braille =

    /// The bit of the dot at row 0..3 and column 0..1 (Unicode, block U+2800).
    let private bits =
        [| [| 0x01; 0x08 |]; [| 0x02; 0x10 |]; [| 0x04; 0x20 |]; [| 0x40; 0x80 |] |]

    /// <summary>A line of characters for every four rows of blocks, without a line break at the end.</summary>
    let draw (b: PatternBlocks) : string =
        let text = StringBuilder()

        for line in 0 .. (b.Down + 3) / 4 - 1 do
            if line > 0 then
                text.Append '\n' |> ignore

            for place in 0 .. (b.Across + 1) / 2 - 1 do
                let mutable dots = 0

                for row in 0..3 do
                    for col in 0..1 do
                        if PatternBlocks.isDrawn b (4 * line + row) (2 * place + col) then
                            dots <- dots ||| bits[row][col]

                text.Append(char (0x2800 + dots)) |> ignore

        text.ToString()
