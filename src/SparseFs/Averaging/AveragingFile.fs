namespace SparseFs

open System
open System.Collections.Generic
open SparseFs.Torch
open TorchSharp

/// <summary>Averages in a file, to go on with or to deploy.</summary>
[<RequireQualifiedAccess>]
module AveragingFile =

    let private key = "sparsefs.averaging"
    let private own (name: string) = $"@averaging.{name}"

    /// Of each sparse layer, what gives the names of its tensors.
    let private keysOf (averaging: Averaging) =
        dict
            [ for struct (name, layer) in SparseLayers.places averaging.Model ->
                  name, StateName.key layer.StateName name ]

    let private counts (key: string -> string) = own $"""{key "weight"}.counts"""

    let private rate (rule: AveragingRule) =
        match rule with
        | AveragingRule.Exponential decay -> "exponential", MetadataFields.ofFloat decay
        | AveragingRule.Mean -> "mean", "0"

    let private isRounded (average: Average) (t: torch.Tensor) = average.Value.dtype <> t.dtype

    /// <summary>Writes the averages as a model of their own, which <c>Checkpoint.load</c> loads, with what
    /// <c>resume</c> needs beside them.</summary>
    /// <param name="path">The file, replaced if it exists; its folder must exist.</param>
    /// <param name="averaging">The averages.</param>
    /// <exception cref="T:SparseFs.CheckpointException">The file could not be written; it is what it was.</exception>
    /// <exception cref="T:System.ArgumentNullException">An argument is null.</exception>
    /// <example><code>
    /// use average = Averaging.Exponential(model, 0.999)
    /// average.Update()
    /// AveragingFile.save "averaged.safetensors" average
    /// Checkpoint.load "averaged.safetensors" model // to measure it, say
    /// </code></example>
    [<CompiledName "Save">]
    let save (path: string) (averaging: Averaging) : unit =
        ArgumentNullException.ThrowIfNull(averaging, nameof averaging)
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let inventory = ModelTensors.ofModel averaging.Model
        let name, decay = rate averaging.Rule

        let keys = keysOf averaging

        let layers =
            dict [ for struct (layer, target) in inventory.Layers -> layer, target ]

        let texts =
            [ yield! ModelWriter.formatTexts

              for struct (layer, c, _, bias) in averaging.Layers do
                  LayerMetadata.key layer, LayerMetadata.ofPattern layers[layer].Description c bias.IsSome

              key,
              MetadataFields.write
                  [ "rule", name
                    "decay", decay
                    "updates", $"{averaging.Updates}"
                    "buffers", $"{averaging.AveragesBuffers}" ] ]

        let tensors =
            [ for struct (layer, c, weight, bias) in averaging.Layers do
                  let target: SparseLayer = layers[layer]

                  let ofBias: torch.Tensor | null =
                      match bias, target.bias with
                      | None, _
                      | _, null -> null
                      | Some average, bias -> average.As bias

                  let key = keys[layer]
                  yield! ModelWriter.partTensors PatternLayout.Csr key c (weight.As target.weight) ofBias

                  match weight.Counts with
                  | null -> ()
                  | own -> struct (counts key, own)

                  if isRounded weight target.weight then
                      struct (own (key "weight"), weight.Value)

                      match bias with
                      | Some bias -> struct (own (key "bias"), bias.Value)
                      | None -> ()

              for struct (other, t) in inventory.Others do
                  match averaging.Others.TryGetValue other with
                  | true, average ->
                      struct (other, average.As t)

                      if isRounded average t then
                          struct (own other, average.Value)
                  | _ -> struct (other, t) ]

        SafetensorsFile.writeThrough id path texts tensors

    /// <summary>Puts averages back that <c>save</c> wrote.</summary>
    /// <param name="path">The file.</param>
    /// <param name="averaging">Made with the same rule over the same model, whose sparse layers have the file's patterns:
    /// resume the model first.</param>
    /// <exception cref="T:SparseFs.CheckpointException">The file cannot be read or is not sound, or belongs to another rule,
    /// model or pattern; the averages are as they were.</exception>
    /// <exception cref="T:System.ArgumentNullException">An argument is null.</exception>
    /// <example><code>
    /// use average = Averaging.Exponential(model, 0.999)
    /// average.Update()
    /// AveragingFile.save "averaged.safetensors" average
    /// // In another process, after Checkpoint.resume has put the model back:
    /// use resumed = Averaging.Exponential(model, 0.999)
    /// AveragingFile.resume "averaged.safetensors" resumed
    /// resumed.Updates // = 1L
    /// </code></example>
    [<CompiledName "Resume">]
    let resume (path: string) (averaging: Averaging) : unit =
        ArgumentNullException.ThrowIfNull(averaging, nameof averaging)
        use file = new SafetensorsFile(path)
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()

        let refuse (name: string) (reason: string) : 'a =
            file.Refuse(CheckpointProblem.Mismatch, name, reason)

        LayerMetadata.checkFormat file

        let reader =
            match file.Metadata.TryGetValue key with
            | true, text -> FieldReader(path, key, text)
            | _ -> refuse key "the file holds no averages"

        let name, decay = rate averaging.Rule
        let found = reader.Text "rule", reader.Text "decay"
        let updates = reader.Integer("updates", 0L, Int64.MaxValue - 1L)
        let buffers = reader.Bool "buffers"
        reader.End()

        if found <> (name, decay) || buffers <> averaging.AveragesBuffers then
            let expected = $"expected {name} {decay}, buffers={averaging.AveragesBuffers}"
            refuse key $"{expected}, got {fst found} {snd found}, buffers={buffers}"

        /// The numbers of an average: the wide ones where a model's dtype has rounded them.
        let read (name: string) (average: Average) : torch.Tensor =
            let stored =
                match file.TryFind(own name) with
                | ValueSome t -> t
                | ValueNone ->
                    match file.TryFind name with
                    | ValueSome t -> t
                    | ValueNone -> refuse name "missing"

            let value = file.Read stored

            if value.shape <> average.Value.shape || value.dtype <> average.Value.dtype then
                let expected = $"expected {average.Value.dtype} {Shape.text average.Value.shape}"

                refuse stored.Name $"{expected}, got {value.dtype} {Shape.text value.shape}"

            value.``to`` average.Value.device

        let changes = List<unit -> unit>()
        let keys = keysOf averaging

        for struct (layer, c, weight, bias) in averaging.Layers do
            let key = keys[layer]

            match LayerWeights.tryFingerprint file key with
            | ValueSome stored when stored.Shape = [| 1L |] && stored.Dtype = Dtype.I64 ->
                if (file.Read stored).item<int64>() <> int64 (Fingerprint.ofPattern c) then
                    refuse stored.Name $"the averages of '{layer}' belong to another pattern: resume the model first"
            | _ -> refuse (key "weight") "expected a fingerprint of the pattern"

            let value = read (key "weight") weight

            let ownCounts: torch.Tensor | null =
                match file.TryFind(counts key) with
                | ValueNone -> null
                | ValueSome stored when stored.Dtype <> Dtype.F32 || stored.Shape <> value.shape ->
                    refuse stored.Name $"expected F32 {Shape.text value.shape}"
                | ValueSome stored ->
                    let t = file.Read stored

                    if t.numel () > 0L && not (t.ge(Scalars.Of 0.0).all().item<bool>()) then
                        file.Refuse(CheckpointProblem.Value, stored.Name, "expected counts of 0 or more")

                    t.``to`` value.device

            changes.Add(fun () -> weight.Restore(value, ownCounts))

            bias
            |> Option.iter (fun bias ->
                let value = read (key "bias") bias
                changes.Add(fun () -> bias.Restore(value, null)))

        for entry in averaging.Others do
            let value = read entry.Key entry.Value
            changes.Add(fun () -> entry.Value.Restore(value, null))

        for change in changes do
            change ()

        averaging.SetUpdates updates
