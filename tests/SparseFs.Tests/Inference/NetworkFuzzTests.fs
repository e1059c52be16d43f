/// Deployed files that were sound, spoilt in thousands of ways: each is refused with the one typed error, or is a network that computes.
module SparseFs.Tests.NetworkFuzzTests

open System
open System.IO
open System.Text
open System.Text.Json.Nodes
open Expecto
open SparseFs
open SparseFs.Inference
open SparseFs.Tests.DrawnNetworks
open TorchSharp

/// 4,000, or what the environment says.
let private mutations =
    match Int32.TryParse(Environment.GetEnvironmentVariable "SPARSEFS_FUZZ") with
    | true, count when count > 0 -> count
    | _ -> 4_000

/// What loading may take beside the bytes of the file.
let private roomBytes = 64_000_000L

/// Whole files of all kinds of networks and weights.
let private sound () : byte[][] =
    let folder = Directory.CreateTempSubdirectory("sparsefs-fuzz-").FullName
    let path = Path.Combine(folder, "model.safetensors")

    try
        [| for seed in 1..24 do
               use _ = torch.NewDisposeScope()
               torch.manual_seed (int64 seed) |> ignore

               let model, sample: Layer * torch.Tensor =
                   match seed % 4 with
                   | 0 ->
                       let rec fitting (seed: int) =
                           let model, input = pixels (Random seed)

                           try
                               model.eval ()
                               let sample = torch.randn (Array.append [| 1L |] input)
                               model.call sample |> ignore
                               model :> Layer, sample
                           with
                           | :? Runtime.InteropServices.ExternalException
                           | :? ArgumentException -> fitting (seed + 1_000)

                       fitting seed
                   | 1 ->
                       let model = new Tokens(seed)
                       model, torch.zeros ([| 1L; 3L |], dtype = torch.int64)
                   | 2 ->
                       let model = new Encoder(seed)
                       model, torch.randn (1L, 3L, int64 model.Features)
                   | _ ->
                       let model = new Recurrent(seed, false)
                       model, torch.randn (1L, 3L, int64 model.Inputs)

               model.eval ()

               let options =
                   { Deploy.defaults with
                       Weights = enum (seed / 4 % 4) }

               Deploy.saveWith options path sample model |> ignore
               File.ReadAllBytes path |]
    finally
        Directory.Delete(folder, true)

let private strange: (JsonNode | null) list =
    [ JsonValue.Create 0
      JsonValue.Create -1
      JsonValue.Create 1
      JsonValue.Create 3
      JsonValue.Create 1.5
      JsonValue.Create 1e300
      JsonValue.Create 1073741824
      JsonValue.Create 2147483648L
      JsonValue.Create "input"
      JsonValue.Create "linear"
      JsonValue.Create "sparse_conv"
      JsonValue.Create "lstm"
      JsonValue.Create "batch"
      JsonValue.Create "I8"
      JsonValue.Create true
      JsonArray()
      JsonObject() ]

/// Something of a text of JSON becomes something else.
let rec private spoilJson (random: Random) (node: JsonNode) : unit =
    let other () =
        (nonNull strange[random.Next strange.Length]).DeepClone()

    match node with
    | :? JsonObject as o when o.Count > 0 ->
        let key = (Seq.item (random.Next o.Count) o).Key

        match o[key] with
        | :? JsonObject
        | :? JsonArray when random.Next 8 > 0 -> spoilJson random (nonNull o[key])
        | _ ->
            match random.Next 5 with
            | 0 -> o.Remove key |> ignore
            | 1 ->
                // One value as another one of the object is.
                let from = (Seq.item (random.Next o.Count) o).Value
                o[key] <- if isNull from then null else (nonNull from).DeepClone()
            | _ -> o[key] <- other ()
    | :? JsonArray as a when a.Count > 0 ->
        let index = random.Next a.Count

        match a[index] with
        | :? JsonObject
        | :? JsonArray when random.Next 8 > 0 -> spoilJson random (nonNull a[index])
        | _ ->
            match random.Next 4 with
            | 0 -> a.RemoveAt index
            | 1 -> a.Add(other ())
            | _ -> a[index] <- other ()
    | _ -> ()

