/// Deployed networks beside ONNX Runtime's and TorchSharp's dense ones and the sparse module, under the JIT and compiled ahead of time.
module SparseFs.Benchmarks.InferenceBenchmark

open System
open System.Diagnostics
open System.Globalization
open System.IO
open System.Runtime.InteropServices
open System.Runtime.Intrinsics
open System.Text.Json
open System.Text.Json.Nodes
open Microsoft.ML.OnnxRuntime
open SparseFs
open SparseFs.Inference
open SparseFs.Kernels
open TorchSharp
open SparseFs.Benchmarks.InferenceModels
open SparseFs.Benchmarks.MiniGpt
open SparseFs.Benchmarks.Timing

type private Row =
    {
        Model: string
        Format: string
        Batch: int
        Threads: int
        Runtime: string
        OursMs: float
        DenseMs: float
        SparseMs: float
        OnnxMs: float voption
        Bytes: int64
        /// Of the dense network's safetensors file, in float32.
        DenseBytes: int64
    }

/// So many calls at once, as a service has them: what others left in the caches counts for the first one alone.
let private repeated (calls: int) (run: unit -> unit) () =
    for _ in 1..calls do
        run ()

let private contender (seconds: float) (name: string) (run: unit -> unit) =
    { Name = name
      Prepare = ignore
      Run = run
      Seconds = seconds }

let private show (r: Row) =
    let onnx =
        match r.OnnxMs with
        | ValueSome ms -> $"; ONNX Runtime's dense %.3f{ms}: %.2f{ms / r.OursMs} times"
        | ValueNone -> ""

    printfn
        $"{r.Model}, {r.Format}, batch {r.Batch}, {r.Threads} threads, {r.Runtime}: %.3f{r.OursMs} ms; TorchSharp's dense %.3f{r.DenseMs}: %.2f{r.DenseMs / r.OursMs}, our module %.3f{r.SparseMs}: %.2f{r.SparseMs / r.OursMs}{onnx}; %.3f{float r.Bytes / float r.DenseBytes} of the dense file"

    r

/// A session of ONNX Runtime over a dense network, and what calls it.
let private onnxOf (folder: string) (threads: int) (dense: Net) (input: float32[]) (shape: int64[]) =
    let path = Path.Combine(folder, "dense.onnx")

    Onnx.exportWith
        { Onnx.defaults with
            InputShape = shape[1..] |> Array.map int }
        path
        dense

    let options =
        new SessionOptions(
            IntraOpNumThreads = threads,
            InterOpNumThreads = 1,
            GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL
        )

    let session = new InferenceSession(path, options)
    let x = OrtValue.CreateTensorValueFromMemory(input, shape)
    let names = [| Seq.head session.InputNames |]
    let outputs = [| Seq.head session.OutputNames |]
    let run = new RunOptions()

    fun () ->
        use results = session.Run(run, names, [| x |], outputs)
        results.Count |> ignore

/// The native program of examples/Inference, which says how long a call takes; none where it cannot be made.
let private native (folder: string) : string option =
    let rid = RuntimeInformation.RuntimeIdentifier

    let set =
        if Vector512.IsHardwareAccelerated then "x86-64-v4"
        elif Vector256.IsHardwareAccelerated then "x86-64-v3"
        else "native"

    let start =
        ProcessStartInfo(
            "dotnet",
            [ "publish"
              "examples/Inference"
              "-c"
              "Release"
              "-r"
              rid
              "-p:PublishAot=true"
              $"-p:IlcInstructionSet={set}"
              $"-p:ArtifactsPath={folder}/build/"
              $"""-p:RestoreAdditionalProjectSources={Path.GetFullPath ".feed"}"""
              "-o"
              Path.Combine(folder, "native") ],
            RedirectStandardOutput = true
        )

    start.Environment["MSBUILDDISABLENODEREUSE"] <- "1"
    use running = nonNull (Process.Start start)
    let said = running.StandardOutput.ReadToEnd()
    running.WaitForExit()

    if running.ExitCode = 0 then
        Some(Path.Combine(folder, "native", "Inference"))
    else
        printfn $"not compiled ahead of time: {said}"
        None

