/// Numbers that a layer cannot take over by load_state_dict.
module SparseFs.Tests.Mistakes.StateDictMistakes

open System.Collections.Generic
open Expecto
open SparseFs
open SparseFs.Tests.Mistakes.Mistake
open TorchSharp

type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

let private layer (sparsity: float) =
    new SparseLinear(6, 4, sparsity = sparsity, seed = Seed.ofInt 1)

/// A layer of 12 weights loads what another gave, after somebody has changed it.
let private loading (change: Dictionary<string, torch.Tensor> -> unit) () : unit =
    use target = layer 0.5
    use source = layer 0.5
    let state = Dictionary(source.state_dict ())
    change state
    target.load_state_dict state |> ignore

[<Tests>]
let mistakes =
    testList
        "Mistakes of load_state_dict"
        [ expect
              "the other layer has another number of weights"
              ("expected 12 weights, shape [12], got 6: load_state_dict copies numbers, and cannot change how many weights a layer has. Save "
               + "the other layer or model with Checkpoint.save and load it with Checkpoint.load (C#: Checkpoints.Save, "
               + "Checkpoints.Load), which takes its pattern over; or make this layer over the other's Connectivity (Parameter "
               + "'weight')")
              (fun () -> (layer 0.5).load_state_dict((layer 0.75).state_dict()) |> ignore)

          expect
              "the other layer is dense"
              ("expected the 12 weights of a sparse layer, shape [12], got a dense layer's, shape [4, 6]: make the sparse layer of "
               + "the dense one, with Conversion.ofDense (C#: dense.ToSparse) (Parameter 'weight')")
              (fun () -> (layer 0.5).load_state_dict(torch.nn.Linear(6L, 4L).state_dict()) |> ignore)

          expect
              "the pattern was left out"
              ("expected a state_dict of weight, bias, row_ptr, col_idx, got one without row_ptr, col_idx: strict = false (C#: "
               + "strict: false) passes over such names")
              (loading (fun state ->
                  state.Remove "row_ptr" |> ignore
                  state.Remove "col_idx" |> ignore))

          expect
              "a whole model's state_dict is given to a layer"
              ("expected a state_dict of weight, bias, row_ptr, col_idx, got one without weight, bias, row_ptr, col_idx, one with "
               + "0.weight, 0.bias, 0.row_ptr, 0.col_idx: a whole model's state_dict is loaded by the model's load_state_dict, "
               + "not by a layer's")
              (fun () ->
                  let model = torch.nn.Sequential(layer 0.5 :> Layer)
                  (layer 0.5).load_state_dict(model.state_dict ()) |> ignore)

          expect
              "the bias is of another layer"
              "expected shape [4], got [3] (Parameter 'bias')"
              (loading (fun state -> state["bias"] <- torch.zeros 3L))

          expect
              "the layer has another number of outputs"
              "expected shape [5], got [6] (Parameter 'row_ptr')"
              (loading (fun state -> state["row_ptr"] <- torch.tensor [| 0; 3; 6; 9; 12; 12 |]))

          expect
              "the pattern is of floats"
              "expected an integer dtype, got Float32 (Parameter 'col_idx')"
              (loading (fun state -> state["col_idx"] <- torch.zeros 12L))

          expect
              "the pattern names an input that there is not"
              "expected 0..5, got column 6 in row 0; the layer keeps its pattern and its weights (Parameter 'col_idx')"
              (loading (fun state ->
                  let cols = state["col_idx"].clone()
                  cols[2] <- torch.tensor 6
                  state["col_idx"] <- cols)) ]
