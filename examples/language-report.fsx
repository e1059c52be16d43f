// What docs/results/language.md shows of examples/language-runs.fsx: its table, and the pictures language.svg and language-hour.svg. After one build (dotnet fsi
// build.fsx check):
//   dotnet fsi examples/language-report.fsx
#load "result-lines.fsx"
#load "../benchmarks/SparseFs.Benchmarks/SvgChart.fs"

open System
open System.Globalization
open System.IO
open SparseFs.Benchmarks.SvgChart
open ``Result-lines``

CultureInfo.CurrentCulture <- CultureInfo.InvariantCulture

let inResults (name: string) =
    Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, "..", "docs", "results", name))

type Line =
    {
        Network: string
        Sparsity: float
        Training: string
        Loss: float
        Parameters: int64
        StepMs: float
        /// Step, seconds and loss.
        Curve: (float * float * float) list
    }

let lines =
    [ for o in read (inResults "language.jsonl") ->
          { Network = o["network"].GetValue<string>()
            Sparsity = o["sparsity"].GetValue<float>()
            Training = o["training"].GetValue<string>()
            Loss = o["loss"].GetValue<float>()
            Parameters = o["parameters"].GetValue<int64>()
            StepMs = o["step_ms"].GetValue<float>()
            Curve =
              [ for point in o["curve"].AsArray() ->
                    point[0].GetValue<float>(), point[1].GetValue<float>(), point[2].GetValue<float>() ] } ]

/// The mean over seeds, and half of what lies between the least and the most.
let shown (values: float list) : string =
    match values with
    | [ one ] -> $"%.3f{one} (one seed)"
    | several ->
        let spread = (List.max several - List.min several) / 2.0

        let few =
            if several.Length < 3 then
                $" ({several.Length} seeds)"
            else
                ""

        $"%.3f{List.average several} ± %.3f{spread}{few}"

let median (values: float list) = (List.sort values)[values.Length / 2]

let rows =
    lines
    |> List.groupBy (fun l -> l.Network, l.Sparsity, l.Training)
    |> List.sortBy (fun ((network, sparsity, training), _) -> network, sparsity, training)

let table =
    [ "| network | sparsity | training | validation loss | parameters | processor's ms a step |"
      "| --- | --- | --- | --- | --- | --- |"
      for (network, sparsity, training), group in rows do
          let sparsity =
              if training = "dense" then
                  "–"
              else
                  $"%.1f{100.0 * sparsity} %%"

          let loss = shown (group |> List.map _.Loss)
          let step = median (group |> List.map _.StepMs)
          $"""| {network} | {sparsity} | {training} | {loss} | {group.Head.Parameters.ToString "#,0"} | %.0f{step} |""" ]

/// One curve of a network's kind, the mean of its seeds.
let meanCurve (x: float * float * float -> float) (group: Line list) =
    group
    |> List.map _.Curve
    |> List.transpose
    |> List.map (fun points -> points |> List.averageBy x, points |> List.averageBy (fun (_, _, loss) -> loss))
    |> List.tail

let colours = [ "#333333"; "#1b6ca8"; "#2a9d5c"; "#b3302a"; "#d98e04"; "#7a4fa3" ]

/// Groups of runs and what they are called, of those that are there; a sparsity of NaN stands for any.
let chosen (wanted: (string * float * string) list) =
    wanted
    |> List.choose (fun (network, sparsity, training) ->
        rows
        |> List.tryFind (fun ((n, s, t), _) -> n = network && t = training && (Double.IsNaN sparsity || s = sparsity))
        |> Option.map (fun ((n, s, t), group) ->
            (if t = "dense" then
                 $"{n}, dense"
             else
                 $"{n}, %.0f{100.0 * s} %%, {t}"),
            group))

let panel title (axis: string) (low: float, high: float) (x: float * float * float -> float) chosen =
    let curves =
        [ for (_, group), colour in Seq.zip chosen colours ->
              { Points = meanCurve x group
                Colour = colour
                IsDashed = false } ]

    let most = curves |> List.collect _.Points |> List.map fst |> List.max

    { Title = title
      X =
        { Title = axis
          From = 0.0
          To = most
          Scale = Scale.Linear
          Ticks = [ for i in 0..4 -> most * float i / 4.0, $"%.0f{most * float i / 4.0}" ] }
      Y =
        { Title = "validation loss"
          From = low
          To = high
          Scale = Scale.Linear
          Ticks = [ for tick in low .. 0.2 .. high + 0.01 -> tick, $"%.1f{tick}" ] }
      Curves = curves
      Marks = []
      Levels = [] }

let paint (file: string) (title: string) (range: float * float) (wanted: (string * float * string) list) =
    let chosen = chosen wanted

    if not chosen.IsEmpty then
        let legend =
            [ for (name, _), colour in Seq.zip chosen colours ->
                  { Sign = Sign.Line
                    Colour = colour
                    Name = name } ]

        [ panel "over steps" "step" range (fun (step, _, _) -> step) chosen
          panel "over seconds" "seconds of one core" range (fun (_, seconds, _) -> seconds) chosen ]
        |> draw title 2 legend
        |> fun lines -> File.WriteAllLines(inResults file, lines)

let picture = inResults "language.svg"

paint
    "language.svg"
    "Validation loss of small GPTs"
    (1.4, 2.8)
    [ "gpt", 0.0, "dense"
      "gpt", 0.9, "static"
      "gpt", 0.9, "rigl"
      "gpt-256", nan, "static"
      "gpt-384", nan, "static" ]

paint
    "language-hour.svg"
    "Validation loss of a mini-gpt in an hour of one core"
    (1.2, 2.4)
    [ "mini-gpt", 0.0, "dense"; "mini-gpt", 0.9, "static" ]

let page = inResults "language.md"
let before, after = "<!-- table: language-report.fsx -->", "<!-- end of table -->"
let text = File.ReadAllText page

match text.IndexOf before, text.IndexOf after with
| first, last when 0 <= first && first < last ->
    let body = String.concat "\n" table

    File.WriteAllText(
        page,
        text.Substring(0, first + before.Length)
        + $"\n\n{lines.Length} runs.\n\n{body}\n\n"
        + text.Substring last
    )
| _ ->
    eprintfn $"{page}: expected the marks {before} and {after}, got none"
    exit 1

printfn $"written to {page} and {picture}"
