/// Sparse convolutions beside torch's dense ones: forward, and a whole training step (forward, and backward with the gradients of
/// weight, bias and input) through modules and autograd.
module SparseFs.Benchmarks.ConvBenchmark

open System
open System.IO
open System.Text.Json
open System.Text.Json.Nodes
open SparseFs
open TorchSharp
open SparseFs.Benchmarks.Timing

/// Samples, channels, pixels a side, cells of the kernel a side, channels of the output, margin a side.
[<Struct>]
type private Shape =
    {
        Batch: int
        Inputs: int
        Size: int
        Kernel: int
        Outputs: int
        Padding: int
        /// A transposed one has stride 2, as decoders do.
        IsTransposed: bool
    }

    override s.ToString() =
        let kind = if s.IsTransposed then ", transposed, stride 2" else ""
        $"{s.Batch}x{s.Inputs}x{s.Size}^2, {s.Kernel}x{s.Kernel} -> {s.Outputs}{kind}"

let private shapes =
    [ for batch, inputs, size, kernel, outputs, padding, isTransposed in
          [ 16, 64, 56, 3, 64, 1, false
            16, 128, 28, 3, 128, 1, false
            16, 256, 14, 3, 256, 1, false
            1, 64, 56, 3, 64, 1, false
            64, 32, 12, 5, 64, 0, false
            10, 64, 56, 3, 64, 1, false
            16, 256, 14, 1, 256, 0, false
            16, 128, 14, 4, 64, 1, true ] ->
          { Batch = batch
            Inputs = inputs
            Size = size
            Kernel = kernel
            Outputs = outputs
            Padding = padding
            IsTransposed = isTransposed } ]

let private sparsities = [ 0.8; 0.9; 0.95; 0.99 ]
let private structures = [ "uniform"; "groups-4" ]

type private Row =
    { Op: string
      Shape: Shape
      Sparsity: float
      Structure: string
      Threads: int
      SparseFsMs: float
      DenseMs: float }

let private toJson (row: Row) : JsonNode =
    let number (value: float) = JsonValue.Create(Math.Round(value, 4))
    let o, s = JsonObject(), row.Shape
    o["op"] <- JsonValue.Create row.Op
    o["shape"] <- JsonValue.Create(string s)
    o["batch"] <- JsonValue.Create s.Batch
    o["sparsity"] <- JsonValue.Create row.Sparsity
    o["structure"] <- JsonValue.Create row.Structure
    o["threads"] <- JsonValue.Create row.Threads
    o["sparsefs_ms"] <- number row.SparseFsMs
    o["dense_ms"] <- number row.DenseMs
    o

let private layerOf (s: Shape) (sparsity: float) (structure: string) : SparseConv =
    let topology =
        if structure = "uniform" then
            Topology.uniform
        else
            Topology.rowGroups 4

    let seed = Seed.ofInt 1

    if s.IsTransposed then
        new SparseConvTranspose2d(
            s.Inputs,
            s.Outputs,
            s.Kernel,
            sparsity = sparsity,
            stride = 2,
            padding = s.Padding,
            topology = topology,
            seed = seed
        )
    else
        new SparseConv2d(
            s.Inputs,
            s.Outputs,
            s.Kernel,
            sparsity = sparsity,
            padding = s.Padding,
            topology = topology,
            seed = seed
        )

let private denseOf (s: Shape) : torch.nn.Module<torch.Tensor, torch.Tensor> =
    let inputs, outputs, kernel, padding =
        int64 s.Inputs, int64 s.Outputs, int64 s.Kernel, int64 s.Padding

    if s.IsTransposed then
        torch.nn.ConvTranspose2d(inputs, outputs, kernel, stride = 2L, padding = padding)
    else
        torch.nn.Conv2d(inputs, outputs, kernel, padding = padding)

/// All layers of a shape in turn, with the dense one among them.
let private measure (threads: int) (op: string) (s: Shape) : Row list =
    use _ = torch.NewDisposeScope()
    torch.set_num_threads threads
    torch.manual_seed 1L |> ignore
    let size = int64 s.Size

    let x =
        torch.randn (int64 s.Batch, int64 s.Inputs, size, size, requires_grad = (op = "train"))

    let dense = denseOf s

    let upstream =
        use _ = torch.no_grad ()
        torch.randn_like (dense.call x)

    let contender (name: string) (model: torch.nn.Module<torch.Tensor, torch.Tensor>) =
        let forward () =
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            model.call x |> ignore

        let train () =
            use _ = torch.NewDisposeScope()
            (model.call x).backward([| upstream |])

        { Name = name
          Prepare =
            (fun () ->
                model.zero_grad ()
                x.grad <- null)
          Run = if op = "train" then train else forward
          Seconds = 1.5 }

    let layers =
        [ for sparsity in sparsities do
              for structure in structures do
                  sparsity, structure, layerOf s sparsity structure ]

    let nameOf (sparsity: float) (structure: string) = $"{structure} {sparsity}"

    let times =
        inTurn
            1_000
            [ contender "dense" dense
              for sparsity, structure, layer in layers do
                  contender (nameOf sparsity structure) layer ]

    [ for sparsity, structure, layer in layers do
          layer.Dispose()

          { Op = op
            Shape = s
            Sparsity = sparsity
            Structure = structure
            Threads = threads
            SparseFsMs = times[nameOf sparsity structure]
            DenseMs = times["dense"] } ]

let private print (rows: Row list) : unit =
    for (op, shape, threads), rows in rows |> List.groupBy (fun row -> row.Op, row.Shape, row.Threads) do
        let dense = rows.Head.DenseMs
        printfn $"{op, -7}  {shape}, {threads} threads: dense {dense:F2} ms"

        for structure in structures do
            let cells =
                [ for row in rows do
                      if row.Structure = structure then
                          $"{100.0 * row.Sparsity:F0} %%: {row.SparseFsMs:F2} ms, {dense / row.SparseFsMs:F1}" ]

            printfn $"""    {structure, -8}  {String.concat "   " cells}"""

/// Every shape with each of so many threads; the rows go to a file.
let run (threads: int list) (path: string) : unit =
    let rows =
        [ for s in shapes do
              for op in [ "forward"; "train" ] do
                  for count in threads do
                      let rows = measure count op s
                      print rows
                      yield! rows ]

    match Path.GetDirectoryName path with
    | null -> ()
    | folder -> Directory.CreateDirectory folder |> ignore

    let all = JsonArray [| for row in rows -> toJson row |]
    File.WriteAllText(path, all.ToJsonString(JsonSerializerOptions(WriteIndented = true)))
    printfn $"\nwritten to {path}"
