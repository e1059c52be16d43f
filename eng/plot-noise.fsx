/// Draws docs/results/kwinners-noise.svg: dotnet fsi eng/plot-noise.fsx
/// The numbers are those of docs/results/kwinners.md: means of two or three seeds, or of one.

open System
open System.IO

let curves =
    [ "70 % sparse, k-winners, rewired", "#2ca02c", [ 98.64; 98.37; 97.79; 96.99; 95.83; 93.62 ]
      "dense, ReLU, same recipe", "#17becf", [ 98.72; 98.34; 97.76; 96.84; 95.05; 92.00 ]
      "dense, ReLU, notebook's recipe", "#1f77b4", [ 98.37; 97.95; 97.04; 95.38; 92.50; 87.48 ]
      "dense, k-winners", "#9467bd", [ 97.50; 96.83; 95.41; 93.18; 89.80; 84.82 ]
      "70 % sparse, ReLU", "#8c564b", [ 97.88; 97.30; 96.31; 94.03; 89.48; 81.67 ]
      "70 % sparse, k-winners", "#d62728", [ 96.74; 95.87; 94.54; 92.34; 88.49; 82.52 ]
      "Numenta's notebook", "#7f7f7f", [ 96.45; 95.35; 93.73; 90.68; 85.88; 78.99 ] ]

let x (level: float) = 70.0 + level / 0.25 * 480.0

let y (accuracy: float) =
    30.0 + (100.0 - accuracy) / 25.0 * 330.0

let text (anchor: string) (px: float) (py: float) (words: string) =
    $"""<text x="{px}" y="{py}" text-anchor="{anchor}">{words}</text>"""

let grid =
    [ for accuracy in 75..5..100 do
          let at = y accuracy
          $"""<line x1="70" x2="550" y1="{at}" y2="{at}" stroke="#ddd"/>"""
          text "end" 62.0 (at + 4.0) $"{accuracy} %%"
      for level in [ 0.0; 0.05; 0.1; 0.15; 0.2; 0.25 ] do
          text "middle" (x level) 380.0 (level.ToString "0.00")
      text "middle" 310.0 402.0 "part of the pixels that are noise"
      text "start" 20.0 18.0 "Accuracy on MNIST's test digits, 784-1000-1000-10" ]

let lines =
    [ for index, (name, colour, values) in List.indexed curves do
          let points =
              values
              |> List.mapi (fun i value -> FormattableString.Invariant $"{x (0.05 * float i):F1},{y value:F1}")

          let all = String.concat " " points
          $"""<polyline points="{all}" fill="none" stroke="{colour}" stroke-width="2"/>"""

          for point in points do
              let at = point.Split ','
              $"""<circle cx="{at[0]}" cy="{at[1]}" r="3" fill="{colour}"/>"""

          let row = 222.0 + 20.0 * float index
          $"""<line x1="85" x2="110" y1="{row - 4.0}" y2="{row - 4.0}" stroke="{colour}" stroke-width="3"/>"""
          text "start" 116.0 row name ]

let picture =
    [ """<svg xmlns="http://www.w3.org/2000/svg" width="580" height="415" font-family="sans-serif" font-size="12">"""
      """<rect width="580" height="415" fill="white"/>"""
      yield! grid
      yield! lines
      "</svg>" ]

File.WriteAllLines(Path.Combine(__SOURCE_DIRECTORY__, "..", "docs", "results", "kwinners-noise.svg"), picture)
