// Which pattern to choose: accuracy and step time of every pattern, by the same training. After one build (dotnet fsi
// build.fsx check):
//   dotnet fsi examples/patterns-runs.fsx               the whole grid: hours
//   dotnet fsi examples/patterns-runs.fsx --part 1/2    half of it, beside --part 2/2 in another terminal
// Each finished run is a line of docs/results/patterns.jsonl, and is not made again: the command may be stopped and given
// anew at any time. examples/patterns-report.fsx makes tables and a picture of the lines.
#load "patterns-networks.fsx"
#load "result-lines.fsx"

open System
open System.Diagnostics
open System.IO
open System.Text.Json.Nodes
open Argu
open SparseFs
open TorchSharp
open ``Patterns-networks``
open ``Result-lines``

type Arguments =
    | [<Unique>] Datasets of string list
    | [<Unique>] Networks of string list
    | [<Unique>] Sparsities of float list
    | [<Unique>] Patterns of string list
    | [<Unique>] Trainings of string list
    | [<Unique>] Seeds of int list
    | [<Unique>] Epochs of int
    | [<Unique>] Threads of int
    | [<Unique>] Data of folder: string
    | [<Unique>] Output of path: string
    | [<Unique>] Part of part: string

    interface IArgParserTemplate with
        member a.Usage =
            match a with
            | Datasets _ -> "mnist fashion (both)"
            | Networks _ -> "784-2000-10 784-1024-1024-10 784-300-100-10 (all)"
            | Sparsities _ ->
                "of all layers but the last, which is dense (0.9 0.95 0.98 0.99; for 784-300-100-10 the last two)"
            | Patterns _ -> "uniform fan-in groups-2 groups-4 groups-8 groups-16 (all)"
            | Trainings _ -> "static, of all patterns, and rigl, of uniform, fan-in and groups-4 (both)"
            | Seeds _ -> "(1 2 3 4 5)"
            | Epochs _ -> "(10)"
            | Threads _ -> "of a run (1)"
            | Data _ -> "the folder of the data sets' folders (../shared/data)"
            | Output _ -> "the file of lines (docs/results/patterns.jsonl)"
            | Part _ -> "k/n: the k-th of n parts of the grid, for n processes"

let given =
    let parser = ArgumentParser.Create<Arguments>(programName = "patterns-runs.fsx")

    try
        parser.Parse(Array.tail fsi.CommandLineArgs)
    with :? ArguParseException as e ->
        eprintfn $"{e.Message}"
        exit 1

// ---------------------------------------------------------------------------------------------------------
// The grid
// ---------------------------------------------------------------------------------------------------------

/// What a line of the file is a result of.
type Run =
    { Dataset: string
      Network: string
      Sparsity: float
      Pattern: string
      Training: string
      Seed: int
      Epochs: int }

let epochs = given.GetResult(Epochs, 10)

let wantedNetworks = chosen "--networks" (given.GetResult(Networks, [])) networks

let wantedDatasets = chosen "--datasets" (given.GetResult(Datasets, [])) datasets

/// A pattern, and how it is trained.
let arms =
    let wanted = chosen "--patterns" (given.GetResult(Patterns, [])) patterns

    [ for training in chosen "--trainings" (given.GetResult(Trainings, [])) [ "static"; "rigl" ] do
          for pattern in wanted do
              if training = "static" || List.contains pattern [ "uniform"; "fan-in"; "groups-4" ] then
                  pattern, training ]

/// The first seed of everything comes before the second of anything, so that a part of the grid says something of all.
let grid =
    [ for seed in given.GetResult(Seeds, [ 1..5 ]) do
          for dataset in wantedDatasets do
              for network in wantedNetworks do
                  for sparsity in given.GetResult(Sparsities, sparsities network) do
                      for pattern, training in arms do
                          { Dataset = dataset
                            Network = network
                            Sparsity = sparsity
                            Pattern = pattern
                            Training = training
                            Seed = seed
                            Epochs = epochs } ]

// ---------------------------------------------------------------------------------------------------------
// The file: a JSON object a line
// ---------------------------------------------------------------------------------------------------------

let path =
    let inRoot =
        Path.Combine(__SOURCE_DIRECTORY__, "..", "docs", "results", "patterns.jsonl")

    Path.GetFullPath(given.GetResult(Output, inRoot))

/// A line's run.
let runOf (o: JsonNode) : Run =
    { Dataset = o["dataset"].GetValue<string>()
      Network = o["network"].GetValue<string>()
      Sparsity = o["sparsity"].GetValue<float>()
      Pattern = o["pattern"].GetValue<string>()
      Training = o["training"].GetValue<string>()
      Seed = o["seed"].GetValue<int>()
      Epochs = o["epochs"].GetValue<int>() }

