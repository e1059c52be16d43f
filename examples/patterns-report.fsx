// Tables and a picture of what examples/patterns-runs.fsx and examples/patterns-steps.fsx have written:
//   dotnet fsi examples/patterns-report.fsx [RUNS STEPS PAGE]
// RUNS and STEPS are patterns.jsonl and patterns-steps.jsonl of docs/results if they are not named. The tables take the place of
// those between the marks of PAGE, docs/results/patterns.md; the picture, patterns.svg, lies beside the page.
#r "nuget: MathNet.Numerics, 5.0.0"
#load "../benchmarks/SparseFs.Benchmarks/SvgChart.fs"

open System
open System.Globalization
open System.IO
open System.Text.Json
open System.Text.Json.Nodes
open MathNet.Numerics.Distributions
open SparseFs.Benchmarks.SvgChart

CultureInfo.CurrentCulture <- CultureInfo.InvariantCulture

let inResults (name: string) =
    Path.Combine(__SOURCE_DIRECTORY__, "..", "docs", "results", name)

let runs, steps, page =
    match List.tail (List.ofArray fsi.CommandLineArgs) with
    | [] -> inResults "patterns.jsonl", inResults "patterns-steps.jsonl", inResults "patterns.md"
    | [ runs; steps; page ] -> runs, steps, page
    | _ ->
        eprintfn "dotnet fsi examples/patterns-report.fsx [RUNS STEPS PAGE]"
        exit 1

/// What a pattern may lose, in points of accuracy, and still hold.
let margin = 0.3

/// One training: what it was of, without its seed, and what it came to.
type Cell =
    { Dataset: string
      Network: string
      Sparsity: float
      Training: string
      Pattern: string }

type Result =
    {
        Seed: int
        /// In %.
        Accuracy: float
        Epochs: int
    }

/// The objects of a file of lines; one that was cut off is none.
let objects (file: string) : JsonNode list =
    [ for line in File.ReadAllLines file do
          try
              JsonNode.Parse line
          with :? JsonException ->
              () ]

let results: (Cell * Result) list =
    [ for o in objects runs ->
          { Dataset = o["dataset"].GetValue<string>()
            Network = o["network"].GetValue<string>()
            Sparsity = o["sparsity"].GetValue<float>()
            Training = o["training"].GetValue<string>()
            Pattern = o["pattern"].GetValue<string>() },
          { Seed = o["seed"].GetValue<int>()
            Accuracy = 100.0 * o["accuracy"].GetValue<float>()
            Epochs = o["epochs"].GetValue<int>() } ]

/// Milliseconds of a step by network, sparsity and pattern.
let stepMs: Map<string * float * string, float> =
    Map.ofList
        [ for o in objects steps ->
              (o["network"].GetValue<string>(), o["sparsity"].GetValue<float>(), o["pattern"].GetValue<string>()),
              o["step_ms"].GetValue<float>() ]

let networks = [ "784-2000-10"; "784-1024-1024-10"; "784-300-100-10" ]

let patterns =
    [ "uniform", "#7f7f7f"
      "fan-in", "#1f77b4"
      "groups-2", "#2ca02c"
      "groups-4", "#d62728"
      "groups-8", "#9467bd"
      "groups-16", "#ff7f0e" ]

let bySeed: Map<Cell, Map<int, Result>> =
    results
    |> List.groupBy fst
    |> List.map (fun (cell, all) -> cell, Map.ofList [ for _, r in all -> r.Seed, r ])
    |> Map.ofList

// ---------------------------------------------------------------------------------------------------------
// Statistics
// ---------------------------------------------------------------------------------------------------------

/// A mean and half of its 95 % interval, by Student's t; infinite of one number.
[<Struct>]
type Estimate = { Mean: float; Half: float }

let estimate (values: float list) : Estimate =
    let n = float values.Length
    let mean = List.average values

    let half =
        if values.Length < 2 then
            infinity
        else
            let deviation =
                sqrt ((values |> List.sumBy (fun v -> (v - mean) ** 2.0)) / (n - 1.0))

            StudentT.InvCDF(0.0, 1.0, n - 1.0, 0.975) * deviation / sqrt n

    { Mean = mean; Half = half }

