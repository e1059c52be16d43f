/// Layers that a model does not know, and names that nothing has.
module SparseFs.Tests.Mistakes.RegistrationMistakes

open System.Collections.Generic
open Expecto
open SparseFs
open SparseFs.Tests.CheckpointFiles
open SparseFs.Tests.Mistakes.Mistake
open TorchSharp
open TorchSharp.Modules

type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

let private policy = Policy.rigL (Schedule.cosine 0.3 10L 100L)

let private sparse () =
    new SparseLinear(6, 4, sparsity = 0.5, seed = Seed.ofInt 1)

/// An optimizer of something, for models without parameters.
let private sgd () =
    torch.optim.SGD([ new Parameter(torch.zeros 1L) ], 0.1)

type private MyNet() =
    inherit Layer("MyNet")
    let fc1 = new SparseLinear(6, 4, sparsity = 0.5, seed = Seed.ofInt 1)
    let fc2 = new SparseLinear(4, 2, sparsity = 0.5, seed = Seed.ofInt 2)
    override _.forward(x) = fc2.call (fc1.call x)

type private DenseNet() =
    inherit Layer("DenseNet")
    member val Hidden: Layer = torch.nn.Linear(6L, 4L) with get, set
    override this.forward(x) = this.Hidden.call x

type private ListNet() as this =
    inherit Layer("ListNet")
    let layers = List<Layer>([ sparse () :> Layer; torch.nn.ReLU() ])
    do this.RegisterComponents()

    override _.forward(x) =
        Seq.fold (fun (x: torch.Tensor) (layer: Layer) -> layer.call x) x layers

/// A field's own components are registered with it, but not what a list in it holds.
type private Outer() as this =
    inherit Layer("Outer")
    let body = new ListNet()
    do this.RegisterComponents()
    override _.forward(x) = body.call x

type private ChangedNet() as this =
    inherit Layer("ChangedNet")
    let mutable fc: Layer = torch.nn.Linear(6L, 4L)
    do this.RegisterComponents()
    member _.Change() = fc <- sparse ()
    override _.forward(x) = fc.call x

[<Tests>]
let mistakes =
    testList
        "Mistakes of registration"
        [ expect
              "RegisterComponents is forgotten, and a Rewirer made"
              ("expected a model with sparse layers, got MyNet without any: MyNet has fields of type SparseLinear (fc1, fc2) but "
               + "registers none: call RegisterComponents() at the end of its constructor (Parameter 'model')")
              (fun () -> new Rewirer(new MyNet(), sgd (), policy) |> ignore)

          expect
              "RegisterComponents is forgotten, and the model is made sparse"
              ("expected a model with Linear or Conv layers, got DenseNet without any: DenseNet has a field of type Linear (Hidden) but "
               + "does not register it: call RegisterComponents() at the end of its constructor (Parameter 'model')")
              (fun () -> Sparsify.model (Sparsify.each 0.5) (new DenseNet()) |> ignore)

          expect
              "RegisterComponents is forgotten, and the model saved"
              ("expected a model with parameters or buffers, got MyNet without any: MyNet has fields of type SparseLinear (fc1, "
               + "fc2) but registers none: call RegisterComponents() at the end of its constructor (Parameter 'model')")
              (fun () -> withFile (fun file -> Checkpoint.save file (new MyNet())))

          expect
              "RegisterComponents is forgotten, and the model made dense"
              ("expected a model that has registered its layers: MyNet has fields of type SparseLinear (fc1, fc2) but registers "
               + "none: call RegisterComponents() at the end of its constructor (Parameter 'model')")
              (fun () -> Sparsify.densify (new MyNet()) |> ignore)

          expect
              "a part of the model holds layers in a list"
              ("expected a model with sparse layers, got Outer without any: ListNet (at 'body') holds SparseLinear within its field "
               + "layers, where RegisterComponents() does not look: hold them in a torch.nn.ModuleList, or register each with "
               + "register_module (Parameter 'model')")
              (fun () -> new Rewirer(new Outer(), sgd (), policy) |> ignore)

          expect
              "layers are held in a list"
              ("expected a model with sparse layers, got ListNet without any: ListNet holds SparseLinear within its field layers, "
               + "where RegisterComponents() does not look: hold them in a torch.nn.ModuleList, or register each with "
               + "register_module (Parameter 'model')")
              (fun () -> new Rewirer(new ListNet(), sgd ()) |> ignore)

          expect
              "a field is changed after RegisterComponents"
              ("expected a model with sparse layers, got ChangedNet without any: the field fc of ChangedNet was given a "
               + "SparseLinear after RegisterComponents(), which knows the Linear that it held before: give fields their layers "
               + "before it, or let Sparsify.model (C#: model.Sparsify()) replace them, which changes both (Parameter 'model')")
              (fun () ->
                  let model = new ChangedNet()
                  model.Change()
                  new Rewirer(model, sgd (), policy) |> ignore)

          expect
              "a dense model is rewired"
              ("expected a model with sparse layers, got Sequential without any: give it SparseLinear or SparseConv layers, or make its "
               + "layers sparse first, with Sparsify.model (C#: model.Sparsify()) (Parameter 'model')")
              (fun () ->
                  let model =
                      torch.nn.Sequential(torch.nn.Linear(6L, 4L) :> Layer, torch.nn.ReLU() :> Layer)

                  new Rewirer(model, torch.optim.SGD(model.parameters (), 0.1), policy) |> ignore)

          expect
              "a sparse model is made sparse"
              ("expected a model with Linear or Conv layers, got Sequential without any: its SparseLinear is sparse already "
               + "(Parameter 'model')")
              (fun () ->
                  Sparsify.model (Sparsify.each 0.5) (torch.nn.Sequential(sparse () :> Layer))
                  |> ignore)

          expect
              "sparse layers carry no policy, and the Rewirer is given none"
              ("expected sparse layers that carry a policy, got none that does: give the Rewirer one for all of them, or each its "
               + "own, with SparseLinear's policy argument, dynamic or layer.Policy (Parameter 'model')")
              (fun () ->
                  let model = torch.nn.Sequential(sparse () :> Layer)
                  new Rewirer(model, torch.optim.SGD(model.parameters (), 0.1)) |> ignore)

          expect
              "a layer comes under two names"
              "expected each layer once, got one twice: as 'first' and 'second' (Parameter 'layers')"
              (fun () ->
                  let layer = sparse ()
                  let layers = [ struct ("first", layer); struct ("second", layer) ]

                  new Rewirer(layers, torch.optim.SGD(layer.parameters (), 0.1), policy, Seed.ofInt 1)
                  |> ignore)

          expect
              "names that files keep for themselves are given to a checkpoint"
              "expected names that do not begin with 'sparsefs.' and are not 'format', got 'format' (Parameter 'notes')"
              (fun () ->
                  withFile (fun file ->
                      let notes = Dictionary(dict [ "format", "mine" ])
                      Checkpoint.saveWith PatternLayout.Csr notes file (sparse ()))) ]
