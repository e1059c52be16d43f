/// Files that cannot be written where somebody wants them, and files of something else.
module SparseFs.Tests.Mistakes.FileMistakes

open System
open System.Collections.Generic
open System.IO
open Expecto
open SparseFs
open SparseFs.Tests.CheckpointFiles
open SparseFs.Tests.Mistakes.Mistake
open TorchSharp

type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

/// The same program in a folder of its own, which texts call FOLDER.
let private within (program: string -> unit) () : unit =
    inFolder (fun folder ->
        try
            program folder
        with e ->
            raise (Exception(e.Message.Replace(folder, "FOLDER").Replace('\\', '/'))))

let private layer (inFeatures: int) (outFeatures: int) (seed: int) : SparseLinear =
    new SparseLinear(inFeatures, outFeatures, sparsity = 0.5, seed = Seed.ofInt seed)

let private mlp (hidden: int) =
    torch.nn.Sequential(
        struct ("fc1", layer 6 hidden 1 :> Layer),
        struct ("fc2", layer hidden 2 2 :> Layer),
        struct ("fc3", torch.nn.Linear(2L, 2L) :> Layer)
    )

let private sgd (model: torch.nn.Module) =
    torch.optim.SGD(model.parameters (), 0.1)

let private adam (model: torch.nn.Module) =
    torch.optim.Adam(model.parameters (), 0.1)

let private set = Policy.set (Schedule.constant 0.3 10L 100L)

let private atStart: TrainingProgress =
    { Step = 0L
      Seed = Seed.ofInt 0
      Notes = Dictionary() }

/// A run is saved, and another goes on from its file.
let private resumed (save: string -> unit) (resume: string -> unit) : unit -> unit =
    within (fun folder ->
        let file = Path.Combine(folder, "run.safetensors")
        save file
        resume file)

/// A run of a model, an optimizer and a rewirer, saved at its start.
let private saved
    (model: torch.nn.Module)
    (make: torch.nn.Module -> torch.optim.Optimizer)
    (policy: Policy)
    (file: string)
    =
    let optimizer = make model
    use rewirer = new Rewirer(model, optimizer, policy, Seed.ofInt 1)
    Checkpoint.saveTraining atStart file model optimizer (ValueSome rewirer)

/// Another run of the kind, which goes on from the file.
let private goesOn
    (model: torch.nn.Module)
    (make: torch.nn.Module -> torch.optim.Optimizer)
    (policy: Policy)
    (file: string)
    =
    let optimizer = make model
    use rewirer = new Rewirer(model, optimizer, policy, Seed.ofInt 1)
    Checkpoint.resume file model optimizer (ValueSome rewirer) |> ignore

let private sgdOf model = sgd model :> torch.optim.Optimizer
let private adamOf model = adam model :> torch.optim.Optimizer

let private missingFolder (name: string) =
    $"the folder 'FOLDER/runs' does not exist: create it before '{name}' is written, with Directory.CreateDirectory"

