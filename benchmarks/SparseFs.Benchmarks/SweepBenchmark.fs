/// A layer at every number of samples from 1 to 300, on one thread: where a few samples more, or fewer, cost too much.
module SparseFs.Benchmarks.SweepBenchmark

open System
open System.Diagnostics
open System.IO
open System.Text.Json
open System.Text.Json.Nodes
open SparseFs
open SparseFs.Kernels
open TorchSharp
open SparseFs.Benchmarks.Grid
open SparseFs.Benchmarks.Timing

/// Samples of the largest call.
[<Literal>]
let private Most = 300

/// A call of so many samples should cost no more than this times one of as many as fill its vectors.
[<Literal>]
let private Cliff = 1.08

/// Something that is called with n samples, with what comes before each timed call.
type private Swept =
    { Name: string
      Prepare: int -> unit
      Run: int -> unit }

/// Times of the calls: pass, then samples less one, in milliseconds.
type private Times = ResizeArray<float[]>

/// Through the module and autograd, on views of one tensor.
let private ofModule (layer: SparseLinear) : Swept list =
    let x = torch.randn (int64 Most, int64 layer.in_features)
    let upstream = torch.randn (int64 Most, int64 layer.out_features)
    let first (n: int) (t: torch.Tensor) = t.narrow (0L, 0L, int64 n)
    let inputs = Array.init Most (fun i -> first (i + 1) x)

    // Views that are leaves, so that backward writes a gradient of n samples.
    let leaves = inputs |> Array.map (fun view -> view.detach().requires_grad_ true)

    let upstreams = Array.init Most (fun i -> first (i + 1) upstream)

    [ { Name = "layer forward"
        Prepare = ignore
        Run =
          fun n ->
              use _ = torch.NewDisposeScope()
              use _ = torch.no_grad ()
              layer.call inputs[n - 1] |> ignore }
      { Name = "layer train"
        Prepare =
          fun n ->
              layer.zero_grad ()
              leaves[n - 1].grad <- null
        Run =
          fun n ->
              use _ = torch.NewDisposeScope()
              (layer.call leaves[n - 1]).backward([| upstreams[n - 1] |]) } ]

let private ofKernels (operands: Operands) (pattern: Connectivity) : Swept list =
    let machine, plan = CpuSpmm.machineOf CpuSpmm.widest 1, SpmmPlan pattern

    [ for product in Products.names ->
          { Name = $"kernel {product}"
            Prepare = ignore
            Run = fun n -> operands.Run(product, machine, plan, n) } ]

/// The best of three calls: what disturbs one call of some microseconds seldom disturbs three.
let private time (swept: Swept) (n: int) : float =
    let mutable best = infinity

    for _ in 1..3 do
        swept.Prepare n
        let watch = Stopwatch.StartNew()
        swept.Run n
        best <- min best watch.Elapsed.TotalMilliseconds

    best

/// <summary>Passes over all numbers of samples, up and down by turns, until the seconds are over; three at least.</summary>
/// <remarks>What is compared lies a few calls apart in each pass, so that both are met by whatever else the machine does.
/// </remarks>
let private passes (seconds: float) (all: Swept list) : Map<string, Times> =
    let past = all |> List.map (fun swept -> swept, Times())
    let watch = Stopwatch.StartNew()
    let mutable pass = 0

    while pass < 3 || watch.Elapsed.TotalSeconds < seconds do
        for swept, times in past do
            let ofPass: float[] = Array.zeroCreate Most

            for i in 0 .. Most - 1 do
                let n = if pass % 2 = 0 then i + 1 else Most - i
                ofPass[n - 1] <- time swept n

            times.Add ofPass

        // The first warms up.
        if pass = 0 then
            for _, times in past do
                times.Clear()

        pass <- pass + 1

    Map.ofList [ for swept, times in past -> swept.Name, times ]

let private over (times: Times) (of': float[] -> float) : float = median (ResizeArray(Seq.map of' times))

/// The median over the passes of a time of n samples divided by one of m.
let private ratio (times: Times) (n: int) (m: int) : float =
    over times (fun pass -> pass[n - 1] / pass[m - 1])

/// The ratio of n over m samples; where the passes say that it is above a bar, that of both in turn, and of nothing between.
let private ratioUnder (bar: float) (swept: Swept) (times: Times) (n: int) (m: int) : float =
    let first = ratio times n m

    if first <= bar then
        first
    else
        median (ResizeArray [ for _ in 1..20 -> time swept n / time swept m ])

