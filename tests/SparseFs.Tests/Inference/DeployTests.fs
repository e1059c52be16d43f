/// What Deploy writes, SparseFs.Inference computes; and what others write, it refuses.
module SparseFs.Tests.DeployTests

open System
open System.IO
open System.Threading.Tasks
open Expecto
open FsCheck.FSharp
open SparseFs
open SparseFs.Inference
open SparseFs.Tests.DrawnNetworks
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

let private inFolder (work: string -> unit) =
    let folder = Directory.CreateTempSubdirectory("sparsefs-deploy-").FullName

    try
        work (Path.Combine(folder, "model.safetensors"))
    finally
        Directory.Delete(folder, true)

let private drawn (seed: int) : Sequential * int =
    let random = Random seed
    torch.manual_seed (int64 seed) |> ignore
    let inputs = random.Next(1, 40)
    let mutable features = inputs

    let product () : Layer =
        let outputs = random.Next(1, 40)
        let hasBias = random.Next 2 = 0
        let before = features
        features <- outputs

        match random.Next 3 with
        | 0 -> torch.nn.Linear(int64 before, int64 outputs, hasBias = hasBias)
        | 1 ->
            let c =
                Topology.rowGroups 4 outputs before (before * ((outputs + 1) / 2)) (Seed.ofInt seed)

            new SparseLinear(c, hasBias = hasBias)
        | _ ->
            let nnz = random.Next(0, before * outputs + 1)
            new SparseLinear(Topology.uniform outputs before nnz (Seed.ofInt seed), hasBias = hasBias)

    let other () : Layer =
        match random.Next 15 with
        | 13 ->
            // So few that the next product walks the winners alone, or any number.
            let k =
                if random.Next 2 = 0 then
                    max 1 (features / 16)
                else
                    random.Next(1, features + 1)

            new KWinners(features, options = KWinnersOptions.ofK k)
        | 0 -> torch.nn.ReLU()
        | 1 -> torch.nn.LeakyReLU 0.1
        | 2 -> torch.nn.GELU()
        | 3 -> torch.nn.GELU(GELU.Approximate.tanh)
        | 4 -> torch.nn.SiLU()
        | 5 -> torch.nn.Sigmoid()
        | 6 -> torch.nn.Tanh()
        | 7 -> torch.nn.Softmax -1L
        | 8 -> torch.nn.LogSoftmax 1L
        | 9 -> torch.nn.Dropout 0.5
        | 10 -> torch.nn.Identity()
        | 11 ->
            let norm = torch.nn.BatchNorm1d(int64 features, affine = (random.Next 2 = 0))
            drawStatistics random norm
            norm
        | 12 -> torch.nn.LayerNorm(int64 features)
        | _ -> torch.nn.Sequential(struct ("inner", torch.nn.ReLU() :> Layer))

    let layers =
        [| for i in 0 .. random.Next(1, 7) do
               let layer = if i = 0 || random.Next 2 = 0 then product () else other ()
               struct ($"layer{i}", layer) |]

    torch.nn.Sequential layers, inputs

let private samplesOf (random: Random) (n: int) (inputs: int) : float32[] =
    Array.init (n * inputs) (fun _ -> 2.0f * random.NextSingle() - 1.0f)

let private tensorOf (samples: float32[]) (inputs: int) : torch.Tensor =
    torch.tensor(samples).view(-1L, int64 inputs)

let private small () : Sequential =
    torch.manual_seed 1L |> ignore

    torch.nn.Sequential(
        struct ("hidden", new SparseLinear(20, 30, sparsity = 0.8, seed = Seed.ofInt 1) :> Layer),
        struct ("relu", torch.nn.ReLU() :> Layer),
        struct ("output", torch.nn.Linear(30L, 10L) :> Layer)
    )

/// Writes the small model with another description.
let private writeWith (path: string) (description: string) =
    use _ = torch.NewDisposeScope()
    use model = small ()
    Checkpoint.save (path + ".weights") model
    let tensors = Safetensors.load (path + ".weights")

    SafetensorsFile.writeThrough
        id
        path
        [ NetworkDescription.Key, description ]
        [ for t in tensors -> struct (t.Key, t.Value) ]