let private spoil (random: Random) (bytes: byte[]) : byte[] =
    let headerBytes = int (BitConverter.ToInt64(bytes, 0))

    let withHeader (header: JsonNode) =
        let text = Encoding.UTF8.GetBytes(header.ToJsonString())
        Array.concat [ BitConverter.GetBytes(int64 text.Length); text; bytes[8 + headerBytes ..] ]

    let header () =
        nonNull (JsonNode.Parse(ReadOnlySpan(bytes, 8, headerBytes)))

    match random.Next 10 with
    | 0 ->
        // Any byte, or an end that is too early.
        let own = Array.copy bytes

        for _ in 0 .. random.Next 4 do
            own[random.Next own.Length] <- byte (random.Next 256)

        if random.Next 3 = 0 then
            Array.truncate (random.Next own.Length) own
        else
            own
    | 1
    | 2
    | 3 ->
        // Numbers, patterns and their streams.
        let own = Array.copy bytes

        if own.Length > 8 + headerBytes then
            for _ in 0 .. random.Next 6 do
                own[random.Next(8 + headerBytes, own.Length)] <- byte (random.Next 256)

        own
    | 4 ->
        // Shapes, dtypes and places of tensors.
        let header = header ()
        spoilJson random header
        withHeader header
    | _ ->
        let header = header ()
        let texts = nonNull header["__metadata__"]

        let network =
            nonNull (JsonNode.Parse((nonNull texts["sparsefs.network"]).GetValue<string>()))

        for _ in 0 .. random.Next 2 do
            spoilJson random network

        texts["sparsefs.network"] <- JsonValue.Create(network.ToJsonString())
        withHeader header

[<Tests>]
let networkFuzzTests =
    testSequenced
    <| testList
        "Networks of spoilt files"
        [ testCase "are refused, or compute, in memory that the file accounts for" (fun () ->
              let folder = Directory.CreateTempSubdirectory("sparsefs-fuzz-").FullName

              try
                  let path = Path.Combine(folder, "model.safetensors")
                  let files = sound ()
                  let mutable taken, past = 0, 0

                  let run (seed: int) =
                      let random = Random seed
                      let bytes = spoil random files[random.Next files.Length]
                      File.WriteAllBytes(path, bytes)
                      let before = GC.GetAllocatedBytesForCurrentThread()

                      let model =
                          try
                              ValueSome(SparseModel.Load path)
                          with :? CheckpointException as e ->
                              Expect.isNotEmpty e.Reason "a reason"

                              // What is refused for its sizes, patterns or tensors has a header and a description that can be read.
                              if e.Problem <> CheckpointProblem.Header then
                                  past <- past + 1

                              ValueNone

                      let allocated = GC.GetAllocatedBytesForCurrentThread() - before
                      Expect.isLessThan allocated (roomBytes + 64L * bytes.LongLength) "memory of loading"

                      match model with
                      | ValueSome model ->
                          taken <- taken + 1

                          // Sizes of the file's own choice may be larger than a test has room for.
                          if model.PlannedNumbers < 1_000_000L then
                              let results: float32[] = Array.zeroCreate model.Output.Size

                              try
                                  if model.Input.Dtype = "float32" then
                                      model.Run(ReadOnlySpan(Array.create model.Input.Size 0.5f), 1, Span results)
                                  else
                                      model.Run(ReadOnlySpan(Array.create model.Input.Size 1L), 1, Span results)
                              with :? ArgumentException ->
                                  () // a token that the table has not
                      | ValueNone -> ()

                  for seed in 1..mutations do
                      try
                          run seed
                      with e ->
                          failtest $"with seed {seed}: {e}"

                  Expect.isGreaterThan taken (mutations / 20) "not vacuous: networks"
                  Expect.isGreaterThan (taken + past) (mutations / 5) "not vacuous: past the header"
              finally
                  Directory.Delete(folder, true)) ]