/// A call's ratios, of which those that look bad have been measured twice.
type private Ratios =
    {
        /// Samples, over those that fill its vectors.
        Filled: (int * float) list
        /// k, 16 k + 1 samples over 16 k, and the bar for it.
        Step: (int * float * float) list
        NineOverEight: float
        /// 2 to 8 samples at once over as many calls of one.
        Singly: (int * float) list
    }

let private ratios (lanes: int) (swept: Swept) (times: Times) : Ratios =
    { Filled =
        [ for n in 1 .. Most / lanes * lanes do // 300 itself is whole at 4 lanes alone
              let filled = (n + lanes - 1) / lanes * lanes

              n,
              (if n = filled then
                   1.0
               else
                   ratioUnder Cliff swept times n filled) ]
      Step =
        [ for k in 1 .. (Most - 1) / 16 do
              let bar = 1.0 + 0.85 / float k
              k, ratioUnder bar swept times (16 * k + 1) (16 * k), bar ]
      NineOverEight = ratio times 9 8
      Singly = [ for n in 2..8 -> n, over times (fun pass -> pass[n - 1] / (float n * pass[0])) ] }

let private report (lanes: int) (name: string) (r: Ratios) =
    let list (found: (int * float) list) =
        found |> List.map (fun (n, r) -> $"%.2f{r} at {n}") |> String.concat ", "

    let worst = r.Filled |> List.sortByDescending snd |> List.truncate 5

    let cliffs =
        match r.Filled |> List.filter (fun (_, r) -> r > Cliff) with
        | [] -> "none"
        | cliffs -> $"{cliffs.Length} of {r.Filled.Length}: {list cliffs}"

    let steps =
        [ for k, r, bar in r.Step do
              let mark = if r > bar then " ABOVE" else ""
              $"{16 * k} %.2f{r} (%.2f{bar}){mark}" ]
        |> String.concat ", "

    printfn $"\n{name}"
    printfn $"  n samples over n filled up to whole vectors of {lanes}, the worst: {list worst}"
    printfn $"  above {Cliff}: {cliffs}"
    printfn $"  16 k + 1 over 16 k samples, and its bar 1 + 0.85 / k: {steps}"
    printfn $"  9 over 8 samples: %.2f{r.NineOverEight}"
    printfn $"  n samples at once over n calls of one: {list r.Singly}"

let private toJson (setting: Setting) (lanes: int) (all: (Swept * Times * Ratios) list) : JsonNode =
    let numbers (values: float list) =
        JsonArray [| for v in values -> JsonValue.Create(Math.Round(v, 5)) :> JsonNode |]

    let calls =
        JsonArray
            [| for swept, times, ratios in all do
                   let o = JsonObject()
                   o["call"] <- JsonValue.Create swept.Name
                   o["passes"] <- JsonValue.Create times.Count
                   // The n-th number is of n samples.
                   o["ms"] <- numbers [ for n in 1..Most -> over times (fun pass -> pass[n - 1]) ]
                   o["over_filled"] <- numbers (List.map snd ratios.Filled)
                   // The k-th is of 16 k + 1 over 16 k samples.
                   o["one_more_than_16k"] <- numbers [ for _, r, _ in ratios.Step -> r ]
                   o :> JsonNode |]

    let o = JsonObject()
    o["rows"] <- JsonValue.Create setting.Rows
    o["cols"] <- JsonValue.Create setting.Cols
    o["sparsity"] <- JsonValue.Create setting.Sparsity
    o["topology"] <- JsonValue.Create(string setting.Layout)
    o["lanes"] <- JsonValue.Create lanes
    o["calls"] <- calls
    o

/// Prints where a layer has cliffs, and writes all medians to a file. Of the setting, batch and threads do not count.
let run (path: string) (setting: Setting) =
    torch.set_num_threads 1
    torch.manual_seed 1L |> ignore
    let lanes = int CpuSpmm.widest
    let pattern = pattern setting
    use layer = new SparseLinear(pattern)

    use operands = new Operands(Most, setting.Rows, setting.Cols, pattern.Nnz)

    let all = ofModule layer @ ofKernels operands pattern
    let times = passes 130.0 all

    printfn
        $"{setting.Shape}, {100.0 * setting.Sparsity} %%, {setting.Layout}, one thread, kernels at {CpuSpmm.widest}; medians of {times[all.Head.Name].Count} passes over 1 to {Most} samples; what is above its bar has been measured twice"

    let judged =
        [ for swept in all do
              let times = times[swept.Name]
              let ratios = ratios lanes swept times
              report lanes swept.Name ratios
              swept, times, ratios ]

    makeFolderOf path
    File.WriteAllText(path, (toJson setting lanes judged).ToJsonString(JsonSerializerOptions(WriteIndented = true)))
    printfn $"\nwritten to {path}"
