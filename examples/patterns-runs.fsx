// Which pattern to choose: accuracy and step time of every pattern, by the same training. After one build (dotnet fsi
// build.fsx check):
//   dotnet fsi examples/patterns-runs.fsx               the whole grid: hours
//   dotnet fsi examples/patterns-runs.fsx --part 1/2    half of it, beside --part 2/2 in another terminal
// Each finished run is a line of docs/results/patterns.jsonl, and is not made again: the command may be stopped and given
// anew at any time. examples/patterns-report.fsx makes tables and a picture of the lines.
#r "../artifacts/bin/SparseFs/release/TorchSharp.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.Core.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.dll"
#r "../artifacts/bin/Digits/release/Digits.dll"
#r "../artifacts/bin/Digits/release/Argu.dll"

open System
open System.Diagnostics
open System.IO
open System.Text.Json
open System.Text.Json.Nodes
open Argu
open SparseFs
open TorchSharp

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
            | Sparsities _ -> "of all layers but the last, which is dense (0.9 0.95 0.98 0.99; for 784-300-100-10 the last two)"
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

/// What was asked for, or else all; names that there are none of are a mistake.
let chosen (what: string) (asked: string list) (all: string list) : string list =
    match List.except all asked with
    | [] when asked.IsEmpty -> all
    | [] -> all |> List.filter (fun name -> List.contains name asked)
    | strange ->
        eprintfn $"""{what}: expected some of {String.concat " " all}, got {String.concat " " strange}"""
        exit 1

let networks =
    chosen "--networks" (given.GetResult(Networks, [])) [ "784-2000-10"; "784-1024-1024-10"; "784-300-100-10" ]

let datasets =
    chosen "--datasets" (given.GetResult(Datasets, [])) [ "mnist"; "fashion" ]

let arms =
    let patterns =
        chosen
            "--patterns"
            (given.GetResult(Patterns, []))
            [ "uniform"; "fan-in"; "groups-2"; "groups-4"; "groups-8"; "groups-16" ]

    [ for training in chosen "--trainings" (given.GetResult(Trainings, [])) [ "static"; "rigl" ] do
          for pattern in patterns do
              if
                  training = "static"
                  || List.contains pattern [ "uniform"; "fan-in"; "groups-4" ]
              then
                  pattern, training ]

/// The first seed of everything comes before the second of anything, so that a part of the grid says something of all.
let grid =
    [ for seed in given.GetResult(Seeds, [ 1..5 ]) do
          for dataset in datasets do
              for network in networks do
                  let usual =
                      if network = "784-300-100-10" then
                          [ 0.98; 0.99 ]
                      else
                          [ 0.9; 0.95; 0.98; 0.99 ]

                  for sparsity in given.GetResult(Sparsities, usual) do
                      for pattern, training in arms do
                          { Dataset = dataset
                            Network = network
                            Sparsity = sparsity
                            Pattern = pattern
                            Training = training
                            Seed = seed
                            Epochs = epochs } ]

let part, parts =
    match given.GetResult(Part, "1/1").Split '/' |> Array.map Int32.TryParse with
    | [| true, part; true, parts |] when 1 <= part && part <= parts -> part, parts
    | _ ->
        eprintfn $"""--part: expected k/n with 1 <= k <= n, got {given.GetResult Part}"""
        exit 1

// ---------------------------------------------------------------------------------------------------------
// The file: a JSON object a line
// ---------------------------------------------------------------------------------------------------------

let path =
    let inRoot = Path.Combine(__SOURCE_DIRECTORY__, "..", "docs", "results", "patterns.jsonl")
    Path.GetFullPath(given.GetResult(Output, inRoot))

/// A line's run; none of a line that was cut off.
let tryRun (line: string) : Run option =
    try
        let o = JsonNode.Parse line

        Some
            { Dataset = o["dataset"].GetValue<string>()
              Network = o["network"].GetValue<string>()
              Sparsity = o["sparsity"].GetValue<float>()
              Pattern = o["pattern"].GetValue<string>()
              Training = o["training"].GetValue<string>()
              Seed = o["seed"].GetValue<int>()
              Epochs = o["epochs"].GetValue<int>() }
    with :? JsonException ->
        None

let isDone =
    let all =
        if File.Exists path then
            File.ReadAllLines path |> Seq.choose tryRun |> set
        else
            Set.empty

    all.Contains

/// Adds a line while no other process does: .NET locks a file that is shared with nobody.
let rec append (line: string) : unit =
    let isAdded =
        try
            use file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None)

            // What was cut off ends here.
            let isCut =
                file.Length > 0L
                && (file.Seek(-1L, SeekOrigin.End) |> ignore
                    file.ReadByte() <> int '\n')

            file.Seek(0L, SeekOrigin.End) |> ignore
            let text = (if isCut then "\n" else "") + line + "\n"
            file.Write(Text.Encoding.UTF8.GetBytes text)
            true
        with :? IOException when File.Exists path ->
            false

    if not isAdded then
        Threading.Thread.Sleep 100
        append line

let processor =
    let file = "/proc/cpuinfo"

    let names =
        if File.Exists file then
            File.ReadLines file |> Seq.filter _.StartsWith("model name") |> List.ofSeq
        else
            []

    match names with
    | first :: _ -> first.Substring(first.IndexOf ':' + 1).Trim()
    | [] -> string Runtime.InteropServices.RuntimeInformation.ProcessArchitecture

