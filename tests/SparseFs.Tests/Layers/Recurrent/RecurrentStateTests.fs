module SparseFs.Tests.RecurrentStateTests

open System
open System.Collections.Generic
open System.Threading
open Expecto
open SparseFs
open SparseFs.Torch
open SparseFs.Tests.CheckpointFiles
open SparseFs.Tests.RecurrentTwins
open TorchSharp

/// A module around a recurrent one, as users write them.
type Tagger(lstm: SparseLSTM, head: SparseLinear) as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("Tagger")
    let rnn = lstm
    let out = head
    do this.RegisterComponents()

    override _.forward x =
        let struct (y, _, _) = rnn.call x
        out.call y

let private tagger (seed: int) (sparsity: float) =
    let lstm =
        new SparseLSTM(6, 8, numLayers = 2, bidirectional = true, sparsity = sparsity, seed = Seed.ofInt seed)

    new Tagger(lstm, new SparseLinear(16, 4, sparsity = 0.5, seed = Seed.ofInt (seed + 1)))

let private names (state: IReadOnlyDictionary<string, torch.Tensor>) = state.Keys |> Seq.sort |> List.ofSeq

let private expectEqual (what: string) (wanted: torch.Tensor) (got: torch.Tensor) =
    Expect.equal got.shape wanted.shape $"{what}: shape"
    Expect.isTrue (wanted.equal(got).all().item<bool>()) what

let private batch (step: int) =
    numbers (int64 step) [| 7L; 3L; 6L |] torch.ScalarType.Float32

/// A step of training on numbers that follow from its number.
let private train
    (model: torch.nn.Module<torch.Tensor, torch.Tensor>)
    (optimizer: torch.optim.Optimizer)
    (rewirer: Rewirer)
    (step: int)
    =
    use _ = torch.NewDisposeScope()
    optimizer.zero_grad ()
    let y = model.call (batch step)
    SparseOps.backward (y.sub(numbers (int64 (1000 + step)) y.shape y.dtype).square().mean())
    rewirer.Step() |> ignore

let private rigL = Policy.rigL (Schedule.constant 0.3 4L 10_000L)

