/// Checkpoints in several files with an index, and files that are no checkpoints.
module SparseFs.Tests.ShardTests

open System
open System.Collections.Generic
open System.IO
open System.Text
open System.Text.Json.Nodes
open Expecto
open SparseFs
open SparseFs.Tests.CheckpointFiles
open TorchSharp

let private nameOf (i: int) (count: int) =
    $"model-{i + 1:D5}-of-{count:D5}.safetensors"

/// Cuts a file into shards, tensor by tensor, and writes Hugging Face's index beside them.
let private split (file: string) (count: int) : string =
    use _ = torch.NewDisposeScope()
    let folder = folderOf file
    let contents = Safetensors.inspect file
    let tensors = Safetensors.load file
    let map = JsonObject()

    for i in 0 .. count - 1 do
        let part =
            Dictionary(
                tensors
                |> Seq.indexed
                |> Seq.filter (fun (at, _) -> at % count = i)
                |> Seq.map snd
            )

        // The texts are in one of the files only, what Python writes in all.
        let texts = Dictionary<string, string>(dict [ "format", "pt" ])

        if i = count - 1 then
            for entry in contents.Metadata do
                texts[entry.Key] <- entry.Value

        Safetensors.save (Path.Combine(folder, nameOf i count)) texts part

        for name in part.Keys do
            map[name] <- JsonValue.Create(nameOf i count)

    let index = Path.Combine(folder, "model.safetensors.index.json")
    let total = contents.Tensors |> Array.sumBy _.Bytes

    let json =
        JsonObject(
            [ KeyValuePair(
                  "metadata",
                  JsonObject([ KeyValuePair("total_size", JsonValue.Create total :> JsonNode) ]) :> JsonNode
              )
              KeyValuePair("weight_map", map :> JsonNode) ]
        )

    File.WriteAllText(index, json.ToJsonString(Text.Json.JsonSerializerOptions(WriteIndented = true)))
    File.Delete file
    index

let private makeModel (seed: int) =
    let layer = new SparseLinear(Topology.uniform 6 9 20 (Seed.ofInt seed))
    let dense = torch.nn.Linear(6L, 3L)

    torch.nn.Sequential
        [ struct ("a", layer :> torch.nn.Module<torch.Tensor, torch.Tensor>)
          struct ("b", torch.nn.ReLU())
          struct ("c", dense) ]

/// A model in shards, and the index's text with something else in it.
let private indexed (change: string -> string) (body: string -> unit) =
    withFile (fun file ->
        use model = makeModel 1
        Checkpoint.save file model
        let index = split file 3
        File.WriteAllText(index, change (File.ReadAllText index))
        body index)

let private refusedIndex (name: string) (problem: CheckpointProblem) (says: string) (change: string -> string) =
    testCase $"refused: {name}" (fun () ->
        indexed change (fun index ->
            use model = makeModel 2
            let before = stateOf model
            refusedAs problem says (fun () -> Checkpoint.load index model)
            Expect.equal (stateOf model) before "the model as it was"
            refusedAs problem says (fun () -> Safetensors.inspect index)))

let private first = "\"model-00001-of-00003.safetensors\""

/// The first file's name in the index, for all tensors in it.
let private other (name: string) (text: string) =
    Expect.stringContains text first "not vacuous"
    text.Replace(first, $"\"{name}\"")

