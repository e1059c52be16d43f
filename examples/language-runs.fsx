// Character models of a book, dense and sparse: validation loss over steps and over seconds. After one build (dotnet fsi build.fsx check):
//   dotnet fsi examples/language-runs.fsx               the whole grid: hours
//   dotnet fsi examples/language-runs.fsx --part 1/2    half of it, beside --part 2/2 in another terminal
// Each finished run is a line of docs/results/language.jsonl, and is not made again: the command may be stopped and given anew at any
// time. docs/results/language.md says what the networks and trainings are.
#r "../artifacts/bin/Digits/release/Argu.dll"
#load "language-networks.fsx"
#load "result-lines.fsx"

open System
open System.Diagnostics
open System.IO
open System.Text.Json.Nodes
open Argu
open SparseFs
open TorchSharp
open TorchSharp.Modules
open ``Language-networks``
open ``Result-lines``

type Arguments =
    | [<Unique>] Networks of string list
    | [<Unique>] Trainings of string list
    | [<Unique>] Seeds of int list
    | [<Unique>] Threads of int
    | [<Unique>] Seconds of float
    | [<Unique>] Text of path: string
    | [<Unique>] Output of path: string
    | [<Unique>] Part of part: string

    interface IArgParserTemplate with
        member a.Usage =
            match a with
            | Networks _ -> "gpt gpt-256 gpt-384 lstm mini-gpt (all)"
            | Trainings _ -> "dense static set rigl (all)"
            | Seeds _ -> "(1 2 3; mini-gpt: 1)"
            | Threads _ -> "of a run (1)"
            | Seconds _ -> "of training of a mini-gpt (3600)"
            | Text _ -> "(../shared/data/text/kjv.txt.gz)"
            | Output _ -> "the file of lines (docs/results/language.jsonl)"
            | Part _ -> "k/n: the k-th of n parts of the grid, for n processes"

let given =
    let parser = ArgumentParser.Create<Arguments>(programName = "language-runs.fsx")

    try
        parser.Parse(Array.tail fsi.CommandLineArgs)
    with :? ArguParseException as e ->
        eprintfn $"{e.Message}"
        exit 1

type Run =
    { Network: string
      Sparsity: float
      Training: string
      Seed: int }

/// nanoGPT's settings for a small processor: 4 blocks, 128 features, 4 heads, 64 characters, 12 sequences, 2,000 steps.
let small =
    { Blocks = 4
      Features = 128L
      Heads = 4L
      Context = 64L }

let mini =
    { Blocks = 6
      Features = 384L
      Heads = 6L
      Context = 128L }

let text = readText (given.GetResult(Text, "../shared/data/text/kjv.txt.gz"))

/// Parameters of a dense GPT.
let parametersOf (s: Sizes) =
    let d, blocks = float s.Features, float s.Blocks

    12.0 * d * d * blocks
    + 13.0 * d * blocks
    + d * float (2L * text.Characters + s.Context + 2L)

/// The sparsity at which a GPT of so many features has the parameters of the small dense one.
let sparsityOfWide (features: int64) =
    let wide = { small with Features = features }
    let weights = 12.0 * float (features * features) * float small.Blocks
    Math.Round(1.0 - (parametersOf small - (parametersOf wide - weights)) / weights, 4)

let grid =
    let all =
        [ for seed in given.GetResult(Seeds, [ 1..3 ]) do
              let run network sparsity training =
                  { Network = network
                    Sparsity = sparsity
                    Training = training
                    Seed = seed }

              run "gpt" 0.0 "dense"

              for sparsity in [ 0.9; 0.8; 0.95 ] do
                  for training in [ "static"; "rigl"; "set" ] do
                      run "gpt" sparsity training

              for features in [ 256L; 384L ] do
                  for training in [ "static"; "rigl" ] do
                      run $"gpt-{features}" (sparsityOfWide features) training

              run "lstm" 0.0 "dense"
              run "lstm" 0.9 "static"
              run "lstm" 0.9 "rigl"

              if seed = 1 then
                  run "mini-gpt" 0.0 "dense"
                  run "mini-gpt" 0.9 "static" ]
        // An hour each: after all others.
        |> List.sortBy (fun r -> r.Network = "mini-gpt")

    let wanted (names: string list) (name: string) =
        names.IsEmpty || List.contains name names

    all
    |> List.filter (fun r ->
        wanted (given.GetResult(Networks, [])) r.Network
        && wanted (given.GetResult(Trainings, [])) r.Training)