[<Tests>]
let tests =
    testList
        "Recurrent state"
        [ test "state_dict has PyTorch's names, and the patterns beside them" {
              use lstm =
                  new SparseLSTM(5, 6, numLayers = 2, bidirectional = true, projSize = 3, sparsity = 0.5)

              let suffixes = [ "l0"; "l0_reverse"; "l1"; "l1_reverse" ]

              let wanted =
                  [ for suffix in suffixes do
                        for matrix in [ "ih"; "hh"; "hr" ] do
                            $"weight_{matrix}_{suffix}"
                            $"row_ptr_{matrix}_{suffix}"
                            $"col_idx_{matrix}_{suffix}"

                            if matrix <> "hr" then
                                $"bias_{matrix}_{suffix}" ]

              Expect.equal (names (lstm.state_dict ())) (List.sort wanted) "names"
              use gru = new SparseGRU(5, 6, hasBias = false, sparsity = 0.5)
              use dense = torch.nn.GRU(5L, 6L, bias = false)

              Expect.equal
                  (gru.state_dict().Keys
                   |> Seq.filter (fun name -> name.StartsWith "weight")
                   |> Seq.sort
                   |> List.ofSeq)
                  (dense.state_dict().Keys |> Seq.sort |> List.ofSeq)
                  "torch's own"
          }

          test "a model's state has them under the name of its field, once" {
              use model = tagger 1 0.5
              let state = model.state_dict ()
              Expect.isTrue (state.ContainsKey "rnn.weight_hh_l1_reverse") "a weight"
              Expect.isTrue (state.ContainsKey "rnn.col_idx_hh_l1_reverse") "its pattern"
              Expect.isTrue (state.ContainsKey "out.weight") "another layer's"
              Expect.equal state.Count (8 * 4 + 4) "nothing else"
              let parameters = [ for struct (name, _) in model.named_parameters () -> name ]
              Expect.equal parameters.Length (8 * 2 + 2) "parameters"
              Expect.contains parameters "rnn.bias_ih_l0" "their names"
          }

          test "a saved model is loaded with its patterns" {
              use model = tagger 1 0.5
              use other = tagger 7 0.6

              withFile (fun file ->
                  Checkpoint.save file model
                  let stored = Safetensors.load file
                  Expect.isTrue (stored.ContainsKey "rnn.row_ptr_ih_l0_reverse") "names in the file"
                  Checkpoint.load file other)

              let x = batch 1
              expectEqual "outputs" (model.call x) (other.call x)

              for struct (name, layer) in SparseLayers.places model do
                  let twin = SparseLayers.places other |> List.find (fun struct (n, _) -> n = name)
                  let struct (_, twin) = twin
                  Expect.equal twin.Connectivity layer.Connectivity name
          }

          test "load_state_dict takes over the patterns of another state" {
              use lstm = new SparseLSTM(5, 6, sparsity = 0.5, seed = Seed.ofInt 1)
              use other = new SparseLSTM(5, 6, sparsity = 0.5, seed = Seed.ofInt 2)
              other.load_state_dict (lstm.state_dict ()) |> ignore
              Expect.equal (other.Matrix "hh_l0").Connectivity (lstm.Matrix "hh_l0").Connectivity "pattern"
              let x = numbers 1L [| 4L; 2L; 5L |] torch.ScalarType.Float32
              let struct (a, _, _), struct (b, _, _) = lstm.call x, other.call x
              expectEqual "outputs" a b
          }

          test "a state of torch's own module is loaded by magnitude, as ofDense prunes it" {
              use dense = torch.nn.LSTM(5L, 6L, 2L, bidirectional = true)
              use pruned = SparseLSTM.ofDense (dense, 0.8)

              use loaded =
                  new SparseLSTM(5, 6, numLayers = 2, bidirectional = true, sparsity = 0.5)

              withFile (fun file ->
                  Safetensors.save file (Map.empty<string, string>) (dense.state_dict ())
                  Checkpoint.loadFrom (WeightForm.Magnitude 0.8) file loaded)

              let x = numbers 1L [| 4L; 2L; 5L |] torch.ScalarType.Float32
              let struct (a, _, _), struct (b, _, _) = pruned.call x, loaded.call x
              expectEqual "outputs" a b
          }

          test "a dense module and its sparse one of all weights give the same, both ways" {
              use _ = torch.NewDisposeScope()
              let wide = torch.ScalarType.Float64
              let x = numbers 1L [| 4L; 3L; 5L |] wide

              let near (what: string) (a: torch.Tensor) (b: torch.Tensor) =
                  let away = a.sub(b).abs().max().item<float>()
                  // Sums of a dozen products of numbers below 1, through a few steps.
                  Expect.isLessThan away 1e-13 what

              for isBatchFirst in [ false; true ] do
                  let lstm =
                      torch.nn.LSTM(
                          5L,
                          6L,
                          2L,
                          batchFirst = isBatchFirst,
                          dropout = 0.25,
                          bidirectional = true,
                          dtype = wide
                      )

                  let sparse = SparseLSTM.ofDense (lstm, 0.0, 0.0, 0.25)
                  Expect.equal sparse.batch_first isBatchFirst "the batch's place"
                  Expect.isTrue sparse.training "the flag"
                  let back = sparse.toDense ()

                  for m in [ lstm :> torch.nn.Module; sparse; back ] do
                      m.eval ()

                  let struct (y, h, c) = lstm.call x
                  let struct (ys, hs, cs) = sparse.call x
                  let struct (yb, _, _) = back.call x
                  near "outputs" y ys
                  near "state" h hs
                  near "cells" c cs
                  near "back" y yb

              let gru = torch.nn.GRU(5L, 6L, bias = false, dtype = wide)
              let struct (y, _) = gru.call x
              let struct (ys, _) = (SparseGRU.ofDense (gru, 0.0)).call x
              near "GRU" y ys

              for nonlinearity in [ torch.nn.NonLinearities.Tanh; torch.nn.NonLinearities.ReLU ] do
                  let rnn = torch.nn.RNN(5L, 6L, nonLinearity = nonlinearity, dtype = wide)
                  let struct (y, _) = rnn.call x
                  let sparse = SparseRNN.ofDense (rnn, 0.0)
                  let struct (ys, _) = sparse.call x
                  let struct (yb, _) = (sparse.toDense ()).call x
                  near $"RNN {nonlinearity}" y ys
                  near $"RNN {nonlinearity} back" y yb
          }

          test "pruning keeps each matrix's largest magnitudes" {
              use dense = torch.nn.GRU(7L, 9L)
              use pruned = SparseGRU.ofDense (dense, 0.8, 0.9, 0.0)

              for name, sparsity in [ "ih_l0", 0.8; "hh_l0", 0.9 ] do
                  let numbers =
                      (present "the parameter" (dense.get_parameter $"weight_{name}")).detach().clone()

                  use linear = torch.nn.Linear(new Modules.Parameter(numbers), null)
                  use wanted = Conversion.ofDense sparsity linear
                  Expect.equal (pruned.Matrix name).Connectivity wanted.Connectivity name
          }

          test "growth is by the gradient of the dense module, exactly" {
              use _ = torch.NewDisposeScope()
              let lengths = [| 5L; 2L; 4L |]
              use lstm = new SparseLSTM(6, 8, sparsity = 0.7, seed = Seed.ofInt 3)

              use optimizer = torch.optim.SGD(lstm.parameters (), 0.0)

              use rewirer =
                  new Rewirer(lstm, optimizer, Policy.rigL (Schedule.constant 0.2 1L 100L))

              use dense = lstm.toDense ()

              let before =
                  dict [ for name in [ "ih_l0"; "hh_l0" ] -> name, (lstm.Matrix name).Connectivity ]

              let x = numbers 4L [| 5L; 3L; 6L |] torch.ScalarType.Float32
              let struct (y, _, _) = lstm.call (x, lengths)
              SparseOps.backward (weighted [ y ])

              let packed =
                  torch.nn.utils.rnn.pack_padded_sequence (x, torch.tensor lengths, false, false)

              let struct (yd, _, _) = dense.call packed
              let struct (yd, _) = torch.nn.utils.rnn.pad_packed_sequence yd
              (weighted [ yd ]).backward()
              rewirer.Step() |> ignore

              for name in [ "ih_l0"; "hh_l0" ] do
                  let gradient =
                      (present "the parameter" (dense.get_parameter $"weight_{name}")).PresentGrad.abs()

                  let after = (lstm.Matrix name).Connectivity
                  let cells (c: Connectivity) = set (Oracle.slots c)
                  let grown = cells after - cells before[name]

                  let size (row: int, col: int) =
                      gradient[int64 row, int64 col].item<float32>()

                  Expect.equal after.Nnz before[name].Nnz "nnz"
                  Expect.isNonEmpty grown "something has grown"

                  let free =
                      [ for row in 0 .. after.Rows - 1 do
                            for col in 0 .. after.Cols - 1 do
                                if not (Set.contains (row, col) (cells before[name])) then
                                    row, col ]

                  let wanted =
                      free
                      |> List.sortByDescending size
                      |> List.truncate grown.Count
                      |> List.map size
                      |> List.min
                  // Two sums of the same products may differ in their last places.
                  Expect.isTrue (grown |> Set.forall (fun cell -> size cell >= wanted * 0.9999f)) $"{name}: the largest"
          }

          test "rewiring keeps nnz and the optimizer in step, and a run resumes to the bit" {
              let start () =
                  let model = tagger 1 0.6

                  let optimizer =
                      SparseOptim.adamW (model.parameters (), 1e-2) :> torch.optim.Optimizer

                  model, optimizer, new Rewirer(model, optimizer, rigL, Seed.ofInt 9)

              let patterns model =
                  [ for struct (name, layer) in SparseLayers.places model -> name, layer.Connectivity ]

              let model, optimizer, rewirer = start ()
              let first = patterns model

              for step in 1..10 do
                  train model optimizer rewirer step

              let later = patterns model
              Expect.notEqual later first "it was rewired"

              for (name, a), (_, b) in List.zip first later do
                  Expect.equal b.Nnz a.Nnz $"nnz of {name}"

              withFile (fun file ->
                  let progress =
                      { Step = 10L
                        Seed = Seed.ofInt 1
                        Notes = Map.empty<string, string> }

                  Checkpoint.saveTraining progress file model optimizer (ValueSome rewirer)
                  let resumedModel, resumedOptimizer, resumedRewirer = start ()

                  Checkpoint.resume file resumedModel resumedOptimizer (ValueSome resumedRewirer)
                  |> ignore

                  for step in 11..20 do
                      train model optimizer rewirer step
                      train resumedModel resumedOptimizer resumedRewirer step

                  Expect.equal (patterns resumedModel) (patterns model) "patterns"
                  let found = resumedModel.state_dict ()

                  for entry in model.state_dict () do
                      expectEqual entry.Key entry.Value found[entry.Key])
          }

          test "averages are saved and resumed under the same names" {
              use model = tagger 1 0.6
              use average = Averaging.Exponential(model, 0.5)
              use _ = torch.no_grad ()
              model.parameters () |> Seq.iter (fun p -> p.add_ (1.0.ToScalar()) |> ignore)
              average.Update()

              withFile (fun file ->
                  AveragingFile.save file average
                  Expect.isTrue ((Safetensors.load file).ContainsKey "rnn.weight_hh_l0") "the name"
                  use resumed = Averaging.Exponential(model, 0.5)
                  AveragingFile.resume file resumed
                  Expect.equal resumed.Updates average.Updates "updates")
          }

          test "many threads call one module" {
              use lstm =
                  new SparseLSTM(16, 32, numLayers = 2, sparsity = 0.7, seed = Seed.ofInt 3)

              lstm.eval ()
              let x = numbers 1L [| 9L; 20L; 16L |] torch.ScalarType.Float32

              let call () =
                  use _ = torch.no_grad ()
                  let struct (y, _, _) = lstm.call x
                  y

              let wanted = call ()
              let mutable wrong = 0

              let threads =
                  [ for _ in 1..4 ->
                        Thread(fun () ->
                            for _ in 1..25 do
                                use y = call ()

                                if not (wanted.equal(y).all().item<bool>()) then
                                    Interlocked.Increment &wrong |> ignore) ]

              threads |> List.iter _.Start()
              threads |> List.iter _.Join()
              Expect.equal wrong 0 "results that differ"
          }

          test "a policy follows its matrices" {
              use lstm = new SparseLSTM(6, 8, sparsity = 0.5, policy = rigL)
              Expect.isTrue (obj.ReferenceEquals((lstm.Matrix "hh_l0").Policy, rigL)) "of the state's"
              Expect.isTrue (obj.ReferenceEquals((lstm.Matrix "ih_l0").Policy, rigL)) "of the inputs'"
          }

          test "numbers are drawn as torch draws them, at the density that there is" {
              torch.manual_seed 1L |> ignore

              use lstm =
                  new SparseLSTM(
                      300,
                      200,
                      sparsity = 0.75,
                      topology = fun rows cols nnz seed -> Topology.constantFanIn rows cols (nnz / rows) seed
                  )
              // Of 75 of 300 inputs: 1 / √200 · √4.
              let bound = 2.0 / sqrt 200.0
              let largest = (lstm.Matrix "ih_l0").weight.abs().max().item<float32>()
              Expect.isLessThanOrEqual (float largest) (bound * 1.000001) "within the bound"
              Expect.isGreaterThan (float largest) (bound * 0.99) "as far as it"
          } ]

