namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp

/// <summary>A rewirer's state as texts and tensors.</summary>
module internal RewirerCodec =

    let private stateKey = "sparsefs.rewirer"
    let private layerKey (place: int) = $"sparsefs.rewirer.layer.{place}"

    /// Two numbers in hexadecimal.
    let seedFields (seed: Seed) : (string * string) list =
        let struct (state, gamma) = Seed.toWords seed
        [ "seed", state.ToString "x16"; "gamma", gamma.ToString "x16" ]

    let readSeed (file: SafetensorsFile) (entry: string) (reader: FieldReader) : Seed =
        match Seed.tryOfWords (reader.Bits "seed") (reader.Bits "gamma") with
        | ValueSome seed -> seed
        | ValueNone -> file.Refuse(CheckpointProblem.Value, entry, "expected an odd gamma, got an even one")

    /// <summary>Texts and tensors of a rewirer; the open DisposeScope owns the tensors.</summary>
    let write (rewirer: Rewirer) : (string * string) list * struct (string * torch.Tensor) list =
        let state = rewirer.Capture()

        let texts =
            [ for place in 0 .. rewirer.Layers.Length - 1 do
                  yield! PolicyCodec.write rewirer place

              stateKey,
              MetadataFields.write (
                  [ "step", MetadataFields.ofInteger state.Step
                    "optimizer", state.Optimizer
                    "layers", MetadataFields.ofInteger state.Explored.LongLength ]
                  @ seedFields state.Seed
              )

              for place, (name, _) in Array.indexed state.Explored do
                  layerKey place, name ]

        let tensors =
            [ for place in 0 .. rewirer.Layers.Length - 1 do
                  let struct (_, layer) = rewirer.Layers[place]
                  yield! RewirerTensors.write state place ]

        texts, tensors

    /// Names of the layers that the file's rewirer had, as far as it tells them.
    let private storedLayers (file: SafetensorsFile) : string list =
        Seq.initInfinite (fun place ->
            match file.Metadata.TryGetValue(layerKey place) with
            | true, name -> Some name
            | _ -> None)
        |> Seq.takeWhile Option.isSome
        |> Seq.choose id
        |> List.ofSeq

    /// Whether the rewirer has the file's layers, in its order; says it where not. What a file leaves out is not told here.
    let private hasLayers (loader: StagedLoad) (rewirer: Rewirer) : bool =
        let ours = [ for struct (name, _) in rewirer.Layers -> name ]
        let theirs = storedLayers loader.File

        let quoted (names: string list) =
            names |> List.map (fun name -> $"'{name}'") |> String.concat ", "

        let isSame = theirs.IsEmpty || theirs = ours

        if not isSame then
            loader.Wrong(
                $"rewirer: expected the layers {quoted ours}, got {quoted theirs}: the run that was saved rewired these; make "
                + "the Rewirer over the same layers in the same order (its argument layers is a part of the program, which "
                + "no file holds)"
            )

        isSame

    let private planState (loader: StagedLoad) (rewirer: Rewirer) (step: int64) (seed: Seed) (optimizer: string) =
        let file = loader.File
        let layers = rewirer.Layers

        let readers =
            [| for place in 0 .. layers.Length - 1 do
                   let struct (name, layer) = layers[place]

                   if not (file.Metadata.ContainsKey(layerKey place)) then
                       loader.Wrong $"missing: the text '{layerKey place}'"

                   let c = layer.Connectivity

                   name,
                   layer,
                   RewirerTensors.planExplored loader place c,
                   RewirerTensors.planPasses loader place step layer,
                   RewirerTensors.planAges loader place layer |]

        loader.Plan(fun () ->
            let explored =
                [| for name, layer, explored, _, _ in readers do
                       let explored = (ValueOption.get explored) ()

                       if not (explored.Covers(loader.PatternOf layer)) then
                           let reason = $"expected all slots of '{name}' among the cells that have been slots"
                           file.Refuse(CheckpointProblem.Value, stateKey, reason)

                       name, explored |]

            let passes = [| for _, _, _, passes, _ in readers -> (ValueOption.get passes) () |]
            let ages = [| for _, _, _, _, ages in readers -> (ValueOption.get ages) () |]
            let state = RewirerState(step, seed, optimizer, explored, passes, ages)
            rewirer.Prepare state)

    /// <summary>Plans a rewirer's state; after the model.</summary>
    /// <exception cref="T:SparseFs.CheckpointException">A text is none of a rewirer.</exception>
    let plan (loader: StagedLoad) (optimizer: string) (rewirer: Rewirer) : unit =
        if hasLayers loader rewirer then
            match loader.File.Metadata.TryGetValue stateKey with
            | true, text ->
                let reader = FieldReader(loader.File.File, stateKey, text)
                let step = reader.Integer("step", 0L, Int64.MaxValue - 1L)
                let stored = reader.Text "optimizer"
                let count = reader.Integer("layers", 0L, int64 Int32.MaxValue)
                let seed = readSeed loader.File stateKey reader
                reader.End()

                if count <> rewirer.Layers.LongLength then
                    loader.Wrong $"rewirer: expected {rewirer.Layers.Length} layers, got {count}"
                    loader.Cure "make the Rewirer over the layers that the run's had"
                else
                    PolicyCodec.compare loader rewirer

                    if stored = optimizer then
                        planState loader rewirer step seed stored
                    elif loader.Fits then
                        loader.Wrong $"rewirer: expected a state beside {optimizer}, got one beside {stored}"
            | _ -> loader.Wrong "missing: the state of a rewirer"
