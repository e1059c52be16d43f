// The demo's recipe: how it was chosen, and what it comes to over several seeds. After one build (dotnet fsi build.fsx check):
//   dotnet fsi examples/demo-runs.fsx search
//   dotnet fsi examples/demo-runs.fsx seeds 5
// The search sees the training digits alone: it learns from four fifths of each class and chooses by the other fifth.
#r "../artifacts/bin/SparseFs/release/TorchSharp.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.Core.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.dll"
#r "../artifacts/bin/Digits/release/Digits.dll"
#r "../artifacts/bin/Digits/release/Argu.dll"

open System
open System.IO
open Argu
open Digits
open SparseFs
open TorchSharp

type Arguments =
    | [<CliPrefix(CliPrefix.None); SubCommand>] Search
    | [<CliPrefix(CliPrefix.None)>] Seeds of number: int

    interface IArgParserTemplate with
        member argument.Usage =
            match argument with
            | Search -> "tries every recipe of the grid and names the best"
            | Seeds _ -> "runs the demo's recipe this many times, from seed 0 on, two or more"

let given =
    let parser = ArgumentParser.Create<Arguments>(programName = "demo-runs.fsx")

    try
        parser.Parse(Array.tail fsi.CommandLineArgs).GetAllResults()
    with :? ArguParseException as e ->
        eprintfn $"{e.Message}"
        exit 1

torch.set_num_threads 1
let options = Options.parse [||]

let digits, testDigits =
    Idx.ofFolder (Path.Combine(__SOURCE_DIRECTORY__, "Digits", "data"))

let mean (values: float list) = List.average values

let deviation (values: float list) =
    let mean = mean values
    sqrt ((values |> List.sumBy (fun v -> (v - mean) ** 2.0)) / float (values.Length - 1))

/// Hidden units of a dense network with as many weights as the sparse one stores, and the rate that the search chose for it.
let narrow, narrowRate = 200, 0.1

type Network =
    | Sparse
    | Dense
    | Narrow

let made network seed =
    match network with
    | Sparse -> Network.sparse options.Topology options.Sparsity options.Winners (Seed.ofInt seed)
    | Dense -> Network.dense options.Winners
    | Narrow -> Network.denseOf narrow options.Winners

let rewirerOf course (train: Samples) seed model optimizer =
    let steps = Training.steps course (int train.Labels.shape[0])

    options.Dynamic
    |> Option.map (fun d -> Dynamics.rewirer d options.Sparsity steps (Seed.ofInt seed) model optimizer)

/// What a network reads right in the end.
let accuracy (course: Course) (train: Samples) test network rate seed =
    torch.manual_seed (int64 seed) |> ignore
    use model = made network seed
    let steps = Training.steps course (int train.Labels.shape[0])

    let rewirerOf =
        if network = Sparse then
            rewirerOf course train seed model
        else
            fun _ -> None

    use learner = new Learner(course, rate, steps, rewirerOf, model)

    let epochs =
        [ for _ in 1 .. course.Epochs -> Training.epoch course train test [ learner ] ignore ]

    (List.last epochs).Head.Accuracy

let search () =
    let learning, choosing = Split.validation digits
    let train, valid = Training.samples learning, Training.samples choosing
    printfn $"{learning.Labels.Length} digits to learn from, {choosing.Labels.Length} to choose by"

    /// The best rate of a network in a course, and the mean accuracy of seeds 0 and 1 with it.
    let best course network =
        [ for rate in [ 0.01; 0.03; 0.1; 0.3 ] do
              let accuracies =
                  [ for seed in 0..1 -> 100.0 * accuracy course train valid network rate seed ]

              let seeds = accuracies |> List.map (sprintf "%.1f") |> String.concat ", "

              printfn
                  $"{network}, {course.Epochs} epochs, decay {course.Decay}, rate {rate}: %.2f{mean accuracies} %% ({seeds})"

              rate, mean accuracies ]
        |> List.maxBy snd

    let courses =
        [ for epochs in [ 10; 20 ] do
              for decay in [ 0.0; 0.001 ] do
                  { options.Course with
                      Epochs = epochs
                      Decay = decay } ]

    // Epochs and decay are one choice for all networks: the best for the sparse and the dense one together.
    let course, found =
        [ for course in courses -> course, [ for network in [ Sparse; Dense; Narrow ] -> network, best course network ] ]
        |> List.maxBy (fun (_, found) -> snd (snd found[0]) + snd (snd found[1]))

    for network, (rate, accuracy) in found do
        printfn
            $"chosen: {network}, {course.Epochs} epochs, decay {course.Decay}, rate {rate}, %.2f{accuracy} %% of the digits to choose by"

/// The demo itself for each seed, and the narrow network beside it.
let seeds number =
    let course = options.Course
    let train, test = Training.samples digits, Training.samples testDigits

    let runs =
        [ for seed in 0 .. number - 1 do
              torch.manual_seed (int64 seed) |> ignore
              use sparse = made Sparse seed
              use dense = made Dense seed

              let epochs =
                  Training.run course train test sparse dense (rewirerOf course train seed sparse) ignore ignore

              let last = List.last epochs
              let ofNarrow = accuracy course train test Narrow narrowRate seed

              let run =
                  [ last.Sparse.Accuracy; last.Dense.Accuracy; ofNarrow ] |> List.map ((*) 100.0)

              printfn
                  $"seed {seed}: sparse %.1f{run[0]} %%, dense %.1f{run[1]} %%, dense with {narrow} hidden units %.1f{run[2]} %%"

              run ]

    let summary (name: string) (values: float list) =
        printfn $"{name}: %.2f{mean values} ± %.2f{deviation values}"

    summary "sparse" [ for run in runs -> run[0] ]
    summary "dense" [ for run in runs -> run[1] ]
    summary $"dense with {narrow} hidden units" [ for run in runs -> run[2] ]
    summary "sparse less dense, seed by seed" [ for run in runs -> run[0] - run[1] ]

match given with
| [ Search ] -> search ()
| [ Seeds number ] when number >= 2 -> seeds number
| _ ->
    eprintfn "expected search, or seeds and a number of 2 or more"
    exit 1
