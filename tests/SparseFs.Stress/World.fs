/// What the threads of a scenario share.
module SparseFs.Stress.World

open System
open System.Collections.Generic
open System.IO
open System.Threading
open SparseFs
open SparseFs.Stress.Coded
open TorchSharp

type Net = torch.nn.Module<torch.Tensor, torch.Tensor>

/// How a model holds the layer that is looked at.
[<RequireQualifiedAccess>]
type Shape =
    /// In a Sequential in a Sequential.
    | Nested
    /// Alone.
    | Alone
    /// Held twice by one model, which calls it twice: the outputs one under the other.
    | Shared
    /// As Nested, multiplying by way of a dense copy.
    | Dense
    /// Before K-winners, all of which win.
    | Winners

let private build (shape: Shape) (layer: SparseLinear) : Net =
    let sequential (modules: (string * Net) list) : Net =
        torch.nn.Sequential([| for name, m in modules -> struct (name, m) |])

    match shape with
    | Shape.Alone -> layer
    | Shape.Nested -> sequential [ "inner", sequential [ "layer", layer ] ]
    | Shape.Dense ->
        layer.Arithmetic <- Arithmetic.Dense
        sequential [ "inner", sequential [ "layer", layer ] ]
    | Shape.Winners ->
        let winners =
            new KWinners(
                Rows,
                { KWinnersOptions.ofK Rows with
                    Boost = Boost.None }
            )

        winners.eval ()
        sequential [ "layer", layer; "winners", winners ]
    | Shape.Shared ->
        let both =
            { new Net("shared") with
                override _.forward x =
                    torch.cat ([| layer.call x; layer.call x |], 0L) }

        both.register_module ("first", layer)
        both.register_module ("second", layer)
        both

/// Changes no number, and has moments that must follow the slots.
let private optimizerOf (model: Net) : torch.optim.Optimizer =
    let optimizer = torch.optim.SGD(model.parameters (), 0.0, momentum = 0.9)
    use _ = torch.NewDisposeScope()
    (model.call (probe ())).mean().backward()
    optimizer.step () |> ignore
    optimizer.zero_grad ()
    optimizer

[<Sealed>]
type World(shape: Shape) =
    let folder =
        let memory = "/dev/shm"

        let root =
            if Directory.Exists memory then
                memory
            else
                Path.GetTempPath()

        Directory.CreateDirectory(Path.Combine(root, $"sparsefs-stress-{Guid.NewGuid():N}"))

    let layer = layerOf Nnz 0
    let model = build shape layer
    let optimizer = optimizerOf model

    let each (make: int -> int -> 'a) =
        dict [ for nnz in [ Nnz; Fewer ] -> nnz, lazy (Array.init Versions (make nnz)) ]

    let layerStates = each (fun nnz version -> copyOfState (layerOf nnz version))

    let modelStates =
        each (fun nnz version -> copyOfState (build shape (layerOf nnz version)))

    let files =
        each (fun nnz version ->
            let file = Path.Combine(folder.FullName, $"{nnz}-{version}.safetensors")
            Checkpoint.save file (build shape (layerOf nnz version))
            file)

    let mutable names = 0

    member _.Layer: SparseLinear = layer
    member _.Model: Net = model

    /// Over the model's parameters, with a learning rate of 0.
    member _.Optimizer: torch.optim.Optimizer = optimizer

    /// What a layer's and the model's state is, by nnz and version.
    member _.LayerStates(nnz: int) : Dictionary<string, torch.Tensor>[] = layerStates[nnz].Value
    member _.ModelStates(nnz: int) : Dictionary<string, torch.Tensor>[] = modelStates[nnz].Value

    /// Files of the model, one a version.
    member _.Files(nnz: int) : string[] = files[nnz].Value

    /// What each call must be.
    member val Promise = Promise.OneVersion with get, set

    /// Whether nothing changes the model: it stays what it was made.
    member val IsIdle = true with get, set

    /// Whether one thread alone changes the model: what it did must then be there.
    member val HasOneWriter = true with get, set

    /// Whether calls may say that the layer is not what it was.
    member val MayRefuse = false with get, set

    member _.NewFile() : string =
        Path.Combine(folder.FullName, $"out-{Interlocked.Increment &names}.safetensors")

    member w.Check(y: torch.Tensor) : unit =
        for one in Array.chunkBySize (Cols * Rows) (numbers y) do
            match wrong w.Promise one with
            | ValueSome what -> failwith what
            | ValueNone -> ()

    /// A call on this thread, whose every use of the layer must give this.
    member w.Expect(expected: float32[], what: string) : unit =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()

        for one in Array.chunkBySize (Cols * Rows) (numbers (model.call (probe ()))) do
            if one <> expected then
                failwith what

    /// A second model of the same shape, of the caller alone, and its optimizer.
    member _.Another() : struct (Net * torch.optim.Optimizer) =
        let other = build shape (layerOf Nnz 0)
        struct (other, optimizerOf other)

    interface IDisposable with
        member _.Dispose() = folder.Delete true
