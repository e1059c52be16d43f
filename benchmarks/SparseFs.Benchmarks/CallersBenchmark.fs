/// One model for many callers: requests of several threads at once, without gradients.
module SparseFs.Benchmarks.CallersBenchmark

open System
open System.Diagnostics
open System.Threading
open SparseFs
open TorchSharp

/// What a caller asks of one layer: in, out, samples, sparsity.
let private requests =
    [ 784, 2000, 64, 0.9
      1024, 1024, 16, 0.9
      1024, 1024, 256, 0.9
      4096, 4096, 16, 0.95
      384, 1536, 256, 0.9 ]

/// A layer and its input.
type private Request =
    { Name: string
      Layer: Baselines.Layer
      X: torch.Tensor }

let private answer (r: Request) =
    use _ = torch.NewDisposeScope()
    use _ = torch.no_grad ()
    r.Layer.call r.X |> ignore

type private Outcome =
    {
        PerSecond: float
        /// Processors that the process keeps busy.
        Busy: float
        /// By request: milliseconds, rising.
        Latencies: Map<string, float[]>
        /// Threads of the process, at most.
        Threads: int
        /// Milliseconds that the process computes from 5 to 105 milliseconds after the last call.
        After: float
    }

let private measure (requests: Request[]) (callers: int) (seconds: float) : Outcome =
    let own = Process.GetCurrentProcess()
    let clock = Stopwatch.StartNew()
    let isOver () = clock.Elapsed.TotalSeconds > seconds

    let call (caller: int) =
        let times = ResizeArray<struct (int * float)>()
        let mutable next = caller

        while not (isOver ()) do
            let which = next % requests.Length
            let before = clock.Elapsed.TotalMilliseconds
            answer requests[which]
            times.Add(struct (which, clock.Elapsed.TotalMilliseconds - before))
            next <- next + 1

        times

    let times = Array.create callers (ResizeArray())

    let threads =
        [ for caller in 0 .. callers - 1 -> Thread(fun () -> times[caller] <- call caller) ]

    let computedBefore = own.TotalProcessorTime

    for t in threads do
        t.Start()

    Thread.Sleep(int (seconds * 900.0))
    own.Refresh()
    let count = own.Threads.Count

    for t in threads do
        t.Join()

    let took = clock.Elapsed.TotalSeconds
    own.Refresh()
    let busy = (own.TotalProcessorTime - computedBefore).TotalSeconds / took
    Thread.Sleep 5
    own.Refresh()
    let computed = own.TotalProcessorTime
    Thread.Sleep 100
    own.Refresh()

    { PerSecond = float (times |> Array.sumBy _.Count) / took
      Busy = busy
      Latencies =
        Map.ofList
            [ for which in 0 .. requests.Length - 1 do
                  requests[which].Name,
                  [| for ofCaller in times do
                         for struct (request, ms) in ofCaller do
                             if request = which then
                                 ms |]
                  |> Array.sort ]
      Threads = count
      After = (own.TotalProcessorTime - computed).TotalMilliseconds }

let private part (share: float) (rising: float[]) : float =
    rising[min (rising.Length - 1) (int (share * float rising.Length))]

let private middle (numbers: float list) : float =
    List.item (numbers.Length / 2) (List.sort numbers)

/// Medians of rounds that alternate between numbers of callers and between sparse and dense.
let run (counts: int list) =
    let counts = if counts.IsEmpty then [ 1; 2; 16 ] else counts

    let sparse =
        [| for cols, rows, samples, sparsity in requests ->
               { Name = $"{cols} x {rows}, {samples}"
                 Layer = new SparseLinear(cols, rows, sparsity = sparsity, seed = Seed.ofInt 1)
                 X = torch.randn (int64 samples, int64 cols) } |]

    let dense =
        [| for r in sparse ->
               { r with
                   Layer = Baselines.dense (r.Layer :?> SparseLinear) } |]

    printfn
        $"{Environment.ProcessorCount} processors, torch.get_num_threads() = {torch.get_num_threads ()}; forwards of {sparse.Length} layers in turn\n"

    for layers in [ sparse; dense ] do
        measure layers 2 1.0 |> ignore

    let outcomes =
        [ for _ in 1..5 do
              for name, layers in [ "SparseFs", sparse; "nn.Linear", dense ] do
                  for callers in counts do
                      (name, callers), measure layers callers 2.0 ]
        |> List.groupBy fst
        |> List.map (fun (key, found) -> key, List.map snd found)

    printfn
        "layers     callers  calls/s  processors busy  p99 over p50, worst request  threads  ms computed in 0.1 s after the last call"

    for (name, callers), found in outcomes do
        let worst =
            middle
                [ for o in found ->
                      o.Latencies.Values
                      |> Seq.map (fun times -> part 0.99 times / part 0.5 times)
                      |> Seq.max ]

        let perSecond = middle [ for o in found -> o.PerSecond ]
        let busy = middle [ for o in found -> o.Busy ]
        let threads = found |> List.map _.Threads |> List.max
        let after = middle [ for o in found -> o.After ]

        printfn
            $"{name, -9}  {callers, 7}  {perSecond, 7:F0}  {busy, 15:F2}  {worst, 28:F1}  {threads, 7}  {after, 10:F1}"

    printfn "\nmedian milliseconds of a request"

    for (name, callers), found in outcomes do
        let medians =
            [ for r in requests do
                  let cols, rows, samples, _ = r
                  let key = $"{cols} x {rows}, {samples}"
                  let ms = middle [ for o in found -> part 0.5 o.Latencies[key] ]
                  $"{key}: {ms:F2}" ]

        let text = String.concat "; " medians
        printfn $"{name, -9}  {callers, 2} callers: {text}"
