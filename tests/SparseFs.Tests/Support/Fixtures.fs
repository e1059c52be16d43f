/// Files that earlier versions of the library wrote, and the runs and models that they belong to.
module SparseFs.Tests.Fixtures

open System
open System.Collections.Generic
open System.IO
open System.IO.Compression
open System.Text.Json
open SparseFs
open TorchSharp

/// Steps before a run is saved: rewirers are due at every fourth.
[<Literal>]
let Saved = 10L

/// Steps that the run took after that, and that a resumed one must take alike.
[<Literal>]
let Followed = 10L

type Net = torch.nn.Module<torch.Tensor, torch.Tensor>

type RunFixture =
    { Name: string
      Model: unit -> Net
      Inputs: int64[]
      Optimizer: Net -> torch.optim.Optimizer
      Policy: Policy }

/// What a run did after it was saved. Patterns are row_ptr and col_idx of each sparse layer, hashed.
type Record =
    { Steps: int64
      Patterns: string[]
      SamplesSeen: int64[]
      Losses: float32[]
      PatternsAfter: string[] }

let private sparse (rows: int) (cols: int) (nnz: int) (seed: int) =
    new SparseLinear(Topology.uniform rows cols nnz (Seed.ofInt seed))

let private sequential (modules: (string * Net) list) : Net =
    torch.nn.Sequential([| for name, m in modules -> struct (name, m) |])

let private mlp () =
    sequential
        [ "hidden", sparse 16 12 96 1
          "active", torch.nn.ReLU()
          "output", sparse 8 16 64 2 ]

let private winners () =
    sequential
        [ "hidden", sparse 16 12 96 1
          "winners", new KWinners(16, KWinnersOptions.ofK 5)
          "output", sparse 8 16 64 2 ]

let private images () =
    sequential
        [ "winners", new KWinners2d(4, KWinnersOptions.ofSparsity 0.5)
          "flat", torch.nn.Flatten()
          "output", sparse 8 36 90 3 ]

/// Largest magnitudes of the product of weight and column + 1 stay; the cells furthest from the diagonal come.
let private ownDrop =
    Drop.Score(fun state ->
        Array.init state.Weight.Length (fun slot ->
            abs state.Weight[slot] * float32 (state.Connectivity.ColIdx[slot] + 1)))

let private ownGrow =
    Grow.Score(
        GrowthInputs.Nothing,
        fun state ->
            let cols = state.Connectivity.Cols

            RowScores(fun first count ->
                Array.init (count * cols) (fun i -> float32 (abs (first + i / cols - i % cols) * 1024 - i)))
    )

/// The moments of grown slots are what they were when these files were written.
let private zero (policy: Policy) = { policy with Moments = Moments.Zero }

let private policies =
    let schedule = Schedule.constant 0.3 4L 40L

    [ "static", Policy.staticSparse
      "rigl", Policy.rigL schedule
      "set", Policy.set schedule
      "snfs", Policy.snfs schedule
      "srigl", Policy.srigL ValueNone schedule
      "srigl-ablated", Policy.srigL (ValueSome 0.3) schedule
      "gradual", Policy.gradual 0.5 0.8 (Schedule.constant 0.0 4L 40L)
      "own",
      { Policy.staticSparse with
          Schedule = schedule
          Drop = ownDrop
          Grow = ownGrow } ]

let private optimizers: (string * (Net -> torch.optim.Optimizer)) list =
    [ "sgd", (fun m -> torch.optim.SGD(m.parameters (), 0.05, momentum = 0.9) :> _)
      "adam", (fun m -> torch.optim.Adam(m.parameters (), 0.01) :> _)
      "rmsprop", (fun m -> torch.optim.RMSProp(m.parameters (), 0.01) :> _) ]

let runs: RunFixture list =
    [ for policy, rules in policies do
          for optimizer, make in optimizers do
              { Name = $"run-{policy}-{optimizer}"
                Model = mlp
                Inputs = [| 4L; 12L |]
                Optimizer = make
                Policy = zero rules }

      for name, model, inputs in [ "winners", winners, [| 4L; 12L |]; "winners2d", images, [| 4L; 4L; 3L; 3L |] ] do
          { Name = $"run-{name}-sgd"
            Model = model
            Inputs = inputs
            Optimizer = snd optimizers[0]
            Policy = zero (Policy.set (Schedule.constant 0.3 4L 40L)) } ]

