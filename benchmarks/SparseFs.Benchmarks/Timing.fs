/// Medians of alternated runs: this is how two things are compared on a machine that others share.
module SparseFs.Benchmarks.Timing

open System
open System.Diagnostics
open System.IO
open System.Runtime.InteropServices

type Contender =
    {
        Name: string
        /// Runs before each timed run, untimed.
        Prepare: unit -> unit
        Run: unit -> unit
        /// After so many it sits out, so a slow one has few runs.
        Seconds: float
    }

let median (times: ResizeArray<float>) =
    times.Sort()
    times[times.Count / 2]

/// <summary>Runs all contenders in turn, round after round, and gives the median of each in milliseconds.</summary>
/// <remarks>Two whole rounds warm up, one where that alone would use up most of the time.</remarks>
let inTurn (rounds: int) (contenders: Contender list) : Map<string, float> =
    let times = contenders |> List.map (fun c -> c, ResizeArray<float>())

    let time (c: Contender) =
        c.Prepare()
        let watch = Stopwatch.StartNew()
        c.Run()
        watch.Elapsed.TotalMilliseconds

    let budget (c: Contender) = 1000.0 * c.Seconds

    let first =
        Map.ofList
            [ for c in contenders do
                  let once = time c
                  c.Name, (if once < budget c / 4.0 then time c else once) ]

    for _ in 1..rounds do
        for c, past in times do
            if past.Count = 0 || Seq.sum past + first[c.Name] < budget c then
                past.Add(time c)

    Map.ofList [ for c, past in times -> c.Name, median past ]

let private status (key: string) : int64 option =
    let file = "/proc/self/status"

    if File.Exists file then
        File.ReadLines file
        |> Seq.tryFind (fun line -> line.StartsWith(key, StringComparison.Ordinal))
        |> Option.map (fun line ->
            1024L
            * Int64.Parse(line.Split([| ' '; '\t' |], StringSplitOptions.RemoveEmptyEntries)[1]))
    else
        None

[<DllImport("libc", EntryPoint = "malloc_trim")>]
extern int private trim(unativeint pad)

/// Gives back to the system what earlier work has freed, so that what comes next shows.
let private giveBack () =
    GC.Collect()
    GC.WaitForPendingFinalizers()
    GC.Collect(2, GCCollectionMode.Aggressive, blocking = true, compacting = true) // the only mode that decommits all

    try
        trim 0un |> ignore
    with
    | :? DllNotFoundException
    | :? EntryPointNotFoundException -> () // not glibc

/// The most bytes that the process holds while body runs; none where the system does not say (it is Linux that does).
let peakBytes (body: unit -> unit) : int64 option =
    giveBack ()

    if File.Exists "/proc/self/clear_refs" then
        File.WriteAllText("/proc/self/clear_refs", "5") // resets VmHWM to what is held now

    body ()
    status "VmHWM:"

/// Bytes for a reader.
let inWords (bytes: int64 option) : string =
    match bytes with
    | Some bytes when bytes >= 1_000_000_000L -> $"{float bytes / 1e9:F2} GB"
    | Some bytes -> $"{float bytes / 1e6:F0} MB"
    | None -> "unknown"

/// As peakBytes, beyond what is held when body starts.
let extraPeakBytes (body: unit -> unit) : int64 option =
    giveBack ()
    let before = status "VmRSS:"
    peakBytes body |> Option.map2 (fun before peak -> max 0L (peak - before)) before
