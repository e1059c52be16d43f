/// A process that is killed while it saves leaves the file of one save or of another, and never a part.
module SparseFs.Tests.CheckpointKillTests

open System
open System.IO
open System.Runtime.InteropServices
open Expecto
open SparseFs
open SparseFs.Torch
open SparseFs.Tests.CheckpointFiles
open TorchSharp

let private pattern = Topology.uniform 100 10_000 100_000 (Seed.ofInt 1)

let private layer () =
    new SparseLinear(pattern, init = Init.Zeros, hasBias = false)

/// Saves a model again and again, its weights all 1, all 2, and so on.
let private saveModels (file: string) : int =
    use layer = layer ()
    use _ = torch.no_grad ()
    let mutable version = 0

    while true do
        version <- version + 1
        layer.weight.fill_ (version.ToScalar()) |> ignore
        Checkpoint.save file layer
        Console.WriteLine version

    0

/// As the same file is written without libtorch, which takes long to load.
let private saveFiles (file: string) : int =
    let tensor (name: string) (dtype: Dtype) (length: int) =
        { Name = name
          Dtype = dtype
          Shape = [| int64 length |]
          Start = 0L
          Bytes = 4L * int64 length }

    let weight: float32[] = Array.zeroCreate pattern.Nnz

    let tensors =
        [| tensor "weight" Dtype.F32 pattern.Nnz
           tensor "row_ptr" Dtype.I32 (pattern.Rows + 1)
           tensor "col_idx" Dtype.I32 pattern.Nnz |]

    let write (name: string) (stream: Stream) =
        match name with
        | "weight" -> stream.Write(MemoryMarshal.AsBytes(ReadOnlySpan weight))
        | "row_ptr" -> stream.Write(MemoryMarshal.AsBytes pattern.RowPtr)
        | _ -> stream.Write(MemoryMarshal.AsBytes pattern.ColIdx)

    let mutable version = 0

    while true do
        version <- version + 1
        Array.fill weight 0 weight.Length (float32 version)
        SafetensorsWriter.writeThrough id file [||] tensors write
        Console.WriteLine version

    0

/// What another process does until it is killed.
let child (what: string) (file: string) : int =
    if what = "models" then saveModels file else saveFiles file

let private kills (what: string) (count: int) (random: Random) (folder: string) : int =
    let file = Path.Combine(folder, "model.safetensors")
    use layer = layer ()
    Checkpoint.save file layer
    let mutable interrupted = 0

    for _ in 1..count do
        use child = startChild [ "--child-saves"; what; file ]
        let first = child.StandardOutput.ReadLine()
        Expect.equal first "1" "the child saves"
        Threading.Thread.Sleep(random.Next 20)
        child.Kill()
        child.WaitForExit()

        Checkpoint.load file layer
        let weights = layer.weight.detach().data<float32>().ToArray()
        Expect.isGreaterThanOrEqual weights[0] 1.0f "a version"
        Expect.allEqual weights weights[0] "of one version"
        Expect.equal layer.Connectivity pattern "and its pattern"

        for other in Directory.GetFiles folder do
            if other <> file then
                interrupted <- interrupted + 1
                Expect.stringEnds other ".tmp" "what a killed save leaves"
                File.Delete other

    interrupted

[<Tests>]
let checkpointKillTests =
    testSequenced
    <| testList
        "CheckpointKill"
        [ testCase "a file whose writer is killed 50 times is always one that was saved" (fun () ->
              inFolder (fun folder ->
                  let random = Random 5
                  let interrupted = kills "files" 45 random folder + kills "models" 5 random folder
                  Expect.isGreaterThan interrupted 5 "not vacuous: killed in the middle of a save")) ]
