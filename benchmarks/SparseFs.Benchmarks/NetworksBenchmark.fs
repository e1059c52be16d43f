/// Whole networks beside their dense twins: training steps of a small GPT, of an LSTM and of a GRU, and generation.
module SparseFs.Benchmarks.NetworksBenchmark

open System
open System.IO
open System.Text.Json
open System.Text.Json.Nodes
open SparseFs
open SparseFs.Torch
open TorchSharp
open SparseFs.Benchmarks.MiniGpt
open SparseFs.Benchmarks.Timing

type private Row =
    {
        Network: string
        Op: string
        Sparsity: float
        Threads: int
        SparseFsMs: float
        DenseMs: float
        /// The dense network with our optimizer, where there is one in the step.
        DenseOurOptimizerMs: float voption
        PeakBytes: int64 option
        DensePeakBytes: int64 option
    }

/// A run of many rounds, by seconds.
let private contender (seconds: float) (name: string) (run: unit -> unit) =
    { Name = name
      Prepare = ignore
      Run = run
      Seconds = seconds }

let private show (r: Row) =
    let own =
        match r.DenseOurOptimizerMs with
        | ValueSome ms -> $", with our optimizer %.1f{ms}"
        | ValueNone -> ""

    let mb (bytes: int64 option) =
        match bytes with
        | Some bytes -> $"%.0f{float bytes / 1e6} MB"
        | None -> "?"

    printfn
        $"{r.Network}, {r.Op}, {100.0 * r.Sparsity} %%, {r.Threads} threads: %.1f{r.SparseFsMs} ms, dense %.1f{r.DenseMs}{own}: %.2f{r.DenseMs / r.SparseFsMs} times; {mb r.PeakBytes}, dense {mb r.DensePeakBytes}"

    r

/// A training step of a language model.
let private step (model: Gpt) (optimizer: torch.optim.Optimizer) (x: torch.Tensor) () =
    use _ = torch.NewDisposeScope()
    optimizer.zero_grad ()
    let y = model.call x

    torch.nn.functional.cross_entropy(y.view (-1L, characters), x.view -1L).backward()
    optimizer.step () |> ignore

let private gptRows (threads: int) : Row list =
    let x = torch.randint (0L, characters, [| batch; tokens |])

    let everything (topology: int -> int -> int -> Seed -> Connectivity) sparsity () =
        new Gpt(sparse sparsity topology |> Array.map (fun b -> b :> Net))

    let cases =
        [ for sparsity in [ 0.9; 0.95; 0.99 ] do
              "mini-GPT", sparsity, everything Topology.uniform sparsity
          "mini-GPT, feed-forward only", 0.9, (fun () -> new Gpt(half 0.9))
          for sparsity in [ 0.9; 0.95 ] do
              "mini-GPT, groups of 4", sparsity, everything (Topology.rowGroups 4) sparsity ]

    [ for network, sparsity, make in cases do
          use model = make ()
          use ours = SparseOptim.adamW (model.parameters (), 1e-3)
          use twin = new Gpt(dense ())
          use theirs = torch.optim.AdamW(twin.parameters (), 1e-3)
          use other = new Gpt(dense ())
          use fused = SparseOptim.adamW (other.parameters (), 1e-3)

          let own, dense, denseFused =
              step model ours x, step twin theirs x, step other fused x

          for _ in 1..6 do
              own ()

          let times =
              inTurn
                  1_000
                  [ contender 8.0 "own" own
                    contender 8.0 "dense" dense
                    contender 8.0 "dense, our optimizer" denseFused ]

          show
              { Network = network
                Op = "training step"
                Sparsity = sparsity
                Threads = threads
                SparseFsMs = times["own"]
                DenseMs = times["dense"]
                DenseOurOptimizerMs = ValueSome times["dense, our optimizer"]
                PeakBytes = peakBytes own
                DensePeakBytes = peakBytes dense } ]

