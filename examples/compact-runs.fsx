// What weights of fewer bits cost: accuracy on MNIST over five seeds, and loss of a character model, of the same trained networks in each form of
// file. After one build (dotnet fsi build.fsx check), a quarter of an hour:
//   dotnet fsi examples/compact-runs.fsx
// Each network is a line of docs/results/compact.jsonl for each form, and is not trained again; docs/results/compact.md has the table.
#r "../artifacts/bin/Digits/release/Digits.dll"
#r "../artifacts/bin/SparseFs.Deploy/release/SparseFs.Inference.dll"
#r "../artifacts/bin/SparseFs.Deploy/release/SparseFs.Deploy.dll"
#load "language-networks.fsx"
#load "result-lines.fsx"

open System
open System.IO
open System.Text.Json.Nodes
open Digits
open SparseFs
open SparseFs.Inference
open TorchSharp
open ``Language-networks``
open ``Result-lines``

let path =
    Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, "..", "docs", "results", "compact.jsonl"))

let digits, book = "../shared/data/mnist", "../shared/data/text/kjv.txt.gz"
torch.set_num_threads 1

let forms =
    [ DeployedWeights.Float32; DeployedWeights.BFloat16; DeployedWeights.Int8 ]

/// A network's name and seed, of which all lines are there.
let isDone =
    read path
    |> List.map (fun o -> o["network"].GetValue<string>(), o["seed"].GetValue<int>())
    |> set

/// Writes the network in each form, and a line of what is measured of it.
let measure (network: string) (seed: int) (sample: torch.Tensor) (model: Net) (measured: SparseModel -> float) =
    let file = Path.GetTempFileName()

    try
        for weights in forms do
            let report =
                Deploy.saveWith
                    { Deploy.defaults with
                        Weights = weights }
                    file
                    sample
                    model

            let result = measured (SparseModel.Load file)
            printfn $"{network}, seed {seed}, {weights}: %.5f{result}; {report.Bytes} bytes"
            let o = JsonObject()
            o["network"] <- JsonValue.Create network
            o["seed"] <- JsonValue.Create seed
            o["weights"] <- JsonValue.Create(string weights)
            o["result"] <- JsonValue.Create result
            o["bytes"] <- JsonValue.Create report.Bytes
            o["largest_difference"] <- JsonValue.Create report.LargestDifference
            File.AppendAllText(path, o.ToJsonString() + "\n")
    finally
        File.Delete file

/// 784-300-100-10 at 90 %, two epochs of RigL: the part of 10,000 digits that it reads right.
let mnist (seed: int) =
    torch.manual_seed (int64 seed) |> ignore
    let train, test = Idx.ofFolder digits

    let tensors (d: DigitSet) =
        let pixels = torch.tensor(d.Pixels, dtype = torch.float32).div(255.0f.ToScalar())

        pixels.view(-1L, 784L).sub(0.1307f.ToScalar()).div(0.3081f.ToScalar()),
        torch.tensor (d.Labels, dtype = torch.int64)

    let x, labels = tensors train
    let own = Seed.ofInt seed

    let model =
        torch.nn.Sequential(
            [ new SparseLinear(784, 300, 0.9, Seed.child 0 own) :> Net
              torch.nn.ReLU()
              new SparseLinear(300, 100, 0.9, Seed.child 1 own)
              torch.nn.ReLU()
              torch.nn.Linear(100L, 10L) ]
        )

    let optimizer = SparseOptim.adamW (model.parameters (), 2e-3)
    let steps = 2 * train.Labels.Length / 128

    use rewirer =
        new Rewirer(model, optimizer, Policy.rigL (Schedule.cosine 0.3 100L (int64 steps * 3L / 4L)))

    for _ in 1..steps do
        use _ = torch.NewDisposeScope()
        let chosen = torch.randint (int64 train.Labels.Length, [| 128L |])
        optimizer.zero_grad ()

        torch.nn.functional
            .cross_entropy(model.call (x.index_select (0L, chosen)), labels.index_select (0L, chosen))
            .backward()

        rewirer.Step() |> ignore

    let asked, _ = tensors test
    let pictures = asked.contiguous().data<float32>().ToArray()

    measure "mnist 784-300-100-10" seed (asked.narrow (0L, 0L, 100L)) model (fun deployed ->
        let results: float32[] = Array.zeroCreate (10 * test.Labels.Length)
        deployed.Run(ReadOnlySpan pictures, Span results)

        results
        |> Array.chunkBySize 10
        |> Array.indexed
        |> Array.sumBy (fun (i, scores) ->
            if Array.IndexOf(scores, Array.max scores) = int test.Labels[i] then
                1.0
            else
                0.0)
        |> fun right -> right / float test.Labels.Length)

/// nanoGPT's small setting at 90 %, static, 2,000 steps: the mean of −log p over 50,000 characters that it has not seen.
let gpt (seed: int) =
    torch.manual_seed (int64 seed) |> ignore
    let text = readText book

    let sizes =
        { Blocks = 4
          Features = 128L
          Heads = 4L
          Context = 64L }

    let blocks: Net[] =
        Array.init sizes.Blocks (fun i ->
            new SparseTransformerBlock(128, 4, sparsity = 0.9, seed = Seed.child i (Seed.ofInt seed)))

    let model = new Gpt(sizes, text.Characters, blocks)
    initialize sizes.Blocks model
    let optimizer = SparseOptim.adamW (model.parameters (), 1e-3)
    let random = Random seed

    for _ in 1..2_000 do
        use _ = torch.NewDisposeScope()
        let starts = Array.init 12 (fun _ -> random.NextInt64(text.Training.shape[0] - 65L))
        let struct (x, next) = sequences text.Training starts 64L
        optimizer.zero_grad ()
        torch.nn.functional.cross_entropy(model.call(x).view(-1L, text.Characters), next.view -1L).backward()
        optimizer.step () |> ignore

    let starts = [| for i in 0L .. 781L -> i * 64L |]
    let struct (x, next) = sequences text.Validation starts 64L

    let tokens, wanted =
        x.contiguous().data<int64>().ToArray(), next.contiguous().data<int64>().ToArray()

    measure "gpt of 128 features" seed (x.narrow (0L, 0L, 4L)) model (fun deployed ->
        let classes = int text.Characters
        let results: float32[] = Array.zeroCreate (tokens.Length * classes)
        deployed.Run(ReadOnlySpan tokens, starts.Length, Span results)

        results
        |> Array.chunkBySize classes
        |> Array.mapi (fun i scores ->
            let largest = float (Array.max scores)
            let sum = scores |> Array.sumBy (fun s -> exp (float s - largest))
            log sum + largest - float scores[int wanted[i]])
        |> Array.average)

for seed in 1..5 do
    if not (isDone.Contains("mnist 784-300-100-10", seed)) then
        mnist seed

for seed in 1..3 do
    if not (isDone.Contains("gpt of 128 features", seed)) then
        gpt seed

for network, all in read path |> List.groupBy (fun o -> o["network"].GetValue<string>()) do
    for weights, own in all |> List.groupBy (fun o -> o["weights"].GetValue<string>()) do
        let results = own |> List.map (fun o -> o["result"].GetValue<float>())

        printfn
            $"{network}, {weights}: mean %.5f{List.average results}, %.5f{List.min results} to %.5f{List.max results} over {results.Length} seeds"
