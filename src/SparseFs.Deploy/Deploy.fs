namespace SparseFs

open System
open System.Collections.Generic
open System.IO
open SparseFs.Inference
open SparseFs.Torch
open TorchSharp

/// <summary>Trained models as files that SparseFs.Inference runs, without libtorch.</summary>
/// <remarks>
/// The file is a checkpoint, as <c>Checkpoint.save</c> writes it, with a description of the network among its metadata (docs/format.md). What of
/// torch's modules and of this library's can be deployed, docs/inference.md lists, in float32; modules of one's own implement IDeployable. The model
/// computes as in evaluation. What is written is read again and run on a sample at once.
/// </remarks>
[<RequireQualifiedAccess>]
module Deploy =

    /// <summary>Inputs as they are, and no labels.</summary>
    /// <example><code>
    /// let options = { Deploy.defaults with Mean = 0.1307; Deviation = 0.3081 }
    /// Deploy.saveWith options "model.safetensors" x model
    /// </code></example>
    [<CompiledName "Defaults">]
    let defaults: DeployOptions =
        { Mean = 0.0
          Deviation = 1.0
          Labels = []
          Weights = DeployedWeights.Checkpoint }

    /// The outputs of a file for a sample as training sees it.
    let private outputsOf (deployed: SparseModel) (options: DeployOptions) (sample: torch.Tensor) : float32[] =
        let samples = int sample.shape[0]

        let room (hasTokens: bool) : float32[] =
            Array.zeroCreate (samples * (if hasTokens then int sample.shape[1] else 1) * deployed.Output.Size)

        let results = room (deployed.Output.TokensName <> "")

        if deployed.Input.Dtype = "float32" then
            // The file takes numbers as they are before training's normalization.
            let raw = sample.mul(Scalars.Of options.Deviation).add(Scalars.Of options.Mean)
            let inputs = raw.cpu().contiguous().data<float32>().ToArray()
            deployed.Run(ReadOnlySpan inputs, samples, Span results)
        else
            let tokens = sample.to_type(torch.int64).cpu().contiguous().data<int64>().ToArray()
            deployed.Run(ReadOnlySpan tokens, samples, Span results)

        results

    /// A checkpoint with a description among its texts, or compact tensors of what the network asks for.
    let private write (path: string) (model: torch.nn.Module) (network: NetworkDescription) (weights: DeployedWeights) =
        let inventory = ModelTensors.ofModel model
        use held = new HeldLayers(inventory.Layers)
        let tensors = ModelWriter.modelTensors PatternLayout.Csr held inventory
        let names = HashSet<string>(tensors |> Seq.map (fun (struct (name, _)) -> name))

        for node in network.Nodes do
            for struct (_, name) in node.Tensors do
                if not (names.Contains name) then
                    raise (
                        DescriptionBuilder.Refusal
                            $"'{node.Name}' asks for '{name}', which the model's state does not have: a Describe has to call modules by the names that state_dict gives them"
                    )

        match weights with
        | DeployedWeights.Checkpoint ->
            let texts =
                ModelWriter.modelTexts held ModelWriter.noNotes
                @ [ NetworkDescription.Key, NetworkWriter.write network ]

            SafetensorsFile.writeThrough id path texts tensors
        | _ ->
            let struct (nodes, own) = CompactTensors.apply weights network.Nodes tensors

            let texts =
                [ "format", "pt"
                  NetworkDescription.Key, NetworkWriter.write { network with Nodes = nodes } ]

            SafetensorsFile.writeThrough id path texts own

    let private check (options: DeployOptions) (sample: torch.Tensor) =
        if not (Enum.IsDefined options.Weights) then
            raise (ArgumentException($"expected one of DeployedWeights's, got {int options.Weights}", nameof options))

        if
            not (
                options.Deviation > 0.0
                && Double.IsFinite options.Deviation
                && Double.IsFinite options.Mean
            )
        then
            raise (
                ArgumentException(
                    $"expected a finite mean and a deviation above 0, got {options.Mean} and {options.Deviation}",
                    nameof options
                )
            )

        let isTokens =
            sample.dtype = torch.ScalarType.Int64 || sample.dtype = torch.ScalarType.Int32

        if
            not (isTokens || sample.dtype = torch.ScalarType.Float32)
            || sample.dim () < 2L
            || sample.numel () = 0L
        then
            let expected =
                "expected a sample [n, ...] of float32, or of tokens [n, tokens] of int64 or int32, n 1 or more"

            raise (ArgumentException($"{expected}, got {sample.dtype} {Shape.text sample.shape}", nameof sample))

        if isTokens && (options.Mean <> 0.0 || options.Deviation <> 1.0) then
            raise (
                ArgumentException(
                    "expected a mean of 0 and a deviation of 1, for tokens are not normalized",
                    nameof options
                )
            )

    /// <summary>Writes a model, and what it is for people.</summary>
    /// <param name="options">Normalization, labels, and how weights are kept. Of weights of fewer bits the report says what they change.</param>
    /// <param name="path">The file, replaced if it exists.</param>
    /// <param name="sample">Some inputs [n, ...] of float32, normalized as in training: the model and the file compute them, and their outputs are
    /// compared.</param>
    /// <param name="model">Of the kinds of modules that can be deployed.</param>
    /// <returns>How large the file is, and how near its results.</returns>
    /// <exception cref="T:System.ArgumentException">A module is of another kind: the message names it and those that can be deployed; or an argument
    /// is null or not as said. Nothing is written.</exception>
    /// <exception cref="T:SparseFs.CheckpointException">The file could not be written; it is what it was.</exception>
    /// <exception cref="T:System.InvalidOperationException">The file's outputs would not be the model's; nothing is written.</exception>
    /// <example><code>
    /// let report = Deploy.saveWith { Deploy.defaults with Mean = 0.1307; Deviation = 0.3081 } "model.safetensors" x model
    /// printfn $"{report}"
    /// </code></example>
    [<CompiledName "SaveWith">]
    let saveWith
        (options: DeployOptions)
        (path: string)
        (sample: torch.Tensor)
        (model: torch.nn.Module<torch.Tensor, torch.Tensor>)
        : DeployReport =
        ArgumentNullException.ThrowIfNull(box options, nameof options)
        ArgumentNullException.ThrowIfNull(path, nameof path)
        ArgumentNullException.ThrowIfNull(sample, nameof sample)
        ArgumentNullException.ThrowIfNull(model, nameof model)
        check options sample
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let modules = [ for struct (_, m) in ModuleTree.all model -> m ]
        // Asked for by few modules, and after those that cannot be deployed were refused.
        let builder = DescriptionBuilder(lazy (SeenShapes.ofInputs model modules sample))

        let hasTokens =
            sample.dtype <> torch.ScalarType.Float32
            || modules |> List.exists SparseModules.takesTokens

        let result =
            ModuleWalk.add
                builder
                ""
                model
                { Name = "input"
                  Rank = int (sample.dim ())
                  HasTokens = hasTokens }

        let expected = SeenShapes.inEvaluation modules (fun () -> model.call sample)

        let port (name: string) (value: string) (t: torch.Tensor) (hasTokens: bool) : NetworkPort =
            { Name = name
              Value = value
              Dtype =
                match t.dtype with
                | torch.ScalarType.Int64 -> PortDtype.Int64
                | torch.ScalarType.Int32 -> PortDtype.Int32
                | _ -> PortDtype.Float32
              Shape =
                { Sizes = [| for size in t.shape[(if hasTokens then 2 else 1) ..] -> int size |]
                  HasTokens = hasTokens }
              TokensName = if hasTokens then "tokens" else ""
              Mean = 0.0
              Deviation = 1.0
              Labels = [||] }

        let network =
            { Inputs =
                [| { port "input" "" sample hasTokens with
                       Mean = options.Mean
                       Deviation = options.Deviation } |]
              Outputs =
                [| { port "output" result.Name expected result.HasTokens with
                       Labels = Array.ofList options.Labels } |]
              Nodes = builder.Nodes }

        let labels = network.Outputs[0].Labels

        if labels.Length > 0 && int64 labels.Length <> network.Outputs[0].Size then
            raise (
                ArgumentException(
                    $"expected a label for each of {network.Outputs[0].Size} outputs, got {labels.Length}",
                    nameof options
                )
            )

        let wanted = expected.cpu().contiguous().data<float32>().ToArray()

        let largest = wanted |> Array.fold (fun most x -> max most (abs (float x))) 0.0

        // What is written is tried beside its place first: a file that is not the model never stands there.
        let differenceOf (weights: DeployedWeights) =
            let trial = $"{path}.{Guid.NewGuid():N}.trial"

            try
                write trial model network weights
                let results = outputsOf (SparseModel.Load trial) options sample

                Array.fold2 (fun most a b -> max most (abs (float a - float b))) 0.0 results wanted
            finally
                File.Delete trial

        let isRounded =
            options.Weights = DeployedWeights.BFloat16
            || options.Weights = DeployedWeights.Int8

        let ofNetwork =
            differenceOf (
                if isRounded then
                    DeployedWeights.Float32
                else
                    options.Weights
            )

        // Orders of sums differ, layer by layer: far more than rounding brings, and far less than a wrong network.
        if not (ofNetwork <= 1e-3 * (1.0 + largest)) then
            raise (
                InvalidOperationException(
                    $"the outputs of the file would be up to {ofNetwork} away from the model's, which are at most {largest}: nothing is written"
                )
            )

        // What rounded weights change is the caller's to judge, but for outputs that are none.
        let difference =
            if isRounded then
                differenceOf options.Weights
            else
                ofNetwork

        if not (Double.IsFinite difference) then
            raise (
                InvalidOperationException
                    "the outputs of the file would not be finite with rounded weights: nothing is written"
            )

        write path model network options.Weights

        { Operations = network.Nodes.Length
          Bytes = FileInfo(path).Length
          LargestDifference = difference
          LargestOutput = largest }

    /// <summary>Writes a model.</summary>
    /// <param name="path">The file, replaced if it exists.</param>
    /// <param name="sample">Some inputs [n, ...] of float32: the model and the file compute them, and their outputs are compared.</param>
    /// <param name="model">Of the kinds of modules that can be deployed.</param>
    /// <returns>How large the file is, and how near its results.</returns>
    /// <exception cref="T:System.ArgumentException">As saveWith.</exception>
    /// <exception cref="T:SparseFs.CheckpointException">As saveWith.</exception>
    /// <exception cref="T:System.InvalidOperationException">As saveWith.</exception>
    /// <example><code>
    /// let report = Deploy.save "model.safetensors" x model
    /// report.LargestDifference &lt; 1e-4 // = true
    /// </code></example>
    [<CompiledName "Save">]
    let save (path: string) (sample: torch.Tensor) (model: torch.nn.Module<torch.Tensor, torch.Tensor>) : DeployReport =
        saveWith defaults path sample model
