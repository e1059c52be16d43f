namespace DigitServer.Driver

open System

/// <summary>Ten digits as a person draws them: lines of points in a square of 0..1, x to the right, y down.</summary>
[<RequireQualifiedAccess>]
module Strokes =

    type private Point = float * float

    /// Points of an ellipse's arc; angles in turns, 0 to the right, 0.25 down.
    let private arc (cx: float, cy: float) (rx: float, ry: float) (first: float, last: float) : Point list =
        let steps = 24

        [ for i in 0..steps ->
              let angle = 2.0 * Math.PI * (first + (last - first) * float i / float steps)
              cx + rx * cos angle, cy + ry * sin angle ]

    /// The strokes of a digit.
    let ofDigit (digit: int) : Point list list =
        match digit with
        | 0 -> [ arc (0.5, 0.5) (0.24, 0.36) (0.75, -0.27) ]
        | 1 -> [ [ 0.54, 0.14; 0.48, 0.86 ] ]
        | 2 ->
            [ arc (0.5, 0.34) (0.22, 0.2) (0.52, 1.05)
              @ [ 0.66, 0.48; 0.5, 0.66; 0.26, 0.84; 0.5, 0.82; 0.78, 0.84 ] ]
        | 3 ->
            [ arc (0.47, 0.32) (0.22, 0.18) (0.58, 1.22)
              @ arc (0.46, 0.68) (0.25, 0.19) (0.77, 1.42) ]
        | 4 -> [ [ 0.34, 0.14; 0.26, 0.52; 0.78, 0.5 ]; [ 0.64, 0.18; 0.62, 0.5; 0.6, 0.88 ] ]
        | 5 ->
            [ [ 0.36, 0.16; 0.33, 0.46 ] @ arc (0.47, 0.64) (0.23, 0.22) (0.64, 1.42)
              [ 0.36, 0.16; 0.72, 0.14 ] ]
        | 6 ->
            [ [ 0.62, 0.13; 0.46, 0.28; 0.35, 0.48 ]
              @ arc (0.5, 0.67) (0.18, 0.18) (0.5, -0.5) ]
        | 7 -> [ [ 0.26, 0.18; 0.5, 0.17; 0.74, 0.16; 0.64, 0.4; 0.54, 0.64; 0.46, 0.88 ] ]
        | 8 ->
            [ arc (0.5, 0.32) (0.17, 0.17) (0.25, -0.75)
              @ arc (0.5, 0.68) (0.2, 0.19) (0.75, 1.75) ]
        | 9 ->
            [ arc (0.48, 0.33) (0.19, 0.18) (0.0, -1.0)
              @ [ 0.67, 0.33; 0.66, 0.5; 0.63, 0.7; 0.58, 0.88 ] ]
        | _ -> invalidArg (nameof digit) $"expected a digit in 0..9, got {digit}"

    let private distance ((x, y): Point) ((ax, ay): Point, (bx, by): Point) : float =
        let dx, dy = bx - ax, by - ay
        let along = ((x - ax) * dx + (y - ay) * dy) / max 1e-12 (dx * dx + dy * dy)
        let t = Math.Clamp(along, 0.0, 1.0)
        sqrt ((x - ax - t * dx) ** 2.0 + (y - ay - t * dy) ** 2.0)

    /// <summary>A digit as MNIST has them, 28 rows of 28, 255 for ink: some twenty pixels high, its lines two wide.</summary>
    let picture (digit: int) : byte[] =
        let lines = ofDigit digit |> List.collect List.pairwise

        Array.init 784 (fun i ->
            // The square is 27 pixels a side, so that a digit, which is 0.74 of it high, is 20.
            let point = (float (i % 28) - 0.5) / 27.0, (float (i / 28) - 0.5) / 27.0
            let pixels = 27.0 * (lines |> List.map (distance point) |> List.min)
            byte (255.0 * Math.Clamp(1.6 - pixels, 0.0, 1.0)))
