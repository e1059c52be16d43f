namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>A load in three steps: everything is compared with the file's header, then everything is read and checked,
/// then everything is changed. Only the last step changes anything, and nothing in it can fail.</summary>
[<Sealed>]
type internal StagedLoad(file: SafetensorsFile, converts: bool) =
    let complaints = LoadComplaints()
    let used = HashSet<string>()

    /// Each reads, and gives back what changes.
    let plans = List<unit -> (unit -> unit)>()

    let shapes = Dictionary<nativeint, int64[]>()
    let patterns = Dictionary<SparseLayer, Connectivity>(HashIdentity.Reference)

    /// What has been read for a tensor, by which name.
    let read = Dictionary<nativeint, struct (string * torch.Tensor)>()

    let equal (a: torch.Tensor) (b: torch.Tensor) =
        a.shape = b.shape
        && (if a.is_floating_point () then
                let wide (t: torch.Tensor) = t.to_type torch.ScalarType.Float64
                (wide a).allclose(wide b, 0.0, 0.0, true) // a NaN is equal to a NaN
            else
                a.eq(b).all().item<bool>())

    /// Two names of one tensor must stand for the same numbers.
    let once (target: torch.Tensor) (name: string) (t: torch.Tensor) =
        match read.TryGetValue target.Handle with
        | true, (other, earlier) when not (equal earlier t) ->
            file.Refuse(
                CheckpointProblem.Mismatch,
                name,
                $"the model has one tensor for this and '{other}', which differ"
            )
        | _ -> read[target.Handle] <- struct (name, t)

    member _.File: SafetensorsFile = file

    /// Notes what does not fit.
    member _.Wrong(what: string) : unit = complaints.Wrong what

    /// Notes what helps.
    member _.Cure(what: string) : unit = complaints.Cure what

    /// Whether nothing has been found so far that does not fit: what follows from something wrong need not be said.
    member _.Fits: bool = complaints.Fits

    /// A tensor that is needed.
    member _.Find(name: string) : TensorInfo voption =
        used.Add name |> ignore
        let found = file.TryFind name

        if found.IsNone then
            complaints.IsMissing name

        found

    /// Reads in the second step, and changes in the third.
    member _.Plan(read: unit -> (unit -> unit)) : unit = plans.Add read

    /// The shape that a parameter will have.
    member _.ShapeOf(p: torch.Tensor) : int64[] =
        match shapes.TryGetValue p.Handle with
        | true, shape -> shape
        | _ -> p.shape

    /// The pattern that has been read for a layer; in the second step.
    member _.PatternOf(layer: SparseLayer) : Connectivity =
        match patterns.TryGetValue layer with
        | true, c -> c
        | _ -> layer.Connectivity

    member private l.Dtype(stored: TensorInfo, target: torch.Tensor) =
        if not (TorchDtypes.isRead stored.Dtype) then
            l.Wrong $"'{stored.Name}': expected {target.dtype}, got {stored.Dtype}, which is not read"
        elif
            not (TorchDtypes.isOf target.dtype stored.Dtype)
            && not (converts && target.is_floating_point () && TorchDtypes.isFloating stored.Dtype)
        then
            let got = TorchDtypes.ofStored stored.Dtype
            l.Wrong $"'{stored.Name}': expected {target.dtype}, got {got}"

            if TorchDtypes.isFloating stored.Dtype && target.is_floating_point () then
                l.Cure(
                    "ask for a conversion, with Checkpoint.loadWith and Converts = true (C#: convert: true), or bring the "
                    + $"model to the file's dtype first: model.to({Misfit.nameOf got}); {Misfit.FSharpTo}"
                )

    /// copy_ refuses the others, when it is too late.
    static member private CanBeWritten(target: torch.Tensor) : bool =
        not target.is_sparse
        && target.device_type <> DeviceType.META
        && Array.forall2 (fun size stride -> size <= 1L || stride <> 0L) target.shape (target.stride ())

    /// What reads a tensor of the target's shape; none where it is missing or does not fit.
    member private l.Reading(name: string, target: torch.Tensor) : (unit -> torch.Tensor) voption =
        match l.Find name with
        | ValueNone -> ValueNone
        | ValueSome stored when stored.Shape <> target.shape ->
            let expected = Shape.text target.shape
            l.Wrong $"'{name}': expected shape {expected}, got {Shape.text stored.Shape}"
            ValueNone
        | ValueSome stored when not (StagedLoad.CanBeWritten target) ->
            l.Wrong
                $"'{stored.Name}': the model's tensor cannot be written to: it is sparse, or a view that repeats elements"

            ValueNone
        | ValueSome stored ->
            l.Dtype(stored, target)

            ValueSome(fun () ->
                let numbers = (file.Read stored).``to``(target.dtype, target.device)
                once target name numbers
                numbers)

    /// A tensor whose shape the model knows, and what may be wrong with its numbers.
    member l.Tensor(name: string, target: torch.Tensor, wrongNumbers: torch.Tensor -> string voption) : unit =
        l.Reading(name, target)
        |> ValueOption.iter (fun read ->
            l.Plan(fun () ->
                let numbers = read ()

                match wrongNumbers numbers with
                | ValueSome reason -> file.Refuse(CheckpointProblem.Value, name, reason)
                | ValueNone -> ()

                fun () -> target.copy_ numbers |> ignore))

    /// A bias that is read with the weights, so that no call meets one without the other.
    member private l.Bias(key: string -> string, layer: SparseLayer) : (unit -> torch.Tensor) voption =
        match layer.bias with
        | null -> ValueNone
        | bias -> l.Reading(key "bias", bias)

    /// Which pattern the file's weight belongs to, if it says so.
    member private _.Fingerprint(key: string -> string) : TensorInfo voption =
        let found = LayerWeights.tryFingerprint file key
        found |> ValueOption.iter (fun stored -> used.Add stored.Name |> ignore)
        found

    member private l.Weights
        (name: string, layer: SparseLayer, parts: LayerParts, fingerprint: TensorInfo voption, seed: Seed option)
        =
        let rows, cols = layer.Connectivity.Rows, layer.Connectivity.Cols
        let weight = layer.weight
        let key = StateName.key layer.StateName name

        LayerWeights.wrongs (int64 rows) layer.Description.DenseShape parts
        |> List.iter l.Wrong

        l.Dtype(parts.Weight, weight)
        shapes[weight.Handle] <- parts.Weight.Shape
        let bias = l.Bias(key, layer)

        l.Plan(fun () ->
            let struct (c, values) = LayerWeights.read file rows cols parts

            fingerprint
            |> ValueOption.iter (fun stored -> LayerWeights.checkFingerprint file stored parts.Weight c)

            let values = values.``to`` (weight.dtype, weight.device)
            once weight parts.Weight.Name values

            match patterns.TryGetValue layer with
            | true, other when other <> c ->
                let reason = "the model has this layer under two names, whose patterns differ"
                file.Refuse(CheckpointProblem.Mismatch, key "col_idx", reason)
            | _ -> patterns[layer] <- c

            let biasValues: torch.Tensor | null =
                match bias with
                | ValueSome read -> read ()
                | ValueNone -> null

            let give = LayerWeights.give layer c values biasValues

            fun () ->
                give ()
                layer.TakeSeed seed)

    /// Whether a layer has the sizes that the file says; where it has not, all that the file holds of it has others.
    member private l.HasSizes(name: string, layer: SparseLayer) : bool =
        match LayerMetadata.tryRead file name with
        | ValueNone -> true
        | ValueSome text ->
            let own = layer.Description
            let expected, got = LayerSizes.Shown own.Sizes, LayerSizes.Shown text.Sizes

            if text.Kind = own.Kind && expected = got then
                true
            else
                if text.Kind = own.Kind then
                    l.Wrong $"layer '{name}': expected {expected}, got {got}"
                else
                    l.Wrong $"layer '{name}': expected {own.Kind} with {expected}, got {text.Kind} with {got}"

                l.Cure "make the model with the sizes of the one that was saved"
                used.Add(StateName.key layer.StateName name "bias") |> ignore
                false

    /// What the file says of a layer's weight must be so.
    member private l.Text(name: string, weight: TensorInfo) =
        match LayerMetadata.tryRead file name with
        | ValueSome text when weight.Shape <> [| text.Nnz |] ->
            l.Wrong $"'{weight.Name}': expected [{text.Nnz}] by the file's text, got {Shape.text weight.Shape}"
        | _ -> ()

    /// A sparse layer: it takes over the file's pattern, also where it has another number of slots.
    member l.Layer(form: WeightForm, name: string, layer: SparseLayer) : unit =
        let key = StateName.key layer.StateName name
        let found = LayerWeights.names form file key |> List.map l.Find

        let fingerprint =
            if form = WeightForm.SparseFs then
                l.Fingerprint key
            else
                ValueNone

        let isWhole = List.forall ValueOption.isSome found

        if isWhole && form = WeightForm.SparseFs && not (l.HasSizes(name, layer)) then
            () // it has been said
        elif isWhole then
            let parts = LayerWeights.parts form (found |> List.map ValueOption.get)

            if form = WeightForm.SparseFs then
                l.Text(name, parts.Weight)

            let seed =
                if form = WeightForm.SparseFs then
                    LayerMetadata.trySeed file name
                else
                    None

            l.Weights(name, layer, parts, fingerprint, seed)
        else
            if List.exists ValueOption.isSome found then
                match found with
                | ValueSome weight :: _ when weight.Shape.Length >= 2 ->
                    let got = $"got a dense weight {Shape.text weight.Shape}"
                    l.Wrong $"layer '{name}': expected the weights of a sparse layer and their pattern, {got}"

                    l.Cure(
                        "the file's weights are dense: say which of their numbers exist, with Checkpoint.loadFrom and "
                        + "WeightForm.Zeros or WeightForm.Magnitude (C#: StoredForm.Zeros, StoredForm.Magnitude)"
                    )
                | _ ->
                    l.Wrong
                        $"layer '{name}': its weights are there without all of their pattern, or the other way round"

            match layer.bias with
            | null -> ()
            | bias -> l.Tensor(key "bias", bias, (fun _ -> ValueNone))

    /// All of a model.
    member l.Model(form: WeightForm, inventory: ModelTensors) : unit =
        LayerMetadata.checkFormat file

        for struct (name, layer) in inventory.Layers do
            l.Layer(form, name, layer)

        for struct (name, target) in inventory.Others do
            l.Tensor(name, target, inventory.WrongNumbers name)

    /// <summary>The second and the third step.</summary>
    /// <param name="isStrict">Whether names that are missing or not expected are refused.</param>
    /// <param name="isOurs">Whether a name that was not asked for may count as unexpected.</param>
    /// <returns>What is missing, and what was not expected.</returns>
    /// <exception cref="T:SparseFs.CheckpointException">Anything does not fit, or cannot be read; nothing has changed.</exception>
    member _.Run(isStrict: bool, isOurs: string -> bool) : struct (string[] * string[]) =
        let unexpected =
            [| for t in file.Tensors do
                   if isOurs t.Name && not (used.Contains t.Name) then
                       t.Name |]

        match complaints.Text(isStrict, file.Tensors |> Seq.map _.Name, unexpected) with
        | "" -> ()
        | text -> file.Refuse(CheckpointProblem.Mismatch, "", text)

        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        let changes = [| for plan in plans -> CheckpointFault.onFailure file.File plan |]

        for change in changes do
            change ()

        struct (complaints.Missing, unexpected)
