namespace SparseFs

open System
open System.Collections.Generic
open System.IO
open SparseFs.Torch
open TorchSharp

/// <summary>Models, and whole training runs, in one safetensors file.</summary>
/// <remarks>A save is whole or has not been. A load checks everything before it changes anything: whatever is wrong is a
/// CheckpointException, and the model is as it was. While it loads, memory holds the file's numbers a second time.</remarks>
[<RequireQualifiedAccess>]
module Checkpoint =

    /// <summary>Writes a model: every parameter and every persistent buffer by its name in state_dict, and the pattern of
    /// every sparse layer.</summary>
    /// <param name="layout">How patterns are written.</param>
    /// <param name="notes">Texts of the caller's; names that begin with <c>sparsefs.</c> and <c>format</c> are taken.</param>
    /// <param name="path">The file, replaced if it exists; its folder must exist.</param>
    /// <param name="model">Any module.</param>
    /// <exception cref="T:SparseFs.CheckpointException">The file could not be written; it is what it was.</exception>
    /// <exception cref="T:System.ArgumentException">An argument is null, a name is taken, or a tensor is complex.</exception>
    /// <example><code>
    /// let notes = Map [ "trained on", "MNIST"; "accuracy", "0.979" ]
    /// Checkpoint.saveWith PatternLayout.Coo notes "model.safetensors" model
    /// (Safetensors.inspect "model.safetensors").Metadata["accuracy"] // = "0.979"
    /// </code></example>
    [<CompiledName "SaveWith">]
    let saveWith
        (layout: PatternLayout)
        (notes: IReadOnlyDictionary<string, string>)
        (path: string)
        (model: torch.nn.Module)
        : unit =
        ArgumentNullException.ThrowIfNull(model, nameof model)
        ModelWriter.checkNotes notes

        if not (Enum.IsDefined layout) then
            raise (ArgumentException($"expected Csr or Coo, got {layout}", nameof layout))

        use _ = torch.NewDisposeScope()
        let inventory = ModelTensors.ofModel model
        use held = new HeldLayers(inventory.Layers)

        SafetensorsFile.writeThrough
            id
            path
            (ModelWriter.modelTexts held notes)
            (ModelWriter.modelTensors layout held inventory)

    /// <summary>Writes a model: every parameter and every persistent buffer by its name in state_dict, and the pattern of
    /// every sparse layer.</summary>
    /// <param name="path">The file, replaced if it exists; its folder must exist.</param>
    /// <param name="model">Any module.</param>
    /// <exception cref="T:SparseFs.CheckpointException">The file could not be written; it is what it was.</exception>
    /// <exception cref="T:System.ArgumentException">An argument is null, or a tensor is complex.</exception>
    /// <example><code>
    /// Checkpoint.save "model.safetensors" model
    /// let bytes = FileInfo("model.safetensors").Length
    /// printfn $"{bytes} bytes"
    /// </code></example>
    [<CompiledName "Save">]
    let save (path: string) (model: torch.nn.Module) : unit =
        saveWith PatternLayout.Csr ModelWriter.noNotes path model

    /// <summary>Loads a model. A sparse layer takes over the file's pattern, also where it has another number of slots; its
    /// parameter stays the same object.</summary>
    /// <param name="options">How.</param>
    /// <param name="path">The file.</param>
    /// <param name="model">A module with the sizes of the one that was saved.</param>
    /// <returns>What was passed over; nothing where the load is strict.</returns>
    /// <exception cref="T:SparseFs.CheckpointException">The file cannot be read or is not sound, or names, shapes or dtypes
    /// do not fit, all of which the message lists; the model is as it was.</exception>
    /// <exception cref="T:System.ArgumentException">An argument is null, or a sparsity is outside [0, 1).</exception>
    /// <remarks>An optimizer that was made before keeps moments of the old number of slots: make it after the load, or use
    /// <c>resume</c>.</remarks>
    /// <example><code>
    /// Checkpoint.save "half.safetensors" (model.``to`` torch.float16)
    /// let options = { Form = WeightForm.SparseFs; IsStrict = false; Converts = true; Prefixes = [ "module." ] }
    /// let report = Checkpoint.loadWith options "half.safetensors" (model.``to`` torch.float32)
    /// report.Missing // = [||]
    /// </code></example>
    [<CompiledName "LoadWith">]
    let loadWith (options: LoadOptions) (path: string) (model: torch.nn.Module) : LoadReport =
        ArgumentNullException.ThrowIfNull(options, nameof options)
        ArgumentNullException.ThrowIfNull(model, nameof model)
        LayerWeights.checkForm options.Form
        StoredNames.checkPrefixes options.Prefixes
        use file = new SafetensorsFile(path, options.Prefixes)
        use _ = torch.NewDisposeScope()
        let loader = StagedLoad(file, options.Converts)
        loader.Model(options.Form, ModelTensors.ofModel model)

        let struct (missing, unexpected) =
            loader.Run(options.IsStrict, ModelWriter.isModels)

        { Missing = missing
          Unexpected = unexpected }

    /// <summary>Loads a model from a file in which sparse layers are held in some form: one that was saved in Python, say.
    /// Names must be exactly the model's, and dtypes too.</summary>
    /// <param name="form">How the file holds the weights of sparse layers.</param>
    /// <param name="path">The file.</param>
    /// <param name="model">A module with the sizes of the one that was saved.</param>
    /// <exception cref="T:SparseFs.CheckpointException">As <c>loadWith</c>.</exception>
    /// <exception cref="T:System.ArgumentException">As <c>loadWith</c>.</exception>
    /// <example><code>
    /// // A dense model's file: the largest tenth of the sparse layer's weights is what it takes over.
    /// Checkpoint.save "dense.safetensors" dense
    /// Checkpoint.loadFrom (WeightForm.Magnitude 0.9) "dense.safetensors" model
    /// </code></example>
    [<CompiledName "LoadFrom">]
    let loadFrom (form: WeightForm) (path: string) (model: torch.nn.Module) : unit =
        loadWith
            { Form = form
              IsStrict = true
              Converts = false
              Prefixes = [] }
            path
            model
        |> ignore

    /// <summary>Loads what <c>save</c> wrote. Names must be exactly the model's, and dtypes too.</summary>
    /// <param name="path">The file.</param>
    /// <param name="model">A module with the sizes of the one that was saved.</param>
    /// <exception cref="T:SparseFs.CheckpointException">As <c>loadWith</c>.</exception>
    /// <exception cref="T:System.ArgumentException">An argument is null.</exception>
    /// <example><code>
    /// Checkpoint.save "layer.safetensors" layer
    /// let other = new SparseLinear(784, 300, sparsity = 0.5)
    /// Checkpoint.load "layer.safetensors" other
    /// other.Connectivity = layer.Connectivity // = true
    /// </code></example>
    [<CompiledName "Load">]
    let load (path: string) (model: torch.nn.Module) : unit = loadFrom WeightForm.SparseFs path model

    /// <summary>A layer from a file, of sizes that are given.</summary>
    /// <param name="inFeatures">Size of each input sample.</param>
    /// <param name="outFeatures">Size of each output sample.</param>
    /// <param name="form">How the file holds its weights.</param>
    /// <param name="path">The file.</param>
    /// <param name="name">The layer's name in the file, without the last dot; empty where names have no prefix.</param>
    /// <returns>A layer on the CPU in the file's dtype, that trains; with a bias if the file has one.</returns>
    /// <exception cref="T:SparseFs.CheckpointException">The file cannot be read or is not sound, or holds no such layer.</exception>
    /// <exception cref="T:System.ArgumentException">An argument is null, a size is negative, or a sparsity is outside
    /// [0, 1).</exception>
    /// <example><code>
    /// Checkpoint.save "dense.safetensors" dense
    /// let layer = Checkpoint.sparseLayerOf 784 300 (WeightForm.Magnitude 0.95) "dense.safetensors" "0"
    /// layer.Connectivity.Nnz // = 11760
    /// </code></example>
    [<CompiledName "SparseLayerOf">]
    let sparseLayerOf
        (inFeatures: int)
        (outFeatures: int)
        (form: WeightForm)
        (path: string)
        (name: string)
        : SparseLinear =
        ArgumentNullException.ThrowIfNull(name, nameof name)
        Sparsity.checkSize (nameof inFeatures) inFeatures
        Sparsity.checkSize (nameof outFeatures) outFeatures
        LayerWeights.checkForm form
        use file = new SafetensorsFile(path)
        LayerReader.read file form name outFeatures inFeatures

    /// <summary>A layer from a file that says how large it is: one that <c>save</c> wrote, or a dense weight.</summary>
    /// <param name="form">How the file holds its weights; SparseLinear's own form says no sizes.</param>
    /// <param name="path">The file.</param>
    /// <param name="name">The layer's name in the file, without the last dot; empty where names have no prefix.</param>
    /// <returns>A layer on the CPU in the file's dtype, that trains; with a bias if the file has one.</returns>
    /// <exception cref="T:SparseFs.CheckpointException">The file cannot be read or is not sound, holds no such layer, or
    /// does not say its sizes.</exception>
    /// <exception cref="T:System.ArgumentException">An argument is null, or a sparsity is outside [0, 1).</exception>
    /// <example><code>
    /// Checkpoint.save "model.safetensors" model
    /// let first = Checkpoint.sparseLayer WeightForm.SparseFs "model.safetensors" "0"
    /// (first.in_features, first.out_features) // = (784L, 300L)
    /// </code></example>
    [<CompiledName "SparseLayer">]
    let sparseLayer (form: WeightForm) (path: string) (name: string) : SparseLinear =
        ArgumentNullException.ThrowIfNull(name, nameof name)
        LayerWeights.checkForm form
        use file = new SafetensorsFile(path)
        let struct (rows, cols) = LayerReader.sizesIn file form name

        // Rows cost memory, and some forms can claim any number of them in a few bytes.
        let most = min (int64 Sparsity.maxSize) (max 1_000_000L file.Length)

        // So do columns, but where the pattern comes row by row.
        let mostCols =
            let key = ModelTensors.key name

            if LayerWeights.names form file key |> List.contains (key "col_idx") then
                int64 Sparsity.maxSize
            else
                most

        if rows > most || cols > mostCols then
            let reason =
                $"expected at most {most} outputs and {mostCols} inputs, got {rows} and {cols}"

            file.Refuse(CheckpointProblem.Shape, ModelTensors.prefix name, $"{reason}; sparseLayerOf takes any")

        LayerReader.read file form name rows cols

    /// <summary>Writes all that a training run needs to go on as if it had never stopped: model, optimizer, rewirer, and the
    /// state of torch's random numbers on the CPU.</summary>
    /// <param name="progress">The caller's step, seed and texts.</param>
    /// <param name="path">The file, replaced if it exists; its folder must exist.</param>
    /// <param name="model">Any module.</param>
    /// <param name="optimizer">Any of TorchSharp's but LBFGS, or one that implements
    /// <see cref="T:SparseFs.IStatefulOptimizer"/>, of parameters of the model.</param>
    /// <param name="rewirer">The one that rewires layers of the model, if there is one.</param>
    /// <exception cref="T:SparseFs.CheckpointException">The file could not be written; it is what it was.</exception>
    /// <exception cref="T:System.ArgumentException">An argument is null, the optimizer is of another kind, it or the rewirer
    /// holds what is not the model's, or a step is negative.</exception>
    /// <remarks>Call between a step and the next zero_grad: gradients are not kept.</remarks>
    /// <example><code>
    /// use rewirer = new Rewirer(model, optimizer, Policy.set (Schedule.constant 0.3 600L 60_000L))
    /// let progress = { Step = rewirer.Steps; Seed = seed; Notes = Map [ "epoch", "0"; "loss", "0.31" ] }
    /// Checkpoint.saveTraining progress "run.safetensors" model optimizer (ValueSome rewirer)
    /// </code></example>
    [<CompiledName "SaveTraining">]
    let saveTraining
        (progress: TrainingProgress)
        (path: string)
        (model: torch.nn.Module)
        (optimizer: torch.optim.Optimizer)
        (rewirer: Rewirer voption)
        : unit =
        TrainingRun.write progress path model optimizer rewirer

    /// <summary>Puts a training run back: the run then goes on to the bit as the one that was saved did.</summary>
    /// <param name="path">A file that <c>saveTraining</c> wrote.</param>
    /// <param name="model">Made as it was made at the start of the run; its layers take over the file's patterns.</param>
    /// <param name="optimizer">Made over the same parameters; options such as the learning rate become the file's.</param>
    /// <param name="rewirer">Made with the same policy over the same layers; none if there was none.</param>
    /// <returns>The caller's step, seed and texts.</returns>
    /// <exception cref="T:SparseFs.CheckpointException">The file cannot be read or is not sound, or was saved from another
    /// model, optimizer, policy or layers: the message says what differs; model, optimizer, rewirer and torch's random
    /// numbers are as they were.</exception>
    /// <exception cref="T:System.ArgumentException">As <c>saveTraining</c>.</exception>
    /// <remarks>
    /// A policy is compared part by part. Of a rule of the user's own, <c>NamedScore</c>, the name is compared: rules of two
    /// names are refused, and that what one name stands for has not changed is the user's word. Of one without a name,
    /// <c>Score</c>, the file knows nothing but that it is the user's own: any other is taken to be the same, and the
    /// rewirer notes <c>NoticeKind.UnnamedRule</c>. So is a named one over a file without the name; an unnamed one over a
    /// file with a name is refused.
    /// Modules are put into train or eval mode by the caller; a scheduler of the learning rate is brought to its place by
    /// <c>resumeScheduler</c>, before or after.
    /// </remarks>
    /// <example><code>
    /// let progress = { Step = 1200L; Seed = seed; Notes = Map [ "epoch", "2"; "loss", "0.27" ] }
    /// Checkpoint.saveTraining progress "run.safetensors" model optimizer ValueNone
    /// // In another process, after model and optimizer were made as at the start of the run:
    /// (Checkpoint.resume "run.safetensors" model optimizer ValueNone).Step // = 1200L
    /// </code></example>
    [<CompiledName "Resume">]
    let resume
        (path: string)
        (model: torch.nn.Module)
        (optimizer: torch.optim.Optimizer)
        (rewirer: Rewirer voption)
        : TrainingProgress =
        TrainingRun.read path model optimizer rewirer

    /// <summary>Makes a scheduler of the learning rate anew, where a run stands: it then sets the rates, momenta and betas that
    /// it would have set in the run that went through, to the bit.</summary>
    /// <param name="steps">How often the run has called the scheduler's step, 0 or more.</param>
    /// <param name="optimizer">The one that <c>resume</c> puts back; its options stay as they are.</param>
    /// <param name="make">Makes the scheduler over that optimizer, as at the start of the run, with all that it consists
    /// of.</param>
    /// <returns>The scheduler.</returns>
    /// <exception cref="T:System.ArgumentException">An argument is null, the steps are fewer than 0 or more than 2^31 − 1, or the
    /// scheduler is ReduceLROnPlateau, which <c>resumeSchedulerOn</c> takes.</exception>
    /// <remarks>The call may come before or after <c>resume</c>. The scheduler is stepped as often as the run did, at the rates of
    /// the run's start, and the optimizer is put back: the cost is that of the steps. Several schedulers of one optimizer are
    /// resumed one after the other.</remarks>
    /// <example><code>
    /// let halving () = torch.optim.lr_scheduler.StepLR(optimizer, 10, 0.5)
    /// let scheduler = Checkpoint.resumeScheduler 25L optimizer halving // 25 epochs are over, so 0.1 was halved twice
    /// Seq.head (scheduler.get_last_lr ()) // = 0.025
    /// </code></example>
    [<CompiledName "ResumeScheduler">]
    let resumeScheduler
        (steps: int64)
        (optimizer: torch.optim.Optimizer)
        (make: unit -> torch.optim.lr_scheduler.LRScheduler)
        : torch.optim.lr_scheduler.LRScheduler =
        ArgumentNullException.ThrowIfNull(optimizer, nameof optimizer)

        if steps < 0L || steps > int64 Int32.MaxValue then
            raise (ArgumentException($"expected 0..{Int32.MaxValue} steps, got {steps}", nameof steps))

        SchedulerReplay.run optimizer make (fun scheduler ->
            if scheduler :? torch.optim.lr_scheduler.impl.ReduceLROnPlateau then
                let reason =
                    "expected a scheduler whose rates follow from its steps, got ReduceLROnPlateau, "
                    + "whose rates follow from metrics: resumeSchedulerOn takes them (C#: ResumeScheduler with metrics)"

                raise (ArgumentException(reason, nameof make))

            for _ in 1L .. steps do
                scheduler.step ())

    /// <summary>As <c>resumeScheduler</c>, for a scheduler that follows a metric: ReduceLROnPlateau.</summary>
    /// <param name="metrics">What the run has given to the scheduler's step, in its order; keep them in the notes.</param>
    /// <param name="optimizer">The one that <c>resume</c> puts back; its options stay as they are.</param>
    /// <param name="make">Makes the scheduler over that optimizer, as at the start of the run.</param>
    /// <returns>The scheduler.</returns>
    /// <exception cref="T:System.ArgumentException">An argument is null.</exception>
    /// <example><code>
    /// let losses = [ 0.9; 0.5; 0.31 ] // what the run gave to the scheduler, from the notes
    /// let onPlateau () = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience = 5)
    /// let scheduler = Checkpoint.resumeSchedulerOn losses optimizer onPlateau
    /// </code></example>
    [<CompiledName "ResumeSchedulerOn">]
    let resumeSchedulerOn
        (metrics: seq<float>)
        (optimizer: torch.optim.Optimizer)
        (make: unit -> torch.optim.lr_scheduler.LRScheduler)
        : torch.optim.lr_scheduler.LRScheduler =
        ArgumentNullException.ThrowIfNull(metrics, nameof metrics)
        ArgumentNullException.ThrowIfNull(optimizer, nameof optimizer)

        SchedulerReplay.run optimizer make (fun scheduler ->
            for metric in metrics do
                scheduler.step metric)
