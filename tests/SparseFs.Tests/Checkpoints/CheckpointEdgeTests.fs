/// Models and files at the edge of what the format, torch and the file system can hold.
module SparseFs.Tests.CheckpointEdgeTests

open System
open System.Collections.Generic
open System.IO
open System.Text
open Expecto
open SparseFs
open SparseFs.Torch
open SparseFs.Tests.CheckpointFiles
open SparseFs.Tests.Refusals
open TorchSharp

/// A layer, and a buffer of four elements that are one in memory.
type private Repeating() as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("repeating")
    let layer = new SparseLinear(5, 4, sparsity = 0.5, seed = Seed.ofInt 0)

    do
        this.RegisterComponents()
        this.register_buffer ("zz", torch.ones(1L).expand [| 4L |])

    member _.Layer = layer
    override _.forward(x) = layer.call x

let private start: TrainingProgress =
    { Step = 0L
      Seed = Seed.ofInt 0
      Notes = Dictionary() }

let private save (file: string) (texts: (string * string) list) (tensors: (string * torch.Tensor) list) =
    Safetensors.save file (dict texts |> Dictionary) (dict tensors |> Dictionary)

let private header (json: string) : byte[] =
    let text = Encoding.UTF8.GetBytes json
    Array.append (BitConverter.GetBytes(uint64 text.Length)) text

