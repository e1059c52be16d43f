/// Layers whose weights say which version and cell they belong to, so that one output shows every mixture.
module SparseFs.Stress.Coded

open System
open System.Collections.Generic
open SparseFs
open TorchSharp
open TorchSharp.Modules

[<Literal>]
let Rows = 24

[<Literal>]
let Cols = 20

[<Literal>]
let Nnz = 96

/// Slots of the versions that are not of the same size.
[<Literal>]
let Fewer = 76

/// Versions of each size.
[<Literal>]
let Versions = 5

/// A whole number from 4,096 to 25,000: exact in float32, and so is a sum of a column's.
let weightAt (version: int) (row: int) (col: int) : float32 =
    float32 ((version + 1) * 4096 + row * 64 + col)

/// Less than any weight, and exact beside one.
let biasOf (version: int) : float32 = float32 (version + 1) / 8.0f

let patternOf (nnz: int) (version: int) : Connectivity =
    Topology.uniform Rows Cols nnz (Seed.ofInt (version + 1))

let weightsOf (version: int) (c: Connectivity) : float32[] =
    let rowOf = Connectivity.rowIndices c
    Array.init c.Nnz (fun slot -> weightAt version rowOf[slot] c.ColIdx[slot])

/// The layer's bias, which all layers here have.
let biasOfLayer (layer: SparseLinear) : Parameter =
    match layer.bias with
    | null -> failwith "expected a layer with a bias, got one without"
    | bias -> bias

/// Gives a layer the weights of a version for the cells that it has.
let fill (version: int) (layer: SparseLinear) =
    use _ = torch.no_grad ()
    use _ = torch.NewDisposeScope()

    layer.weight.copy_ (torch.tensor(weightsOf version layer.Connectivity).to_type layer.weight.dtype)
    |> ignore

    (biasOfLayer layer).fill_((biasOf version).ToScalar()) |> ignore

let layerOf (nnz: int) (version: int) : SparseLinear =
    let layer = new SparseLinear(patternOf nnz version)
    fill version layer
    layer

let copyOfState (m: torch.nn.Module) : Dictionary<string, torch.Tensor> =
    let copy = Dictionary<string, torch.Tensor>()

    for entry in m.state_dict () do
        copy[entry.Key] <- entry.Value.detach().clone()

    copy

let numbers (t: torch.Tensor) : float32[] =
    t.detach().cpu().contiguous().data<float32>().ToArray()

/// The input by whose product every weight shows: sample i is 1 at column i.
let probe () : torch.Tensor = torch.eye (int64 Cols)

/// The output [Cols, Rows] for the probe.
let outputBy (c: Connectivity) (weights: float32[]) (bias: float32) : float32[] =
    let y = Array.create (Cols * Rows) bias
    let rowOf = Connectivity.rowIndices c

    for slot in 0 .. c.Nnz - 1 do
        y[c.ColIdx[slot] * Rows + rowOf[slot]] <- weights[slot] + bias

    y

let outputOf (nnz: int) (version: int) : float32[] =
    let c = patternOf nnz version
    outputBy c (weightsOf version c) (biasOf version)

/// What another thread may meet.
[<RequireQualifiedAccess>]
type Promise =
    /// Everything as some version has it, to the bit.
    | OneVersion
    /// Weights of some version in their own cells, others being 0: what rewiring makes of it.
    | OwnCells
    /// The cells of some version, with any numbers.
    | OnePattern
    /// Anything.
    | Nothing

let private outputs =
    [| for nnz in [ Nnz; Fewer ] do
           for version in 0 .. Versions - 1 -> outputOf nnz version |]

/// Whether there is a weight, which is more than any bias.
let private isWeight (value: float32) = abs value > 64.0f

let private cells = outputs |> Array.map (Array.map isWeight)

let private isOwnCells (y: float32[]) (version: int) =
    let bias = biasOf version

    y
    |> Seq.indexed
    |> Seq.forall (fun (i, value) -> value = bias || value = weightAt version (i % Rows) (i / Rows) + bias)

/// What is wrong with an output [Cols, Rows] for the probe.
let wrong (promise: Promise) (y: float32[]) : string voption =
    let isRight =
        match promise with
        | Promise.OneVersion ->
            outputs
            |> Array.exists (fun output -> output.AsSpan().SequenceEqual(y.AsSpan()))
        | Promise.OwnCells -> Seq.exists (isOwnCells y) (seq { 0 .. Versions - 1 })
        | Promise.OnePattern ->
            let found = Array.map isWeight y

            cells
            |> Array.exists (fun cells -> cells.AsSpan().SequenceEqual(found.AsSpan()))
        | Promise.Nothing -> true

    if isRight then
        ValueNone
    else
        let weights = y |> Array.filter isWeight
        let first = String.Join(" ", Array.truncate 3 weights)
        ValueSome $"no version has these {weights.Length} weights: {first} ..."
