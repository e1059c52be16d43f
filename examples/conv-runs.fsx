// Convolutional networks, dense and sparse, by the same training: accuracy, weights, operations and seconds. After one build (dotnet fsi
// build.fsx check):
//   dotnet fsi examples/conv-runs.fsx               the whole grid: hours
//   dotnet fsi examples/conv-runs.fsx --part 1/2    half of it, beside --part 2/2 in another terminal
// Each finished run is a line of docs/results/conv.jsonl, and is not made again: the command may be stopped and given anew at any
// time. docs/results/conv.md says what the networks and trainings are.
#load "patterns-networks.fsx"
#load "result-lines.fsx"
#load "numenta-cnn.fsx"

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
    | [<Unique>] Networks of string list
    | [<Unique>] Sparsities of float list
    | [<Unique>] Trainings of string list
    | [<Unique>] Seeds of int list
    | [<Unique>] Threads of int
    | [<Unique>] Data of folder: string
    | [<Unique>] Output of path: string
    | [<Unique>] Part of part: string

    interface IArgParserTemplate with
        member a.Usage =
            match a with
            | Networks _ -> "lenet5 cnn-2 fashion-cnn (all)"
            | Sparsities _ -> "of the sparse layers together (lenet5: 0.98 0.99, fashion-cnn: 0.8 0.9 0.95 0.98)"
            | Trainings _ ->
                "dense static set rigl gradual, or of cnn-2 the rows of numenta-cnn.fsx, dense sparse sparse-convolution … (all)"
            | Seeds _ -> "(1 2 3)"
            | Threads _ -> "of a run (1)"
            | Data _ -> "the folder of the data sets' folders (../shared/data)"
            | Output _ -> "the file of lines (docs/results/conv.jsonl)"
            | Part _ -> "k/n: the k-th of n parts of the grid, for n processes"

let given =
    let parser = ArgumentParser.Create<Arguments>(programName = "conv-runs.fsx")

    try
        parser.Parse(Array.tail fsi.CommandLineArgs)
    with :? ArguParseException as e ->
        eprintfn $"{e.Message}"
        exit 1

// ---------------------------------------------------------------------------------------------------------
// Networks
// ---------------------------------------------------------------------------------------------------------

type Layer = ``Numenta-cnn``.Layer

/// A layer that may be sparse: its shape, with the kernel's sizes, and what makes it of a pattern, or with every weight.
type Choice =
    { Shape: int[]
      Sparse: Connectivity -> Layer
      Dense: unit -> Layer }

let conv (inputs: int) (outputs: int) (kernel: int) (stride: int) (padding: int) : Choice =
    { Shape = [| outputs; inputs; kernel; kernel |]
      Sparse =
        fun c ->
            new SparseConv2d(
                c,
                inputs,
                kernel,
                stride = ConvSize.Of stride,
                padding = ConvPadding.op_Implicit padding,
                init = Init.KaimingUniform
            )
      Dense =
        fun () ->
            torch.nn.Conv2d(int64 inputs, int64 outputs, int64 kernel, stride = int64 stride, padding = int64 padding) }

let linear (inputs: int) (outputs: int) : Choice =
    { Shape = [| outputs; inputs |]
      Sparse = fun c -> new SparseLinear(c, init = Init.KaimingUniform)
      Dense = fun () -> torch.nn.Linear(int64 inputs, int64 outputs) }

type Network =
    {
        Dataset: string
        Epochs: int
        Rate: float
        Sparsities: float list
        /// The layers that may be sparse, in their order.
        Choices: Choice list
        /// The whole network, around them.
        Build: Layer list -> Layer list
    }

let image () : Layer =
    torch.nn.Unflatten(1L, [| 1L; 28L; 28L |])

let relu () : Layer = torch.nn.ReLU()
let pool () : Layer = torch.nn.MaxPool2d 2L
let flat () : Layer = torch.nn.Flatten()

let networks: (string * Network) list =
    [ // LeNet-5 as Caffe has it, which SNIP and others prune: all four layers are sparse.
      "lenet5",
      { Dataset = "mnist"
        Epochs = 20
        Rate = 0.05
        Sparsities = [ 0.98; 0.99 ]
        Choices = [ conv 1 20 5 1 0; conv 20 50 5 1 0; linear 800 500; linear 500 10 ]
        Build =
          function
          | [ first; second; third; last ] ->
              [ image ()
                first
                relu ()
                pool ()
                second
                relu ()
                pool ()
                flat ()
                third
                relu ()
                last ]
          | _ -> failwith "expected four layers" }

      // Three convolutions with batch norm, of which two halve the image, and the mean of the last one's pixels. The first one and the
      // last layer stay dense: their 288 and 1280 weights would be all of Erdős–Rényi-Kernel's budget at the higher sparsities.
      "fashion-cnn",
      { Dataset = "fashion"
        Epochs = 6
        Rate = 0.1
        Sparsities = [ 0.8; 0.9; 0.95; 0.98 ]
        Choices = [ conv 32 64 3 2 1; conv 64 128 3 1 1 ]
        Build =
          function
          | [ second; third ] ->
              let norm (channels: int64) : Layer = torch.nn.BatchNorm2d channels

              [ image ()
                (conv 1 32 3 2 1).Dense()
                norm 32L
                relu ()
                second
                norm 64L
                relu ()
                third
                norm 128L
                relu ()
                torch.nn.AdaptiveAvgPool2d 1L
                flat ()
                (linear 128 10).Dense() ]
          | _ -> failwith "expected two layers" } ]