/// Models and single layers: name, layout, model.
let models: (string * PatternLayout * (unit -> torch.nn.Module)) list =
    let typed (dtype: torch.ScalarType) (m: Net) = m.``to`` dtype

    [ "model-mlp", PatternLayout.Csr, (fun () -> mlp ())
      "model-coo", PatternLayout.Coo, (fun () -> mlp ())
      "model-float64", PatternLayout.Csr, (fun () -> typed torch.float64 (mlp ()))
      "model-bfloat16", PatternLayout.Csr, (fun () -> typed torch.bfloat16 (mlp ()))
      "model-winners", PatternLayout.Csr, (fun () -> winners ())
      "layer-uniform", PatternLayout.Csr, (fun () -> sparse 9 7 20 4)
      "layer-dynamic",
      PatternLayout.Csr,
      (fun () ->
          FromSparseLinear.SparseLinear(12, 10, sparsity = 0.7, seed = Seed.ofInt 0, dynamic = true, hasBias = false)) ]

let sparseLayers (model: torch.nn.Module) : SparseLinear[] =
    [| match model with
       | :? SparseLinear as layer -> layer
       | _ ->
           for struct (_, m) in model.named_modules () do
               match m with
               | :? SparseLinear as layer -> layer
               | _ -> () |]

let patternOf (layer: SparseLinear) : string =
    let c = layer.Connectivity

    let bytes =
        [| yield! c.RowPtr.ToArray(); yield! c.ColIdx.ToArray() |]
        |> Array.collect (fun (index: int) -> BitConverter.GetBytes index)

    $"{c.Rows}x{c.Cols}:{c.Nnz}:"
    + Convert.ToHexString(Security.Cryptography.SHA256.HashData bytes)

let private samplesSeen (model: torch.nn.Module) =
    [| for struct (_, m) in model.named_modules () do
           match m with
           | :? KWinnersBase as winners -> winners.SamplesSeen
           | _ -> () |]

/// Numbers in [−1, 1), the same on every machine.
let private numbers (step: int64) (salt: int) (count: int) : float32[] =
    let seed = Seed.ofInt salt |> Seed.child (int step)
    let c = Topology.uniform 1 (1 <<< 20) count seed
    let order = Topology.uniform 1 (1 <<< 20) count (Seed.child 1 seed)
    // Columns rise; those of another draw say where each goes.
    let keys = order.ColIdx.ToArray() |> Array.map (fun key -> (key * 7919) % 1_000_003)

    let values =
        c.ColIdx.ToArray()
        |> Array.map (fun col -> float32 col / float32 (1 <<< 19) - 1.0f)

    Array.Sort(keys, values)
    values

/// One step of a run: its loss.
let step
    (fixture: RunFixture)
    (model: Net)
    (optimizer: torch.optim.Optimizer)
    (rewirer: Rewirer)
    (at: int64)
    : float32 =
    use _ = torch.NewDisposeScope()
    let count = Array.reduce (*) fixture.Inputs |> int
    let x = torch.tensor(numbers at 1 count).view fixture.Inputs

    let target =
        torch.tensor(numbers at 2 (int fixture.Inputs[0] * 8)).view(fixture.Inputs[0], 8L)

    optimizer.zero_grad ()
    let loss = torch.nn.functional.mse_loss (model.call x, target)
    loss.backward ()
    rewirer.Step() |> ignore
    loss.item<float32>()

let start (fixture: RunFixture) =
    torch.manual_seed 11L |> ignore
    let model = fixture.Model()
    let optimizer = fixture.Optimizer model
    model, optimizer, new Rewirer(model, optimizer, fixture.Policy, Seed.ofInt 5)

/// The ten steps after a run was saved.
let follow (fixture: RunFixture) (model: Net) optimizer (rewirer: Rewirer) : Record =
    let patterns = sparseLayers model |> Array.map patternOf
    let seen = samplesSeen model
    let steps = rewirer.Steps

    let losses =
        [| for at in Saved + 1L .. Saved + Followed -> step fixture model optimizer rewirer at |]

    { Steps = steps
      Patterns = patterns
      SamplesSeen = seen
      Losses = losses
      PatternsAfter = sparseLayers model |> Array.map patternOf }