let private descriptionOf (path: string) : string =
    use _ = torch.NewDisposeScope()
    use model = small ()
    Deploy.save path (torch.ones (1L, 20L)) model |> ignore
    (Safetensors.inspect path).Metadata[NetworkDescription.Key]

/// Calls its layer by a name that it has not.
type private Misnamed() as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("Misnamed")
    let inner = torch.nn.Linear(6L, 2L)
    do this.RegisterComponents()
    override _.forward x = inner.call x

    interface IDeployable with
        member _.Describe(graph, x) = graph.Call("outer", inner, x)

let private refusal (work: unit -> unit) : CheckpointException =
    try
        work ()
        failtest "expected a refusal"
    with :? CheckpointException as e ->
        e

/// A file of version 1 as it was first written, which every later version reads.
let private versionOne =
    """{"version":1,
        "inputs":[{"name":"x","dtype":"float32","shape":["batch",3],"mean":0.5,"deviation":2}],
        "outputs":[{"name":"y","value":"last","dtype":"float32","shape":["batch",2],"labels":["no","yes"]}],
        "nodes":[
          {"name":"a","operator":"sparse_linear","inputs":["x"],"numbers":{"in_features":3,"out_features":4},
           "tensors":{"weight":"a.weight","row_ptr":"a.row_ptr","col_idx":"a.col_idx","bias":"a.bias"}},
          {"name":"n","operator":"batch_norm","inputs":["a"],"numbers":{"features":4,"epsilon":0.25},
           "tensors":{"running_mean":"n.running_mean","running_var":"n.running_var"}},
          {"name":"l","operator":"leaky_relu","inputs":["n"],"numbers":{"slope":0.5}},
          {"name":"f","operator":"flatten","inputs":["l"]},
          {"name":"last","operator":"linear","inputs":["f"],"numbers":{"in_features":4,"out_features":2},
           "tensors":{"weight":"b.weight"}}]}"""

