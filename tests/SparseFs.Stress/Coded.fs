/// Layers whose weights say which version and which cell they belong to, so that one output shows every mixture.
module SparseFs.Stress.Coded

open System
open System.Collections.Generic
open SparseFs
open TorchSharp

[<Literal>]
let Rows = 24

[<Literal>]
let Cols = 20

[<Literal>]
let Nnz = 96

/// Versions that there are; whole numbers below 2^24 are exact in float32, and so are their sums.
[<Literal>]
let Versions = 5

let weightAt (version: int) (row: int) (col: int) : float32 =
    float32 ((version + 1) * 4096 + row * 64 + col)

let biasOf (version: int) : float32 = float32 (version + 1) / 8.0f

let patternOf (nnz: int) (version: int) =
    Topology.uniform Rows Cols nnz (Seed.ofInt (version + 1))

let weightsOf (version: int) (c: Connectivity) : float32[] =
    let rowOf = Connectivity.rowIndices c
    Array.init c.Nnz (fun slot -> weightAt version rowOf[slot] c.ColIdx[slot])

/// Gives a layer that nobody else uses the weights of a version.
let fill (version: int) (layer: SparseLinear) =
    use _ = torch.no_grad ()
    use _ = torch.NewDisposeScope()

    layer.weight.copy_ (torch.tensor(weightsOf version layer.Connectivity).to_type layer.weight.dtype)
    |> ignore

    layer.bias.fill_ ((biasOf version).ToScalar()) |> ignore

let layerOf (nnz: int) (version: int) : SparseLinear =
    let layer = new SparseLinear(patternOf nnz version)
    fill version layer
    layer

let copyOfState (m: torch.nn.Module) : Dictionary<string, torch.Tensor> =
    let copy = Dictionary<string, torch.Tensor>()

    for entry in m.state_dict () do
        copy[entry.Key] <- entry.Value.detach().clone()

    copy

/// The input by whose product every weight shows: one sample a column.
let probe () : torch.Tensor = torch.eye (int64 Cols)

/// What is wrong with an output [Cols, Rows] for the probe: weights of cells that they do not belong to, of several
/// versions, or with another version's bias. Slots whose weight is 0 are not seen.
let wrong (y: float32[]) : string voption =
    let tryVersion (version: int) =
        let bias = biasOf version

        y
        |> Array.indexed
        |> Array.tryFind (fun (i, value) -> value <> bias && value <> weightAt version (i % Rows) (i / Rows) + bias)

    let misfits = [ for version in 0 .. Versions - 1 -> tryVersion version ]

    if List.exists Option.isNone misfits then
        ValueNone
    else
        let values = y |> Array.filter (fun value -> value > 64.0f) |> Array.truncate 3
        ValueSome(String.Join(" ", values))

/// As wrong, of the matrix [Rows, Cols] itself.
let wrongMatrix (w: float32[]) : string voption =
    let fits (version: int) =
        w
        |> Array.indexed
        |> Array.forall (fun (i, value) -> value = 0.0f || value = weightAt version (i / Cols) (i % Cols))

    if Seq.exists fits (seq { 0 .. Versions - 1 }) then
        ValueNone
    else
        ValueSome "a matrix of several versions"

let numbers (t: torch.Tensor) : float32[] =
    t.detach().cpu().contiguous().data<float32>().ToArray()