[<Tests>]
let tests =
    testSequenced
    <| testList
        "Checkpoint edges"
        [ testCase "a model with a tensor that cannot be written to is refused before anything changes" (fun () ->
              inFolder (fun folder ->
                  let file = Path.Combine(folder, "repeating")
                  let model = new Repeating()
                  Checkpoint.save file model
                  use _ = torch.no_grad ()
                  model.Layer.weight.fill_ (7.0f.ToScalar()) |> ignore

                  refusedAs CheckpointProblem.Mismatch "'zz'" (fun () -> Checkpoint.load file model)
                  Expect.all (model.Layer.weight.data<float32>().ToArray()) ((=) 7.0f) "the model as it was"))

          testCase "a few bytes that claim half a billion columns are refused before memory is asked for" (fun () ->
              inFolder (fun folder ->
                  let file = Path.Combine(folder, "wide")

                  """{"weight":{"dtype":"F32","shape":[0,500000000],"data_offsets":[0,0]}}"""
                  |> header
                  |> fun bytes -> File.WriteAllBytes(file, bytes)

                  let before = GC.GetAllocatedBytesForCurrentThread()

                  refusedAs CheckpointProblem.Shape "inputs" (fun () ->
                      Checkpoint.sparseLayer WeightForm.Zeros file "")

                  Expect.isLessThan (GC.GetAllocatedBytesForCurrentThread() - before) 1_000_000L "bytes"))

          testCase "a tensor that the form does not read does not lift that bound" (fun () ->
              inFolder (fun folder ->
                  let file = Path.Combine(folder, "wide")

                  let vast = torch.zeros (0L, 500000000L) // holds nothing

                  save file [] [ "weight", vast; "col_idx", torch.zeros 0L ]

                  refusedAs CheckpointProblem.Shape "inputs" (fun () ->
                      Checkpoint.sparseLayer WeightForm.Zeros file "")))

          testCase "a layer is not read as one of another size than the file says" (fun () ->
              inFolder (fun folder ->
                  let file = Path.Combine(folder, "layer")
                  use layer = new SparseLinear(5, 4, sparsity = 0.5, seed = Seed.ofInt 0)
                  Checkpoint.save file layer

                  refusedAs CheckpointProblem.Mismatch "in_features=5" (fun () ->
                      Checkpoint.sparseLayerOf 1000 4 WeightForm.SparseFs file "")))

          testCase "a layer of a later format is not read as one of this" (fun () ->
              inFolder (fun folder ->
                  let file = Path.Combine(folder, "later")
                  use layer = new SparseLinear(5, 4, sparsity = 0.5, seed = Seed.ofInt 0)
                  let c = layer.Connectivity

                  save
                      file
                      [ "sparsefs.format", "2" ]
                      [ "weight", layer.weight.detach ()
                        "row_ptr", torch.tensor (c.RowPtr.ToArray())
                        "col_idx", torch.tensor (c.ColIdx.ToArray()) ]

                  refusedAs CheckpointProblem.Mismatch "expected format 1, got '2'" (fun () ->
                      Checkpoint.sparseLayerOf 5 4 WeightForm.SparseFs file "")))

          testCase "K-winners refuse from a file what they refuse from a state_dict, and stay as they were" (fun () ->
              inFolder (fun folder ->
                  let file = Path.Combine(folder, "winners")

                  for name, wrong in
                      [ "duty_cycle", torch.tensor [| 0.5f; nanf; 0.5f |]
                        "duty_cycle", torch.tensor [| 0.5f; 1.5f; 0.5f |]
                        "samples_seen", torch.tensor -1000L
                        "samples_seen", torch.tensor Int64.MaxValue
                        "boost_strength", torch.tensor infinityf ] do
                      use source = new KWinners(3, KWinnersOptions.ofK 1)
                      let state = source.state_dict ()
                      use winners = new KWinners(3, KWinnersOptions.ofK 1)
                      use model = torch.nn.Sequential [ struct ("a", winners :> torch.nn.Module<_, _>) ]

                      save
                          file
                          []
                          [ for entry in state -> "a." + entry.Key, (if entry.Key = name then wrong else entry.Value) ]

                      refusedAs CheckpointProblem.Value name (fun () -> Checkpoint.load file model)
                      Expect.all (winners.DutyCycles()) ((=) 0.0) "the duty cycle as it was"))

          testCase "a state that the caller asked for outlives a save" (fun () ->
              inFolder (fun folder ->
                  use layer = new SparseLinear(5, 4, sparsity = 0.5, seed = Seed.ofInt 0)
                  let state = layer.state_dict ()
                  Checkpoint.save (Path.Combine(folder, "it")) layer
                  use pointers = state["row_ptr"].clone()
                  Expect.equal (pointers.data<int>().ToArray()) (layer.Connectivity.RowPtr.ToArray()) "the pattern"))

          testCase "an optimizer that was made before the model moved is named, with what to do" (fun () ->
              inFolder (fun folder ->
                  let file = Path.Combine(folder, "run")
                  use layer = new SparseLinear(5, 4, sparsity = 0.5, seed = Seed.ofInt 0)
                  let optimizer = torch.optim.Adam(layer.parameters ())

                  use rewirer =
                      new Rewirer(layer, optimizer, Policy.set (Schedule.constant 0.3 1L 10L))

                  layer.``to`` torch.float64 |> ignore

                  let says (what: string) (act: unit -> unit) =
                      let e = Expect.throwsC act id
                      Expect.isTrue (e :? InvalidOperationException) what
                      Expect.stringContains e.Message "make the optimizer after it" what

                  says "save" (fun () -> Checkpoint.saveTraining start file layer optimizer (ValueSome rewirer))
                  Expect.isFalse (File.Exists file) "nothing written"
                  says "step" (fun () -> rewirer.Step() |> ignore)))

          testCase "what an optimizer could not step with is neither saved nor put back" (fun () ->
              inFolder (fun folder ->
                  let file = Path.Combine(folder, "run")
                  use layer = new SparseLinear(5, 4, sparsity = 0.5, seed = Seed.ofInt 0)
                  let optimizer = torch.optim.Adam(layer.parameters ())
                  let group = Seq.head optimizer.ParamGroups
                  group.LearningRate <- -1e-20

                  Expect.throwsT<ArgumentException>
                      (fun () -> Checkpoint.saveTraining start file layer optimizer ValueNone)
                      "a rate below 0"

                  Expect.isFalse (File.Exists file) "nothing written"
                  group.LearningRate <- 0.1
                  Checkpoint.saveTraining start file layer optimizer ValueNone
                  let texts = Safetensors.inspect file
                  let tensors = Safetensors.load file
                  let key = "sparsefs.optimizer.group.0"
                  let changed = texts.Metadata[key].Replace("beta1=0.9", "beta1=1")
                  Expect.notEqual changed texts.Metadata[key] "the text has that option"

                  save
                      file
                      [ for entry in texts.Metadata -> entry.Key, (if entry.Key = key then changed else entry.Value) ]
                      [ for entry in tensors -> entry.Key, entry.Value ]

                  refusedAs CheckpointProblem.Value "beta1" (fun () ->
                      Checkpoint.resume file layer optimizer ValueNone |> ignore)))

          testCase "a model without numbers is not saved" (fun () ->
              inFolder (fun folder ->
                  use model = torch.nn.Linear(3L, 2L, device = torch.META)

                  Expect.throwsT<ArgumentException>
                      (fun () -> Checkpoint.save (Path.Combine(folder, "meta")) model)
                      "on the meta device"))

          testCase "layers on the CPU work whatever torch's default device is" (fun () ->
              inFolder (fun folder ->
                  let file = Path.Combine(folder, "it")
                  use layer = new SparseLinear(5, 4, sparsity = 0.5, seed = Seed.ofInt 0)
                  use winners = new KWinners(4, KWinnersOptions.ofK 1)
                  use x = torch.ones (3L, 5L)
                  torch.set_default_device torch.META

                  try
                      use y = winners.call (layer.call x)
                      y.sum().backward()
                      Expect.equal y.device_type DeviceType.CPU "the output"
                      Expect.equal layer.weight.PresentGrad.device_type DeviceType.CPU "the gradient"
                      Checkpoint.save file layer
                      use read = Checkpoint.sparseLayer WeightForm.SparseFs file ""
                      Expect.equal read.Connectivity layer.Connectivity "the pattern"
                  finally
                      torch.set_default_device torch.CPU))

          testCase "what no load would take is not saved, and the old file stays" (fun () ->
              inFolder (fun folder ->
                  let file = Path.Combine(folder, "old")
                  save file [] [ "a", torch.ones 2L ]
                  let old = File.ReadAllBytes file

                  // A literal would not keep it.
                  let half = String(char 0xD800, 1)

                  let refused (what: string) (work: unit -> unit) =
                      Expect.throwsT<ArgumentException> work what
                      Expect.equal (File.ReadAllBytes file) old $"{what}: the old file"

                  refused "40 dimensions" (fun () -> save file [] [ "a", torch.ones (Array.create 40 1L) ])

                  refused "half of a surrogate pair in a name" (fun () -> save file [] [ half, torch.ones 2L ])

                  refused "half of a surrogate pair in a text" (fun () ->
                      save file [ "note", half ] [ "a", torch.ones 2L ])

                  use layer = new SparseLinear(5, 4, seed = Seed.ofInt 0)
                  use optimizer = torch.optim.SGD(layer.parameters (), nan)
                  refused "a rate of NaN" (fun () -> Checkpoint.saveTraining start file layer optimizer ValueNone)))

          testCase "a name as long as names can be is saved" (fun () ->
              inFolder (fun folder ->
                  let file = Path.Combine(folder, String('n', 250))
                  save file [] [ "a", torch.ones 2L ]
                  Expect.isTrue (File.Exists file) "there"))

          testCase "a file that is being written is open to nobody who may not read the old one" (fun () ->
              if not (OperatingSystem.IsWindows()) then
                  inFolder (fun folder ->
                      let file = Path.Combine(folder, "secret")
                      File.WriteAllText(file, "old")
                      let secret = UnixFileMode.UserRead ||| UnixFileMode.UserWrite
                      File.SetUnixFileMode(file, secret)

                      AtomicFile.write file (fun stream ->
                          stream.WriteByte 1uy

                          for written in Directory.GetFiles(folder, ".*") do
                              Expect.equal (File.GetUnixFileMode written) secret "meanwhile")

                      Expect.equal (File.GetUnixFileMode file) secret "after"))

          testCase "a .npy whose sizes no tensor can have is refused, a size of 0 among them or not" (fun () ->
              let text =
                  "{'descr': '<f4', 'fortran_order': False, 'shape': (2147483647, 2147483647, 2147483647, 0), }\n"

              let bytes =
                  Array.concat
                      [ [| 0x93uy |]
                        Encoding.ASCII.GetBytes "NUMPY"
                        [| 1uy; 0uy |]
                        BitConverter.GetBytes(uint16 text.Length)
                        Encoding.ASCII.GetBytes text ]

              use stream = new MemoryStream(bytes)

              Expect.throwsT<ArrayFileException> (fun () -> Npy.readFrom "it" stream |> ignore) "refused")

          testCase "a momentum rule's state holds batches of no samples too" (fun () ->
              use layer = new SparseLinear(5, 4, sparsity = 0.5, seed = Seed.ofInt 0)
              use optimizer = torch.optim.SGD(layer.parameters (), 0.1)

              let rewirer =
                  new Rewirer(layer, optimizer, Policy.snfs (Schedule.constant 0.3 4L 100L))

              (layer.call (torch.ones (0L, 5L))).sum().backward()
              rewirer.Step() |> ignore
              let passes = (rewirer.Capture()).Passes
              Expect.equal (passes |> Array.map Array.length) [| 1 |] "noted"
              rewirer.Restore(rewirer.Capture())
              Expect.equal (rewirer.Capture()).Passes passes "put back") ]
