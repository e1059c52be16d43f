// A character-level GPT of sparse blocks on any text file: trains with a progress bar, saves, goes on where it stopped, and writes text.
// After one build of everything (dotnet fsi build.fsx check):
// dotnet fsi examples/chargpt.fsx book.txt                  # or book.txt.gz; 2,000 steps, some minutes
// dotnet fsi examples/chargpt.fsx book.txt --steps 4000     # goes on from chargpt.safetensors
// dotnet fsi examples/chargpt.fsx book.txt --steps 0 --write 500
#r "../artifacts/bin/Digits/release/Argu.dll"
#r "../artifacts/bin/Digits/release/Spectre.Console.dll"
#r "../artifacts/bin/Digits/release/Spectre.Console.Ansi.dll"
#r "../artifacts/bin/SparseFs/release/TorchSharp.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.Core.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.dll"

open System
open System.IO
open System.IO.Compression
open Argu
open Spectre.Console
open SparseFs
open TorchSharp

type Arguments =
    | [<MainCommand; Mandatory>] Text of path: string
    | Steps of int
    | Seconds of float
    | Threads of int
    | Blocks of int
    | Features of int
    | Heads of int
    | Context of int
    | Batch of int
    | Sparsity of float
    | Rate of float
    | Rewire
    | Dense_Feed_Forward
    | Save of path: string
    | Write of characters: int

    interface IArgParserTemplate with
        member a.Usage =
            match a with
            | Text _ -> "the text to learn, plain or .gz; its last tenth is for validation"
            | Steps _ -> "steps of training in all (2000)"
            | Seconds _ -> "of training at the most, after which the run is saved (no end)"
            | Threads _ -> "(as many as the processor has cores)"
            | Blocks _ -> "blocks (4)"
            | Features _ -> "features of a character (128)"
            | Heads _ -> "heads of each attention (4)"
            | Context _ -> "characters that the model sees (64)"
            | Batch _ -> "sequences of a step (12)"
            | Sparsity _ -> "the part of the weights that do not exist (0.9)"
            | Rate _ -> "learning rate (0.001)"
            | Rewire -> "rewire the weights by RigL while they learn"
            | Dense_Feed_Forward -> "sparsity 0 for the feed-forward parts"
            | Save _ -> "where the run is saved, and from where it goes on (chargpt.safetensors)"
            | Write _ -> "characters to write at the end (300)"

let given =
    let parser =
        ArgumentParser.Create<Arguments>(programName = "dotnet fsi examples/chargpt.fsx")

    try
        parser.Parse(Array.tail fsi.CommandLineArgs)
    with :? ArguParseException as e ->
        eprintfn $"{e.Message}"
        exit 1

let context, batch =
    int64 (given.GetResult(Context, 64)), given.GetResult(Batch, 12)

let features, sparsity =
    given.GetResult(Features, 128), given.GetResult(Sparsity, 0.9)

let text =
    let path = given.GetResult Text
    use file = File.OpenRead path

    use stream: Stream =
        if path.EndsWith ".gz" then
            new GZipStream(file, CompressionMode.Decompress)
        else
            file

    use reader = new StreamReader(stream)
    reader.ReadToEnd()

let alphabet = text |> Seq.distinct |> Seq.sort |> Array.ofSeq
let numberOf = dict (alphabet |> Seq.mapi (fun i c -> c, int64 i))
let numbers = torch.tensor (text |> Seq.map (fun c -> numberOf[c]) |> Array.ofSeq)
let size = numbers.shape[0]

if size < 20L * (context + 1L) then
    eprintfn
        $"expected a text of {20L * (context + 1L)} characters or more, got {size}: take a longer one, or a smaller --context"

    exit 1

let training, validation =
    numbers.narrow (0L, 0L, size * 9L / 10L), numbers.narrow (0L, size * 9L / 10L, size - size * 9L / 10L)

type Gpt(blocks: SparseTransformerBlock[]) as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("Gpt")
    let characters = torch.nn.Embedding(int64 alphabet.Length, int64 features)
    let places = torch.nn.Embedding(context, int64 features)
    let blocks = torch.nn.ModuleList<SparseTransformerBlock> blocks
    let norm = torch.nn.LayerNorm(int64 features)
    let head = torch.nn.Linear(int64 features, int64 alphabet.Length, hasBias = false)
    do this.RegisterComponents()

    member _.Through(x: torch.Tensor, place: int64, call: SparseTransformerBlock -> torch.Tensor -> torch.Tensor) =
        let mutable h =
            characters.call(x).add(places.call (torch.arange (place, place + x.shape[1])))

        for block in blocks do
            h <- call block h

        head.call (norm.call h)

    override m.forward x =
        m.Through(x, 0L, (fun block h -> block.call h))

torch.manual_seed 0L |> ignore
given.TryGetResult Threads |> Option.iter torch.set_num_threads

let blocks =
    Array.init (given.GetResult(Blocks, 4)) (fun i ->
        new SparseTransformerBlock(
            features,
            given.GetResult(Heads, 4),
            sparsity = sparsity,
            feedForwardSparsity = (if given.Contains Dense_Feed_Forward then 0.0 else sparsity),
            seed = Seed.ofInt i
        ))

let model = new Gpt(blocks)
let optimizer = SparseOptim.adamW (model.parameters (), given.GetResult(Rate, 1e-3))
let steps = int64 (given.GetResult(Steps, 2000))

