// Optimizer state of grown slots on MNIST: which treatment of moments trains best. After one build (dotnet fsi build.fsx
// check):
//   dotnet fsi examples/moments-runs.fsx FOLDER EPOCHS SEEDS RATE
// FOLDER holds MNIST's four gzipped files. 784-300-100-10 under Adam, the first two layers sparse; every treatment under
// RigL and SET, at 90 and 98 %, for so many seeds.
#r "../artifacts/bin/SparseFs/release/TorchSharp.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.Core.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.dll"
#r "../artifacts/bin/Digits/release/Digits.dll"
#r "../artifacts/bin/Digits/release/Argu.dll"

open System
open Argu
open SparseFs
open TorchSharp

type Arguments =
    | [<MainCommand; ExactlyOnce>] Run of folder: string * epochs: int * seeds: int * rate: float

    interface IArgParserTemplate with
        member _.Usage = "MNIST's folder, the epochs, how many seeds, and the learning rate"

let folder, epochs, seeds, rate =
    let parser = ArgumentParser.Create<Arguments>(programName = "moments-runs.fsx")

    try
        parser.Parse(Array.tail fsi.CommandLineArgs).GetResult Run
    with :? ArguParseException as e ->
        eprintfn $"{e.Message}"
        exit 1

type Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

torch.set_num_threads 1
let batch = 100

let train, test =
    let train, test = Digits.Idx.ofFolder folder
    Digits.Training.samples train, Digits.Training.samples test

let steps = epochs * (int train.Labels.shape[0] / batch)

/// The test error in %, after the last epoch.
let run (policyName: string) (sparsity: float) (moments: Moments) (seed: int) : float =
    use _ = torch.NewDisposeScope()
    torch.manual_seed (int64 seed) |> ignore

    let sparse index (cols: int) (rows: int) : Layer =
        new SparseLinear(cols, rows, sparsity, Seed.child index (Seed.ofInt seed))

    let relu () = torch.nn.ReLU() :> Layer

    let model =
        torch.nn.Sequential
            [ sparse 0 784 300
              relu ()
              sparse 1 300 100
              relu ()
              torch.nn.Linear(100L, 10L) :> Layer ]

    let optimizer = torch.optim.Adam(model.parameters (), rate)
    let last = int64 steps * 3L / 4L

    let policy =
        match policyName with
        | "RigL" -> Policy.rigL (Schedule.cosine 0.3 100L last)
        | _ -> Policy.set (Schedule.cosine 0.3 100L last)

    let rewirer =
        new Rewirer(model, optimizer, { policy with Moments = moments }, Seed.ofInt seed)

    for _ in 1..epochs do
        for chosen in torch.randperm(train.Labels.shape[0]).split(int64 batch) do
            use _ = torch.NewDisposeScope()
            optimizer.zero_grad ()

            let x, y =
                train.Images.index_select (0L, chosen), train.Labels.index_select (0L, chosen)

            torch.nn.functional.cross_entropy(model.call x, y).backward()
            rewirer.Step() |> ignore

    100.0 * (1.0 - Digits.Training.accuracy model test)

for sparsity in [ 0.9; 0.98 ] do
    for policy in [ "RigL"; "SET" ] do
        for moments in [ Moments.Zero; Moments.RowMean; Moments.Fresh; Moments.Seeded ] do
            let errors = [ for seed in 0 .. seeds - 1 -> run policy sparsity moments seed ]
            let mean = List.average errors

            let deviation =
                sqrt ((errors |> List.sumBy (fun e -> (e - mean) ** 2.0)) / float (max 1 (seeds - 1)))

            let each = errors |> List.map (fun e -> $"%.2f{e}") |> String.concat " "
            printfn $"{policy}, %.0f{100.0 * sparsity} %%, {moments}: %.2f{mean} ± %.2f{deviation} ({each})"
