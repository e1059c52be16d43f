/// Steps of our optimizers beside TorchSharp's, over one parameter and over many, and the bandwidth of a plain loop over as many numbers.
module SparseFs.Benchmarks.OptimizerBenchmark

open System
open System.IO
open System.Numerics
open System.Text.Json
open System.Text.Json.Nodes
open SparseFs
open TorchSharp
open TorchSharp.Modules
open SparseFs.Benchmarks.Timing

/// Parameters whose numbers are ten million together, with gradients.
let private parameters (lengths: int list) : Parameter[] =
    [| for length in lengths do
           let p = new Parameter(torch.randn [| int64 length |])
           p.grad <- torch.randn [| int64 length |]
           p |]

type private Pair =
    {
        Name: string
        /// Bytes of a number that a step reads and writes.
        Bytes: int
        Theirs: Parameter[] -> torch.optim.Optimizer
        Ours: Parameter[] -> torch.optim.Optimizer
    }

let private pairs =
    [ { Name = "AdamW"
        Bytes = 28
        Theirs = fun ps -> torch.optim.AdamW(ps, weight_decay = 0.01)
        Ours = fun ps -> SparseOptim.adamW ps }
      { Name = "Adam"
        Bytes = 28
        Theirs = fun ps -> torch.optim.Adam(ps)
        Ours = fun ps -> SparseOptim.adam ps }
      { Name = "SGD, momentum 0.9"
        Bytes = 20
        Theirs = fun ps -> torch.optim.SGD(ps, 1e-3, momentum = 0.9)
        Ours = fun ps -> SparseOptim.sgd (ps, momentum = 0.9) }
      { Name = "RMSProp"
        Bytes = 20
        Theirs = fun ps -> torch.optim.RMSProp(ps)
        Ours = fun ps -> SparseOptim.rmsProp ps } ]

/// a = b + c · s, as fast as the machine reads and writes.
let private triad (a: float32[]) (b: float32[]) (c: float32[]) =
    let s = Vector<float32> 1e-3f
    let mutable i = 0

    while i <= a.Length - Vector<float32>.Count do
        (Vector<float32>(b, i) + Vector<float32>(c, i) * s).CopyTo(a, i)
        i <- i + Vector<float32>.Count

let private measure (threads: int) (what: string) (lengths: int list) : JsonNode list =
    torch.set_num_threads threads
    let all = List.sum lengths
    let arrays = Array.init 3 (fun _ -> Array.create all 1.0f)

    [ for pair in pairs do
          use _ = torch.NewDisposeScope()
          let theirs, ours = pair.Theirs(parameters lengths), pair.Ours(parameters lengths)

          let contender (name: string) (run: unit -> unit) =
              { Name = name
                Prepare = ignore
                Run = run
                Seconds = 2.0 }

          let times =
              inTurn
                  1_000
                  [ contender "theirs" (fun () -> theirs.step () |> ignore)
                    contender "ours" (fun () -> ours.step () |> ignore)
                    contender "triad" (fun () -> triad arrays[0] arrays[1] arrays[2]) ]

          let before = GC.GetAllocatedBytesForCurrentThread()
          ours.step () |> ignore
          let garbage = GC.GetAllocatedBytesForCurrentThread() - before
          let rate bytes ms = float bytes * float all / ms / 1e6
          let own = rate pair.Bytes times["ours"]
          let plain = rate 12 times["triad"]

          printfn
              $"""{pair.Name, -18} {what}, {threads} threads: TorchSharp %.2f{times["theirs"]} ms, ours %.2f{times["ours"]} ms, %.1f{times["theirs"] / times["ours"]} times as fast; %.1f{own} GB/s, a triad's on one thread %.1f{plain}; {garbage} bytes of garbage"""

          let o = JsonObject()
          o["optimizer"] <- JsonValue.Create pair.Name
          o["parameters"] <- JsonValue.Create what
          o["threads"] <- JsonValue.Create threads
          o["torchsharp_ms"] <- JsonValue.Create(Math.Round(times["theirs"], 3))
          o["sparsefs_ms"] <- JsonValue.Create(Math.Round(times["ours"], 3))
          o["triad_gb_s"] <- JsonValue.Create(Math.Round(plain, 2))
          o["sparsefs_gb_s"] <- JsonValue.Create(Math.Round(own, 2))
          o ]

/// Ten million numbers in one parameter, and in two hundred, with each of so many threads; the rows go to a file.
let run (threads: int list) (path: string) : unit =
    let rows =
        [ for count in threads do
              yield! measure count "10,000,000 in 1" [ 10_000_000 ]
              yield! measure count "10,000,000 in 200" (List.replicate 200 50_000) ]

    match Path.GetDirectoryName path with
    | null -> ()
    | folder -> Directory.CreateDirectory folder |> ignore

    File.WriteAllText(path, JsonArray(Array.ofList rows).ToJsonString(JsonSerializerOptions(WriteIndented = true)))
    printfn $"\nwritten to {path}"
