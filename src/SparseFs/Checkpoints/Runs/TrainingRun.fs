namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open TorchSharp

/// <summary>A training run in a file: model, optimizer, rewirer, torch's generator and the caller's progress.</summary>
/// <remarks>What Checkpoint says of <c>saveTraining</c> and <c>resume</c>.</remarks>
module internal TrainingRun =

    [<Literal>]
    let private TrainingKey = "sparsefs.training"

    let private checkRewirer (inventory: ModelTensors) (optimizer: torch.optim.Optimizer) (rewirer: Rewirer) =
        if not (obj.ReferenceEquals(rewirer.Optimizer, optimizer)) then
            let message =
                "expected a rewirer over the optimizer given, got one over another: give the optimizer that the Rewirer was "
                + "made with"

            raise (ArgumentException(message, nameof rewirer))

        for struct (name, layer) in rewirer.Layers do
            if
                inventory.Layers
                |> Array.forall (fun (struct (_, other)) -> not (obj.ReferenceEquals(other, layer)))
            then
                let message =
                    $"expected a rewirer of the model's layers, got one of '{name}', a layer of another model: give the model "
                    + "that the Rewirer was made with"

                raise (ArgumentException(message, nameof rewirer))

    let write
        (progress: TrainingProgress)
        (path: string)
        (model: torch.nn.Module)
        (optimizer: torch.optim.Optimizer)
        (rewirer: Rewirer voption)
        : unit =
        ArgumentNullException.ThrowIfNull(progress, nameof progress)
        ArgumentNullException.ThrowIfNull(model, nameof model)
        ModelWriter.checkNotes progress.Notes

        if progress.Step < 0L then
            raise (ArgumentException($"expected a step of 0 or more, got {progress.Step}", nameof progress))

        let states = OptimizerStates.Of optimizer
        use _ = torch.NewDisposeScope()
        let inventory = ModelTensors.ofModel model
        rewirer |> ValueOption.iter (checkRewirer inventory optimizer)

        // An update on another thread comes before all of this or after it: it exchanges what would be written.
        use turn = RunGate.enter optimizer
        use held = new HeldLayers(inventory.Layers)

        let optimizerTexts, moments =
            OptimizerCodec.write (ModelTensors.names inventory) states

        let moments =
            [ for struct (name, t) in moments -> struct (name, t.detach().clone()) ]

        let rewirerTexts, rewirerTensors =
            match rewirer with
            | ValueSome rewirer -> RewirerCodec.write rewirer
            | ValueNone -> [], []

        let training =
            MetadataFields.write (
                [ "step", MetadataFields.ofInteger progress.Step
                  "rewirer", MetadataFields.ofBool rewirer.IsSome ]
                @ RewirerCodec.seedFields progress.Seed
            )

        turn.Dispose()

        SafetensorsFile.writeThrough
            id
            path
            (ModelWriter.modelTexts held progress.Notes
             @ (TrainingKey, training) :: optimizerTexts
             @ rewirerTexts)
            (ModelWriter.modelTensors PatternLayout.Csr held inventory
             @ moments
             @ rewirerTensors
             @ [ struct (TorchGenerator.Name, TorchGenerator.read ()) ])

    let read
        (path: string)
        (model: torch.nn.Module)
        (optimizer: torch.optim.Optimizer)
        (rewirer: Rewirer voption)
        : TrainingProgress =
        ArgumentNullException.ThrowIfNull(model, nameof model)
        let states = OptimizerStates.Of optimizer
        use file = new SafetensorsFile(path)
        use _ = torch.NewDisposeScope()
        let inventory = ModelTensors.ofModel model
        rewirer |> ValueOption.iter (checkRewirer inventory optimizer)
        let loader = StagedLoad(file, false)

        let reader =
            match file.Metadata.TryGetValue TrainingKey with
            | true, text -> FieldReader(path, TrainingKey, text)
            | _ ->
                file.Refuse(
                    CheckpointProblem.Mismatch,
                    TrainingKey,
                    "the file holds no training run, but a model alone: load it with Checkpoint.load (C#: Checkpoints.Load)"
                )

        let step = reader.Integer("step", 0L, Int64.MaxValue)
        let hasRewirer = reader.Bool "rewirer"
        let seed = RewirerCodec.readSeed file TrainingKey reader
        reader.End()
        loader.Model(WeightForm.SparseFs, inventory)

        // Where the model is another, so is all that belongs to it.
        if loader.Fits then
            OptimizerCodec.plan loader (ModelTensors.names inventory) states

            match rewirer with
            | ValueSome rewirer when hasRewirer -> RewirerCodec.plan loader states.Kind rewirer
            | ValueNone when not hasRewirer -> ()
            | ValueSome _ ->
                loader.Wrong "the file's run has no rewirer, but one is given"
                loader.Cure "resume without a rewirer: ValueNone (C#: leave it out)"
            | ValueNone ->
                loader.Wrong "the file's run has a rewirer, but none is given"
                loader.Cure "make a Rewirer with the run's policy over model and optimizer, and give it to resume"

        if loader.Fits then
            TorchGenerator.plan loader

        let isTold = if loader.Fits then fun _ -> true else ModelWriter.isModels

        loader.Run(true, isTold) |> ignore

        { Step = step
          Seed = seed
          Notes =
            Dictionary(
                file.Metadata
                |> Seq.filter (fun entry -> not (ModelWriter.isReserved entry.Key))
            )
            :> IReadOnlyDictionary<_, _> }