/// Milliseconds of a call as the native program measures them.
let private nativeMs (program: string) (file: string) : float =
    let start =
        ProcessStartInfo(program, [ file ], RedirectStandardError = true, RedirectStandardOutput = true)

    use running = nonNull (Process.Start start)
    let said = running.StandardError.ReadToEnd()
    running.WaitForExit()
    Double.Parse((said.Trim().Split ' ')[0], CultureInfo.InvariantCulture) / 1000.0

let private forms =
    [ "checkpoint", DeployedWeights.Checkpoint
      "float32", DeployedWeights.Float32
      "bfloat16", DeployedWeights.BFloat16
      "int8", DeployedWeights.Int8 ]

let private rowsOf (folder: string) (program: string option) (threads: int) (m: Measured) : Row list =
    use _ = torch.NewDisposeScope()
    use _ = torch.no_grad ()
    m.Sparse.eval ()
    m.Dense.eval ()
    let denseFile = Path.Combine(folder, "dense.safetensors")
    Safetensors.save denseFile (readOnlyDict []) (m.Dense.state_dict ())
    let denseBytes = FileInfo(denseFile).Length

    let files =
        [ for name, weights in forms do
              let path = Path.Combine(folder, $"{weights}.safetensors")

              let report =
                  Deploy.saveWith
                      { Deploy.defaults with
                          Weights = weights }
                      path
                      m.Sample
                      m.Sparse

              printfn $"{m.Name}, {name}: {report}"
              name, path, SparseModel.Load(path, threads) ]

    [ for batch in (if m.Name = "cnn" then [ 1 ] else [ 1; 64 ]) do
          let sample = torch.randn (Array.append [| int64 batch |] m.Sample.shape[1..])
          let input = sample.data<float32>().ToArray()
          let onnx = onnxOf folder threads m.Dense input sample.shape

          // About 50 ms of the dense network's.
          let calls =
              if m.Name.StartsWith "4" then
                  (if batch = 1 then 3 else 1)
              else
                  20

          let ours =
              [ for name, _, model in files do
                    let results: float32[] = Array.zeroCreate (batch * model.Output.Size)
                    contender 2.0 name (repeated calls (fun () -> model.Run(ReadOnlySpan input, Span results))) ]

          let module' (name: string) (network: Net) =
              contender
                  2.0
                  name
                  (repeated calls (fun () ->
                      use _ = torch.NewDisposeScope()
                      network.call sample |> ignore))

          let times =
              inTurn
                  2_000
                  (ours
                   @ [ module' "dense" m.Dense
                       module' "sparse" m.Sparse
                       contender 2.0 "onnx" (repeated calls onnx) ])
              |> Map.map (fun _ time -> time / float calls)

          for name, path, _ in files do
              let row =
                  { Model = m.Name
                    Format = name
                    Batch = batch
                    Threads = threads
                    Runtime = "jit"
                    OursMs = times[name]
                    DenseMs = times["dense"]
                    SparseMs = times["sparse"]
                    OnnxMs = ValueSome times["onnx"]
                    Bytes = FileInfo(path).Length
                    DenseBytes = denseBytes }

              show row

              match program with
              | Some program when batch = 1 && threads = 1 ->
                  show
                      { row with
                          Runtime = "aot"
                          OursMs = nativeMs program path }
              | _ -> () ]

