// Character models of a text, dense and sparse, that language-runs.fsx trains.
#r "../artifacts/bin/SparseFs/release/TorchSharp.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.Core.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.dll"
#r "../artifacts/bin/SparseFs.Deploy/release/SparseFs.Inference.dll"
#r "../artifacts/bin/SparseFs.Deploy/release/SparseFs.Deploy.dll"

open System
open System.IO
open System.IO.Compression
open SparseFs
open TorchSharp
open TorchSharp.Modules

type Net = torch.nn.Module<torch.Tensor, torch.Tensor>

/// A text as numbers, and how many characters there are.
type Text =
    { Training: torch.Tensor
      Validation: torch.Tensor
      Characters: int64 }

/// The last tenth is for validation, as in nanoGPT's example of characters.
let readText (path: string) : Text =
    use file = File.OpenRead path
    use stream = new GZipStream(file, CompressionMode.Decompress)
    use reader = new StreamReader(stream)
    let text = reader.ReadToEnd()
    let alphabet = text |> Seq.distinct |> Seq.sort |> Array.ofSeq
    let numberOf = dict (alphabet |> Seq.mapi (fun i c -> c, int64 i))
    let numbers = torch.tensor (text |> Seq.map (fun c -> numberOf[c]) |> Array.ofSeq)
    let size = numbers.shape[0]
    let cut = size * 9L / 10L

    { Training = numbers.narrow (0L, 0L, cut)
      Validation = numbers.narrow (0L, cut, size - cut)
      Characters = int64 alphabet.Length }

/// Sequences that begin at places of the text, [batch, length], and what comes next in each.
let sequences (source: torch.Tensor) (starts: int64[]) (length: int64) : struct (torch.Tensor * torch.Tensor) =
    let at (offset: int64) =
        torch.stack [| for start in starts -> source.narrow (0L, start + offset, length) |]

    struct (at 0L, at 1L)

/// Sizes of a GPT.
type Sizes =
    { Blocks: int
      Features: int64
      Heads: int64
      Context: int64 }

/// A block of torch's modules, with one product for queries, keys and values.
type DenseBlock(features: int64, heads: int64) as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("DenseBlock")
    let norm1 = torch.nn.LayerNorm features
    let inProj = torch.nn.Linear(features, 3L * features)
    let outProj = torch.nn.Linear(features, features)
    let norm2 = torch.nn.LayerNorm features
    let linear1 = torch.nn.Linear(features, 4L * features)
    let linear2 = torch.nn.Linear(4L * features, features)
    do this.RegisterComponents()

    override _.forward x =
        let parts =
            inProj.call(norm1.call x).view(x.shape[0], x.shape[1], 3L, heads, features / heads).unbind 2

        let y =
            torch.nn.functional.scaled_dot_product_attention (
                parts[0].transpose(1L, 2L),
                parts[1].transpose(1L, 2L),
                parts[2].transpose(1L, 2L),
                is_casual = true
            )

        let x =
            x.add (outProj.call (y.transpose(1L, 2L).reshape(x.shape[0], x.shape[1], features)))

        x.add (linear2.call (torch.nn.functional.gelu (linear1.call (norm2.call x))))

type Gpt(sizes: Sizes, characters: int64, made: Net[]) as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("Gpt")
    let ofCharacters = torch.nn.Embedding(characters, sizes.Features)
    let ofPlaces = torch.nn.Embedding(sizes.Context, sizes.Features)
    let blocks = torch.nn.ModuleList<Net> made
    let norm = torch.nn.LayerNorm sizes.Features
    let head = torch.nn.Linear(sizes.Features, characters, hasBias = false)
    do this.RegisterComponents()

    member _.Head = head

    override _.forward x =
        let mutable h = ofCharacters.call(x).add(ofPlaces.call (torch.arange x.shape[1]))

        for block in blocks do
            h <- block.call h

        head.call (norm.call h)

    interface IDeployable with
        member _.Describe(graph, x) =
            let h =
                graph.AddPositions("ofPlaces", ofPlaces, graph.Call("ofCharacters", ofCharacters, x))

            let mutable h = h

            for i in 0 .. sizes.Blocks - 1 do
                h <- graph.Call($"blocks.{i}", blocks[i], h)

            graph.Call("head", head, graph.Call("norm", norm, h))

/// All weights of linear layers begin as nanoGPT's do, at a standard deviation of 0.02, and sparse ones at that over the root of their density: each
/// output then begins at the dense one's scale.
let initialize (blocks: int) (model: torch.nn.Module) : unit =
    use _ = torch.no_grad ()

    for struct (name, m) in model.named_modules () do
        // What is added to the residual stream begins smaller the more of it there is.
        let part =
            if name.EndsWith "out_proj" || name.EndsWith "outProj" || name.EndsWith "linear2" then
                1.0 / sqrt (2.0 * float blocks)
            else
                1.0

        match m with
        | :? Linear as l ->
            l.weight.normal_ (0.0, 0.02 * part) |> ignore

            if not (isNull l.bias) then
                l.bias.zero_ () |> ignore
        | :? Embedding as e -> e.weight.normal_ (0.0, 0.02) |> ignore
        | :? SparseLinear as l ->
            l.weight.normal_ (0.0, 0.02 * part / sqrt (1.0 - l.Connectivity.Sparsity))
            |> ignore

            if not (isNull l.bias) then
                l.bias.zero_ () |> ignore
        | _ -> ()

/// Recurrent layers over characters.
type CharLstm(characters: int64, features: int64, lstm: torch.nn.Module, call: torch.Tensor -> torch.Tensor) as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("CharLstm")
    let ofCharacters = torch.nn.Embedding(characters, features)
    let head = torch.nn.Linear(features, characters)

    do
        // No member uses it but through the call, so that no field holds it.
        this.register_module ("lstm", lstm)
        this.RegisterComponents()

    override _.forward x = head.call (call (ofCharacters.call x))