/// Forward and backward of a recurrent layer.
let private recurrentRows (threads: int) : Row list =
    let backward (y: torch.Tensor) (g: torch.Tensor) = y.backward ([| g |])

    let row network sparsity (own: unit -> unit) (dense: unit -> unit) =
        for _ in 1..40 do
            own ()

        let times = inTurn 1_000 [ contender 4.0 "own" own; contender 4.0 "dense" dense ]

        show
            { Network = network
              Op = "forward and backward"
              Sparsity = sparsity
              Threads = threads
              SparseFsMs = times["own"]
              DenseMs = times["dense"]
              DenseOurOptimizerMs = ValueNone
              PeakBytes = peakBytes own
              DensePeakBytes = peakBytes dense }

    [ let x, g = torch.randn (64L, 32L, 512L), torch.randn (64L, 32L, 512L)
      use dense = torch.nn.LSTM(512L, 512L, 2L)

      for sparsity in [ 0.9; 0.95; 0.99 ] do
          use lstm =
              new SparseLSTM(512, 512, numLayers = 2, sparsity = sparsity, seed = Seed.ofInt 1)

          row
              "LSTM 2 x 512, batch 32, 64 steps"
              sparsity
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  let struct (y, _, _) = lstm.call x
                  backward y g)
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  let struct (y, _, _) = dense.call x
                  backward y g)

      let x, g = torch.randn (64L, 16L, 512L), torch.randn (64L, 16L, 1024L)
      use dense = torch.nn.GRU(512L, 1024L)

      for sparsity in [ 0.9; 0.95; 0.99 ] do
          use gru = new SparseGRU(512, 1024, sparsity = sparsity, seed = Seed.ofInt 1)

          row
              "GRU 512 -> 1024, batch 16, 64 steps"
              sparsity
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  let struct (y, _) = gru.call x
                  backward y g)
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  let struct (y, _) = dense.call x
                  backward y g) ]

/// Tokens one after the other, up to a whole sequence; the time is a token's.
let private generationRows (threads: int) : Row list =
    use _ = torch.no_grad ()
    let own = sparse 0.9 Topology.uniform
    let model = new Gpt(own |> Array.map (fun b -> b :> Net))
    model.eval ()
    let caches = own |> Array.map (fun _ -> new KeyValueCache(int tokens))
    let theirs = dense ()
    let twin = new Gpt(theirs)
    twin.eval ()
    let token = torch.zeros ([| 1L; 1L |], dtype = torch.ScalarType.Int64)

    let generate (next: int64 -> unit) =
        for place in 0L .. tokens - 1L do
            use _ = torch.NewDisposeScope()
            next place

    let ofOwn () =
        for cache in caches do
            cache.Reset()

        generate (fun place ->
            model.From(token, place, (fun index h -> own[index].call(h, caches[index])))
            |> ignore)

    let ofDense () =
        use _ = torch.NewDisposeScope()
        let caches = theirs |> Array.map (fun _ -> DenseCache())

        generate (fun place ->
            twin.From(token, place, (fun index h -> (theirs[index] :?> DenseBlock).Of(h, ValueSome caches[index])))
            |> ignore)

    let times =
        inTurn 1_000 [ contender 4.0 "own" ofOwn; contender 4.0 "dense" ofDense ]

    let each ms = ms / float tokens

    [ show
          { Network = "mini-GPT"
            Op = "generation, a token"
            Sparsity = 0.9
            Threads = threads
            SparseFsMs = each times["own"]
            DenseMs = each times["dense"]
            DenseOurOptimizerMs = ValueNone
            PeakBytes = None
            DensePeakBytes = None } ]

