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
    /// Held twice by one model.
    | Shared
    /// As Nested, multiplying by way of a dense copy.
    | Dense
    /// Before K-winners that all win.
    | Winners

[<Sealed>]
type World(shape: Shape, seed: int) =
    let folder =
        let memory = "/dev/shm"

        let root =
            if Directory.Exists memory then
                memory
            else
                Path.GetTempPath()

        Directory.CreateDirectory(Path.Combine(root, $"sparsefs-stress-{Guid.NewGuid():N}"))

    let build (layer: SparseLinear) : Net =
        let sequential (modules: (string * Net) list) : Net =
            torch.nn.Sequential([| for name, m in modules -> struct (name, m) |])

        match shape with
        | Shape.Alone -> layer
        | Shape.Nested -> sequential [ "inner", sequential [ "layer", layer ] ]
        | Shape.Dense ->
            layer.Arithmetic <- Arithmetic.Dense
            sequential [ "inner", sequential [ "layer", layer ] ]
        | Shape.Winners ->
            let winners = new KWinners(Rows, k = Rows, boost = Boost.None)
            winners.eval ()
            sequential [ "layer", layer; "winners", winners ]
        | Shape.Shared ->
            // The second use is fed with nothing and adds nothing.
            { new Net("shared") with
                override _.forward x = layer.call x }
            |> fun m ->
                m.register_module ("first", layer)
                m.register_module ("second", layer)
                m

    let layer = layerOf Nnz 0
    let model = build layer

    let states (nnz: int) =
        [| for version in 0 .. Versions - 1 -> copyOfState (build (layerOf nnz version)) |]

    let layerStates =
        lazy [| for version in 0 .. Versions - 1 -> copyOfState (layerOf Nnz version) |]

    let modelStates = lazy (states Nnz)

    let files (nnz: int) =
        lazy
            [| for version in 0 .. Versions - 1 do
                   let file = Path.Combine(folder.FullName, $"{nnz}-{version}.safetensors")
                   Checkpoint.save file (build (layerOf nnz version))
                   file |]

    let same = files Nnz
    let other = files (Nnz - 20)
    let optimizer = torch.optim.SGD(model.parameters (), 0.0)
    let mutable names = 0

    member _.Layer = layer
    member _.Model = model
    member _.Optimizer = optimizer
    member _.Seed = seed

    /// A second model of the same shape, of this thread alone.
    member _.Another() : struct (SparseLinear * Net) =
        let other = layerOf Nnz 0
        struct (other, build other)

    member _.LayerStates: Dictionary<string, torch.Tensor>[] = layerStates.Value
    member _.ModelStates: Dictionary<string, torch.Tensor>[] = modelStates.Value
    member _.Files: string[] = same.Value

    /// Files of layers with fewer slots.
    member _.OtherFiles: string[] = other.Value

    /// Whether each call must be one version, whole; else only crashes and wrong exceptions count.
    member val IsStrict = true with get, set

    /// Whether something may have taken the layer's place or moved it meanwhile.
    member val MayRefuse = false with get, set

    member _.NewFile() =
        Path.Combine(folder.FullName, $"out-{Interlocked.Increment &names}.safetensors")

    member w.Check(y: torch.Tensor) =
        if w.IsStrict && y.dtype = torch.float32 then
            match wrong (numbers y) with
            | ValueSome what -> failwith $"a mixture: {what}"
            | ValueNone -> ()

    interface IDisposable with
        member _.Dispose() = folder.Delete true
