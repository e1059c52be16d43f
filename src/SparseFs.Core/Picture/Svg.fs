namespace SparseFs.Pictures

open System
open System.Globalization
open System.Text

/// <summary>A picture for pages: a square for each block, the darker the fuller it is.</summary>
module internal Svg =

    [<Literal>]
    let private Shades = 8

    /// Pixels along the longer side.
    [<Literal>]
    let private Size = 320

    let private number (n: int) = n.ToString CultureInfo.InvariantCulture

    /// 0 for an empty block, Shades for the fullest.
    let private shadeOf (b: PatternBlocks) (fullest: int) (block: int) =
        match b.Counts[block] with
        | 0 -> 0
        | count when count = fullest -> Shades
        | count -> 1 + (count - 1) * (Shades - 1) / max 1 (fullest - 1)

    /// The blocks of one shade: a strip for each run along a row.
    let private strips (b: PatternBlocks) (shade: int -> int) (wanted: int) : string =
        let path = StringBuilder()

        for row in 0 .. b.Down - 1 do
            let mutable col = 0

            while col < b.Across do
                let start = col

                while col < b.Across && shade (row * b.Across + col) = wanted do
                    col <- col + 1

                if col > start then
                    path
                        .Append('M')
                        .Append(number start)
                        .Append(' ')
                        .Append(number row)
                        .Append('h')
                        .Append(number (col - start))
                        .Append("v1h-")
                        .Append(number (col - start))
                        .Append('z')
                    |> ignore
                else
                    col <- col + 1

        path.ToString()

    /// Squares of so many blocks' sides, a block apart.
    let private boxes (height: int) (width: int) (b: PatternBlocks) : string =
        let path = StringBuilder()

        for top in 0 .. height + 1 .. b.Down - 1 do
            for left in 0 .. width + 1 .. b.Across - 1 do
                path
                    .Append('M')
                    .Append(number left)
                    .Append(' ')
                    .Append(number top)
                    .Append('h')
                    .Append(number width)
                    .Append('v')
                    .Append(number height)
                    .Append("h-")
                    .Append(number width)
                    .Append('z')
                |> ignore

        $"<path fill=\"#f4f4f4\" d=\"{path}\"/>"

    /// An svg element with a title, on a ground.
    let private over (fill: string) (ground: string) (title: string) (b: PatternBlocks) : string =
        let fullest = if b.Counts.Length = 0 then 0 else Array.max b.Counts
        let shade = shadeOf b fullest
        let scale = float Size / float (max 1 (max b.Down b.Across))

        let pixels (blocks: int) =
            number (max 1 (int (Math.Round(float blocks * scale))))

        let text =
            StringBuilder()
                .Append("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ")
                .Append(number (max 1 b.Across))
                .Append(' ')
                .Append(number (max 1 b.Down))
                .Append("\" width=\"")
                .Append(pixels b.Across)
                .Append("\" height=\"")
                .Append(pixels b.Down)
                .Append("\" shape-rendering=\"crispEdges\" role=\"img\"><title>")
                .Append(title.Replace("&", "&amp;").Replace("<", "&lt;"))
                .Append("</title><rect width=\"100%\" height=\"100%\" fill=\"")
                .Append(fill)
                .Append("\"/>")
                .Append(ground)

        for s in 1..Shades do
            let path = strips b shade s

            if path <> "" then
                text
                    .Append("<path fill=\"#1f4e79\" fill-opacity=\"")
                    .Append(
                        (0.2 + 0.8 * float (s - 1) / float (Shades - 1)).ToString("0.##", CultureInfo.InvariantCulture)
                    )
                    .Append("\" d=\"")
                    .Append(path)
                    .Append("\"/>")
                |> ignore

        text.Append("</svg>").ToString()

    /// <summary>An svg element with a title; bounded by the number of blocks, whatever the pattern's size.</summary>
    let draw (title: string) (b: PatternBlocks) : string = over "#f4f4f4" "" title b

    /// <summary>The same of boxes of so many blocks, which stand a block apart.</summary>
    let drawBoxes (title: string) (height: int) (width: int) (b: PatternBlocks) : string =
        over "#ffffff" (boxes height width b) title b