// ---------------------------------------------------------------------------------------------------------
// The grid
// ---------------------------------------------------------------------------------------------------------

/// What a line of the file is a result of.
type Run =
    { Network: string
      Sparsity: float
      Training: string
      Seed: int }

let usualTrainings = [ "dense"; "static"; "set"; "rigl"; "gradual" ]

let isNumenta (network: string) = network = "cnn-2"

/// Rows that no paper has, which say where CNN-2's accuracy goes: of the first seed alone.
let private diagnoses = set [ "sparse-all-weights"; "sparse-hidden-relu" ]

/// What may be asked for of a network.
let trainingsOf (network: string) =
    if isNumenta network then
        List.map fst ``Numenta-cnn``.rows
    else
        usualTrainings

let asked =
    chosen "--trainings" (given.GetResult(Trainings, [])) (List.distinct (usualTrainings @ trainingsOf "cnn-2"))
    |> set

/// The first seed of everything comes before the second of anything, so that a part of the grid says something of all.
let grid =
    [ for seed in given.GetResult(Seeds, [ 1..3 ]) do
          for network in chosen "--networks" (given.GetResult(Networks, [])) ("cnn-2" :: List.map fst networks) do
              for training in trainingsOf network |> List.filter asked.Contains do
                  if seed = 1 || not (diagnoses.Contains training) then
                      for sparsity in
                          (if training = "dense" || isNumenta network then
                               [ 0.0 ]
                           else
                               given.GetResult(
                                   Sparsities,
                                   (networks |> List.find (fst >> (=) network) |> snd).Sparsities
                               )) do
                          { Network = network
                            Sparsity = sparsity
                            Training = training
                            Seed = seed } ]

let path =
    let inRoot =
        Path.Combine(__SOURCE_DIRECTORY__, "..", "docs", "results", "conv.jsonl")

    Path.GetFullPath(given.GetResult(Output, inRoot))

let runOf (o: JsonNode) : Run =
    { Network = o["network"].GetValue<string>()
      Sparsity = o["sparsity"].GetValue<float>()
      Training = o["training"].GetValue<string>()
      Seed = o["seed"].GetValue<int>() }

let isDone = (read path |> List.map runOf |> set).Contains

// ---------------------------------------------------------------------------------------------------------
// A run
// ---------------------------------------------------------------------------------------------------------

let threads = given.GetResult(Threads, 1)
torch.set_num_threads threads

let samples = samplesUnder (given.GetResult(Data, "../shared/data"))

/// Gradual pruning begins at a half.
let startOf (run: Run) =
    if run.Training = "gradual" then 0.5 else run.Sparsity

/// The counts of a network's sparse layers, all of them of this sparsity together.
let countsAt (network: Network) (sparsity: float) =
    SparsityDistribution.counts
        SparsityDistribution.ErdosRenyiKernel
        [||]
        sparsity
        (network.Choices |> List.map _.Shape |> Array.ofList)

let modelOf (run: Run) (network: Network) : Modules.Sequential =
    torch.manual_seed (int64 run.Seed) |> ignore

    let layers =
        if run.Training = "dense" then
            network.Choices |> List.map (fun choice -> choice.Dense())
        else
            let counts = countsAt network (startOf run)

            network.Choices
            |> List.mapi (fun index choice ->
                let cols = choice.Shape |> Array.tail |> Array.reduce (*)

                choice.Sparse(
                    Topology.uniform choice.Shape[0] cols counts[index] (Seed.child index (Seed.ofInt run.Seed))
                ))

    torch.nn.Sequential(network.Build layers)

/// Each layer is pruned to what Erdős–Rényi-Kernel leaves it: at 99 % alike in all layers the first convolution would keep 5 weights.
let prunesGradually (run: Run) (network: Network) (model: Modules.Sequential) (until: int64) =
    let layers =
        [ for m in model.modules () do
              match m with
              | :? SparseLayer as layer -> layer
              | _ -> () ]

    for layer, left in Seq.zip layers (countsAt network run.Sparsity) do
        let final = 1.0 - float left / float layer.Connectivity.Cells

        layer.Policy <-
            Policy.gradual
                layer.Connectivity.Sparsity
                (max layer.Connectivity.Sparsity final)
                (Schedule.constant 0.0 100L until)