let path =
    let inRoot =
        Path.Combine(__SOURCE_DIRECTORY__, "..", "docs", "results", "language.jsonl")

    Path.GetFullPath(given.GetResult(Output, inRoot))

let runOf (o: JsonNode) : Run =
    { Network = o["network"].GetValue<string>()
      Sparsity = o["sparsity"].GetValue<float>()
      Training = o["training"].GetValue<string>()
      Seed = o["seed"].GetValue<int>() }

let isDone = (read path |> List.map runOf |> set).Contains
let threads = given.GetResult(Threads, 1)
torch.set_num_threads threads

/// A model, characters of a sequence, sequences of a step, steps or seconds, and learning rate.
type Setting =
    { Model: Net
      Length: int64
      Batch: int
      Steps: int64
      Seconds: float
      Rate: float }

let settingOf (run: Run) : Setting =
    torch.manual_seed (int64 run.Seed) |> ignore

    let gpt (sizes: Sizes) =
        let blocks: Net[] =
            Array.init sizes.Blocks (fun i ->
                if run.Training = "dense" then
                    new DenseBlock(sizes.Features, sizes.Heads)
                else
                    new SparseTransformerBlock(
                        int sizes.Features,
                        int sizes.Heads,
                        sparsity = run.Sparsity,
                        seed = Seed.child i (Seed.ofInt run.Seed)
                    ))

        let model = new Gpt(sizes, text.Characters, blocks)
        initialize sizes.Blocks model

        { Model = model
          Length = sizes.Context
          Batch = 12
          Steps = 2_000L
          Seconds = infinity
          Rate = 1e-3 }

    match run.Network with
    | "gpt" -> gpt small
    | "gpt-256" -> gpt { small with Features = 256L }
    | "gpt-384" -> gpt { small with Features = 384L }
    | "mini-gpt" ->
        { gpt mini with
            Batch = 16
            Steps = Int64.MaxValue
            Seconds = given.GetResult(Seconds, 3600.0) }
    | _ ->
        let lstm: torch.nn.Module * (torch.Tensor -> torch.Tensor) =
            if run.Training = "dense" then
                let lstm = torch.nn.LSTM(512L, 512L, numLayers = 2L, batchFirst = true)

                lstm,
                fun x ->
                    let struct (y, _, _) = lstm.call (x, System.Nullable())
                    y
            else
                let lstm =
                    new SparseLSTM(
                        512,
                        512,
                        numLayers = 2,
                        batchFirst = true,
                        sparsity = run.Sparsity,
                        seed = Seed.ofInt run.Seed
                    )

                lstm,
                fun x ->
                    let struct (y, _, _) = lstm.call x
                    y

        { Model = new CharLstm(text.Characters, 512L, fst lstm, snd lstm)
          Length = 64L
          Batch = 32
          Steps = 1_000L
          Seconds = infinity
          Rate = 2e-3 }

let lossOf (setting: Setting) (source: torch.Tensor) (random: Random) =
    let starts =
        Array.init setting.Batch (fun _ -> random.NextInt64(source.shape[0] - setting.Length))

    let struct (x, y) = sequences source starts setting.Length
    torch.nn.functional.cross_entropy ((setting.Model.call x).view(-1L, text.Characters), y.view -1L)

/// The same sequences for all runs.
let validate (setting: Setting) =
    use _ = torch.no_grad ()
    setting.Model.eval ()
    let random = Random 12345

    let loss =
        List.average
            [ for _ in 1..20 ->
                  use _ = torch.NewDisposeScope()
                  float ((lossOf setting text.Validation random).item<float32>()) ]

    setting.Model.train ()
    loss

/// What is at a matrix decays; sparse weights are vectors of slots.
let groupsOf (model: torch.nn.Module) =
    let weights =
        [ for m in model.modules () do
              match m with
              | :? SparseLinear as l -> l.weight
              | :? Linear as l -> l.weight
              | :? Embedding as e -> e.weight
              | _ -> () ]

    let decays = weights |> List.map _.Handle |> set

    let others =
        [ for p in model.parameters () do
              if not (decays.Contains p.Handle) then
                  if p.dim () = 2L then () else p ]

    let matrices =
        [ for p in model.parameters () do
              if not (decays.Contains p.Handle) && p.dim () = 2L then
                  p ]

    let options rate decay =
        AdamW.Options(LearningRate = Nullable rate, beta2 = Nullable 0.99, weight_decay = Nullable decay)

    fun rate ->
        [ AdamW.ParamGroup(weights @ matrices, options rate 0.1)
          AdamW.ParamGroup(others, options rate 0.0) ]