/// Characters one after the other, with caches.
let private generation (folder: string) (threads: int) : Row =
    use _ = torch.NewDisposeScope()
    use _ = torch.no_grad ()
    let path = Path.Combine(folder, "gpt.safetensors")
    let made = sparse 0.9 Topology.uniform
    use sparse = new Gpt(made |> Array.map (fun b -> b :> Net))
    let ofDense = dense ()
    use dense = new Gpt(ofDense)
    sparse.eval ()
    dense.eval ()
    let sample = torch.randint (characters, [| 1L; tokens |], dtype = torch.int64)
    Deploy.save path sample sparse |> printfn "mini-gpt: %O"
    let model = SparseModel.Load(path, threads)
    let session = model.CreateSession()
    let scores: float32[] = Array.zeroCreate model.Output.Size

    /// A whole sequence, token by token.
    let ours () =
        session.Reset()

        for token in 0L .. tokens - 1L do
            session.Step(token % characters, Span scores)

    let ofTorch (network: Gpt) (step: int64 -> int -> torch.Tensor -> torch.Tensor) =
        for token in 0L .. tokens - 1L do
            use _ = torch.NewDisposeScope()
            let x = torch.tensor([| token % characters |]).view(1L, 1L)
            network.From(x, token, step token) |> ignore

    let denseRun () =
        let caches = ofDense |> Array.map (fun _ -> DenseCache())

        ofTorch dense (fun _ index h -> (ofDense[index] :?> DenseBlock).Of(h, ValueSome caches[index]))

    let sparseRun () =
        let caches = made |> Array.map (fun _ -> new KeyValueCache(int tokens))
        ofTorch sparse (fun _ index h -> made[index].call(h, caches[index]))

        for cache in caches do
            (cache :> IDisposable).Dispose()

    let times =
        inTurn
            30
            [ contender 10.0 "ours" ours
              contender 10.0 "dense" denseRun
              contender 10.0 "sparse" sparseRun ]

    let ofToken (name: string) = times[name] / float tokens
    let denseFile = Path.Combine(folder, "dense.safetensors")
    Safetensors.save denseFile (readOnlyDict []) (dense.state_dict ())

    show
        { Model = "mini-gpt, a token"
          Format = "checkpoint"
          Batch = 1
          Threads = threads
          Runtime = "jit"
          OursMs = ofToken "ours"
          DenseMs = ofToken "dense"
          SparseMs = ofToken "sparse"
          OnnxMs = ValueNone
          Bytes = FileInfo(path).Length
          DenseBytes = FileInfo(denseFile).Length }

/// How long the files of 4 x 4096² take to load.
let private loads (folder: string) (m: Measured) : unit =
    for name, weights in forms do
        let path = Path.Combine(folder, "load.safetensors")

        Deploy.saveWith
            { Deploy.defaults with
                Weights = weights }
            path
            m.Sample
            m.Sparse
        |> ignore

        let times =
            inTurn 15 [ contender 3.0 name (fun () -> SparseModel.Load path |> ignore) ]

        let bytes = FileInfo(path).Length
        printfn $"load of {m.Name}, {name}: %.1f{times[name]} ms, %.2f{float bytes / times[name] / 1e6} GB/s"

/// Every row with each of so many threads, printed and written to a file.
let run (threads: int list) (path: string) : unit =
    let folder =
        match Path.GetDirectoryName path with
        | null -> "."
        | folder -> folder

    let files = Directory.CreateDirectory(Path.Combine(folder, "inference")).FullName
    let program = native files
    let models = all ()
    loads files (models |> List.find (fun m -> m.Name = "4 x 4096²"))

    let rows =
        [ for count in threads do
              torch.set_num_threads count

              for m in models do
                  yield! rowsOf files program count m

              generation files count ]

    let nodes =
        [| for r in rows do
               let o = JsonObject()
               let ms (time: float) = JsonValue.Create(Math.Round(time, 4))
               o["model"] <- JsonValue.Create r.Model
               o["sparsity"] <- JsonValue.Create 0.9
               o["format"] <- JsonValue.Create r.Format
               o["batch"] <- JsonValue.Create r.Batch
               o["threads"] <- JsonValue.Create r.Threads
               o["runtime"] <- JsonValue.Create r.Runtime
               o["width"] <- JsonValue.Create CpuKernels.Shared.VectorBits
               o["ours_ms"] <- ms r.OursMs
               o["torchsharp_dense_ms"] <- ms r.DenseMs
               o["torchsharp_sparse_ms"] <- ms r.SparseMs

               match r.OnnxMs with
               | ValueSome time -> o["onnxruntime_ms"] <- ms time
               | ValueNone -> ()

               o["bytes"] <- JsonValue.Create r.Bytes
               o["dense_bytes"] <- JsonValue.Create r.DenseBytes
               o :> JsonNode |]

    File.WriteAllText(path, JsonArray(nodes).ToJsonString(JsonSerializerOptions(WriteIndented = true)))
    printfn $"\nwritten to {path}"
