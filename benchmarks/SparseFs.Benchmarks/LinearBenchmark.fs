/// SparseLinear beside the dense layer and the other ways to have a sparse one: forward, and a whole training step
/// (forward, and backward with the gradients of weight, bias and input) through modules and autograd.
module SparseFs.Benchmarks.LinearBenchmark

open System
open System.IO
open System.Text.Json
open System.Text.Json.Nodes
open SparseFs
open TorchSharp
open SparseFs.Benchmarks.Timing

type Setting =
    { Rows: int
      Cols: int
      Batch: int
      Sparsity: float
      Threads: int }

type Row =
    { Op: string
      Setting: Setting
      Milliseconds: Map<string, float>
      PeakBytes: int64 option }

/// The elements of the gathered products at most: SparseLinear's formula holds three such tensors.
let private gatherLimit = 100_000_000L

let private contender (op: string) (name: string) (model: Baselines.Layer) (x: torch.Tensor) (upstream: torch.Tensor) =
    let forward () =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        model.call x |> ignore

    let train () =
        use _ = torch.NewDisposeScope()
        (model.call x).backward([| upstream |])

    let forget () =
        model.zero_grad ()
        x.grad <- null

    { Name = name
      Prepare = forget
      Run = if op = "train" then train else forward }

let private measure (setting: Setting) (op: string) : Row =
    use _ = torch.NewDisposeScope()
    torch.set_num_threads setting.Threads
    torch.manual_seed 1L |> ignore

    // The layer and one step of it, before anything else has made room.
    let mutable layer: SparseLinear = Unchecked.defaultof<SparseLinear>

    let x =
        torch.randn (int64 setting.Batch, int64 setting.Cols, requires_grad = (op = "train"))

    let upstream = torch.randn (int64 setting.Batch, int64 setting.Rows)

    let peak =
        extraPeakBytes (fun () ->
            layer <- new SparseLinear(setting.Cols, setting.Rows, sparsity = setting.Sparsity, seed = Seed.ofInt 1)
            (contender op "sparsefs" layer x upstream).Run())

    use layer = layer
    let batch, nnz = int64 setting.Batch, int64 layer.Connectivity.Nnz

    let rivals =
        [ "dense", Baselines.dense
          "masked", Baselines.masked
          if op = "forward" then
              "coo", Baselines.coo
          if batch * nnz <= gatherLimit then
              "gather", Baselines.gather ]

    let contenders =
        ("sparsefs", layer :> Baselines.Layer)
        :: [ for name, make in rivals -> name, make layer ]
        |> List.map (fun (name, model) -> contender op name model x upstream)

    let milliseconds = inTurn 2.0 25 contenders

    { Op = op
      Setting = setting
      Milliseconds = milliseconds
      PeakBytes = peak }

let private toJson (row: Row) : JsonNode =
    let number (value: 'a option) : JsonNode =
        value |> Option.map (fun v -> JsonValue.Create v :> JsonNode) |> Option.toObj

    let o = JsonObject()
    o["op"] <- JsonValue.Create row.Op
    o["rows"] <- JsonValue.Create row.Setting.Rows
    o["cols"] <- JsonValue.Create row.Setting.Cols
    o["batch"] <- JsonValue.Create row.Setting.Batch
    o["sparsity"] <- JsonValue.Create row.Setting.Sparsity
    o["threads"] <- JsonValue.Create row.Setting.Threads

    for name in [ "sparsefs"; "dense"; "masked"; "coo"; "gather" ] do
        o[name + "_ms"] <- number (Map.tryFind name row.Milliseconds)

    o["peak_bytes"] <- number row.PeakBytes
    o

let private write (path: string) (rows: Row list) =
    Directory.CreateDirectory(Path.GetDirectoryName path) |> ignore
    let all = JsonArray [| for row in rows -> toJson row |]
    File.WriteAllText(path, all.ToJsonString(JsonSerializerOptions(WriteIndented = true)))

let private header =
    "op       in x out        batch  sparsity  threads  sparsefs ms   dense ms   dense/  masked/  coo/     gather/  peak MB"

let private line (row: Row) =
    let s, ms = row.Setting, row.Milliseconds
    let own = ms["sparsefs"]

    let ratio name =
        match Map.tryFind name ms with
        | Some other -> (other / own).ToString "0.0"
        | None -> "-"

    let shape = $"{s.Cols} x {s.Rows}"

    let peak =
        match row.PeakBytes with
        | Some bytes -> (float bytes / 1e6).ToString "0.0"
        | None -> "-"

    let times = $"{own, 11:F3} {Map.find (nameof Baselines.dense) ms, 10:F3}"

    let ratios =
        [ "dense"; "masked"; "coo"; "gather" ]
        |> List.map (fun name -> (ratio name).PadLeft 7)
        |> String.concat "  "

    $"{row.Op, -8} {shape, -15} {s.Batch, 5}  {s.Sparsity, 8}  {s.Threads, 7}  {times}  {ratios}  {peak, 7}"

/// (in, out, batch) with its sparsities.
let quick =
    [ (4096, 4096, 256), [ 0.5; 0.7; 0.8; 0.9; 0.95; 0.99 ]
      (1024, 1024, 256), [ 0.9; 0.95; 0.99 ]
      (784, 2000, 64), [ 0.9; 0.95; 0.99 ]
      (384, 1536, 2048), [ 0.9; 0.95; 0.99 ]
      (2000, 10, 64), [ 0.9 ] ]

/// Prints each row as it comes and writes all of them to a file.
let run (path: string) (threads: int list) (grid: ((int * int * int) * float list) list) =
    printfn
        $"{Environment.ProcessorCount} processors, kernels at {Kernels.Dispatch.widest}, libtorch {torch.__version__}"

    printfn $"name/ is that contender's time over SparseFs's: above 1, SparseFs is faster\n\n{header}"

    let rows =
        [ for (cols, rows, batch), sparsities in grid do
              for sparsity in sparsities do
                  for op in [ "forward"; "train" ] do
                      for threads in threads do
                          let setting =
                              { Rows = rows
                                Cols = cols
                                Batch = batch
                                Sparsity = sparsity
                                Threads = threads }

                          let row = measure setting op
                          printfn $"{line row}"
                          row ]

    write path rows
    printfn $"\nwritten to {path}"
