// The networks and patterns that patterns-runs.fsx trains and patterns-steps.fsx times.
#r "../artifacts/bin/SparseFs/release/TorchSharp.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.Core.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.dll"
#r "../artifacts/bin/Digits/release/Digits.dll"
#r "../artifacts/bin/Digits/release/Argu.dll"

open System
open System.IO
open SparseFs
open TorchSharp

/// What was asked for of all that there is, or else all; a name that there is none of ends the script.
let chosen (what: string) (asked: string list) (all: string list) : string list =
    match List.except all asked with
    | [] when asked.IsEmpty -> all
    | [] -> all |> List.filter (fun name -> List.contains name asked)
    | strange ->
        eprintfn $"""{what}: expected some of {String.concat " " all}, got {String.concat " " strange}"""
        exit 1

let datasets = [ "mnist"; "fashion" ]

/// The sizes of the layers; the last layer is dense.
let networks = [ "784-2000-10"; "784-1024-1024-10"; "784-300-100-10" ]

/// Of each layer but the last.
let sparsities (network: string) : float list =
    if network = "784-300-100-10" then
        [ 0.98; 0.99 ]
    else
        [ 0.9; 0.95; 0.98; 0.99 ]

let patterns =
    [ "uniform"; "fan-in"; "groups-2"; "groups-4"; "groups-8"; "groups-16" ]

/// Samples of a batch.
let batch = 128

/// The optimizer at its first learning rate.
let optimizerOf (model: torch.nn.Module) : torch.optim.Optimizer =
    torch.optim.SGD(model.parameters (), 0.1, momentum = 0.9, weight_decay = 5e-4)

let private patternOf (pattern: string) (rows: int) (cols: int) (sparsity: float) (seed: Seed) : Connectivity =
    let nnz = Sparsity.nnz rows cols sparsity

    match pattern with
    | "uniform" -> Topology.uniform rows cols nnz seed
    | "fan-in" -> Topology.constantFanIn rows cols (int (Math.Round(float nnz / float rows))) seed
    | groups -> Topology.rowGroups (int (groups.Substring "groups-".Length)) rows cols nnz seed

type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

/// Sparse layers with ReLU, and a dense last one, which begins alike for all patterns of a seed; the slots of the sparse ones.
let networkOf (network: string) (sparsity: float) (pattern: string) (seed: int) : Modules.Sequential * int =
    let sizes = network.Split '-' |> Array.map int |> List.ofArray
    torch.manual_seed (int64 seed) |> ignore
    let last = torch.nn.Linear(int64 sizes[sizes.Length - 2], 10L) :> Layer

    let ofLayers =
        [ for index, (cols, rows) in List.pairwise sizes |> List.truncate (sizes.Length - 2) |> List.indexed ->
              patternOf pattern rows cols sparsity (Seed.child index (Seed.ofInt seed)) ]

    let hidden =
        [ for pattern in ofLayers do
              new SparseLinear(pattern, init = Init.KaimingUniform) :> Layer
              torch.nn.ReLU() :> Layer ]

    torch.nn.Sequential(hidden @ [ last ]), ofLayers |> List.sumBy _.Nnz

/// Training and test images of a folder, by the mean and the deviation of the training's pixels.
let samplesOf (folder: string) : Digits.Samples * Digits.Samples =
    let train, test =
        try
            Digits.Idx.ofFolder folder
        with :? Digits.IdxException as e ->
            eprintfn $"{e.Message}"
            exit 1

    let images (set: Digits.DigitSet) =
        torch.tensor(set.Pixels, dtype = torch.float32).view(-1L, 784L)

    let ofTrain = images train
    let mean, deviation = ofTrain.mean (), ofTrain.std ()

    let samples (set: Digits.DigitSet) (images: torch.Tensor) : Digits.Samples =
        { Images = images.sub_(mean).div_ deviation
          Labels = torch.tensor (set.Labels, dtype = torch.int64) }

    samples train ofTrain, samples test (images test)

/// Data sets by the name of their folder under another: one at a time, that of the runs that come now.
let samplesUnder (folder: string) : string -> Digits.Samples * Digits.Samples =
    let mutable held = None

    fun dataset ->
        match held with
        | Some(name, samples) when name = dataset -> samples
        | _ ->
            held <- None
            let fresh = samplesOf (Path.Combine(folder, dataset))
            held <- Some(dataset, fresh)
            fresh

/// As Linux calls the processor; elsewhere its architecture.
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

/// The number in the middle, of 1 or more.
let median (values: ResizeArray<float>) : float =
    values.Sort()
    values[values.Count / 2]
