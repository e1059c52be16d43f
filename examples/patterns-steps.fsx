// The time of a training step of every network, sparsity and pattern of patterns-runs.fsx, all patterns of a network in turn, on
// a machine that does nothing else. After one build (dotnet fsi build.fsx check), in a minute:
//   dotnet fsi examples/patterns-steps.fsx [THREADS] [FILE]
// It writes docs/results/patterns-steps.jsonl if no file is named, a pattern a line.
#load "patterns-networks.fsx"

open System
open System.Diagnostics
open System.IO
open System.Text.Json.Nodes
open TorchSharp
open ``Patterns-networks``

let threads, path =
    let usual =
        Path.Combine(__SOURCE_DIRECTORY__, "..", "docs", "results", "patterns-steps.jsonl")

    match List.tail (List.ofArray fsi.CommandLineArgs) with
    | [] -> 1, usual
    | [ threads ] -> int threads, usual
    | [ threads; path ] -> int threads, path
    | _ ->
        eprintfn "dotnet fsi examples/patterns-steps.fsx [THREADS] [FILE]"
        exit 1

torch.set_num_threads threads
torch.manual_seed 1L |> ignore
let x = torch.randn (int64 batch, 784L)
let y = torch.randint (10L, [| int64 batch |])

/// A training step of a new network, on the same batch each time.
let stepOf (network: string) (sparsity: float) (pattern: string) : unit -> unit =
    let model, _ = networkOf network sparsity pattern 1
    let optimizer = optimizerOf model

    fun () ->
        use _ = torch.NewDisposeScope()
        optimizer.zero_grad ()
        torch.nn.functional.cross_entropy(model.call x, y).backward()
        optimizer.step () |> ignore

/// Medians in ms of steps in turn, each right after another of the same network, which brings its weights into the caches.
let stepTimes (network: string) (sparsity: float) : (string * float) list =
    use _ = torch.NewDisposeScope()

    let all =
        [ for pattern in patterns -> pattern, stepOf network sparsity pattern, ResizeArray<float>() ]

    for round in 1..70 do
        for _, step, times in all do
            step ()
            let start = Stopwatch.GetTimestamp()
            step ()

            // The first rounds compile and make the transposes.
            if round > 10 then
                times.Add (Stopwatch.GetElapsedTime start).TotalMilliseconds

    [ for pattern, _, times in all -> pattern, median times ]

let lines =
    [ for network in networks do
          for sparsity in sparsities network do
              let times = stepTimes network sparsity

              let shown =
                  times
                  |> List.map (fun (pattern, ms) -> $"{pattern} %.2f{ms}")
                  |> String.concat ", "

              printfn $"{network}, {100.0 * sparsity} %%, ms a step: {shown}"

              for pattern, ms in times do
                  let o = JsonObject()
                  o["network"] <- JsonValue.Create network
                  o["sparsity"] <- JsonValue.Create sparsity
                  o["pattern"] <- JsonValue.Create pattern
                  o["step_ms"] <- JsonValue.Create(Math.Round(ms, 4))
                  o["threads"] <- JsonValue.Create threads
                  o["processor"] <- JsonValue.Create processor
                  o.ToJsonString() ]

File.WriteAllLines(path, lines)