[<Tests>]
let deployTests =
    testSequenced
    <| testList
        "Deploy"
        [ testPropertyWithConfig
              { FsCheckConfig.defaultConfig with
                  maxTest = 150 }
              "a file computes what its model does, within the rounding of its sums"
              (Prop.forAll (Arb.fromGen (Gen.choose (0, Int32.MaxValue))) (fun seed ->
                  use _ = torch.NewDisposeScope()
                  let model, inputs = drawn seed

                  inFolder (fun path ->
                      let random = Random seed
                      let n = random.Next(1, 70)
                      let samples = samplesOf random n inputs

                      let options =
                          { Deploy.defaults with
                              Weights = enum (random.Next 4) }

                      Deploy.saveWith options path (tensorOf samples inputs) model |> ignore
                      let deployed = SparseModel.Load(path, random.Next(1, 3))
                      let results: float32[] = Array.create (n * deployed.Output.Size) nanf
                      deployed.Run(ReadOnlySpan samples, Span results)

                      let reference = NetworkOracle.NetworkReference path

                      samples
                      |> Array.chunkBySize inputs
                      |> Array.collect (fun sample -> reference.Of(Array.map float sample, 1))
                      |> Array.iteri (fun i near ->
                          let away = abs (float results[i] - near.Value)
                          Expect.isLessThanOrEqual away near.Error $"output {i} of {model}, {n} samples"))))

          test "calls of many threads are each their own, and allocate nothing after the first" {
              inFolder (fun path ->
                  use _ = torch.NewDisposeScope()
                  use model = small ()
                  Deploy.save path (torch.ones (1L, 20L)) model |> ignore
                  let deployed = SparseModel.Load path
                  let samples = samplesOf (Random 1) 64 20

                  let one (index: int) =
                      let y: float32[] = Array.zeroCreate 10
                      deployed.Run(ReadOnlySpan(samples, 20 * index, 20), Span y)
                      y

                  let alone = Array.init 64 one
                  let together = Array.zeroCreate 6400
                  Parallel.For(0, 6400, (fun i -> together[i] <- one (i % 64))) |> ignore

                  for i in 0..6399 do
                      Expect.equal together[i] alone[i % 64] $"call {i}"

                  let y: float32[] = Array.zeroCreate 640

                  let run () =
                      deployed.Run(ReadOnlySpan samples, Span y)

                  for _ in 1..50 do
                      run ()

                  let before = GC.GetAllocatedBytesForCurrentThread()

                  for _ in 1..100 do
                      run ()

                  Expect.equal (GC.GetAllocatedBytesForCurrentThread() - before) 0L "bytes of 100 calls")
          }

          test "inputs are normalized as in training, and outputs have labels" {
              inFolder (fun path ->
                  use _ = torch.NewDisposeScope()
                  use model = small ()
                  let raw = torch.rand (5L, 20L)

                  let options =
                      { Deploy.defaults with
                          Mean = 0.25
                          Deviation = 0.5
                          Labels = [ for i in 0..9 -> $"digit {i}" ] }

                  let normal = raw.sub(torch.tensor 0.25f).div(torch.tensor 0.5f)
                  let report = Deploy.saveWith options path normal model
                  Expect.equal report.Operations 3 "operations"
                  let deployed = SparseModel.Load path
                  Expect.equal deployed.Output.Labels[3] "digit 3" "labels"
                  Expect.equal (string deployed.Input) "input: float32 [batch, 20]" "the input"
                  let y: float32[] = Array.zeroCreate 50
                  deployed.Run(ReadOnlyMemory(raw.data<float32>().ToArray()), Memory y)
                  let wanted = model.call(normal).data<float32>().ToArray()

                  for i in 0..49 do
                      // Sums of at most 30 products of numbers about 1, and a normalization.
                      Expect.isLessThan (abs (y[i] - wanted[i])) 1e-5f $"output {i}")
          }

          test "a model goes on as it was, and its file is a checkpoint" {
              inFolder (fun path ->
                  use _ = torch.NewDisposeScope()
                  use model = small ()
                  model.train ()
                  (model[1] :?> Layer).eval() // one of a user's own choice
                  Deploy.save path (torch.ones (1L, 20L)) model |> ignore
                  Expect.isTrue model.training "training"
                  Expect.isFalse (model[1] :?> Layer).training "a part in evaluation"

                  Expect.isEmpty
                      (Directory.GetFiles(nonNull (Path.GetDirectoryName path), "*.trial"))
                      "nothing is left beside"

                  use other = small ()
                  Checkpoint.load path other)
          }

          test "what cannot be described is refused by its place" {
              inFolder (fun path ->
                  use _ = torch.NewDisposeScope()

                  let refuses (m: Layer) (expected: string) =
                      use model = torch.nn.Sequential(struct ("odd", m))

                      Expect.throwsC (fun () -> Deploy.save path (torch.ones (2L, 6L)) model |> ignore) (fun e ->
                          Expect.stringContains e.Message expected "the reason")

                      Expect.isFalse (File.Exists path) "nothing is written"

                  refuses (torch.nn.Softplus()) "'odd' is a Softplus"
                  refuses (torch.nn.Softmax 0L) "expected the last dimension in 'odd', got dim=0"
                  refuses (torch.nn.BatchNorm1d(6L, track_running_stats = false)) "running statistics of 'odd'"
                  refuses (torch.nn.Linear(6L, 2L, dtype = torch.float64)) "expected weights of float32")
          }

          test "a module that names another than it has is told so" {
              inFolder (fun path ->
                  use _ = torch.NewDisposeScope()
                  use model = new Misnamed()

                  Expect.throwsC (fun () -> Deploy.save path (torch.ones (2L, 6L)) model |> ignore) (fun e ->
                      Expect.stringContains e.Message "'outer' asks for 'outer.weight'" "the name"
                      Expect.stringContains e.Message "state_dict" "the cure")

                  Expect.isFalse (File.Exists path) "nothing is written")
          }

          test "lengths are checked before anything is written" {
              inFolder (fun path ->
                  use _ = torch.NewDisposeScope()
                  use model = small ()
                  Deploy.save path (torch.ones (1L, 20L)) model |> ignore
                  let deployed = SparseModel.Load path
                  let y = Array.create 10 7.0f

                  for inputs, outputs, expected in
                      [ 19, 10, "expected samples of 20 numbers, got 19"
                        40, 10, "expected room for 2 · 10 numbers, got 10" ] do
                      Expect.throwsC
                          (fun () -> deployed.Run(ReadOnlySpan(Array.zeroCreate<float32> inputs), Span(y, 0, outputs)))
                          (fun e -> Expect.stringContains e.Message expected "the reason")

                  Expect.all y (fun y -> y = 7.0f) "as it was"
                  deployed.Run(ReadOnlySpan<float32>.Empty, Span.Empty))
          }

          test "descriptions that are not those of version 1, or not of the tensors, are refused" {
              inFolder (fun path ->
                  let good = descriptionOf path

                  for from, into, expected in
                      [ "\"version\":1", "\"version\":2", "expected version 1, got 2"
                        "\"relu\"", "\"frobnicate\"", "got 'frobnicate'"
                        "\"in_features\":20", "\"in_features\":21", "expected 21 numbers in the last dimension"
                        "\"in_features\":20", "\"in_features\":2e9", "expected a whole number from 1 to"
                        "\"out_features\":30", "\"out_features\":31", "expected shape [32], got [31]"
                        "hidden.row_ptr", "hidden.nothing", "does not have"
                        "\"row_ptr\":\"hidden.row_ptr\",", "", "expected one pattern of the weight"
                        "\"batch\",20", "\"batch\",0", "sizes of 1 to 2^30"
                        "\"batch\",20", "\"batch\",1073741824,1073741824", "sizes of 1 to 2^30"
                        "\"inputs\":[\"hidden\"]", "\"inputs\":[\"output\"]", "which is no input and no node before it"
                        "\"value\":\"output\"", "\"value\":\"elsewhere\"", "which is no node"
                        "\"name\":\"relu\"", "\"name\":\"hidden\"", "is given twice"
                        "\"batch\",10", "\"batch\",11", "expected [11], as it says, got [10]"
                        "\"nodes\":", "\"knots\":", "got 'knots'" ] do
                      let text = good.Replace(from, into, StringComparison.Ordinal)
                      Expect.notEqual text good $"'{from}' is there"
                      writeWith path text
                      let e = refusal (fun () -> SparseModel.Load path |> ignore)
                      Expect.stringContains e.Message expected $"{from} → {into}"

                  Checkpoint.save path (small ())
                  let e = refusal (fun () -> SparseModel.Load path |> ignore)
                  Expect.stringContains e.Message "no description of the network" "a checkpoint")
          }

          test "a file of version 1 is read for ever" {
              inFolder (fun path ->
                  use _ = torch.NewDisposeScope()

                  SafetensorsFile.writeThrough
                      id
                      path
                      [ NetworkDescription.Key, versionOne ]
                      [ struct ("a.weight", torch.tensor [| 1.0f; -2.0f; 3.0f; 0.5f |])
                        struct ("a.row_ptr", torch.tensor [| 0; 2; 2; 3; 4 |])
                        struct ("a.col_idx", torch.tensor [| 0; 2; 1; 2 |])
                        struct ("a.bias", torch.tensor [| 0.0f; 1.0f; 0.0f; -1.0f |])
                        struct ("n.running_mean", torch.tensor [| 0.0f; 0.5f; 1.0f; 0.0f |])
                        struct ("n.running_var", torch.tensor [| 0.75f; 3.75f; 0.75f; 0.0f |])
                        struct ("b.weight",
                                torch.tensor (array2D [ [ 1.0f; 2.0f; 3.0f; 4.0f ]; [ 0.0f; 1.0f; 0.0f; -1.0f ] ])) ]

                  let model = SparseModel.Load path
                  let y: float32[] = Array.zeroCreate 2
                  model.Run(ReadOnlySpan [| 2.5f; 4.5f; -1.5f |], Span y)
                  // Normalized 1, 2, −1; products 3, 1, 6, −1.5; normal 3, 0.25, 5, −3; 3, 0.25, 5, −1.5 after the slope: all exact.
                  Expect.equal y [| 12.5f; 1.75f |] "outputs"
                  Expect.equal (List.ofSeq model.Output.Labels) [ "no"; "yes" ] "labels")
          }

          test "a network of two inputs and two outputs runs by their names, and tokens have 32 bits or 64" {
              inFolder (fun path ->
                  use _ = torch.NewDisposeScope()

                  SafetensorsFile.writeThrough
                      id
                      path
                      [ NetworkDescription.Key,
                        """{"version":1,
                            "inputs":[{"name":"word","dtype":"int32","shape":["batch"]},
                                      {"name":"x","dtype":"float32","shape":["batch",2]}],
                            "outputs":[{"name":"sum","value":"s","dtype":"float32","shape":["batch",2]},
                                       {"name":"row","value":"e","dtype":"float32","shape":["batch",2]}],
                            "nodes":[{"name":"e","operator":"embedding","inputs":["word"],
                                      "numbers":{"count":3,"features":2},"tensors":{"weight":"t"}},
                                     {"name":"s","operator":"add","inputs":["e","x"]}]}""" ]
                      [ struct ("t", torch.tensor (array2D [ [ 1.0f; 2.0f ]; [ 3.0f; 4.0f ]; [ 5.0f; 6.0f ] ])) ]

                  let model = SparseModel.Load path

                  let results =
                      model.Run(
                          readOnlyDict
                              [ ("word", ModelTensor.Of([| 2L; 0L |], [| 2 |]))
                                ("x", ModelTensor.Of([| 10.0f; 20.0f; 30.0f; 40.0f |], [| 2; 2 |])) ]
                      )

                  Expect.equal results["row"].Values [| 5.0f; 6.0f; 1.0f; 2.0f |] "rows are what they were"
                  Expect.equal results["sum"].Values [| 15.0f; 26.0f; 31.0f; 42.0f |] "sums"
                  Expect.equal (List.ofSeq results["sum"].Shape) [ 2; 2 ] "a shape"

                  let missing () =
                      model.Run(readOnlyDict [ ("word", ModelTensor.Of([| 2L |], [| 1 |])) ])
                      |> ignore

                  Expect.throwsC missing (fun e -> Expect.stringContains e.Message "an input 'x'" "the reason")

                  Expect.throwsT<InvalidOperationException>
                      (fun () -> model.Run(ReadOnlySpan [| 1.0f; 2.0f |], Span [| 0.0f; 0.0f |]))
                      "one span for two inputs"

                  use words =
                      torch.nn.Sequential(struct ("table", torch.nn.Embedding(3L, 2L) :> Layer))

                  Deploy.save path (torch.zeros ([| 1L; 2L |], dtype = torch.int64)) words
                  |> ignore

                  let table = SparseModel.Load path
                  let long, short: float32[] * float32[] = Array.zeroCreate 4, Array.zeroCreate 4
                  table.Run(ReadOnlySpan [| 2L; 1L |], 1, Span long)
                  table.Run(ReadOnlySpan [| 2; 1 |], 1, Span short)
                  Expect.equal short long "the same tokens"

                  Expect.throwsC (fun () -> table.Run(ReadOnlySpan [| 3; 1 |], 1, Span short)) (fun e ->
                      Expect.stringContains e.Message "expected tokens from 0 to 2, got 3" "the reason"))
          }

          test "files with changed bytes are refused, or compute something" {
              inFolder (fun path ->
                  descriptionOf path |> ignore
                  let whole = File.ReadAllBytes path
                  let headerBytes = int (BitConverter.ToInt64(whole, 0)) + 8
                  let random = Random 1
                  let mutable loaded = 0

                  for trial in 1..1_500 do
                      let bytes = Array.copy whole

                      for _ in 0 .. random.Next 3 do
                          // The header as often as the tensors, which are longer.
                          let at =
                              if random.Next 2 = 0 then
                                  random.Next headerBytes
                              else
                                  random.Next bytes.Length

                          bytes[at] <- byte (random.Next 256)

                      let bytes =
                          if trial % 10 = 0 then
                              Array.truncate (random.Next bytes.Length) bytes
                          else
                              bytes

                      File.WriteAllBytes(path, bytes)

                      try
                          let model = SparseModel.Load path
                          let x: float32[] = Array.create model.Input.Size 1.0f
                          model.Run(ReadOnlySpan x, Span(Array.zeroCreate model.Output.Size))
                          loaded <- loaded + 1
                      with :? CheckpointException ->
                          ()

                  Expect.isGreaterThan loaded 100 "some get past every check"
                  Expect.isLessThan loaded 1_400 "some do not")
          } ]
