namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp

/// <summary>One layer from a file.</summary>
module internal LayerReader =

    /// <exception cref="T:SparseFs.CheckpointException">A tensor is missing; the message has the names that there are.</exception>
    let private missing (file: SafetensorsFile) (needed: string) : 'a =
        let names = file.Tensors |> Seq.map _.Name |> Seq.filter ModelWriter.isModels
        file.Refuse(CheckpointProblem.Mismatch, needed, $"missing; {NearestNames.told needed names}")

    /// Rows and columns that a file itself says a layer has.
    let sizesIn (file: SafetensorsFile) (form: WeightForm) (name: string) : struct (int64 * int64) =
        let prefix = ModelTensors.prefix name

        let unknown () =
            if
                file.Tensors
                |> Array.forall (fun t -> not (t.Name.StartsWith(prefix, StringComparison.Ordinal)))
            then
                missing file (prefix + "weight")

            match file.TryFind(prefix + "weight") with
            | ValueSome t when t.Shape.Length = 2 ->
                let reason =
                    $"the weight is dense, {Shape.text t.Shape}: say which of its numbers exist, with WeightForm.Zeros or "
                    + "WeightForm.Magnitude (C#: StoredForm.Zeros, StoredForm.Magnitude)"

                file.Refuse(CheckpointProblem.Mismatch, t.Name, reason)
            | _ -> ()

            let reason =
                "the file does not say how many inputs and outputs the layer has: name them "
                + "(sparseLayerOf; in C# inFeatures and outFeatures)"

            file.Refuse(CheckpointProblem.Mismatch, prefix, reason)

        match form with
        | WeightForm.SparseLinear -> unknown ()
        | WeightForm.SparseFs ->
            match LayerMetadata.tryRead file name with
            | ValueSome text when text.Kind <> "SparseLinear" ->
                let cure = "make such a layer and read it with Checkpoint.load"

                file.Refuse(
                    CheckpointProblem.Mismatch,
                    LayerMetadata.key name,
                    $"expected SparseLinear, got {text.Kind}: {cure}"
                )
            | ValueSome text -> struct (text.Rows, text.Cols)
            | ValueNone -> unknown ()
        | _ ->
            let weight = List.head (LayerWeights.names form file (ModelTensors.key name))

            match file.TryFind weight with
            | ValueSome t when t.Shape.Length = 2 -> struct (t.Shape[0], t.Shape[1])
            | ValueSome t ->
                let got = Shape.text t.Shape

                file.Refuse(
                    CheckpointProblem.Mismatch,
                    weight,
                    $"expected shape [out_features, in_features], got {got}"
                )
            | ValueNone -> missing file weight

    /// What the file's text says must be so: a bias that is gone would not be missed otherwise.
    let private checkText (file: SafetensorsFile) (name: string) rows cols (weight: TensorInfo) (hasBias: bool) =
        match LayerMetadata.tryRead file name with
        | ValueSome text when (text.Rows, text.Cols) <> (rows, cols) ->
            let expected = $"expected {LayerSizes.Shown text.Sizes}"
            file.Refuse(CheckpointProblem.Mismatch, LayerMetadata.key name, $"{expected}, got {cols} and {rows}")
        | ValueSome text when weight.Shape <> [| text.Nnz |] || hasBias <> text.HasBias ->
            let got = $"got {Shape.text weight.Shape} and bias={hasBias}"

            file.Refuse(
                CheckpointProblem.Mismatch,
                weight.Name,
                $"expected nnz={text.Nnz} and bias={text.HasBias}, {got}"
            )
        | _ -> ()

    /// <summary>A layer on the CPU, in the file's dtype, of sizes within 0..2^31 − 1.</summary>
    /// <exception cref="T:SparseFs.CheckpointException">The file holds no such layer.</exception>
    let read (file: SafetensorsFile) (form: WeightForm) (name: string) (rows: int64) (cols: int64) : SparseLinear =
        LayerMetadata.checkFormat file
        let prefix = ModelTensors.prefix name

        let found =
            [ for needed in LayerWeights.names form file (ModelTensors.key name) do
                  match file.TryFind needed with
                  | ValueSome t -> t
                  | ValueNone -> missing file needed ]

        let parts = LayerWeights.parts form found

        let bias =
            match file.TryFind(prefix + "bias") with
            | ValueSome t when t.Shape <> [| rows |] || t.Dtype <> parts.Weight.Dtype ->
                let expected = $"expected {parts.Weight.Dtype} [{rows}], as the weight is"

                file.Refuse(CheckpointProblem.Mismatch, t.Name, $"{expected}, got {t.Dtype} {Shape.text t.Shape}")
            | found -> found

        if form = WeightForm.SparseFs then
            checkText file name rows cols parts.Weight bias.IsSome

        let seed =
            if form = WeightForm.SparseFs then
                LayerMetadata.trySeed file name
            else
                None

        match LayerWeights.wrongs rows [| rows; cols |] parts with
        | [] -> ()
        | wrongs -> file.Refuse(CheckpointProblem.Mismatch, prefix, String.Join("; ", wrongs))

        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()

        let struct (c, values) =
            CheckpointFault.onFailure file.File (fun () -> LayerWeights.read file (int rows) (int cols) parts)

        if form = WeightForm.SparseFs then
            LayerWeights.tryFingerprint file (ModelTensors.key name)
            |> ValueOption.iter (fun stored -> LayerWeights.checkFingerprint file stored parts.Weight c)

        let biasValues: torch.Tensor | null =
            match bias with
            | ValueSome stored -> file.Read stored
            | ValueNone -> null

        let settings =
            LayerSettings.Of(Some bias.IsSome, None, Some torch.CPU, Some values.dtype, None)

        let layer = new SparseLinear(LayerStart.blank settings LayerChannels.Linear c)

        LayerWeights.give layer c values biasValues ()
        layer.TakeSeed seed
        layer