let private indexes =
    [ testCase "a model in several files is that model, and so is a layer, and the tensors" (fun () ->
          for count in [ 1; 2; 3; 6 ] do
              withFile (fun file ->
                  use _ = torch.NewDisposeScope()
                  use model = makeModel 1
                  Checkpoint.save file model
                  let whole = Safetensors.inspect file

                  let numbers =
                      Safetensors.load file |> Seq.map (fun e -> e.Key, bytesOf e.Value) |> Map.ofSeq

                  let index = split file count

                  use loaded = makeModel 2
                  Checkpoint.load index loaded
                  Expect.equal (stateOf loaded) (stateOf model) $"{count}: the model"
                  use layer = Checkpoint.sparseLayer WeightForm.SparseFs index "a"
                  use same = Checkpoint.sparseLayerOf 9 6 WeightForm.SparseFs index "a"
                  Expect.equal (stateOf layer) (stateOf same) "the layer"

                  Expect.equal
                      (layer.Connectivity)
                      (model.children () |> Seq.head :?> SparseLinear).Connectivity
                      "the layer's pattern"

                  let read =
                      Safetensors.load index |> Seq.map (fun e -> e.Key, bytesOf e.Value) |> Map.ofSeq

                  Expect.equal read numbers "the tensors"
                  let told = Safetensors.inspect index

                  Expect.equal
                      (told.Tensors |> Array.map _.Name |> set)
                      (whole.Tensors |> Array.map _.Name |> set)
                      "told of"

                  Expect.equal
                      (Map [ for e in told.Metadata -> e.Key, e.Value ])
                      (Map [ for e in whole.Metadata -> e.Key, e.Value ])
                      "texts"))

      testCase "a training run in several files goes on as it did" (fun () ->
          withFile (fun file ->
              use model = makeModel 1
              use optimizer = torch.optim.Adam(model.parameters (), 0.1)

              let step (model: torch.nn.Module<torch.Tensor, torch.Tensor>) (optimizer: torch.optim.Optimizer) =
                  optimizer.zero_grad ()
                  use loss = (model.call (torch.ones (2L, 9L))).sum()
                  loss.backward ()
                  optimizer.step () |> ignore

              step model optimizer

              let progress: TrainingProgress =
                  { Step = 1L
                    Seed = Seed.ofInt 3
                    Notes = Dictionary(dict [ "epoch", "3" ]) }

              Checkpoint.saveTraining progress file model optimizer ValueNone
              let index = split file 4
              use again = makeModel 2
              use theirs = torch.optim.Adam(again.parameters (), 0.5)
              let resumed = Checkpoint.resume index again theirs ValueNone
              Expect.equal (resumed.Step, resumed.Notes["epoch"]) (1L, "3") "progress"
              step model optimizer
              step again theirs
              Expect.equal (stateOf again) (stateOf model) "the next step"))

      testCase "dense files of Python's in shards are taken in each form" (fun () ->
          withFile (fun file ->
              use _ = torch.NewDisposeScope()
              let weight = torch.randn (6L, 9L)
              let mask = weight.gt (0.3f.ToScalar())

              Safetensors.save
                  file
                  (readOnlyDict [])
                  (readOnlyDict [ "m.weight", weight; "m.mask", mask; "m.bias", torch.randn 6L ])

              use whole = Checkpoint.sparseLayer WeightForm.Masked file "m"
              let index = split file 3
              use layer = Checkpoint.sparseLayer WeightForm.Masked index "m"
              Expect.equal (stateOf layer) (stateOf whole) "the layer"))

      testCase "the index is found by what is in it, also through a link, and its files too" (fun () ->
          Links.needed ()

          indexed id (fun index ->
              use model = makeModel 2
              let moved = Path.Combine(folderOf index, "some.json")
              File.CreateSymbolicLink(moved, index) |> ignore
              Checkpoint.load moved model
              let blob = Path.Combine(folderOf index, "blob")
              let shard = Path.Combine(folderOf index, nameOf 0 3)
              File.Move(shard, blob)
              File.CreateSymbolicLink(shard, blob) |> ignore
              Checkpoint.load index model))

      refusedIndex "a file outside of the folder" CheckpointProblem.Header "plain name" (other "../model.safetensors")
      refusedIndex "a file of another folder" CheckpointProblem.Header "plain name" (other "/etc/passwd")
      refusedIndex
          "a file of another folder, as Windows writes it"
          CheckpointProblem.Header
          "plain name"
          (other "..\\\\x")
      refusedIndex "a stream of a file" CheckpointProblem.Header "plain name" (other "x:y")
      refusedIndex "the folder" CheckpointProblem.Header "plain name" (other ".")
      refusedIndex "no name" CheckpointProblem.Header "plain name" (other "")
      refusedIndex "a name with a line feed" CheckpointProblem.Header "plain name" (other "x\\ny")
      refusedIndex "a file that is missing" CheckpointProblem.NotFound "'gone.safetensors'" (other "gone.safetensors")
      refusedIndex
          "a tensor in another file than the index says"
          CheckpointProblem.Layout
          "as the index says, got it in 'model-00001"
          (fun text ->
              let at = text.IndexOf first

              text[.. at - 1]
              + "\"model-00002-of-00003.safetensors\""
              + text[at + first.Length ..])
      refusedIndex "a tensor that is in no file" CheckpointProblem.Layout "in none of its files" (fun text ->
          text.Replace("\"weight_map\": {", "\"weight_map\": {\n\"zz\": " + first + ","))
      refusedIndex "a number in place of a file" CheckpointProblem.Header "got Number" (fun text ->
          text.Replace(first, "7"))
      refusedIndex "the index itself as a file" CheckpointProblem.Header "" (other "model.safetensors.index.json")
      refusedIndex "JSON that is cut" CheckpointProblem.Header "JSON" (fun text -> text[.. text.Length - 10])
      refusedIndex "JSON that goes on" CheckpointProblem.Header "JSON" (fun text -> text + "x")
      refusedIndex "no map" CheckpointProblem.Header "weight_map" _.Replace("weight_map", "weights")
      refusedIndex "two maps" CheckpointProblem.Header "twice" (fun text ->
          text.Replace("\"metadata\": {", "\"weight_map\": {},\n\"metadata\": {"))
      refusedIndex "a name twice" CheckpointProblem.Header "each name once" (fun text ->
          text.Replace(
              "\"weight_map\": {",
              "\"weight_map\": {\n\"c.bias\": " + first + ",\n\"c.bias\": " + first + ","
          ))
      refusedIndex "a map that is none" CheckpointProblem.Header "got StartArray" (fun _ -> """{   "weight_map": []}""")
      refusedIndex "JSON as deep as it likes" CheckpointProblem.Header "JSON" (fun _ ->
          "{   \"x\": " + String('[', 100_000))
      refusedIndex "1,001 files" CheckpointProblem.Header "at most 1000 files" (fun _ ->
          let entries = [ for i in 0..1000 -> $"\"t{i}\": \"f{i}\"" ]
          let all = String.concat "," entries
          $"{{   \"weight_map\": {{{all}}} }}")

      testCase "refused: one name in two files" (fun () ->
          indexed id (fun index ->
              use model = makeModel 2

              let shard (i: int) =
                  Path.Combine(folderOf index, nameOf i 3)

              File.Copy(shard 0, shard 1, overwrite = true)
              refusedAs CheckpointProblem.Layout "each name in one file" (fun () -> Checkpoint.load index model)))

      testCase "refused: a file of the index that is damaged, by its own name" (fun () ->
          indexed id (fun index ->
              use model = makeModel 2
              let shard = Path.Combine(folderOf index, nameOf 1 3)
              let bytes = File.ReadAllBytes shard
              File.WriteAllBytes(shard, bytes[.. bytes.Length - 2])
              let e = refusal (fun () -> Checkpoint.load index model)
              Expect.equal (e.Problem, e.File) (CheckpointProblem.Layout, shard) "the file"))

      testCase "refused: files whose texts of the layers differ" (fun () ->
          indexed id (fun index ->
              use _ = torch.NewDisposeScope()
              use model = makeModel 2
              let shard = Path.Combine(folderOf index, nameOf 0 3)
              Safetensors.save shard (readOnlyDict [ "sparsefs.format", "2" ]) (Safetensors.load shard)
              refusedAs CheckpointProblem.Mismatch "the files differ" (fun () -> Checkpoint.load index model)))

      testCase "changed indexes are refused, or are the model" (fun () ->
          withFile (fun file ->
              use model = makeModel 1
              Checkpoint.save file model
              let state = stateOf model
              let index = split file 3
              let bytes = File.ReadAllBytes index
              let random = Random 11
              use target = makeModel 2
              let mutable refusals = 0

              for _ in 1..600 do
                  let changed = Array.copy bytes

                  for _ in 0 .. random.Next 3 do
                      changed[random.Next changed.Length] <- byte (random.Next 256)

                  let changed =
                      if random.Next 5 = 0 then
                          changed[.. random.Next changed.Length]
                      else
                          changed

                  File.WriteAllBytes(index, changed)

                  try
                      Checkpoint.load index target
                      Expect.equal (stateOf target) state "the model"
                  with :? CheckpointException ->
                      refusals <- refusals + 1

              Expect.isGreaterThan refusals 300 "most are noticed"
              Expect.isLessThan refusals 600 "not all matter")) ]

