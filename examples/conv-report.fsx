// Tables of what examples/conv-runs.fsx has written, in the place of those between the marks of docs/results/conv.md:
//   dotnet fsi examples/conv-report.fsx
#load "result-lines.fsx"

open System
open System.Globalization
open System.IO
open System.Text.Json.Nodes
open ``Result-lines``

CultureInfo.CurrentCulture <- CultureInfo.InvariantCulture

let inResults (name: string) =
    Path.Combine(__SOURCE_DIRECTORY__, "..", "docs", "results", name)

type Line =
    { Network: string
      Sparsity: float
      Training: string
      Accuracy: float
      NoiseScore: float
      Weights: int64
      MegaFlops: float }

let lines =
    [ for o in read (inResults "conv.jsonl") ->
          { Network = o["network"].GetValue<string>()
            Sparsity = o["sparsity"].GetValue<float>()
            Training = o["training"].GetValue<string>()
            Accuracy = 100.0 * o["accuracy"].GetValue<float>()
            NoiseScore =
              match o["noise_score"] with
              | null -> nan
              | score -> score.GetValue<float>()
            Weights = o["weights"].GetValue<int64>()
            MegaFlops = o["flops"].GetValue<float>() / 1e6 } ]

/// The mean over seeds, and half of what lies between the least and the most.
let shown (format: float -> string) (values: float list) : string =
    match values with
    | [] -> "–"
    | [ one ] -> $"{format one} (one seed)"
    | several ->
        let spread = (List.max several - List.min several) / 2.0

        let few =
            if several.Length < 3 then
                $" ({several.Length} seeds)"
            else
                ""

        $"{format (List.average several)} ± {format spread}{few}"

let percent (value: float) = value.ToString "0.00"
let thousands (value: float) = value.ToString "#,0"

/// Networks of the paper, with what it printed.
let published =
    [ "dense", "dense, ReLU", "99.31", "97,040"
      "sparse", "sparse: K-winners, hidden layer at 30 %", "99.09 ± .05", "103,764"
      "dense-sparse-hidden", "dense convolutions, sparse hidden layer", "99.13", "100,318"
      "sparse-dense-hidden", "sparse convolutions (K-winners), dense hidden layer", "98.89", "102,328"
      "sparse-all-weights", "sparse, all weights there", "98.20", "100,322"
      "sparse-hidden-relu", "sparse convolutions, hidden layer at 30 % with ReLU", "–", "–"
      "sparse-convolution", "sparse, the second convolution at 20 % too (not in the paper)", "–", "–" ]

let cnn2 =
    [ "| network | accuracy, % | published | noise score | published | weights |"
      "| --- | --- | --- | --- | --- | --- |"
      for training, name, accuracy, score in published do
          let own =
              lines
              |> List.filter (fun line -> line.Network = "cnn-2" && line.Training = training)

          if not own.IsEmpty then
              $"| {name} | {shown percent (own |> List.map _.Accuracy)} | {accuracy} | {shown thousands (own |> List.map _.NoiseScore)} | {score} | {thousands (float own.Head.Weights)} |" ]

let usual (network: string) =
    let own = lines |> List.filter (fun line -> line.Network = network)
    let sparsities = own |> List.map _.Sparsity |> List.distinct |> List.sort

    let row (name: string) (cell: float -> string) =
        $"""| {name} | {String.concat " | " (List.map cell sparsities)} |"""

    let at (training: string) (sparsity: float) =
        own
        |> List.filter (fun line -> line.Training = training && line.Sparsity = sparsity)

    /// What is the same for all trainings of a sparsity.
    let any (value: Line -> string) (sparsity: float) =
        own
        |> List.find (fun line -> line.Sparsity = sparsity && line.Training <> "gradual")
        |> value

    [ row "training" (fun sparsity ->
          if sparsity = 0.0 then
              "dense"
          else
              $"%.0f{100.0 * sparsity} %%")
      row "---" (fun _ -> "---")
      for training in [ "dense"; "static"; "set"; "rigl"; "gradual" ] do
          row training (fun sparsity ->
              if (training = "dense") = (sparsity = 0.0) then
                  shown percent (at training sparsity |> List.map _.Accuracy)
              else
                  "")
      row "weights" (any (fun line -> thousands (float line.Weights)))
      row "million FLOPs an image" (any (fun line -> line.MegaFlops.ToString "0.0")) ]

let page = inResults "conv.md"
let mutable text = File.ReadAllText page

for name, table in [ "cnn-2", cnn2; "lenet5", usual "lenet5"; "fashion-cnn", usual "fashion-cnn" ] do
    let before, after =
        $"<!-- {name}: conv-report.fsx -->\n", "<!-- end of the table -->"

    let from = text.IndexOf(before, StringComparison.Ordinal) + before.Length
    let until = text.IndexOf(after, from, StringComparison.Ordinal)
    text <- text[.. from - 1] + String.concat "\n" table + "\n" + text[until..]

File.WriteAllText(page, text)
printfn $"{lines.Length} runs"
