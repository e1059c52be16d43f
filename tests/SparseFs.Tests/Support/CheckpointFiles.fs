/// Files for tests of checkpoints: folders that go away, raw files, and what a refusal must be.
module SparseFs.Tests.CheckpointFiles

open System
open System.Diagnostics
open System.IO
open System.Text
open Expecto
open SparseFs
open TorchSharp

/// In memory where the system has such a place: every save waits for its disk.
let private temporary =
    if Directory.Exists "/dev/shm" then
        "/dev/shm"
    else
        Path.GetTempPath()

/// A new folder for the time of a test.
let inFolder (body: string -> 'a) : 'a =
    let folder =
        Directory.CreateDirectory(Path.Combine(temporary, $"sparsefs-{Guid.NewGuid():N}"))

    try
        body folder.FullName
    finally
        folder.Delete(recursive = true)

/// A new file name for the time of a test.
let withFile (body: string -> 'a) : 'a =
    inFolder (fun folder -> body (Path.Combine(folder, "model.safetensors")))

/// A file of a header and of what follows it, whatever they are.
let writeRaw (file: string) (header: byte[]) (data: byte[]) =
    File.WriteAllBytes(file, Array.concat [ BitConverter.GetBytes(uint64 header.LongLength); header; data ])

let writeText (file: string) (header: string) (data: byte[]) =
    writeRaw file (Encoding.UTF8.GetBytes header) data

/// The header's text and what follows it.
let readRaw (file: string) : string * byte[] =
    let all = File.ReadAllBytes file
    let length = int (BitConverter.ToUInt64(all, 0))
    Encoding.UTF8.GetString(all, 8, length), all[8 + length ..]

/// Runs work that must be refused with the one typed error.
let refusal (work: unit -> 'a) : CheckpointException =
    try
        work () |> ignore
        failtest "expected a CheckpointException, got none"
    with :? CheckpointException as e ->
        e

let refusedAs (problem: CheckpointProblem) (says: string) (work: unit -> 'a) =
    let e = refusal work
    Expect.equal e.Problem problem e.Message
    Expect.stringContains e.Message says "message"

/// The bytes of a tensor's numbers, whatever its strides.
let bytesOf (t: torch.Tensor) : byte[] =
    use _ = torch.NewDisposeScope()
    t.detach().cpu().contiguous().bytes.ToArray()

/// Starts these tests' own program anew, for what needs a process of its own.
let startChild (arguments: string list) : Process =
    let program = Reflection.Assembly.GetExecutingAssembly().Location
    let host = hostOfTests ()

    let arguments =
        if Path.GetFileNameWithoutExtension host = "dotnet" then
            program :: arguments
        else
            arguments

    started (ProcessStartInfo(host, arguments, RedirectStandardOutput = true))

/// Everything that a model consists of, to the bit.
let stateOf (model: torch.nn.Module) : Map<string, string * int64[] * byte[]> =
    use _ = torch.NewDisposeScope()
    let state = model.state_dict ()
    Map [ for entry in state -> entry.Key, (entry.Value.dtype.ToString(), entry.Value.shape, bytesOf entry.Value) ]