let trainUsual (run: Run) : ``Numenta-cnn``.Outcome =
    let network = networks |> List.find (fun (name, _) -> name = run.Network) |> snd
    let train, test = samples network.Dataset
    use _ = torch.NewDisposeScope()
    use model = modelOf run network

    use optimizer =
        torch.optim.SGD(model.parameters (), network.Rate, momentum = 0.9, weight_decay = 5e-4)

    let images = int train.Labels.shape[0]
    let steps = network.Epochs * ((images + batch - 1) / batch)

    let rewirer =
        // A whole number of periods, the last of which ends after three quarters of the training.
        let until = int64 steps * 3L / 4L / 100L * 100L

        let rewiring policy =
            Some(new Rewirer(model, optimizer, policy, Seed.ofInt run.Seed))

        match run.Training with
        | "set" -> rewiring (Policy.set (Schedule.cosine 0.3 100L until))
        | "rigl" -> rewiring (Policy.rigL (Schedule.cosine 0.3 100L until))
        | "gradual" ->
            prunesGradually run network model until
            Some(new Rewirer(model, optimizer, Seed.ofInt run.Seed))
        | _ -> None

    // All runs of a seed see the same batches.
    torch.manual_seed (int64 run.Seed) |> ignore
    let mutable taken = 0
    let watch = Stopwatch()
    model.train ()

    for _ in 1 .. network.Epochs do
        use _ = torch.NewDisposeScope()

        for chosen in torch.randperm(int64 images).split(int64 batch) do
            use _ = torch.NewDisposeScope()
            let x = train.Images.index_select (0L, chosen)
            let y = train.Labels.index_select (0L, chosen)

            for group in optimizer.ParamGroups do
                group.LearningRate <- 0.5 * network.Rate * (1.0 + cos (Math.PI * float taken / float steps))

            watch.Start()
            optimizer.zero_grad ()
            torch.nn.functional.cross_entropy(model.call x, y).backward()

            match rewirer with
            | None -> optimizer.step () |> ignore
            | Some rewirer -> rewirer.Step() |> ignore

            watch.Stop()
            taken <- taken + 1

    rewirer |> Option.iter (fun rewirer -> (rewirer :> IDisposable).Dispose())
    model.eval ()
    let summary = Summary.ofShape [| 1L; 784L |] model

    { Accuracy = Digits.Training.accuracy model test
      NoiseScore = 0
      Weights = summary.Weights
      Flops =
        (if summary.Flops.HasValue then
             float summary.Flops.Value
         else
             nan)
      Seconds = watch.Elapsed.TotalSeconds / float network.Epochs }

let train (run: Run) : ``Numenta-cnn``.Outcome =
    if isNumenta run.Network then
        let row = ``Numenta-cnn``.rows |> List.find (fst >> (=) run.Training) |> snd
        ``Numenta-cnn``.train row run.Seed (samples "mnist")
    else
        trainUsual run

let lineOf (run: Run) (outcome: ``Numenta-cnn``.Outcome) : string =
    let o = JsonObject()
    o["network"] <- JsonValue.Create run.Network
    o["sparsity"] <- JsonValue.Create run.Sparsity
    o["training"] <- JsonValue.Create run.Training
    o["seed"] <- JsonValue.Create run.Seed
    o["accuracy"] <- JsonValue.Create outcome.Accuracy

    if outcome.NoiseScore > 0 then
        o["noise_score"] <- JsonValue.Create outcome.NoiseScore

    o["weights"] <- JsonValue.Create outcome.Weights
    o["flops"] <- JsonValue.Create outcome.Flops
    o["epoch_s"] <- JsonValue.Create(Math.Round(outcome.Seconds, 3))
    o["threads"] <- JsonValue.Create threads
    o["processor"] <- JsonValue.Create processor
    o.ToJsonString()

let own = partOf (given.GetResult(Part, "1/1")) grid
let left = own |> List.filter (isDone >> not)
printfn $"{own.Length} runs, of which {own.Length - left.Length} are in {path}"

for index, run in List.indexed left do
    let outcome = train run
    append path (lineOf run outcome)

    printfn
        $"{index + 1} of {left.Length}: {run.Network} {run.Training} %.0f{100.0 * run.Sparsity} %% seed {run.Seed}: %.2f{100.0 * outcome.Accuracy} %%, {outcome.Weights} weights, %.1f{outcome.Seconds} s an epoch"