let isDone = (read path |> List.map runOf |> set).Contains

// ---------------------------------------------------------------------------------------------------------
// A run
// ---------------------------------------------------------------------------------------------------------

let threads = given.GetResult(Threads, 1)
torch.set_num_threads threads

let samples = samplesUnder (given.GetResult(Data, "../shared/data"))

let policyOf (run: Run) (schedule: Schedule) : Policy =
    match run.Pattern with
    | "fan-in" -> Policy.srigL ValueNone schedule // RigL with the same number of slots in every row
    | "groups-4" -> Policy.rigL schedule |> Policy.inRowGroups 4 RowGroupNorm.L2
    | _ -> Policy.rigL schedule

type Outcome =
    { Accuracy: float
      Nnz: int
      StepMs: float }

let train (run: Run) : Outcome =
    let train, test = samples run.Dataset
    use _ = torch.NewDisposeScope()
    let model, nnz = networkOf run.Network run.Sparsity run.Pattern run.Seed
    use optimizer = optimizerOf model
    let rate = (Seq.head optimizer.ParamGroups).LearningRate

    let digits = int train.Labels.shape[0]
    let steps = run.Epochs * ((digits + batch - 1) / batch)

    let rewirer =
        match run.Training with
        | "static" -> None
        | _ ->
            // RigL's own: 0.3 of the slots every 100 steps, for three quarters of the training.
            let schedule = Schedule.cosine 0.3 100L (int64 steps * 3L / 4L)
            Some(new Rewirer(model, optimizer, policyOf run schedule, Seed.ofInt run.Seed))

    // All runs of a seed see the same batches.
    torch.manual_seed (int64 run.Seed) |> ignore
    let times = ResizeArray<float> steps
    model.train ()

    for _ in 1 .. run.Epochs do
        use _ = torch.NewDisposeScope()

        for chosen in torch.randperm(int64 digits).split(int64 batch) do
            use _ = torch.NewDisposeScope()
            let x = train.Images.index_select (0L, chosen)
            let y = train.Labels.index_select (0L, chosen)
            let now = 0.5 * rate * (1.0 + cos (Math.PI * float times.Count / float steps))

            for group in optimizer.ParamGroups do
                group.LearningRate <- now

            let start = Stopwatch.GetTimestamp()
            optimizer.zero_grad ()
            torch.nn.functional.cross_entropy(model.call x, y).backward()

            match rewirer with
            | None -> optimizer.step () |> ignore
            | Some rewirer -> rewirer.Step() |> ignore

            times.Add (Stopwatch.GetElapsedTime start).TotalMilliseconds

    rewirer |> Option.iter (fun rewirer -> (rewirer :> IDisposable).Dispose())
    let accuracy = Digits.Training.accuracy model test
    model.Dispose()

    { Accuracy = accuracy
      Nnz = nnz
      StepMs = median times }

let lineOf (run: Run) (outcome: Outcome) : string =
    let o = JsonObject()
    o["dataset"] <- JsonValue.Create run.Dataset
    o["network"] <- JsonValue.Create run.Network
    o["sparsity"] <- JsonValue.Create run.Sparsity
    o["pattern"] <- JsonValue.Create run.Pattern
    o["training"] <- JsonValue.Create run.Training
    o["seed"] <- JsonValue.Create run.Seed
    o["epochs"] <- JsonValue.Create run.Epochs
    o["accuracy"] <- JsonValue.Create outcome.Accuracy
    o["nnz"] <- JsonValue.Create outcome.Nnz
    o["step_ms"] <- JsonValue.Create(Math.Round(outcome.StepMs, 4))
    o["threads"] <- JsonValue.Create threads
    o["processor"] <- JsonValue.Create processor
    o.ToJsonString()

let own = partOf (given.GetResult(Part, "1/1")) grid
let left = own |> List.filter (isDone >> not)
printfn $"{own.Length} runs, of which {own.Length - left.Length} are in {path}"

for index, run in List.indexed left do
    let watch = Stopwatch.StartNew()
    let outcome = train run
    append path (lineOf run outcome)

    printfn
        $"{index + 1} of {left.Length}: {run.Dataset} {run.Network} %.0f{100.0 * run.Sparsity} %% {run.Pattern} {run.Training} seed {run.Seed}: %.2f{100.0 * outcome.Accuracy} %%, %.2f{outcome.StepMs} ms a step, %.0f{watch.Elapsed.TotalSeconds} s"