type Outcome =
    {
        Loss: float
        /// Step, seconds of the processor in training, and validation loss.
        Curve: (int64 * float * float) list
        Parameters: int64
        StepMs: float
    }

let train (run: Run) : Outcome =
    use _ = torch.NewDisposeScope()
    let setting = settingOf run
    use model = setting.Model
    use optimizer = SparseOptim.adamW (groupsOf model setting.Rate, maxNorm = 1.0)
    let isTimed = setting.Seconds < infinity

    let rewirer =
        let schedule = Schedule.cosine 0.3 100L (setting.Steps * 3L / 4L)

        match run.Training with
        | "set" -> Some(new Rewirer(model, optimizer, Policy.set schedule, Seed.ofInt run.Seed))
        | "rigl" -> Some(new Rewirer(model, optimizer, Policy.rigL schedule, Seed.ofInt run.Seed))
        | _ -> None

    let random = Random run.Seed
    // Of the processor: a run may be stopped, and has neighbours.
    let mutable seconds = 0.0

    let processorSeconds () =
        Process.GetCurrentProcess().TotalProcessorTime.TotalSeconds

    let curve = ResizeArray [ (0L, 0.0, validate setting) ]
    let mutable step = 0L
    let mutable next = 120.0

    /// Warms up for 100 steps, and falls by a cosine to a tenth.
    let rate () =
        let way =
            if isTimed then
                seconds / setting.Seconds
            else
                float step / float setting.Steps

        setting.Rate
        * min (float (step + 1L) / 100.0) (0.1 + 0.45 * (1.0 + cos (Math.PI * min 1.0 way)))

    while step < setting.Steps && seconds < setting.Seconds do
        use _ = torch.NewDisposeScope()
        let now = rate ()

        for group in optimizer.ParamGroups do
            group.LearningRate <- now

        let before = processorSeconds ()
        optimizer.zero_grad ()
        SparseOps.backward (lossOf setting text.Training random)

        match rewirer with
        | None -> optimizer.step () |> ignore
        | Some rewirer -> rewirer.Step() |> ignore

        seconds <- seconds + processorSeconds () - before
        step <- step + 1L

        let isDue = if isTimed then seconds >= next else step % 100L = 0L

        if isDue then
            next <- next + 120.0
            curve.Add(step, Math.Round(seconds, 2), Math.Round(validate setting, 4))

    rewirer |> Option.iter (fun rewirer -> (rewirer :> IDisposable).Dispose())

    { Loss = Math.Round(validate setting, 4)
      Curve = List.ofSeq curve
      Parameters = model.parameters () |> Seq.sumBy _.numel()
      StepMs = Math.Round(1e3 * seconds / float step, 2) }

let lineOf (run: Run) (outcome: Outcome) : string =
    let o = JsonObject()
    o["network"] <- JsonValue.Create run.Network
    o["sparsity"] <- JsonValue.Create run.Sparsity
    o["training"] <- JsonValue.Create run.Training
    o["seed"] <- JsonValue.Create run.Seed
    o["loss"] <- JsonValue.Create outcome.Loss
    o["parameters"] <- JsonValue.Create outcome.Parameters
    o["step_ms"] <- JsonValue.Create outcome.StepMs
    o["threads"] <- JsonValue.Create threads

    o["curve"] <-
        JsonArray(
            [| for step, seconds, loss in outcome.Curve ->
                   JsonArray(JsonValue.Create step, JsonValue.Create seconds, JsonValue.Create loss) :> JsonNode |]
        )

    o.ToJsonString()

let own = partOf (given.GetResult(Part, "1/1")) grid
let left = own |> List.filter (isDone >> not)
printfn $"{own.Length} runs, of which {own.Length - left.Length} are in {path}"

for index, run in List.indexed left do
    let outcome = train run
    append path (lineOf run outcome)

    printfn
        $"{index + 1} of {left.Length}: {run.Network} {run.Training} %.1f{100.0 * run.Sparsity} %% seed {run.Seed}: loss %.3f{outcome.Loss}, {outcome.Parameters} parameters, %.0f{outcome.StepMs} ms a step"
