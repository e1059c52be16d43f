// What docs/scaling.md shows: the coordinate check as a picture, docs/results/supar.svg, and the table of what supar-runs.fsx has written. After
// one build (dotnet fsi build.fsx check):
//   dotnet fsi examples/supar-report.fsx
#load "language-networks.fsx"
#load "result-lines.fsx"
#load "../benchmarks/SparseFs.Benchmarks/SvgChart.fs"

open System
open System.IO
open SparseFs
open TorchSharp
open TorchSharp.Modules
open SparseFs.Benchmarks.SvgChart
open ``Language-networks``
open ``Result-lines``

torch.set_num_threads 1

let inDocs (name: string) =
    Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, "..", "docs", name))

let widths = [ 128; 256; 512; 1024 ]
let densities = [ 1.0; 0.25; 0.0625; 0.015625 ]

/// The mean magnitude of what the second hidden layer gives after ten steps, of three seeds; the tests of Scaling hold it to a factor of 2.
let size (isScaled: bool) (rewires: bool) (width: int) (density: float) : float =
    List.average
        [ for seed in 1..3 do
              use _ = torch.NewDisposeScope()
              let first = torch.nn.Linear(64L, int64 width)

              let hidden =
                  [| for i in 0..1 ->
                         new SparseLinear(width, width, sparsity = 1.0 - density, seed = Seed.child i (Seed.ofInt seed)) |]

              let head = torch.nn.Linear(int64 width, 10L)
              let model = torch.nn.Sequential([| first :> Net; hidden[0]; hidden[1]; head |])

              let groups =
                  if isScaled then
                      Scaling.suPar (
                          model,
                          float width / 128.0,
                          0.003,
                          std = 0.1,
                          inputs = [ first ],
                          outputs = [ head ]
                      )
                  else
                      use _ = torch.no_grad ()

                      for weight in [ first.weight; hidden[0].weight; hidden[1].weight; head.weight ] do
                          weight.normal_ (0.0, 0.1) |> ignore

                      [| AdamW.ParamGroup(model.parameters (), AdamW.Options(LearningRate = Nullable 0.003)) |]

              use optimizer = SparseOptim.adamW groups

              use rewirer =
                  new Rewirer(
                      model,
                      optimizer,
                      (if rewires then
                           Policy.rigL (Schedule.constant 0.3 2L 10L)
                       else
                           Policy.staticSparse),
                      Seed.ofInt seed
                  )

              let generator = new torch.Generator(uint64 seed)
              let x = torch.randn (32L, 64L, generator = generator)
              let y = torch.randint (10L, [| 32L |], generator = generator)
              let relu = torch.nn.functional.relu

              let through () =
                  hidden[1].call(relu (hidden[0].call(relu (first.call x))))

              for _ in 1..10 do
                  use _ = torch.NewDisposeScope()
                  optimizer.zero_grad ()
                  torch.nn.functional.cross_entropy(head.call (relu (through ())), y).backward()
                  rewirer.Step() |> ignore

              float (through().abs().mean().item<float32>()) ]

let colours = [ "#1b6ca8"; "#2a9d5c"; "#d98e04"; "#b3302a" ]

let words =
    [ 1.0, "1"; 0.25, "1/4"; 0.0625, "1/16"; 0.03125, "1/32"; 0.015625, "1/64" ]
    |> dict

let panel (title: string) (isScaled: bool) : Panel =
    let curve rewires density colour =
        { Points = [ for width in widths -> float width, size isScaled rewires width density ]
          Colour = colour
          IsDashed = rewires }

    let curves =
        [ for density, colour in List.zip densities colours do
              curve false density colour
              // A dense layer has nothing to rewire.
              if density < 1.0 then
                  curve true density colour ]

    { Title = title
      X =
        { Title = "width"
          From = 110.0
          To = 1200.0
          Scale = Scale.Log
          Ticks = [ for width in widths -> float width, string width ] }
      Y =
        { Title = "mean magnitude of the second hidden layer"
          From = 0.05
          To = 20.0
          Scale = Scale.Log
          Ticks = [ 0.1, "0.1"; 1.0, "1"; 10.0, "10" ] }
      Curves = curves
      Marks = []
      Levels = [] }

let legend =
    [ for density, colour in List.zip densities colours do
          { Sign = Sign.Line
            Colour = colour
            Name = $"density {words[density]}" }
      { Sign = Sign.DashedLine
        Colour = "#555"
        Name = "the same, RigL every 2 steps" } ]

let picture = inDocs "results/supar.svg"

[ panel "SμPar" true; panel "without" false ]
|> draw "Size of activations after ten steps of AdamW" 2 legend
|> fun lines -> File.WriteAllLines(picture, lines)

type Line =
    { IsScaled: bool
      Density: float
      Power: int
      Loss: float }

let lines =
    [ for o in read (inDocs "results/supar.jsonl") ->
          { IsScaled = o["scaled"].GetValue<bool>()
            Density = o["density"].GetValue<float>()
            Power = o["rate_power"].GetValue<int>()
            Loss = o["loss"].GetValue<float>() } ]

let powers = lines |> List.map _.Power |> List.distinct |> List.sort

let table =
    [ "| scaling | density | "
      + String.Join(" | ", powers |> List.map (fun p -> $"2^{p}"))
      + " | best |"
      "| --- | --- | "
      + String.Join(" | ", powers |> List.map (fun _ -> "---"))
      + " | --- |"
      for (isScaled, density), group in lines |> List.groupBy (fun l -> l.IsScaled, l.Density) do
          let best = group |> List.minBy _.Loss

          let cells =
              [ for power in powers ->
                    match group |> List.tryFind (fun l -> l.Power = power) with
                    | Some l when l.Loss < 100.0 -> l.Loss.ToString("0.000", Globalization.CultureInfo.InvariantCulture)
                    | Some _ -> "∞"
                    | None -> "–" ]

          let name = if isScaled then "SμPar" else "none"
          $"""| {name} | {words[density]} | {String.Join(" | ", cells)} | 2^{best.Power} |""" ]

let page = inDocs "scaling.md"
let before, after = "<!-- table: supar-report.fsx -->", "<!-- end of table -->"
let text = File.ReadAllText page

match text.IndexOf before, text.IndexOf after with
| first, last when 0 <= first && first < last ->
    let body = String.concat "\n" table

    File.WriteAllText(
        page,
        text.Substring(0, first + before.Length)
        + $"\n\n{body}\n\n"
        + text.Substring last
    )
| _ ->
    eprintfn $"{page}: expected the marks {before} and {after}, got none"
    exit 1

printfn $"written to {page} and {picture}"