/// What a module's state is, each tensor hashed.
let stateOf (model: torch.nn.Module) : Map<string, string> =
    use _ = torch.NewDisposeScope()

    Map
        [ for entry in model.state_dict () do
              let numbers =
                  entry.Value.detach().to_type(torch.float64).reshape(-1L).data<float>().ToArray()

              entry.Key,
              Convert.ToHexString(
                  Security.Cryptography.SHA256.HashData(
                      numbers |> Array.collect (fun (number: float) -> BitConverter.GetBytes number)
                  )
              ) ]

/// Each parameter's numbers a little off, relatively, up or down by a hash of their places.
let disturb (relative: float) (salt: int) (model: torch.nn.Module) =
    use _ = torch.no_grad ()

    for place, p in Seq.indexed (model.parameters ()) do
        use _ = torch.NewDisposeScope()
        let seed = Seed.ofInt salt |> Seed.child place

        let factors =
            [| for i in 0L .. p.numel () - 1L ->
                   if Seed.bitsAt i seed &&& 1UL = 0UL then
                       1.0 + relative
                   else
                       1.0 - relative |]

        p.mul_ ((torch.tensor factors).to_type(p.dtype).view_as p) |> ignore

let private write (path: string) (value: 'a) =
    File.WriteAllText(path, JsonSerializer.Serialize(value, JsonSerializerOptions(WriteIndented = true)))

/// The files are kept packed.
let private pack (file: string) =
    using (File.OpenRead file) (fun source ->
        use target =
            new GZipStream(File.Create(file + ".gz"), CompressionLevel.SmallestSize)

        source.CopyTo target)

    File.Delete file

/// Calls body with the unpacked file of that name.
let unpacked (folder: string) (name: string) (body: string -> 'a) : 'a =
    let file = Path.GetTempFileName()

    try
        using (File.Create file) (fun target ->
            use source =
                new GZipStream(
                    File.OpenRead(Path.Combine(folder, name + ".safetensors.gz")),
                    CompressionMode.Decompress
                )

            source.CopyTo target)

        body file
    finally
        File.Delete file

let read<'a> (path: string) : 'a =
    match JsonSerializer.Deserialize(File.ReadAllText path, typeof<'a>) with
    | :? 'a as read -> read
    | _ -> failwith $"expected {typeof<'a>.Name} in {path}, got null"

/// Writes all files into a folder that has none of them.
let writeAll (folder: string) =
    Directory.CreateDirectory folder |> ignore

    if Directory.EnumerateFileSystemEntries folder |> Seq.isEmpty |> not then
        failwith $"expected an empty folder, got {folder}: files of earlier versions are not written again"

    let records = Dictionary<string, Record>()

    for fixture in runs do
        let model, optimizer, rewirer = start fixture

        for at in 1L .. Saved do
            step fixture model optimizer rewirer at |> ignore

        let file = Path.Combine(folder, fixture.Name + ".safetensors")

        Checkpoint.saveTraining
            { Step = Saved
              Seed = Seed.ofInt 5
              Notes = Dictionary<string, string>() }
            file
            model
            optimizer
            (ValueSome rewirer)

        let record = follow fixture model optimizer rewirer

        // No decision of these steps may hang on a rounding: a run whose weights are a little off takes them alike.
        for salt in 1..4 do
            let model, optimizer, rewirer = start fixture
            Checkpoint.resume file model optimizer (ValueSome rewirer) |> ignore
            disturb 1e-5 salt model
            let other = follow fixture model optimizer rewirer

            if other.PatternsAfter <> record.PatternsAfter then
                failwith $"'{fixture.Name}' decides by roundings: choose other data"

        records[fixture.Name] <- record

    let states = Dictionary<string, Map<string, string>>()

    for name, layout, make in models do
        torch.manual_seed 12L |> ignore
        let model = make ()
        Checkpoint.saveWith layout (Dictionary<string, string>()) (Path.Combine(folder, name + ".safetensors")) model
        states[name] <- stateOf model

    Directory.GetFiles(folder, "*.safetensors") |> Array.iter pack
    write (Path.Combine(folder, "runs.json")) records
    write (Path.Combine(folder, "models.json")) states