let median (values: float list) =
    let sorted = List.sort values
    sorted[sorted.Length / 2]

/// A pattern beside the unstructured one of the same training, seed by seed.
type Compared =
    {
        Cell: Cell
        Seeds: int
        Accuracy: Estimate
        StepMs: float
        Difference: Estimate
        /// Its step's time in that of the unstructured pattern's.
        Step: float
    }

    member c.Holds = c.Difference.Mean - c.Difference.Half > -margin

let compared: Compared list =
    [ for KeyValue(cell, own) in bySeed do
          let other =
              bySeed
              |> Map.tryFind { cell with Pattern = "uniform" }
              |> Option.defaultValue Map.empty

          let pairs =
              [ for KeyValue(seed, r) in own do
                    match Map.tryFind seed other with
                    | Some uniform -> r, uniform
                    | None -> () ]

          let ms (pattern: string) =
              stepMs[cell.Network, cell.Sparsity, pattern]

          if not pairs.IsEmpty then
              { Cell = cell
                Seeds = pairs.Length
                Accuracy = estimate [ for r, _ in pairs -> r.Accuracy ]
                StepMs = ms cell.Pattern
                Difference = estimate [ for r, uniform in pairs -> r.Accuracy - uniform.Accuracy ]
                Step = ms cell.Pattern / ms "uniform" } ]
    |> List.sortBy (fun c ->
        let place = patterns |> List.findIndex (fun (name, _) -> name = c.Cell.Pattern)
        let network = networks |> List.findIndex ((=) c.Cell.Network)
        c.Cell.Dataset <> "mnist", network, c.Cell.Sparsity, c.Cell.Training <> "static", place)

let isReference (c: Compared) = c.Cell.Pattern = "uniform"

// ---------------------------------------------------------------------------------------------------------
// Tables
// ---------------------------------------------------------------------------------------------------------

let half (e: Estimate) =
    if Double.IsInfinity e.Half then "?" else $"%.2f{e.Half}"

let signed (points: float) = $"%+.2f{points}".Replace('-', '−')

let percent (sparsity: float) = (100.0 * sparsity).ToString "0.#"

let name (pattern: string) =
    if pattern = "uniform" then "unstructured" else pattern

