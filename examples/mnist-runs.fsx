// Published MNIST results, run again. After one build (dotnet fsi build.fsx check):
//   dotnet fsi examples/mnist-runs.fsx FOLDER NETWORK POLICY SEED EPOCHS
// FOLDER holds MNIST's four gzipped files; NETWORK is lenet, notebook or sparselab; POLICY is rigl, set, static or dense.
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
    | Lenet
    | Notebook
    | Sparselab

type Training =
    | Rigl
    | Set
    | Static
    | Dense

type Arguments =
    | [<MainCommand; ExactlyOnce>] Run of folder: string * network: Network * policy: Training * seed: int * epochs: int

    interface IArgParserTemplate with
        member _.Usage = "MNIST's folder, the network, the policy, the seed and the epochs"

let folder, network, training, seed, epochs =
    let parser = ArgumentParser.Create<Arguments>(programName = "mnist-runs.fsx")

    try
        parser.Parse(Array.tail fsi.CommandLineArgs).GetResult Run
    with :? ArguParseException as e ->
        eprintfn $"{e.Message}"
        exit 1

type Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

torch.manual_seed (int64 seed) |> ignore

let linear index (cols: int) (rows: int) (sparsity: float) : Layer =
    if sparsity = 0.0 || training = Dense then
        torch.nn.Linear(cols, rows)
    else
        let init = if network = Lenet then Init.KaimingNormal else Init.FanIn

        new SparseLinear(cols, rows, sparsity, Seed.child index (Seed.ofInt seed), init = init)

let model, batch, rate, decay, nesterov =
    let relu () = torch.nn.ReLU() :> Layer

    match network with
    | Lenet ->
        let layers =
            [ linear 0 784 300 0.99
              relu ()
              linear 1 300 100 0.89
              relu ()
              linear 2 100 10 0.0 ]

        torch.nn.Sequential layers, 100, 0.2, 1e-4, true
    | Notebook ->
        let norm = torch.nn.LayerNorm 2000L :> Layer

        let layers = [ linear 0 784 2000 0.9; norm; relu (); linear 1 2000 10 0.9 ]

        torch.nn.Sequential layers, 64, (if training = Dense then 0.01 else 0.1), 0.0, false
    | Sparselab -> torch.nn.Sequential [ linear 0 784 512 0.9; relu (); linear 1 512 10 0.9 ], 64, 0.05, 0.0, false

let train, test =
    let train, test = Digits.Idx.ofFolder folder

    // LeNet takes pixels in [0, 1], as RigL's authors have it; the others pixels of mean 0 and deviation 1.
    let scaled (samples: Digits.Samples) =
        if network = Lenet then
            { samples with
                Images = samples.Images * 0.3081f.ToScalar() + 0.1307f.ToScalar() }
        else
            samples

    scaled (Digits.Training.samples train), scaled (Digits.Training.samples test)

let steps = epochs * (int train.Labels.shape[0] / batch)

let optimizer =
    torch.optim.SGD(model.parameters (), rate, momentum = 0.9, weight_decay = decay, nesterov = nesterov)

// RigL's own: alpha 0.3, every 100 steps; the end at 50,000 of LeNet's 120,000 steps, else at three quarters.
let schedule =
    let last =
        if network = Lenet then
            int64 steps * 5L / 12L
        else
            int64 steps * 3L / 4L

    Schedule.cosine 0.3 100L last

let rewirer =
    match training with
    | Dense
    | Static -> None
    | Rigl -> Some(new Rewirer(model, optimizer, Policy.rigL schedule, Seed.ofInt seed))
    | Set -> Some(new Rewirer(model, optimizer, Policy.set schedule, Seed.ofInt seed))

let mutable explored = ""

rewirer
|> Option.iter (fun r ->
    r.Events.Add(fun e ->
        match e.Outcome with
        | RewireOutcome.Done counts when e.Layer = "0" ->
            explored <- $", R_s of the first layer %.3f{counts.Explored}"
        | _ -> ()))

let watch = Diagnostics.Stopwatch.StartNew()
let accuracies = ResizeArray<float>()

for epoch in 1..epochs do
    model.train ()

    // LeNet's rate falls by 3 at epochs 75 and 95 of 200.
    if network = Lenet then
        for at in [ 75; 95 ] do
            if epoch = at * epochs / 200 then
                for group in optimizer.ParamGroups do
                    group.LearningRate <- group.LearningRate / 3.0

    use _ = torch.NewDisposeScope()

    for chosen in torch.randperm(train.Labels.shape[0]).split(int64 batch) do
        use _ = torch.NewDisposeScope()
        optimizer.zero_grad ()

        let x, y =
            train.Images.index_select (0L, chosen), train.Labels.index_select (0L, chosen)

        torch.nn.functional.cross_entropy(model.call x, y).backward()

        match rewirer with
        | Some rewirer -> rewirer.Step() |> ignore
        | None -> optimizer.step () |> ignore

    accuracies.Add(Digits.Training.accuracy model test)

let error accuracy = 100.0 * (1.0 - accuracy)

printfn
    $"{network}, {training}, seed {seed}, {epochs} epochs: test error %.2f{error accuracies[epochs - 1]} %% at the end, %.2f{error (Seq.max accuracies)} %% at best{explored}, %.0f{watch.Elapsed.TotalSeconds} s"