let rewirer =
    if given.Contains Rewire then
        ValueSome(new Rewirer(model, optimizer, Policy.rigL (Schedule.cosine 0.3 100L (max 1L (steps * 3L / 4L)))))
    else
        ValueNone

/// Sequences and, one character on, what comes next, drawn by a step's number: a run that goes on sees what it would have seen.
let sequences (source: torch.Tensor) (step: int64) =
    let random = Random(int step)
    let starts = Array.init batch (fun _ -> random.NextInt64(source.shape[0] - context))

    let at (offset: int64) =
        torch.stack ([| for start in starts -> source.narrow (0L, start + offset, context) |], 0L)

    at 0L, at 1L

let lossOf (source: torch.Tensor) (step: int64) =
    let x, y = sequences source step
    torch.nn.functional.cross_entropy ((model.call x).view(-1L, int64 alphabet.Length), y.view -1L)

let validate () =
    use _ = torch.no_grad ()
    model.eval ()

    let loss =
        List.average
            [ for batch in 1L .. 20L ->
                  use _ = torch.NewDisposeScope()
                  float ((lossOf validation -batch).item<float32>()) ]

    model.train ()
    loss

let save = given.GetResult(Save, "chargpt.safetensors")

let first =
    if File.Exists save then
        let run = Checkpoint.resume save model optimizer rewirer
        printfn $"goes on from {save}, step {run.Step}"
        run.Step + 1L
    else
        1L

let slots =
    blocks
    |> Seq.sumBy (fun b ->
        [ b.attn.in_proj; b.attn.out_proj; b.ff.linear1; b.ff.linear2 ]
        |> Seq.sumBy (fun l -> int64 l.Connectivity.Nnz))

let parameters = model.parameters () |> Seq.sumBy (fun p -> p.numel ())

printfn
    $"{size} characters, {alphabet.Length} of them different; {parameters} parameters, {slots} of them weights of sparse layers"

/// The last step that was taken.
let mutable done' = first - 1L

if first <= steps then
    AnsiConsole
        .Progress()
        .Columns(TaskDescriptionColumn(), ProgressBarColumn(), PercentageColumn(), RemainingTimeColumn())
        .Start(fun progress ->
            let bar = progress.AddTask("training", maxValue = float steps)
            bar.Increment(float (first - 1L))
            let mutable recent = nan

            let watch = Diagnostics.Stopwatch.StartNew()
            let seconds = given.GetResult(Seconds, infinity)
            let mutable step = first

            while step <= steps do
                use _ = torch.NewDisposeScope()
                optimizer.zero_grad ()
                let loss = lossOf training step
                SparseOps.backward loss

                match rewirer with
                | ValueSome rewirer -> rewirer.Step() |> ignore
                | ValueNone -> optimizer.step () |> ignore

                let now = float (loss.item<float32>())

                recent <-
                    if Double.IsNaN recent then
                        now
                    else
                        0.95 * recent + 0.05 * now

                let elapsed = watch.Elapsed.TotalSeconds
                let isLast = step = steps || elapsed >= seconds
                bar.Description <- $"loss %.3f{recent}"
                // By steps or by seconds, whatever ends first.
                bar.Value <- float steps * max (float step / float steps) (min 1.0 (elapsed / seconds))

                if step % 500L = 0L || isLast then
                    Checkpoint.saveTraining
                        { Step = step
                          Seed = Seed.ofInt 0
                          Notes = Map.empty<string, string> }
                        save
                        model
                        optimizer
                        rewirer

                done' <- step
                step <- if isLast then Int64.MaxValue else step + 1L)

    printfn $"step {done'}: validation loss %.3f{validate ()}; saved in {save}"

/// One character after the other, each drawn by its probability. What is beyond the context is forgotten.
let write (count: int) =
    use _ = torch.no_grad ()
    model.eval ()
    let random = Random 1
    let mutable written = "\n"
    let caches = blocks |> Array.map (fun _ -> new KeyValueCache(int context))

    for _ in 1..count do
        use _ = torch.NewDisposeScope()

        // A full cache begins anew with the last half of what it held.
        let fresh =
            if int64 caches[0].Length < context then
                written[written.Length - 1 ..]
            else
                for cache in caches do
                    cache.Reset()

                written[written.Length - int context / 2 ..]

        let x =
            torch
                .tensor(
                    [| for c in fresh ->
                           (match numberOf.TryGetValue c with
                            | true, n -> n
                            | _ -> 0L) |]
                )
                .view(1L, -1L)

        let place = int64 caches[0].Length
        let mutable index = -1

        let scores =
            model.Through(
                x,
                place,
                (fun block h ->
                    index <- index + 1
                    block.call (h, caches[index]))
            )

        let parts = scores.select(1L, -1L).softmax(-1L).view(-1L).data<float32>().ToArray()
        let mutable left = random.NextSingle()
        let mutable next = 0

        while next < parts.Length - 1 && left >= parts[next] do
            left <- left - parts[next]
            next <- next + 1

        written <- written + string alphabet[next]

    for cache in caches do
        (cache :> IDisposable).Dispose()

    written.Substring 1

let count = given.GetResult(Write, 300)

if count > 0 then
    printfn $"\n{write count}"