[<Tests>]
let leaks =
    testSequenced (
        testList
            "Recurrent tensors"
            [ test "training leaves none behind" {
                  use lstm =
                      new SparseLSTM(6, 8, numLayers = 2, bidirectional = true, sparsity = 0.6, seed = Seed.ofInt 1)

                  use optimizer = SparseOptim.adamW (lstm.parameters (), 1e-3)

                  use rewirer =
                      new Rewirer(lstm, optimizer, Policy.rigL (Schedule.constant 0.3 7L 10_000L), Seed.ofInt 1)

                  // With a loss of all results: TorchSharp counts a gradient that there is none of as a tensor which nobody can free.
                  let step (number: int) =
                      use _ = torch.NewDisposeScope()
                      optimizer.zero_grad ()
                      let struct (y, h, c) = lstm.call (batch number)
                      SparseOps.backward (weighted [ y; h; c ])
                      rewirer.Step() |> ignore

                  let count () =
                      Replaced.releaseAll ()
                      GC.Collect()
                      GC.WaitForPendingFinalizers()
                      torch.Tensor.TotalCount

                  for number in 1..22 do
                      step number

                  let before = count ()

                  // As far from the last update as before: what is noted for the next one is the same.
                  for number in 1..210 do
                      step number

                  Expect.isLessThanOrEqual (count ()) before "Tensor.TotalCount"
              } ]
    )