let distinct (of': Cell -> 'a) =
    compared |> List.map (fun c -> of' c.Cell) |> List.distinct

/// Of each pattern and training: where it holds, and what a step costs.
let summary =
    [ "| training | pattern | holds | mean difference, points | the worst | step's time over the unstructured's, median |"
      "| --- | --- | --- | --- | --- | --- |"
      for (training, pattern), all in
          compared
          |> List.filter (isReference >> not)
          |> List.groupBy (fun c -> c.Cell.Training, c.Cell.Pattern)
          |> List.sortBy (fun ((training, pattern), _) ->
              training <> "static", patterns |> List.findIndex (fun (name, _) -> name = pattern)) do
          let holds = all |> List.filter _.Holds |> List.length
          let differences = [ for c in all -> c.Difference.Mean ]
          let step = median [ for c in all -> c.Step ]

          $"| {training} | {name pattern} | {holds} of {all.Length} | {signed (List.average differences)} | {signed (List.min differences)} | %.2f{step} |" ]

let tableOf (dataset: string) =
    [ $"### {dataset}"
      ""
      "| network | sparsity | training | pattern | seeds | accuracy, % | less unstructured, points | holds | step, ms | over the unstructured's |"
      "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
      for c in compared |> List.filter (fun c -> c.Cell.Dataset = dataset) do
          let difference, holds, step =
              if isReference c then
                  "", "", ""
              else
                  $"{signed c.Difference.Mean} ± {half c.Difference}",
                  (if c.Holds then "yes" else "no"),
                  $"%.2f{c.Step}"

          $"| {c.Cell.Network} | {percent c.Cell.Sparsity} %% | {c.Cell.Training} | {name c.Cell.Pattern} | {c.Seeds} | %.2f{c.Accuracy.Mean} ± {half c.Accuracy} | {difference} | {holds} | %.2f{c.StepMs} | {step} |" ]

// ---------------------------------------------------------------------------------------------------------
// The picture
// ---------------------------------------------------------------------------------------------------------

let shown = compared |> List.filter (isReference >> not)

/// Whole steps of an axis that hold all values.
let axis (title: string) (step: float) (format: string) (values: float list) : Axis =
    let low, high = floor (List.min values / step), ceil (List.max values / step)

    { Title = title
      From = step * low
      To = step * max (low + 1.0) high
      Scale = Scale.Linear
      Ticks = [ for i in low .. max (low + 1.0) high -> step * i, (step * i).ToString(format).Replace('-', '−') ] }

let panel (dataset: string) (network: string) : Panel =
    let own =
        shown
        |> List.filter (fun c -> c.Cell.Dataset = dataset && c.Cell.Network = network)

    let differences = 0.2 :: -margin :: [ for c in own -> c.Difference.Mean ]
    let range = List.max differences - List.min differences

    let y =
        let step =
            if range < 2.0 then 0.2
            elif range < 5.0 then 0.5
            else 1.0

        axis "difference of accuracy, points" step "0.0" differences

    // An interval may leave the panel; it is drawn to the frame.
    let within (value: float) = max y.From (min y.To value)
    let colourOf = Map.ofList patterns

    { Title = $"{dataset}, {network}"
      X =
        axis
            "step time, over the unstructured pattern's"
            0.1
            "0.0"
            [ for c in shown do
                  c.Step - 0.02
                  c.Step + 0.02 ]
      Y = y
      Curves = []
      Marks =
        [ for c in own do
              let d = c.Difference

              { X = c.Step
                Y = d.Mean
                Interval = within (d.Mean - d.Half), within (d.Mean + d.Half)
                Colour = colourOf[c.Cell.Pattern]
                IsFilled = (c.Cell.Training = "static")
                Word = percent c.Cell.Sparsity } ]
      Levels = [ 0.0, "as the unstructured one"; -margin, $"{margin} less" ] }

let legend =
    let entry sign colour name =
        { Sign = sign
          Colour = colour
          Name = name }

    [ for name, colour in List.tail patterns do
          entry Sign.Disc colour name
      entry Sign.Disc "#555" "static; in it the sparsity"
      entry Sign.Circle "#555" "RigL; in it the sparsity" ]

// ---------------------------------------------------------------------------------------------------------
// The page
// ---------------------------------------------------------------------------------------------------------

if shown.IsEmpty then
    eprintfn $"{runs}: expected runs of a pattern and of uniform with the same seed, got {results.Length} runs without"
    exit 1

let epochs =
    results
    |> List.map (fun (_, r) -> string r.Epochs)
    |> List.distinct
    |> String.concat " and "

let picture = Path.ChangeExtension(page, ".svg")

let tables =
    [ $"{results.Length} runs of {epochs} epochs."
      ""
      $"![accuracy against step time]({Path.GetFileName picture})"
      ""
      yield! summary
      for dataset in distinct _.Dataset do
          ""
          yield! tableOf dataset ]

let before, after = "<!-- tables: patterns-report.fsx -->", "<!-- end of tables -->"

let text = File.ReadAllText page

match text.IndexOf before, text.IndexOf after with
| first, last when 0 <= first && first < last ->
    let body = String.concat "\n" tables

    File.WriteAllText(
        page,
        text.Substring(0, first + before.Length)
        + $"\n\n{body}\n\n"
        + text.Substring last
    )
| _ ->
    eprintfn $"{page}: expected the marks {before} and {after}, got none"
    exit 1

let columns = (distinct _.Network).Length

[ for dataset in distinct _.Dataset do
      for network in distinct _.Network -> panel dataset network ]
|> draw "Accuracy and time of patterns beside the unstructured one" columns legend
|> fun lines -> File.WriteAllLines(picture, lines)

printfn $"written to {page} and {picture}"