// ---------------------------------------------------------------------------------------------------------
// A run
// ---------------------------------------------------------------------------------------------------------

let threads = given.GetResult(Threads, 1)
torch.set_num_threads threads

let batch, rate, decay = 128, 0.1, 5e-4

/// Training and test images, by the mean and the deviation of the training's pixels.
let samplesOf (dataset: string) : Digits.Samples * Digits.Samples =
    let folder = Path.Combine(given.GetResult(Data, "../shared/data"), dataset)

    let train, test =
        try
            Digits.Idx.ofFolder folder
        with :? Digits.IdxException as e ->
            eprintfn $"{e.Message}"
            exit 1

    let images (set: Digits.DigitSet) =
        torch.tensor(set.Pixels, dtype = torch.float32).view (-1L, 784L)

    let ofTrain = images train
    let mean, deviation = ofTrain.mean (), ofTrain.std ()

    let samples (set: Digits.DigitSet) (images: torch.Tensor) : Digits.Samples =
        { Images = images.sub_(mean).div_ deviation
          Labels = torch.tensor (set.Labels, dtype = torch.int64) }

    samples train ofTrain, samples test (images test)

/// The data set of the runs that come now; the next one takes its place.
let samples =
    let mutable held = None

    fun (dataset: string) ->
        match held with
        | Some(name, samples) when name = dataset -> samples
        | _ ->
            held <- None
            let fresh = samplesOf dataset
            held <- Some(dataset, fresh)
            fresh

let patternOf (pattern: string) (rows: int) (cols: int) (sparsity: float) (seed: Seed) : Connectivity =
    let nnz = Sparsity.nnz rows cols sparsity

    match pattern with
    | "uniform" -> Topology.uniform rows cols nnz seed
    | "fan-in" -> Topology.constantFanIn rows cols (int (Math.Round(float nnz / float rows))) seed
    | groups -> Topology.rowGroups (int (groups.Substring "groups-".Length)) rows cols nnz seed

let policyOf (run: Run) (schedule: Schedule) : Policy =
    match run.Pattern with
    | "fan-in" -> Policy.srigL ValueNone schedule // RigL with the same number of slots in every row
    | "groups-4" -> Policy.rigL schedule |> Policy.inRowGroups 4 GroupNorm.L2
    | _ -> Policy.rigL schedule

type Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

/// Sparse layers with ReLU, and a dense last one, which begins alike in all runs of a seed; the slots of the sparse ones.
let networkOf (run: Run) : Modules.Sequential * int =
    let sizes = run.Network.Split '-' |> Array.map int |> List.ofArray
    torch.manual_seed (int64 run.Seed) |> ignore
    let last = torch.nn.Linear(int64 sizes[sizes.Length - 2], 10L) :> Layer

    let patterns =
        [ for index, (cols, rows) in List.pairwise sizes |> List.truncate (sizes.Length - 2) |> List.indexed ->
              patternOf run.Pattern rows cols run.Sparsity (Seed.child index (Seed.ofInt run.Seed)) ]

    let hidden =
        [ for pattern in patterns do
              new SparseLinear(pattern, init = Init.KaimingUniform) :> Layer
              torch.nn.ReLU() :> Layer ]

    torch.nn.Sequential(hidden @ [ last ]), patterns |> List.sumBy _.Nnz

type Outcome =
    { Accuracy: float
      Nnz: int
      StepMs: float }

let train (run: Run) : Outcome =
    let train, test = samples run.Dataset
    use _ = torch.NewDisposeScope()
    let model, nnz = networkOf run

    use optimizer =
        torch.optim.SGD(model.parameters (), rate, momentum = 0.9, weight_decay = decay)

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

        for chosen in torch.randperm(int64 digits).split (int64 batch) do
            use _ = torch.NewDisposeScope()
            let x = train.Images.index_select (0L, chosen)
            let y = train.Labels.index_select (0L, chosen)
            let now = 0.5 * rate * (1.0 + cos (Math.PI * float times.Count / float steps))

            for group in optimizer.ParamGroups do
                group.LearningRate <- now

            let start = Stopwatch.GetTimestamp()
            optimizer.zero_grad ()
            torch.nn.functional.cross_entropy(model.call x, y).backward ()

            match rewirer with
            | None -> optimizer.step () |> ignore
            | Some rewirer -> rewirer.Step() |> ignore

            times.Add (Stopwatch.GetElapsedTime start).TotalMilliseconds

    rewirer |> Option.iter (fun rewirer -> (rewirer :> IDisposable).Dispose())
    times.Sort()
    let accuracy = Digits.Training.accuracy model test
    model.Dispose()

    { Accuracy = accuracy
      Nnz = nnz
      StepMs = times[times.Count / 2] }

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

let own =
    grid
    |> List.indexed
    |> List.choose (fun (index, run) -> if index % parts = part - 1 then Some run else None)

let left = own |> List.filter (isDone >> not)
printfn $"{own.Length} runs, of which {own.Length - left.Length} are in {path}"

for index, run in List.indexed left do
    let watch = Stopwatch.StartNew()
    let outcome = train run
    append (lineOf run outcome)

    printfn
        $"{index + 1} of {left.Length}: {run.Dataset} {run.Network} %.0f{100.0 * run.Sparsity} %% {run.Pattern} {run.Training} seed {run.Seed}: %.2f{100.0 * outcome.Accuracy} %%, %.2f{outcome.StepMs} ms a step, %.0f{watch.Elapsed.TotalSeconds} s"
