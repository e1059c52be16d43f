/// A small GPT of torch's modules, and of sparse blocks.
module SparseFs.Benchmarks.MiniGpt

open SparseFs
open TorchSharp

type Net = torch.nn.Module<torch.Tensor, torch.Tensor>

/// Features, heads, blocks, tokens of a sequence, sequences, characters.
let features, heads, blocks, tokens, batch, characters = 384L, 6L, 6, 128L, 16L, 72L

/// Keys and values of a dense block's earlier tokens.
type DenseCache() =
    let room () =
        torch.empty (1L, heads, tokens, features / heads)

    let keys, values = room (), room ()
    member val Length = 0L with get, set

    /// All of them with those of one more token.
    member c.Append(k: torch.Tensor, v: torch.Tensor) =
        for from, into in [ k, keys; v, values ] do
            into.narrow(2L, c.Length, 1L).copy_ from |> ignore

        c.Length <- c.Length + 1L
        struct (keys.narrow (2L, 0L, c.Length), values.narrow (2L, 0L, c.Length))

/// Two layers with GELU between them.
type DenseFeedForward() as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("DenseFeedForward")
    let linear1 = torch.nn.Linear(features, 4L * features)
    let linear2 = torch.nn.Linear(4L * features, features)
    do this.RegisterComponents()

    override _.forward x =
        linear2.call (torch.nn.functional.gelu (linear1.call x))

/// A block as it is written over torch: one product for queries, keys and values, views around the attention, and some feed-forward part.
type DenseBlock(feedForward: Net) as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("DenseBlock")
    let norm1 = torch.nn.LayerNorm features
    let inProj = torch.nn.Linear(features, 3L * features)
    let outProj = torch.nn.Linear(features, features)
    let norm2 = torch.nn.LayerNorm features
    let ff = feedForward
    do this.RegisterComponents()

    member _.Of(x: torch.Tensor, cache: DenseCache voption) : torch.Tensor =
        let parts =
            inProj.call(norm1.call x).view(x.shape[0], x.shape[1], 3L, heads, features / heads).unbind 2

        let q, k, v =
            parts[0].transpose(1L, 2L), parts[1].transpose(1L, 2L), parts[2].transpose(1L, 2L)

        let struct (k, v) =
            match cache with
            | ValueSome cache -> cache.Append(k, v)
            | ValueNone -> struct (k, v)

        let y =
            torch.nn.functional.scaled_dot_product_attention (q, k, v, is_casual = cache.IsNone)

        let x =
            x.add (outProj.call (y.transpose(1L, 2L).reshape(x.shape[0], x.shape[1], features)))

        x.add (ff.call (norm2.call x))

    override b.forward x = b.Of(x, ValueNone)

/// Embeddings, blocks of whatever kind, a normalization and an output head.
type Gpt(made: Net[]) as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("Gpt")
    let ofTokens = torch.nn.Embedding(characters, features)
    let ofPlaces = torch.nn.Embedding(tokens, features)
    let blocks = torch.nn.ModuleList<Net> made
    let norm = torch.nn.LayerNorm features
    let head = torch.nn.Linear(features, characters, hasBias = false)
    do this.RegisterComponents()

    /// Tokens from one place on, each block as a caller says.
    member _.From(x: torch.Tensor, place: int64, call: int -> torch.Tensor -> torch.Tensor) : torch.Tensor =
        let mutable h =
            ofTokens.call(x).add(ofPlaces.call (torch.arange (place, place + x.shape[1])))

        for index in 0 .. made.Length - 1 do
            h <- call index h

        head.call (norm.call h)

    override m.forward x =
        m.From(x, 0L, (fun index h -> blocks[index].call h))

    interface IDeployable with
        member _.Describe(graph, x) =
            let mutable h =
                graph.AddPositions("ofPlaces", ofPlaces, graph.Call("ofTokens", ofTokens, x))

            for index in 0 .. made.Length - 1 do
                h <- graph.Call($"blocks.{index}", made[index], h)

            graph.Call("head", head, graph.Call("norm", norm, h))

let dense () =
    Array.init blocks (fun _ -> new DenseBlock(new DenseFeedForward()) :> Net)

let sparse (sparsity: float) (topology: int -> int -> int -> Seed -> Connectivity) =
    Array.init blocks (fun i ->
        new SparseTransformerBlock(
            int features,
            int heads,
            sparsity = sparsity,
            seed = Seed.ofInt i,
            topology = topology
        ))

/// Blocks of which the feed-forward part alone is sparse.
let half (sparsity: float) =
    Array.init blocks (fun i ->
        new DenseBlock(new SparseFeedForward(int features, sparsity = sparsity, seed = Seed.ofInt i)) :> Net)
