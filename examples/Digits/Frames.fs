namespace Digits

open System
open System.IO
open System.Net
open System.Text

/// <summary>A page that cannot be written: where, and why.</summary>
type FramesException(path: string, reason: string) =
    inherit Exception($"cannot write --frames {path}: {reason}")

/// <summary>Where the inputs of a layer go at one moment.</summary>
type Frame =
    {
        /// Optimizer steps taken.
        Step: int64
        /// Slots of each pixel, row by row from the top; length Idx.Pixels.
        FanOut: int[]
    }

/// <summary>A page that shows which pixels the first layer looks at, from the start of a training to its end.</summary>
[<RequireQualifiedAccess>]
module Frames =

    /// Beside the one at the start.
    [<Literal>]
    let private Most = 6L

    /// <summary>The updates after which to keep a frame: evenly spaced, the last among them.</summary>
    /// <param name="updates">How many there will be, 0 or more.</param>
    /// <returns>Six or fewer of 1..updates, rising.</returns>
    let chosen (updates: int64) : int64 list =
        let count = min Most updates
        [ for i in 1L .. count -> i * updates / count ]

    /// <summary>The pixels that have ink in any of the digits.</summary>
    let inked (digits: DigitSet) : bool[] =
        let inked = Array.create Idx.Pixels false

        digits.Pixels
        |> Array.iteri (fun i ink ->
            if ink > 0uy then
                inked[i % Idx.Pixels] <- true)

        inked

    /// <summary>The middle of the image, a quarter of its pixels.</summary>
    let central: bool[] =
        let isMiddle at =
            at >= Idx.Side / 4 && at < Idx.Side - Idx.Side / 4

        Array.init Idx.Pixels (fun pixel -> isMiddle (pixel / Idx.Side) && isMiddle (pixel % Idx.Side))

    /// <summary>The part of a frame's slots that are on some pixels; 0 without slots.</summary>
    /// <param name="pixels">Which, length Idx.Pixels.</param>
    /// <param name="frame">The frame.</param>
    let share (pixels: bool[]) (frame: Frame) : float =
        let on =
            Array.map2 (fun isOn slots -> if isOn then slots else 0) pixels frame.FanOut

        float (Array.sum on) / float (max 1 (Array.sum frame.FanOut))

    /// Viridis at its quarters: lightness rises evenly from dark to light. Smith and van der Walt, SciPy 2015.
    let private anchors =
        [| 0x44, 0x01, 0x54
           0x3b, 0x52, 0x8b
           0x21, 0x91, 0x8c
           0x5e, 0xc9, 0x62
           0xfd, 0xe7, 0x25 |]

    let private colour (part: float) : string =
        let place = part * float (anchors.Length - 1)
        let below = min (int place) (anchors.Length - 2)
        let ofBelow, ofAbove = anchors[below], anchors[below + 1]

        let mix (low: int) (high: int) =
            int (Math.Round(float low + (place - float below) * float (high - low)))

        let (r, g, b), (r', g', b') = ofBelow, ofAbove
        $"#%02x{mix r r'}%02x{mix g g'}%02x{mix b b'}"

    /// A path a colour, of unit squares.
    let private squares (most: int) (frame: Frame) : string =
        let paths = StringBuilder()

        for slots, pixels in Array.indexed frame.FanOut |> Array.groupBy snd |> Array.sortBy fst do
            let colour = colour (float slots / float (max 1 most))
            paths.Append $"<path fill=\"{colour}\" d=\"" |> ignore

            for pixel, _ in pixels do
                paths.Append $"M{pixel % Idx.Side} {pixel / Idx.Side}h1v1h-1z" |> ignore

            paths.AppendLine "\"/>" |> ignore

        paths.ToString()

    let private percent (part: float) = $"%.1f{100.0 * part} %%"

    let private figure (most: int) (inked: bool[]) (frame: Frame) : string =
        let name = if frame.Step = 0L then "start" else $"step {frame.Step}"

        $"""<figure>
<svg viewBox="0 0 {Idx.Side} {Idx.Side}" shape-rendering="crispEdges" role="img" aria-label="slots of each pixel, {name}">
{squares most frame}</svg>
<figcaption><b>{name}</b><br>inked pixels {percent (share inked frame)}<br>central quarter {percent (share central frame)}</figcaption>
</figure>
"""

    let private style =
        "body { margin: 24px; font: 14px/1.45 system-ui, sans-serif; color: #222; background: #fff }
h1 { font-size: 20px; margin: 0 0 4px }
p { margin: 0 0 16px; max-width: 60em }
.frames { display: flex; flex-wrap: wrap; gap: 18px }
figure { margin: 0; width: 168px }
figure svg { width: 168px; height: 168px; display: block; margin-bottom: 6px }
.scale { display: flex; align-items: center; gap: 8px; margin: 0 0 16px }
.scale i { width: 168px; height: 14px }"

    /// <summary>A page without scripts and without anything from outside: the frames in a row, on one scale of colour.</summary>
    /// <param name="title">What was trained; any text.</param>
    /// <param name="inked">The pixels that are ever inked, length Idx.Pixels.</param>
    /// <param name="frames">One or more, in order.</param>
    let page (title: string) (inked: bool[]) (frames: Frame list) : string =
        let most = frames |> List.map (fun frame -> Array.max frame.FanOut) |> List.max
        let title = WebUtility.HtmlEncode title
        let figures = frames |> List.map (figure most inked) |> String.concat ""

        let colours =
            [ for i in 0 .. anchors.Length - 1 -> colour (float i / float (anchors.Length - 1)) ]
            |> String.concat ", "

        $"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<h1>{title}</h1>
<p>Slots of the first layer on each of the {Idx.Side} × {Idx.Side} input pixels. Below: the part of them that is on pixels with ink
in any training digit, and on the central {Idx.Side / 2} × {Idx.Side / 2} pixels.</p>
<div class="scale"><span>0</span><i style="background: linear-gradient(to right, {colours})"></i><span>{most} slots on a pixel</span></div>
<div class="frames">
{figures}</div>
</body>
</html>
"""

    /// <summary>Writes a page in place of whatever the file held.</summary>
    /// <exception cref="T:Digits.FramesException">The file cannot be written.</exception>
    let write (path: string) (page: string) : unit =
        try
            File.WriteAllText(path, page)
        with
        | :? IOException
        | :? UnauthorizedAccessException
        | :? ArgumentException
        | :? NotSupportedException as e -> raise (FramesException(path, e.Message))
