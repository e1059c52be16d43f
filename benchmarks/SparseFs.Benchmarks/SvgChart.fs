/// Charts as SVG pictures, which Markdown shows where it shows no page of Plotly.NET: panels in rows, and one legend below.
module SparseFs.Benchmarks.SvgChart

open System
open System.Globalization

[<RequireQualifiedAccess>]
type Scale =
    | Linear
    | Log

/// From the left or the bottom on; From may be the larger one.
type Axis =
    {
        Title: string
        From: float
        To: float
        Scale: Scale
        /// Where there is a line of the grid, and what is written at it.
        Ticks: (float * string) list
    }

type Curve =
    { Points: (float * float) list
      Colour: string
      IsDashed: bool }

/// A circle with a word of two or three characters in it, and the interval that its height may have.
type Mark =
    { X: float
      Y: float
      Interval: float * float
      Colour: string
      IsFilled: bool
      Word: string }

type Panel =
    {
        Title: string
        X: Axis
        Y: Axis
        Curves: Curve list
        Marks: Mark list
        /// Heights of lines across the panel, and what is written at each one's right end.
        Levels: (float * string) list
    }

[<RequireQualifiedAccess>]
type Sign =
    | Line
    | DashedLine
    | Disc
    | Circle

type Entry =
    { Sign: Sign
      Colour: string
      Name: string }

// Pixels. A panel's frame, and the room that its texts have around it.
let private frameWidth, frameHeight = 300.0, 270.0
let private left, right, top, bottom = 62.0, 14.0, 34.0, 52.0
let private entryWidth, entryHeight = 205.0, 22.0

let private px (value: float) : string =
    value.ToString("0.#", CultureInfo.InvariantCulture)

let private escaped (text: string) : string =
    text.Replace("&", "&amp;").Replace("<", "&lt;").Replace(">", "&gt;")

let private text (anchor: string) (x: float) (y: float) (more: string) (words: string) : string =
    $"""<text x="{px x}" y="{px y}" text-anchor="{anchor}"{more}>{escaped words}</text>"""

let private line (x1: float, y1: float) (x2: float, y2: float) (stroke: string) : string =
    $"""<line x1="{px x1}" y1="{px y1}" x2="{px x2}" y2="{px y2}" {stroke}/>"""

/// The part of an axis that lies before a value.
let private part (axis: Axis) (value: float) : float =
    let at =
        match axis.Scale with
        | Scale.Linear -> id
        | Scale.Log -> Math.Log

    (at value - at axis.From) / (at axis.To - at axis.From)

/// A curve's line in a chart or a legend.
let private dashes (isDashed: bool) : string =
    if isDashed then """ stroke-dasharray="6 4" """ else ""

let private disc (x: float) (y: float) (radius: float) (colour: string) (isFilled: bool) : string =
    let fill = if isFilled then colour else "white"
    $"""<circle cx="{px x}" cy="{px y}" r="{px radius}" fill="{fill}" stroke="{colour}" stroke-width="1.5"/>"""

