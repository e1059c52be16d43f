/// Works side by side, each on a thread of its own.
module SparseFs.Stress.Threads

open System
open System.Collections.Generic
open System.Diagnostics
open System.Runtime.InteropServices
open System.Threading
open SparseFs
open SparseFs.Stress.World

/// What the scenario of this process has done so far.
type Counts = { Calls: int64; Refusals: int64 }

let mutable private calls = 0L
let mutable private refusals = 0L

let counts () : Counts =
    { Calls = Interlocked.Read &calls
      Refusals = Interlocked.Read &refusals }

let private watch = Stopwatch.StartNew()

/// A scenario's calls end after this many seconds, which is a failure.
let mutable secondsAtMost = 100.0

let private isLate () =
    watch.Elapsed.TotalSeconds > secondsAtMost

/// Whether TorchSharp raised it, or a collection that TorchSharp asked.
let private isOfTorchSharp (e: exn) =
    StackTrace(e).GetFrames()
    |> Seq.choose (fun frame -> Option.ofObj (frame.GetMethod()))
    |> Seq.choose (fun called -> Option.ofObj called.DeclaringType)
    |> Seq.choose (fun owner -> Option.ofObj (owner.Assembly.GetName().Name))
    |> Seq.tryFind (fun assembly -> not (assembly.StartsWith "System."))
    |> Option.exists (fun assembly -> assembly = "TorchSharp")

/// Words by which a call says that the layer is not what it was, where it may say so.
let private isRefusal (w: World) (e: exn) =
    w.MayRefuse
    && (match e with
        | :? ObjectDisposedException
        | :? InvalidOperationException
        | :? ArgumentException
        | :? CheckpointException -> e.Message <> ""
        // libtorch's, and TorchSharp's own: of a parameter that is gone, of an optimizer whose parameter was exchanged by .to
        | :? ExternalException
        | :? NullReferenceException
        | :? KeyNotFoundException -> isOfTorchSharp e
        | _ -> false)

let private firstLine (text: string) = (text.Split '\n')[0] |> _.TrimEnd()

/// <summary>Runs works at once, each so many times, and waits for all.</summary>
/// <returns>What went wrong, with the work's name.</returns>
let together (w: World) (works: (string * int * (int -> unit)) list) : string list =
    let failures = ResizeArray<string>()

    let fail (text: string) =
        lock failures (fun () -> failures.Add text)

    use start = new ManualResetEventSlim(false)

    let run (name: string) (count: int) (work: int -> unit) () =
        start.Wait()
        let mutable i = 0

        while i < count && not (isLate ()) do
            try
                work i
            with e ->
                if isRefusal w e then
                    Interlocked.Increment &refusals |> ignore
                else
                    fail $"{name}: {e.GetType().Name}: {firstLine e.Message}"

            Interlocked.Increment &calls |> ignore
            i <- i + 1

        if i < count then
            fail $"{name}: {i} of {count} calls in the time that there is"

    let threads =
        [ for name, count, work in works -> Thread(run name count work, IsBackground = true) ]

    threads |> List.iter _.Start()
    start.Set()

    // A thread that waits for ever is a failure, not a program that never ends.
    for thread, (name, _, _) in List.zip threads works do
        if not (thread.Join(TimeSpan.FromSeconds(secondsAtMost + 10.0))) then
            fail $"{name}: hangs"

    List.ofSeq failures
