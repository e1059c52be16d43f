/// Checkpoints and networks on whatever file system the tests run on.
module SparseFs.Tests.CheckpointFileLawsTests

open Expecto
open SparseFs
open TorchSharp

let private layer () =
    new SparseLinear(3, 2, seed = Seed.ofInt 0, init = Init.Zeros)

[<Tests>]
let fileLawsTests =
    testList
        "FileLaws"
        [ FileLaws.ofSave "Checkpoint.save" (fun file ->
              use layer = layer ()
              Checkpoint.save file layer)
          FileLaws.ofSave "Safetensors.save" (fun file -> Safetensors.save file (readOnlyDict []) (readOnlyDict []))
          FileLaws.ofSave "Onnx.export" (fun file ->
              use layer = layer ()
              use model = torch.nn.Sequential [ struct ("0", layer :> torch.nn.Module<_, _>) ]
              Onnx.export file model) ]
