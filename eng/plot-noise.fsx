/// Draws docs/results/kwinners-noise.svg from the tables of docs/results/kwinners.md: dotnet fsi eng/plot-noise.fsx
/// A picture of its own, not a page of Plotly.NET as the benchmarks draw: Markdown shows no page.

open System
open System.Globalization
open System.IO

let results = Path.Combine(__SOURCE_DIRECTORY__, "..", "docs", "results")

/// Each row of the tables over noise: a network, and its accuracies in % by rising noise.
let measured =
    [ for line in File.ReadAllLines(Path.Combine(results, "kwinners.md")) do
          match line.Trim('|', ' ').Split '|' |> Array.map _.Trim() |> List.ofArray with
          | network :: seeds :: accuracies when accuracies.Length = 6 && seeds <> "seeds" && not (seeds.StartsWith '-') ->
              network, [ for a in accuracies -> Double.Parse(a, CultureInfo.InvariantCulture) ]
          | _ -> () ]

let curves =
    [ for network, colour in
          [ "70 % sparse, k-winners, rewired", "#2ca02c"
            "dense, ReLU, same recipe", "#17becf"
            "dense, ReLU, the notebook's recipe (section 2)", "#1f77b4"
            "dense, k-winners", "#9467bd"
            "70 % sparse, ReLU", "#8c564b"
            "70 % sparse, k-winners", "#d62728"
            "Numenta's notebook", "#7f7f7f" ] do
          match measured |> List.tryFind (fun (name, _) -> name = network) with
          | Some(_, accuracies) -> network, colour, accuracies
          | None ->
              let rows = measured |> List.map fst |> String.concat "; "
              invalidOp $"expected a row '{network}' in kwinners.md, got {rows}" ]

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

File.WriteAllLines(Path.Combine(results, "kwinners-noise.svg"), picture)