/// A panel whose top left corner is at (x0, y0).
let private panel (x0: float) (y0: float) (p: Panel) : string list =
    let frameLeft, frameTop = x0 + left, y0 + top
    let frameRight, frameBottom = frameLeft + frameWidth, frameTop + frameHeight
    let x value = frameLeft + frameWidth * part p.X value

    let y value =
        frameBottom - frameHeight * part p.Y value

    let middle = frameLeft + frameWidth / 2.0

    [ text "middle" middle (y0 + 20.0) " font-weight=\"bold\"" p.Title
      for at, word in p.X.Ticks do
          line (x at, frameTop) (x at, frameBottom) "stroke=\"#e4e4e4\""
          text "middle" (x at) (frameBottom + 17.0) "" word
      for at, word in p.Y.Ticks do
          line (frameLeft, y at) (frameRight, y at) "stroke=\"#e4e4e4\""
          text "end" (frameLeft - 7.0) (y at + 4.0) "" word
      $"""<rect x="{px frameLeft}" y="{px frameTop}" width="{px frameWidth}" height="{px frameHeight}" fill="none" stroke="#888"/>"""
      text "middle" middle (frameBottom + 37.0) "" p.X.Title
      let down = frameTop + frameHeight / 2.0
      text "middle" (x0 + 16.0) down $""" transform="rotate(-90 {px (x0 + 16.0)} {px down})" """ p.Y.Title

      for at, _ in p.Levels do
          line (frameLeft, y at) (frameRight, y at) """stroke="#555" stroke-width="1.2" stroke-dasharray="2 3" """

      for c in p.Curves do
          let all =
              c.Points
              |> List.map (fun (a, b) -> $"{px (x a)},{px (y b)}")
              |> String.concat " "

          $"""<polyline points="{all}" fill="none" stroke="{c.Colour}" stroke-width="2"{dashes c.IsDashed}/>"""

          for a, b in c.Points do
              disc (x a) (y b) 3.0 c.Colour (not c.IsDashed)

      for m in p.Marks do
          let low, high = m.Interval
          line (x m.X, y low) (x m.X, y high) $"""stroke="{m.Colour}" stroke-opacity="0.45" """

      for m in p.Marks do
          disc (x m.X) (y m.Y) 8.0 m.Colour m.IsFilled
          let colour = if m.IsFilled then "white" else m.Colour

          text "middle" (x m.X) (y m.Y + 3.0) $""" fill="{colour}" font-size="9" """ m.Word

      for at, word in p.Levels do
          // Over its line, or under it where another one is close above.
          let isCrowded =
              p.Levels
              |> List.exists (fun (other, _) -> y other < y at && y at - y other < 16.0)

          let down = if isCrowded then y at + 12.0 else y at - 4.0

          text
              "end"
              (frameRight - 5.0)
              down
              """ fill="#333" font-size="11" paint-order="stroke" stroke="white" stroke-width="3" """
              word ]

let private entry (x0: float) (y0: float) (e: Entry) : string list =
    let middle = y0 - 4.0

    let stroke isDashed =
        $"""stroke="{e.Colour}" stroke-width="2"{dashes isDashed}"""

    [ match e.Sign with
      | Sign.Line -> line (x0, middle) (x0 + 26.0, middle) (stroke false)
      | Sign.DashedLine -> line (x0, middle) (x0 + 26.0, middle) (stroke true)
      | Sign.Disc -> disc (x0 + 13.0) middle 6.0 e.Colour true
      | Sign.Circle -> disc (x0 + 13.0) middle 6.0 e.Colour false
      text "start" (x0 + 33.0) y0 "" e.Name ]

/// The lines of a picture: panels from left to right, so many in a row, and the legend under all of them.
let draw (title: string) (columns: int) (legend: Entry list) (panels: Panel list) : string list =
    let panelWidth, panelHeight = left + frameWidth + right, top + frameHeight + bottom

    let columns = min columns panels.Length
    let rows = (panels.Length + columns - 1) / columns
    let width = float columns * panelWidth
    let entries = max 1 (int ((width - 20.0) / entryWidth))
    let legendTop = 30.0 + float rows * panelHeight + 24.0

    let height =
        legendTop + entryHeight * float ((legend.Length + entries - 1) / entries)

    [ $"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {px width} {px height}" width="{px width}" height="{px height}" font-family="sans-serif" font-size="12" role="img">"""
      $"<title>{escaped title}</title>"
      $"""<rect width="100%%" height="100%%" fill="white"/>"""
      text "middle" (width / 2.0) 22.0 " font-size=\"15\"" title
      for index, p in List.indexed panels do
          yield! panel (float (index % columns) * panelWidth) (30.0 + float (index / columns) * panelHeight) p
      for index, e in List.indexed legend do
          yield!
              entry (20.0 + float (index % entries) * entryWidth) (legendTop + float (index / entries) * entryHeight) e
      "</svg>" ]
