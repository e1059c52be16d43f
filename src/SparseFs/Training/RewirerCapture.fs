namespace SparseFs

open System
open SparseFs.Torch
open TorchSharp

/// <summary>State of a rewirer's layers as a value, and back.</summary>
module internal RewirerCapture =

    /// A state of these layers. Copies each noted pass to the CPU.
    let ofLayers (layers: RewiredLayer[]) (step: int64) (seed: Seed) (optimizer: string) : RewirerState =
        RewirerState(
            step,
            seed,
            optimizer,
            [| for l in layers -> l.Name, l.Explored |],
            [| for l in layers -> l.Recorder.Read(fun at g x -> struct (at, Numbers.Of g, Numbers.Of x)) |],
            [| for l in layers -> l.Ages.OfSlots |]
        )

    /// <summary>Checks the ages of a state, whose slots are those that the layers have now.</summary>
    /// <exception cref="T:System.ArgumentException">A layer has another number of slots.</exception>
    let checkAges (layers: RewiredLayer[]) (state: RewirerState) : unit =
        if state.Ages.Length = layers.Length then
            for l, ages in Array.zip layers state.Ages do
                if ages.Length > 0 && ages.Length <> l.Layer.Connectivity.Nnz then
                    let message =
                        $"expected ages of {l.Layer.Connectivity.Nnz} slots for '{l.Name}', got {ages.Length}"

                    raise (ArgumentException(message, nameof state))

    let private checkFit (layers: RewiredLayer[]) (optimizer: string) (state: RewirerState) : unit =
        let refuse (what: string) =
            raise (ArgumentException(what, nameof state))

        if state.Optimizer <> optimizer then
            refuse $"expected a state for {optimizer}, got one for {state.Optimizer}"

        let list (names: seq<string>) = String.Join(", ", names)

        if (state.Explored |> Array.map fst) <> (layers |> Array.map _.Name) then
            refuse (
                $"expected a state of the layers {list (layers |> Seq.map _.Name)}, got one of "
                + $"{list (state.Explored |> Seq.map fst)}: make the Rewirer over the same choice of layers, in the same order"
            )

        for l, (name, explored) in Array.zip layers state.Explored do
            if not (explored.Fits l.Layer.Connectivity) then
                refuse $"expected cells of {l.Layer.Connectivity} for '{name}', got {explored}"

        for l, passes in Array.zip layers state.Passes do
            for struct (_, g, x) in passes do
                let struct (ofGradient, ofInput) =
                    PassShapes.ofInput l.Layer.Description (ValueSome x.Shape)

                if g.Shape <> ofGradient || x.Shape <> ofInput then
                    refuse
                        $"expected passes of '{l.Name}', {l.Layer}, got inputs {Shape.text x.Shape} and gradients {Shape.text g.Shape}"

    /// <summary>What puts a state's notes into the layers: all that it needs is checked and allocated before it runs, in the
    /// open DisposeScope.</summary>
    /// <exception cref="T:System.ArgumentException">The state is one of other layers or of another optimizer.</exception>
    let prepare (layers: RewiredLayer[]) (optimizer: string) (state: RewirerState) : unit -> unit =
        if isNull (box state) then
            nullArg (nameof state)

        checkFit layers optimizer state

        let passes =
            Array.map2
                (fun (l: RewiredLayer) passes ->
                    let device = l.Layer.weight.device

                    [| for struct (at, g: Numbers, x: Numbers) in passes ->
                           struct (at, g.Tensor().``to`` device, x.Tensor().``to`` device) |])
                layers
                state.Passes

        fun () ->
            for l, (_, explored), passes in Array.zip3 layers state.Explored passes do
                l.Explored <- explored
                l.Known <- l.Layer.Versions.Settle()
                l.Refused <- 0
                l.Recorder.Replace passes

            for l, ages in Array.zip layers state.Ages do
                l.Ages.Replace ages
