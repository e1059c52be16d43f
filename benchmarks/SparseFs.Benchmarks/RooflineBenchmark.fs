/// The kernels by themselves, on one thread, as shares of what binds them.
module SparseFs.Benchmarks.RooflineBenchmark

open System
open System.IO
open System.Text.Json
open System.Text.Json.Nodes
open SparseFs
open SparseFs.Kernels
open SparseFs.Benchmarks.Grid
open SparseFs.Benchmarks.MachineLimits
open SparseFs.Benchmarks.RooflinePlot
open SparseFs.Benchmarks.Timing

/// Milliseconds of the products of some patterns of one shape, in turn.
let private times (seconds: float) (settings: Setting list) : Map<string, float> =
    let first = List.head settings
    let machine = CpuSpmm.machineOf CpuSpmm.widest 1
    let patterns = [ for s in settings -> s, pattern s ]
    let most = patterns |> List.map (fun (_, c) -> c.Nnz) |> List.max
    use operands = new Operands(first.Batch, first.Rows, first.Cols, most)

    inTurn
        10_000
        [ for s, pattern in patterns do
              let plan = SpmmPlan pattern

              for product in Products.names do
                  { Name = $"{s.Layout} {product}"
                    Prepare = ignore
                    Run = fun () -> operands.Run(product, machine, plan, s.Batch)
                    Seconds = seconds } ]

/// Without groups each multiply-add loads its input, at best from the first-level cache; groups load one for several.
let private limitOf (limits: Limits) (s: Setting) =
    match s.Layout with
    | Layout.Groups4 -> "multiply-add peak", limits.Peak
    | _ -> "gather from L1", limits.GatherL1

let private toJson (limits: Limits) (rates: Rate list) : JsonNode =
    let number (value: float) = JsonValue.Create(Math.Round(value, 3))
    let machine = JsonObject()
    machine["lanes"] <- JsonValue.Create(int limits.Width)
    machine["peak_gflops"] <- number limits.Peak
    machine["gather_l1_gflops"] <- number limits.GatherL1
    machine["gather_l2_gflops"] <- number limits.GatherL2
    machine["read_gb_s"] <- number limits.Bandwidth

    let all =
        JsonArray
            [| for r in rates do
                   let o = JsonObject()
                   let s = r.Setting
                   o["product"] <- JsonValue.Create r.Product
                   o["cols"] <- JsonValue.Create s.Cols
                   o["rows"] <- JsonValue.Create s.Rows
                   o["batch"] <- JsonValue.Create s.Batch
                   o["sparsity"] <- JsonValue.Create s.Sparsity
                   o["topology"] <- JsonValue.Create(string s.Layout)
                   o["gflops"] <- number r.Gflops
                   o["limit"] <- JsonValue.Create r.Limit
                   o["of_limit"] <- number r.OfLimit
                   o :> JsonNode |]

    let o = JsonObject()
    o["machine"] <- machine
    o["products"] <- all
    o

/// Prints the machine's limits and each product's share, writes both to a file, and draws them in one beside it.
let run (path: string) =
    let limits = ofThisMachine CpuSpmm.widest
    let l1, l2 = CacheLevels.first, CacheLevels.second

    printfn
        $"one core at {limits.Width}, caches of {l1 / 1024L} and {l2 / 1024L} KiB: multiply-adds {limits.Peak:F0} GFLOP/s; of gathered rows {limits.GatherL1:F0} from L1, {limits.GatherL2:F0} from L2; reading {limits.Bandwidth:F0} GB/s\n"

    printfn "in x out, batch        sparsity  topology  product  GFLOP/s  of its limit"

    let rates =
        [ for cols, rows, batch in [ 4096, 4096, 256; 1024, 1024, 256; 784, 2000, 64; 384, 1536, 2048 ] do
              for sparsity in [ 0.9; 0.95; 0.98; 0.99 ] do
                  let settings =
                      [ for layout in [ Layout.Uniform; Layout.Groups4 ] ->
                            { Op = "kernels"
                              Cols = cols
                              Rows = rows
                              Batch = batch
                              Sparsity = sparsity
                              Layout = layout
                              Threads = 1 } ]

                  let times = times 1.0 settings

                  for s in settings do
                      for product in Products.names do
                          let flops = 2.0 * float (pattern s).Nnz * float s.Batch
                          let gflops = flops / (times[$"{s.Layout} {product}"] * 1e6)
                          let limit, most = limitOf limits s

                          printfn
                              $"{s.Shape, -15} {s.Batch, 5}  {s.Sparsity, 8}  {s.Layout, -8}  {product, -7}  {gflops, 7:F1}  {gflops / most, 4:P0} of the {limit}"

                          { Setting = s
                            Product = product
                            Gflops = gflops
                            Limit = limit
                            OfLimit = gflops / most } ]

    makeFolderOf path
    File.WriteAllText(path, (toJson limits rates).ToJsonString(JsonSerializerOptions(WriteIndented = true)))
    let picture = present "the path of a picture" (Path.ChangeExtension(path, ".svg"))
    RooflinePlot.write picture limits rates
    printfn $"\nwritten to {path} and {picture}"