[<Tests>]
let mistakes =
    testList
        "Mistakes of files"
        [ expect
              "a checkpoint's folder does not exist"
              ("FOLDER/runs/model.safetensors: " + missingFolder "model.safetensors")
              (within (fun folder -> Checkpoint.save (Path.Combine(folder, "runs", "model.safetensors")) (layer 6 4 1)))

          expect
              "a .npy file's folder does not exist"
              (missingFolder "weight.npy")
              (within (fun folder -> TensorFile.toNpy (Path.Combine(folder, "runs", "weight.npy")) (torch.ones 3L)))

          expect
              "a .mtx file's folder does not exist"
              (missingFolder "layer.mtx")
              (within (fun folder -> TensorFile.toMtx (Path.Combine(folder, "runs", "layer.mtx")) (layer 6 4 1)))

          expect
              "an ONNX file's folder does not exist"
              (missingFolder "model.onnx")
              (within (fun folder -> Onnx.export (Path.Combine(folder, "runs", "model.onnx")) (mlp 4)))

          expect
              "a file is taken for a folder"
              ("FOLDER/notes.txt/model.safetensors: 'FOLDER/notes.txt' is no folder, so that 'model.safetensors' cannot be "
               + "written there: choose another path")
              (within (fun folder ->
                  File.WriteAllText(Path.Combine(folder, "notes.txt"), "notes")
                  Checkpoint.save (Path.Combine(folder, "notes.txt", "model.safetensors")) (layer 6 4 1)))

          expect
              "a file is not there"
              "FOLDER/model.safetensors: Could not find file 'FOLDER/model.safetensors'."
              (within (fun folder -> Checkpoint.load (Path.Combine(folder, "model.safetensors")) (layer 6 4 1)))

          expect
              "a layer of a file is asked for by another name"
              ("FOLDER/run.safetensors: 'fc9.weight': missing; the file has 'fc1.weight', 'fc2.weight', 'fc3.weight', "
               + "'fc1.bias', 'fc2.bias' and 7 more")
              (resumed (fun file -> Checkpoint.save file (mlp 4)) (fun file ->
                  Checkpoint.sparseLayer WeightForm.SparseFs file "fc9" |> ignore))

          expect
              "a dense layer is asked for as a sparse one"
              ("FOLDER/run.safetensors: 'fc3.weight': the weight is dense, [2, 2]: say which of its numbers exist, with "
               + "WeightForm.Zeros or WeightForm.Magnitude (C#: StoredForm.Zeros, StoredForm.Magnitude)")
              (resumed (fun file -> Checkpoint.save file (mlp 4)) (fun file ->
                  Checkpoint.sparseLayer WeightForm.SparseFs file "fc3" |> ignore))

          expect
              "a model is loaded from a file of other sizes"
              ("FOLDER/run.safetensors: layer 'fc1': expected in_features=6, out_features=8, got in_features=6, out_features=4, "
               + "layer 'fc2': expected in_features=8, out_features=2, got in_features=4, out_features=2; make the model with the "
               + "sizes of the one that was saved")
              (resumed (fun file -> Checkpoint.save file (mlp 4)) (fun file -> Checkpoint.load file (mlp 8)))

          expect
              "a sparse layer is loaded from a dense model's file"
              ("FOLDER/run.safetensors: layer '0': expected the weights of a sparse layer and their pattern, got a dense weight [4, "
               + "6]; missing: 0.row_ptr, 0.col_idx; the file's weights are dense: say which of their numbers exist, with "
               + "Checkpoint.loadFrom and WeightForm.Zeros or WeightForm.Magnitude (C#: StoredForm.Zeros, StoredForm.Magnitude)")
              (resumed
                  (fun file -> Checkpoint.save file (torch.nn.Sequential(torch.nn.Linear(6L, 4L) :> Layer)))
                  (fun file -> Checkpoint.load file (torch.nn.Sequential(layer 6 4 1 :> Layer))))

          expect
              "a model of another dtype is loaded"
              ("FOLDER/run.safetensors: 'weight': expected Float64, got Float32, 'bias': expected Float64, got Float32; ask for a "
               + "conversion, with Checkpoint.loadWith and Converts = true (C#: convert: true), or bring the model to the file's "
               + "dtype first: model.to(torch.float32); F# writes ``to``")
              (resumed (fun file -> Checkpoint.save file (layer 6 4 1)) (fun file ->
                  Checkpoint.load file (new SparseLinear(6, 4, sparsity = 0.5, dtype = torch.float64))))

          expect
              "a run goes on with another model"
              ("FOLDER/run.safetensors: layer 'fc1': expected in_features=6, out_features=8, got in_features=6, out_features=4, "
               + "layer 'fc2': expected in_features=8, out_features=2, got in_features=4, out_features=2; make the model with the "
               + "sizes of the one that was saved")
              (resumed (saved (mlp 4) adamOf set) (goesOn (mlp 8) adamOf set))

          expect
              "a run goes on with another optimizer"
              ("FOLDER/run.safetensors: expected the state of SGD, got that of Adam; make the optimizer that the run had, Adam, or "
               + "take the model alone, with Checkpoint.load (C#: Checkpoints.Load), and begin a new run")
              (resumed (saved (mlp 4) adamOf set) (goesOn (mlp 4) sgdOf set))

          expect
              "a run goes on with another policy"
              ("FOLDER/run.safetensors: policy of layers 'fc1', 'fc2': expected Schedule = { Fraction = 0.2; Decay = "
               + "Constant; Start = 0; End = 100; Every = 10 }, got { Fraction = 0.3; Decay = Constant; Start = 0; End = 100; "
               + "Every = 10 }; make the Rewirer with the policy that the run had, or take the model alone, with Checkpoint.load (C#: Checkpoints.Load), and begin a new run")
              (resumed (saved (mlp 4) adamOf set) (goesOn (mlp 4) adamOf (Policy.set (Schedule.constant 0.2 10L 100L))))

          expect
              "a run goes on without its rewirer"
              ("FOLDER/run.safetensors: the file's run has a rewirer, but none is given; make a Rewirer with the run's policy over "
               + "model and optimizer, and give it to resume")
              (resumed (saved (mlp 4) sgdOf set) (fun file ->
                  let model = mlp 4
                  Checkpoint.resume file model (sgd model) ValueNone |> ignore))

          expect
              "a run goes on from a model's file"
              ("FOLDER/run.safetensors: 'sparsefs.training': the file holds no training run, but a model alone: load it with "
               + "Checkpoint.load (C#: Checkpoints.Load)")
              (resumed (fun file -> Checkpoint.save file (mlp 4)) (goesOn (mlp 4) adamOf set))

          expect
              "a run is saved with a rewirer over another optimizer"
              ("expected a rewirer over the optimizer given, got one over another: give the optimizer that the Rewirer was made "
               + "with (Parameter 'rewirer')")
              (within (fun folder ->
                  let model = mlp 4
                  use rewirer = new Rewirer(model, sgd model, set)
                  let file = Path.Combine(folder, "run.safetensors")
                  Checkpoint.saveTraining atStart file model (adam model) (ValueSome rewirer)))

          expect
              "a run is saved with an optimizer of another model"
              ("expected an optimizer of the model's parameters, got one of shape [12] that is not: make the optimizer of "
               + "model.parameters(), after the model was made, moved and converted (Parameter 'optimizer')")
              (within (fun folder ->
                  let file = Path.Combine(folder, "run.safetensors")
                  Checkpoint.saveTraining atStart file (mlp 4) (sgd (layer 6 4 1)) ValueNone)) ]
