/// Networks of every operator: what a file says is what the module computes, and what SparseFs.Inference computes is that within rounding.
module SparseFs.Tests.NetworkTests

open System
open System.IO
open Expecto
open FsCheck.FSharp
open SparseFs
open SparseFs.Inference
open SparseFs.Tests.DrawnNetworks
open SparseFs.Tests.NetworkOracle
open TorchSharp

let private inFolder (work: string -> unit) =
    let folder = Directory.CreateTempSubdirectory("sparsefs-networks-").FullName

    try
        work (Path.Combine(folder, "model.safetensors"))
    finally
        Directory.Delete(folder, true)

let private anySeed = Arb.fromGen (Gen.choose (0, Int32.MaxValue))

let private property (count: int) (name: string) (law: int -> unit) =
    testPropertyWithConfig
        { FsCheckConfig.defaultConfig with
            maxTest = count }
        name
        (Prop.forAll anySeed (fun seed ->
            use _ = torch.NewDisposeScope()
            torch.manual_seed (int64 seed) |> ignore
            law seed))

/// What a float64 computation is off by, where a float32 one is off by 1.
let private ofDouble = 2.0 ** -29.0

/// Deploys a model, and compares the module in float64, the file's meaning in float64 and SparseFs.Inference.
let private agreesAs (weights: DeployedWeights) (path: string) (model: Layer) (sample: torch.Tensor) =
    model.eval ()

    Deploy.saveWith
        { Deploy.defaults with
            Weights = weights }
        path
        sample
        model
    |> ignore

    let reference, deployed = NetworkReference path, SparseModel.Load(path, 2)
    let n, tokens = int sample.shape[0], int sample.shape[1]

    let numbers =
        sample.to_type(torch.float64).contiguous().data<float>().ToArray()
        |> Array.chunkBySize (int (sample.numel ()) / n)

    let near = numbers |> Array.collect (fun own -> reference.Of(own, tokens))
    let results: float32[] = Array.create near.Length nanf

    if deployed.Input.Dtype = "float32" then
        deployed.Run(ReadOnlySpan(Array.concat numbers |> Array.map float32), n, Span results)
    else
        deployed.Run(ReadOnlySpan(Array.concat numbers |> Array.map int64), n, Span results)

    /// The module's own outputs, where the file has its numbers.
    let exactly () =
        let input =
            if deployed.Input.Dtype = "float32" then
                sample.to_type torch.float64
            else
                sample

        model.``to``(torch.float64).call(input).contiguous().data<float>().ToArray()

    let exactly =
        if weights = DeployedWeights.Checkpoint || weights = DeployedWeights.Float32 then
            exactly ()
        else
            near |> Array.map _.Value

    for i in 0 .. near.Length - 1 do
        let own = near[i]

        Expect.isLessThanOrEqual
            (abs (exactly[i] - own.Value))
            (2.0 * ofDouble * own.Error)
            $"the file says so, {i} of {model}"

        Expect.isLessThanOrEqual (abs (float results[i] - own.Value)) own.Error $"output {i} of {model}"

    reference

let private agrees = agreesAs DeployedWeights.Checkpoint

let private anyWeights (random: Random) : DeployedWeights = enum (random.Next 4)

/// Each token behind the ones before it.
let private stepsAgree (path: string) (sample: float[]) (ofToken: int) (reference: NetworkReference) =
    let deployed = SparseModel.Load path
    let session = deployed.CreateSession()
    let tokens = sample.Length / ofToken
    let isWhole = deployed.Output.TokensName <> ""
    let results: float32[] = Array.create deployed.Output.Size nanf

    let step (from: int) (count: int) (into: float32[]) =
        if deployed.Input.Dtype = "float32" then
            let own =
                sample[from * ofToken .. (from + count) * ofToken - 1] |> Array.map float32

            session.Step(ReadOnlySpan own, Span into)
        else
            session.Step(ReadOnlySpan(sample[from .. from + count - 1] |> Array.map int64), Span into)

    for token in 0 .. tokens - 1 do
        step token 1 results
        let seen = reference.Of(sample[.. (token + 1) * ofToken - 1], token + 1)
        let own = seen[seen.Length - results.Length ..]

        for i in 0 .. results.Length - 1 do
            Expect.isLessThanOrEqual (abs (float results[i] - own[i].Value)) own[i].Error $"token {token}, output {i}"

    Expect.equal session.Tokens tokens "tokens seen"

    // Several at once, behind a state that was kept: the same numbers as one after the other, within the rounding of other orders.
    if tokens > 2 && isWhole then
        session.Reset()
        step 0 1 results
        let kept = session.Capture()
        step 1 1 results
        session.Restore kept
        let rest: float32[] = Array.create ((tokens - 1) * results.Length) nanf
        step 1 (tokens - 1) rest
        let whole = reference.Of(sample, tokens)

        for i in 0 .. rest.Length - 1 do
            let own = whole[results.Length + i]
            Expect.isLessThanOrEqual (abs (float rest[i] - own.Value)) own.Error $"number {i} of several tokens"

