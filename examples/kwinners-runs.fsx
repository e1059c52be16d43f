// The runs of docs/results/kwinners.md, part 2. After one build (dotnet fsi build.fsx):
// dotnet fsi examples/kwinners-runs.fsx FOLDER NETWORK SEED EPOCHS
// FOLDER holds MNIST's four gzipped files. NETWORK is sparse (784-1000-1000-10, 70 % of the weights absent, k-winners with
// 10 % on), dense (the same shape with ReLU), or one step between the two: sparse-relu, dense-winners, or sparse-same-k,
// which lets no more units win at inference than in training. Learning rate, momentum, batches and noise are those of
// Numenta's notebook sparse_linear.ipynb: SGD 0.01 with momentum 0.5, a first epoch in batches of 4, then of 64.
// Or NETWORK is rigl (as sparse-same-k, rewired by RigL), relu-rigl (the same with ReLU), static-rigl (as rigl, but never
// rewired) or dense-rigl (as dense), all by another recipe: SGD 0.1, which falls to 0 as a cosine, momentum 0.9, weight
// decay 2e-4, batches of 64.
#r "../artifacts/bin/SparseFs/release/TorchSharp.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.Core.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.dll"
#r "../artifacts/bin/Digits/release/Digits.dll"
#r "../artifacts/bin/Digits/release/Argu.dll"

open System
open Argu
open SparseFs
open TorchSharp

type Network =
    | Sparse
    | Sparse_Same_K
    | Sparse_Relu
    | Dense
    | Dense_Winners
    | Rigl
    | Relu_Rigl
    | Static_Rigl
    | Dense_Rigl

type Arguments =
    | [<MainCommand; ExactlyOnce>] Run of folder: string * network: Network * seed: int * epochs: int

    interface IArgParserTemplate with
        member _.Usage =
            "MNIST's folder, one of the networks named above, the seed and the epochs"

let folder, network, seed, epochs =
    let parser = ArgumentParser.Create<Arguments>(programName = "kwinners-runs.fsx")

    try
        parser.Parse(Array.tail fsi.CommandLineArgs).GetResult Run
    with :? ArguParseException as e ->
        eprintfn $"{e.Message}"
        exit 1

type Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

torch.manual_seed (int64 seed) |> ignore

let winners () : Layer =
    // Period, decay and inference factor: the defaults of Numenta's layer. k = 100, 150 at inference.
    new KWinners(
        1000,
        { KWinnersOptions.ofSparsity 0.9 with
            DutyCycle = DutyCycle.Period 1000
            Boost = Boost.Exponential 1.0
            BoostDecay = 0.9
            InferenceFactor =
                (if network = Sparse || network = Dense_Winners then
                     1.5
                 else
                     1.0) }
    )

let model =
    // There, a dense layer loses weights after it was drawn.
    let sparse index (inputs: int) : Layer =
        new SparseLinear(inputs, 1000, 0.7, Seed.child index (Seed.ofInt seed), init = Init.DenseFanIn)

    let dense (_: int) (inputs: int) : Layer = torch.nn.Linear(int64 inputs, 1000L)

    let relu () = torch.nn.ReLU() :> Layer

    let linear, activation =
        match network with
        | Sparse
        | Sparse_Same_K
        | Rigl
        | Static_Rigl -> sparse, winners
        | Dense
        | Dense_Rigl -> dense, relu
        | Sparse_Relu
        | Relu_Rigl -> sparse, relu
        | Dense_Winners -> dense, winners

    torch.nn.Sequential(
        [ linear 0 784
          activation ()
          linear 1 1000
          activation ()
          torch.nn.Linear(1000L, 10L) ]
    )

let train, test =
    let train, test = Digits.Idx.ofFolder folder
    Digits.Training.samples train, Digits.Training.samples test

/// A part of each image's pixels, drawn anew for each image, takes the value mean + 2 deviations: 2 after normalising.
let noisy (level: float) (samples: Digits.Samples) : Digits.Samples =
    use _ = torch.NewDisposeScope()
    let changed = int64 (784.0 * level) // rounded down, as there
    let order = torch.rand(samples.Images.shape).argsort(1L)

    { samples with
        Images =
            samples.Images
                .scatter(1L, order.narrow (1L, 0L, changed), torch.full (samples.Images.shape, 2.0f.ToScalar()))
                .MoveToOuterDisposeScope() }

let isLonger = List.contains network [ Rigl; Relu_Rigl; Static_Rigl; Dense_Rigl ]

let optimizer =
    if isLonger then
        torch.optim.SGD(model.parameters (), 0.1, momentum = 0.9, weight_decay = 2e-4)
    else
        torch.optim.SGD(model.parameters (), 0.01, momentum = 0.5)

/// Of the longer recipe; the rate falls, and RigL ends at three quarters of them.
let steps = epochs * (int train.Labels.shape[0] / 64)

let rewirer =
    if network = Rigl || network = Relu_Rigl then
        let schedule = Schedule.cosine 0.3 100L (int64 steps * 3L / 4L)
        Some(new Rewirer(model, optimizer, Policy.rigL schedule, Seed.ofInt seed))
    else
        None

let mutable step = 0
let watch = Diagnostics.Stopwatch.StartNew()

for epoch in 1..epochs do
    model.train ()
    use _ = torch.NewDisposeScope()
    let batch = if epoch = 1 && not isLonger then 4L else 64L

    for chosen in torch.randperm(train.Labels.shape[0]).split batch do
        use _ = torch.NewDisposeScope()
        optimizer.zero_grad ()

        let x, y =
            train.Images.index_select (0L, chosen), train.Labels.index_select (0L, chosen)

        torch.nn.functional.cross_entropy(model.call x, y).backward()

        if isLonger then
            for group in optimizer.ParamGroups do
                group.LearningRate <- 0.05 * (1.0 + cos (Math.PI * float step / float steps))

        step <- min steps (step + 1)

        match rewirer with
        | Some rewirer -> rewirer.Step() |> ignore
        | None -> optimizer.step () |> ignore

    for layer in model.children () do
        match layer with
        | :? KWinners as winners -> winners.EndEpoch()
        | _ -> ()

    printfn $"{network}, seed {seed}, epoch {epoch}: %.2f{100.0 * Digits.Training.accuracy model test} %%"

let noiseSeed = 1000L

let results =
    [ for level in [ 0.0; 0.05; 0.10; 0.15; 0.20; 0.25 ] do
          // The same noise for every network.
          torch.manual_seed noiseSeed |> ignore
          let samples = noisy level test
          $"%.2f{100.0 * Digits.Training.accuracy model samples}" ]

let entropy =
    [ for layer in model.children () do
          match layer with
          | :? KWinners as winners -> $"%.1f{100.0 * winners.Entropy() / winners.MaxEntropy()} %%"
          | _ -> () ]

printfn $"""{network}, seed {seed}, {epochs} epochs, noise 0 to 0.25: {String.concat " " results}"""

if not entropy.IsEmpty then
    printfn $"""entropy of the maximum: {String.concat ", " entropy}"""

printfn $"%.0f{watch.Elapsed.TotalSeconds} s"