// Files of other kinds

/// The start of a zip archive whose first file has this name.
let private zip (name: string) =
    Array.concat
        [ "PK\003\004"B
          Array.zeroCreate 22
          BitConverter.GetBytes(uint16 name.Length)
          BitConverter.GetBytes 0us
          Encoding.ASCII.GetBytes name
          Array.create 100 7uy ]

let private foreign (what: string) (says: string list) (bytes: byte[]) =
    testCase $"{what} is called what it is" (fun () ->
        withFile (fun file ->
            for bytes in [ bytes; Array.append bytes (Array.create 5000 9uy) ] do
                File.WriteAllBytes(file, bytes)
                use model = makeModel 1

                for work in
                    [ fun () -> Checkpoint.load file model
                      fun () -> Safetensors.inspect file |> ignore ] do
                    let e = refusal work
                    Expect.equal e.Problem CheckpointProblem.Header "problem"

                    for part in says do
                        Expect.stringContains e.Message part "what it is, and how to convert it"))

let private others =
    [ foreign
          "torch.save's file"
          [ "PyTorch's (.pt, .pth)"; "torch.load"; "weights_only=True"; "save_file" ]
          (zip "archive/data.pkl")
      foreign "a zip archive" [ "zip archive" ] (zip "x.txt")
      foreign "an empty zip archive" [ "zip archive" ] (Array.append "PK\005\006"B (Array.zeroCreate 18))
      foreign "NumPy's archive" [ ".npz"; "save_file" ] (zip "weight.npy")
      // The magic number of torch.save before 1.6, as pickle writes it.
      foreign
          "an old file of torch.save's"
          [ "pickle"; "torch.load" ]
          (Convert.FromHexString "80028A0A6CFC9C46F9206AA850192E80024DE9032E")
      foreign "a pickle" [ "pickle" ] (Convert.FromHexString "80049520000000000000007D9428")
      foreign "GGUF" [ "GGUF" ] (Array.append "GGUF\003\000\000\000"B (Array.create 40 1uy))
      foreign
          "HDF5"
          [ "HDF5"; "h5py"; "save_file" ]
          (Array.append [| 0x89uy |] "HDF\r\n\026\n\000\000\000\000\000\008\008"B)
      foreign
          "NumPy's array"
          [ ".npy"; "TensorFile.ofNpy" ]
          (Array.append [| 0x93uy |] "NUMPY\001\000v\000{'descr': '<f4'"B)
      foreign
          "a pointer of Git LFS"
          [ "git lfs pull" ]
          "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"B
      foreign "a web page" [ "web page" ] "<!DOCTYPE html><html><body>Not found</body></html>"B
      foreign "another JSON file" [ "weight_map"; "other JSON" ] """{"hidden_size": 768, "layers": [1, 2]} """B ]

[<Tests>]
let shardTests =
    testSequenced
    <| testList "Shard" [ testList "Index" indexes; testList "Foreign" others ]