/// Where the step of the small GPT goes: each operation by itself, as often as the step has it, beside the whole.
let private shares (threads: int) (whole: float) =
    let gradient (shape: int64[]) = torch.randn shape

    let leaf (shape: int64[]) =
        torch.randn (shape, requires_grad = true)

    let times count (run: unit -> unit) = count, run

    let call = AttentionCall.Of(heads, true)

    let packed = leaf [| batch; tokens; 3L * features |]
    let logits = leaf [| batch * tokens; characters |]
    let labels = torch.randint (0L, characters, [| batch * tokens |])

    let x, ofX =
        leaf [| batch; tokens; features |], gradient [| batch; tokens; features |]

    use norm = torch.nn.LayerNorm features
    use output = torch.nn.Linear(features, characters, hasBias = false)
    let ofOutput = gradient [| batch; tokens; characters |]
    use embedding = torch.nn.Embedding(characters, features)
    let words = labels.view (batch, tokens)
    use model = new Gpt(sparse 0.9 Topology.uniform |> Array.map (fun b -> b :> Net))

    for p in model.parameters () do
        p.grad <- torch.zeros_like p

    use optimizer = SparseOptim.adamW (model.parameters (), 1e-3)

    /// Heads split and put together.
    let torchAttention (u: torch.Tensor[]) (dropout: float) : torch.Tensor =
        let y =
            torch.nn.functional.scaled_dot_product_attention (
                u[0].transpose(1L, 2L),
                u[1].transpose(1L, 2L),
                u[2].transpose(1L, 2L),
                p = dropout,
                is_casual = true
            )

        y.transpose(1L, 2L).reshape(batch, tokens, features)

    let parts =
        [ "attention",
          times blocks (fun () ->
              let struct (y, _) = Attention.run call (Packed packed) null 0.0 false
              y.backward ([| ofX |]))
          "loss", times 1 (fun () -> torch.nn.functional.cross_entropy(logits, labels).backward())
          "last norm and head", times 1 (fun () -> output.call(norm.call x).backward([| ofOutput |]))
          "embeddings", times 2 (fun () -> embedding.call(words).backward([| ofX |]))
          "optimizer", times 1 (fun () -> optimizer.step () |> ignore) ]

    /// No parts of the step: what it would have in place of ours, and what dropout would add.
    let beside =
        [ "torch's attention",
          times blocks (fun () ->
              let u = packed.view(batch, tokens, 3L, heads, features / heads).unbind 2
              (torchAttention u 0.0).backward([| ofX |]))
          "attention, 10 % dropped",
          times blocks (fun () ->
              let struct (y, _) = Attention.run call (Packed packed) null 0.1 false
              y.backward ([| ofX |]))
          "torch's, 10 % dropped",
          times blocks (fun () ->
              let u = packed.view(batch, tokens, 3L, heads, features / heads).unbind 2
              (torchAttention u 0.1).backward([| ofX |]))
          "dropout of two outputs a block", times (2 * blocks) (fun () -> (Dropping.apply 0.1 x).backward([| ofX |]))
          "torch's dropout",
          times (2 * blocks) (fun () -> torch.nn.functional.dropout(x, 0.1, true).backward([| ofX |])) ]

    let found =
        inTurn
            1_000
            [ for name, (_, run) in parts @ beside ->
                  contender 1.0 name (fun () ->
                      use _ = torch.NewDisposeScope()
                      run ()) ]

    printfn $"\nWhere a step of mini-GPT at 90 %% goes, {threads} threads, of %.0f{whole} ms:"

    let known =
        [ for name, (count, _) in parts do
              let ms = float count * found[name]
              printfn $"  {name, -40} %6.1f{ms} ms"
              ms ]

    printfn $"""  {"products, norms, GELU, sums", -40} %6.1f{whole - List.sum known} ms"""

    for name, (count, _) in beside do
        printfn $"  beside: {name, -32} %6.1f{float count * found[name]} ms"

/// Every row with each of so many threads, printed and written to a file.
let run (threads: int list) (path: string) : unit =
    let rows =
        [ for count in threads do
              torch.set_num_threads count
              let gpt = gptRows count
              yield! gpt
              shares count gpt.Head.SparseFsMs
              yield! recurrentRows count
              yield! generationRows count ]

    let nodes =
        [| for r in rows do
               let o = JsonObject()
               o["network"] <- JsonValue.Create r.Network
               o["op"] <- JsonValue.Create r.Op
               o["sparsity"] <- JsonValue.Create r.Sparsity
               o["threads"] <- JsonValue.Create r.Threads
               o["sparsefs_ms"] <- JsonValue.Create(Math.Round(r.SparseFsMs, 3))
               o["dense_ms"] <- JsonValue.Create(Math.Round(r.DenseMs, 3))

               match r.DenseOurOptimizerMs with
               | ValueSome ms -> o["dense_our_optimizer_ms"] <- JsonValue.Create(Math.Round(ms, 3))
               | ValueNone -> ()

               for name, bytes in [ "peak_bytes", r.PeakBytes; "dense_peak_bytes", r.DensePeakBytes ] do
                   match bytes with
                   | Some bytes -> o[name] <- JsonValue.Create bytes
                   | None -> ()

               o :> JsonNode |]

    match Path.GetDirectoryName path with
    | null -> ()
    | folder -> Directory.CreateDirectory folder |> ignore

    File.WriteAllText(path, JsonArray(nodes).ToJsonString(JsonSerializerOptions(WriteIndented = true)))
    printfn $"\nwritten to {path}"