[<Tests>]
let networkTests =
    testSequenced
    <| testList
        "Networks of files"
        [ property 150 "pixels" (fun seed ->
              inFolder (fun path ->
                  let random = Random seed
                  let model, input = pixels random
                  use model = model
                  let shape = Array.append [| int64 (random.Next(1, 4)) |] input

                  try
                      // Kernels that do not fit are torch's to refuse, and reflections that are too wide.
                      use _ = torch.no_grad ()
                      // In training, single pixels would leave statistics that are none.
                      model.eval ()
                      model.call (torch.zeros shape) |> ignore
                      true
                  with
                  | :? System.Runtime.InteropServices.ExternalException
                  | :? ArgumentException -> false
                  |> fun fits ->
                      if fits then
                          agreesAs (anyWeights random) path model (torch.randn shape) |> ignore))

          property 100 "tokens, whole and in sessions" (fun seed ->
              inFolder (fun path ->
                  use model = new Tokens(seed)
                  let random = Random seed
                  let n, tokens = random.Next(1, 4), random.Next(1, 13)

                  let sample =
                      torch.randint (int64 model.Count, [| int64 n; int64 tokens |], dtype = torch.int64)

                  let reference = agreesAs (anyWeights random) path model sample
                  let first = sample[0].data<int64>().ToArray() |> Array.map float
                  stepsAgree path first 1 reference))

          property 60 "encoders" (fun seed ->
              inFolder (fun path ->
                  use model = new Encoder(seed)
                  let random = Random seed

                  let shape =
                      [| int64 (random.Next(1, 4)); int64 (random.Next(1, 9)); int64 model.Features |]

                  agrees path model (torch.randn shape) |> ignore

                  Expect.throwsT<InvalidOperationException>
                      (fun () -> (SparseModel.Load path).CreateSession() |> ignore)
                      "tokens that are still to come"))

          property 100 "recurrent layers, whole and in sessions" (fun seed ->
              inFolder (fun path ->
                  let random = Random seed
                  let isOneWay = random.Next 2 = 0
                  use model = new Recurrent(seed, isOneWay)

                  let shape =
                      [| int64 (random.Next(1, 4)); int64 (random.Next(1, 9)); int64 model.Inputs |]

                  let sample = torch.randn shape
                  let reference = agreesAs (anyWeights random) path model sample

                  if isOneWay then
                      let first = sample[0].to_type(torch.float64).contiguous().data<float>().ToArray()
                      stepsAgree path first model.Inputs reference))

          property 40 "calls and steps of one thread allocate nothing once they are warm" (fun seed ->
              inFolder (fun path ->
                  let model, sample, isSession: Layer * torch.Tensor * bool =
                      match seed % 3 with
                      | 0 ->
                          let model, input = pixels (Random seed)
                          model, torch.randn (Array.append [| 1L |] input), false
                      | 1 ->
                          let model = new Tokens(seed)
                          model, torch.zeros ([| 1L; 6L |], dtype = torch.int64), true
                      | _ ->
                          let model = new Recurrent(seed, true)
                          model, torch.randn (1L, 6L, int64 model.Inputs), true

                  model.eval ()

                  let isMade =
                      try
                          Deploy.save path sample model |> ignore
                          true
                      with
                      | :? System.Runtime.InteropServices.ExternalException
                      | :? ArgumentException -> false // pixels that a kernel does not fit into

                  if isMade then
                      let deployed = SparseModel.Load path
                      let tokens = if isSession then 6 else 1

                      let count =
                          deployed.Output.Size * (if deployed.Output.TokensName = "" then 1 else tokens)

                      let results: float32[] = Array.zeroCreate count
                      let floats: float32[] = Array.zeroCreate (deployed.Input.Size * tokens)
                      let places: int64[] = Array.zeroCreate (deployed.Input.Size * tokens)
                      let session: Session | null = if isSession then deployed.CreateSession() else null

                      let work () =
                          if deployed.Input.Dtype = "float32" then
                              deployed.Run(ReadOnlySpan floats, 1, Span results)
                          else
                              deployed.Run(ReadOnlySpan places, 1, Span results)

                          match session with
                          | null -> ()
                          | session ->
                              session.Reset()
                              let one = Span(results, 0, deployed.Output.Size)

                              if deployed.Input.Dtype = "float32" then
                                  session.Step(ReadOnlySpan(floats, 0, deployed.Input.Size), one)
                              else
                                  session.Step(0L, one)

                      for _ in 1..60 do
                          work ()

                      let before = GC.GetAllocatedBytesForCurrentThread()

                      for _ in 1..20 do
                          work ()

                      Expect.equal (GC.GetAllocatedBytesForCurrentThread() - before) 0L $"bytes of {model}")) ]
