// Twenty programs that fail, each with the words of its message that tell the cure, and what they make of it.
#r "nuget: SparseFs"
#r "nuget: TorchSharp-cpu"

open System
open System.IO
open SparseFs
open TorchSharp

let mutable mended = 0

let case (name: string) (words: string list) (wrong: unit -> 'a) (right: unit -> 'b) : unit =
    let message =
        try
            wrong () |> ignore
            failwith $"{name}: expected an error, and there was none"
        with
        | Failure text when text.StartsWith name -> raise (Exception text)
        | e -> e.Message

    for word in words do
        if not (message.Contains word) then
            raise (Exception $"{name}: expected '{word}' in\n{message}")

    right () |> ignore
    mended <- mended + 1
    printfn $"{name}: {message.ReplaceLineEndings(String.Empty)}"

let network () =
    sequential {
        "hidden", new SparseLinear(20, 30, seed = Seed.ofInt 1)
        "relu", torch.nn.ReLU()
        "output", new SparseLinear(30, 10, sparsity = 0.5, seed = Seed.ofInt 2)
    }

let sgd (model: torch.nn.Module) =
    torch.optim.SGD(model.parameters (), 0.1)

let set = Policy.set (Schedule.constant 0.3 1L 10L)

let backward (model: torch.nn.Module<torch.Tensor, torch.Tensor>) =
    model.call(torch.ones (4L, 20L)).sum().backward()

let layer = new SparseLinear(20, 30, seed = Seed.ofInt 1)

case "a percentage" [ "0.9 for 90 %" ] (fun () -> new SparseLinear(20, 30, sparsity = 90.0)) (fun () ->
    new SparseLinear(20, 30, sparsity = 0.9))

case "no weight is left" [ "0.5" ] (fun () -> new SparseLinear(2, 2)) (fun () -> new SparseLinear(2, 2, sparsity = 0.5))

case "images that are not flat" [ "flatten" ] (fun () -> layer.call (torch.ones (4L, 4L, 5L))) (fun () ->
    layer.call (torch.ones(4L, 4L, 5L).flatten(1L)))

case "too few features" [ "20" ] (fun () -> layer.call (torch.ones (4L, 19L))) (fun () ->
    layer.call (torch.ones (4L, 20L)))

case "doubles" [ "x.to(torch.float32)" ] (fun () -> layer.call (torch.ones (4L, 20L, dtype = torch.float64))) (fun () ->
    layer.call (torch.ones(4L, 20L, dtype = torch.float64).``to`` torch.float32))

case "whole numbers" [ "Float32" ] (fun () -> layer.call (torch.ones (4L, 20L, dtype = torch.int64))) (fun () ->
    layer.call (torch.ones(4L, 20L, dtype = torch.int64).``to`` torch.float32))

case
    "a pattern of another shape"
    [ "expected a pattern [30, 20]" ]
    (fun () -> new SparseLinear(20, 30, topology = fun _ _ nnz seed -> Topology.uniform 20 30 nnz seed))
    (fun () -> new SparseLinear(20, 30, topology = fun rows cols nnz seed -> Topology.uniform rows cols nnz seed))

case "more slots than cells" [ "100" ] (fun () -> Topology.uniform 10 10 101 (Seed.ofInt 1)) (fun () ->
    Topology.uniform 10 10 100 (Seed.ofInt 1))

case "a name with a dot" [ "without dots" ] (fun () -> sequential { "a.b", torch.nn.ReLU() }) (fun () ->
    sequential { "ab", torch.nn.ReLU() })

case
    "no sparse layer"
    [ "Sparsify" ]
    (fun () ->
        let model = torch.nn.Linear(20L, 10L)
        new Rewirer(model, sgd model, set))
    (fun () ->
        let model = torch.nn.Sequential(torch.nn.Linear(20L, 10L))
        Sparsify.model (Sparsify.each 0.5) model |> ignore
        new Rewirer(model, sgd model, set))

case
    "an optimizer of another model"
    [ "optimizer" ]
    (fun () -> new Rewirer(network (), sgd (network ()), set))
    (fun () ->
        let model = network ()
        new Rewirer(model, sgd model, set))

case
    "an optimizer that keeps no state of weights"
    [ "LBFGS" ]
    (fun () ->
        let model = network ()
        new Rewirer(model, torch.optim.LBFGS(model.parameters (), 0.1), set))
    (fun () ->
        let model = network ()
        new Rewirer(model, torch.optim.Adam(model.parameters (), 0.1), set))

case
    "updates before any backward"
    [ "call loss.backward() before rewirer.Step()" ]
    (fun () ->
        let model = network ()

        let rewirer =
            new Rewirer(model, sgd model, Policy.rigL (Schedule.constant 0.3 1L 10L))

        for _ in 1..3 do
            rewirer.Step() |> ignore)
    (fun () ->
        let model = network ()

        let rewirer =
            new Rewirer(model, sgd model, Policy.rigL (Schedule.constant 0.3 1L 10L))

        for _ in 1..3 do
            backward model
            rewirer.Step() |> ignore)

case
    "an unknown layer"
    [ "hidden" ]
    (fun () ->
        let model = network ()
        new Rewirer(model, sgd model, set, layers = Layers.Named "hiden"))
    (fun () ->
        let model = network ()
        new Rewirer(model, sgd model, set, layers = Layers.Named "hidden"))

case "an update every 0 steps" [ "1 or more" ] (fun () -> Schedule.constant 0.3 0L 10L) (fun () ->
    Schedule.constant 0.3 1L 10L)

case
    "a folder that is not there"
    [ "folder"; "runs" ]
    (fun () -> Checkpoint.save "runs/model.safetensors" (network ()))
    (fun () ->
        Directory.CreateDirectory "runs" |> ignore
        Checkpoint.save "runs/model.safetensors" (network ()))

case
    "a file that is not there"
    [ "model.safetensors" ]
    (fun () -> Checkpoint.load "model.safetensors" (network ()))
    (fun () -> Checkpoint.load "runs/model.safetensors" (network ()))

case
    "a network of other names"
    [ "hidden.weight" ]
    (fun () ->
        Checkpoint.load
            "runs/model.safetensors"
            (sequential { "hiden", new SparseLinear(20, 30, seed = Seed.ofInt 1) }))
    (fun () -> Checkpoint.load "runs/model.safetensors" (network ()))

case
    "another number of weights through load_state_dict"
    [ "Checkpoint.load" ]
    (fun () ->
        let other = new SparseLinear(20, 30, sparsity = 0.8)
        other.load_state_dict (layer.state_dict ()))
    (fun () ->
        Checkpoint.save "layer.safetensors" layer
        Checkpoint.load "layer.safetensors" (new SparseLinear(20, 30, sparsity = 0.8)))

case
    "a layer that was disposed of"
    [ "disposed" ]
    (fun () ->
        let gone = new SparseLinear(20, 30)
        gone.Dispose()
        gone.call (torch.ones (4L, 20L)))
    (fun () ->
        let here = new SparseLinear(20, 30)
        here.call (torch.ones (4L, 20L)))

printfn $"{mended} programs mended"
