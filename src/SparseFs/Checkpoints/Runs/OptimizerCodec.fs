namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>An optimizer's memory as texts and tensors: options of each group, and state of each parameter by the name that
/// the model has for it.</summary>
/// <remarks>Names of options, numbers and tensors are the optimizer's own, or those of KnownFields.</remarks>
module internal OptimizerCodec =

    let private text (value: OptimizerNumber) : string =
        match value with
        | OptimizerNumber.None -> "none"
        | OptimizerNumber.Count count -> MetadataFields.ofInteger count
        | OptimizerNumber.Switch isOn -> MetadataFields.ofBool isOn
        | OptimizerNumber.Number number when Double.IsNaN number ->
            raise (ArgumentException("expected an optimizer of numbers, got NaN", "optimizer"))
        | OptimizerNumber.Number number -> MetadataFields.ofFloat number

    let private key (parameter: string) = $"sparsefs.optimizer.state.{parameter}"
    let private groupKey (group: int) = $"sparsefs.optimizer.group.{group}"
    let private moment (parameter: string) (field: string) = $"@optimizer.{parameter}.{field}"

    let private optionTexts (options: OptimizerField list) : (string * string) list =
        [ for field in options do
              match field.Value with
              | OptimizerNumber.Number number when not (field.IsSound number) ->
                  let expected = $"expected an optimizer whose {field.Name} can be used"
                  raise (ArgumentException($"{expected}, got {number}", "optimizer"))
              | value -> field.Name, text value ]

    /// <exception cref="T:System.ArgumentException">The optimizer holds a parameter that is not the model's.</exception>
    let private nameOf (names: Dictionary<nativeint, string>) (p: Parameter) : string =
        match names.TryGetValue p.Handle with
        | true, name -> name
        | _ ->
            let got = $"got one of shape {Shape.text p.shape} that is not"

            let cure =
                "make the optimizer of model.parameters(), after the model was made, moved and converted"

            raise (ArgumentException($"expected an optimizer of the model's parameters, {got}: {cure}", "optimizer"))

    /// <summary>Texts and tensors of an optimizer.</summary>
    let write
        (names: Dictionary<nativeint, string>)
        (optimizer: OptimizerStates)
        : (string * string) list * struct (string * torch.Tensor) list =
        let entries = optimizer.Entries
        let groups = optimizer.Options

        let texts =
            [ "sparsefs.optimizer",
              MetadataFields.write
                  [ "kind", optimizer.Kind
                    "groups", $"{groups.Length}"
                    "parameters", $"{entries.Length}" ]

              for group in 0 .. groups.Length - 1 do
                  groupKey group, MetadataFields.write (optionTexts groups[group])

              for struct (p, group, state) in entries do
                  use grad = TorchNulls.gradOf p

                  key (nameOf names p),
                  MetadataFields.write
                      [ "group", $"{group}"
                        "grad", MetadataFields.ofBool (not (isNull grad))
                        for field in state.Numbers do
                            field.Name, text field.Value ] ]

        let tensors =
            [ for struct (p, _, state) in entries do
                  for tensor in state.Tensors do
                      match tensor.For p with
                      | null -> ()
                      | t -> struct (moment (nameOf names p) tensor.Name, t) ]

        texts, tensors

    /// The options that a text holds by their names, and what sets them.
    let private stageOptions (file: SafetensorsFile) (group: int) (options: OptimizerField list) (text: string) =
        let reader = FieldReader(file.File, groupKey group, text)

        let staged =
            [ for field in options do
                  let struct (value, set) = field.Stage reader
                  struct (field, value, set) ]

        reader.End()

        for struct (field, value, _) in staged do
            match value with
            | OptimizerNumber.Number number when not (field.IsSound number) ->
                file.Refuse(
                    CheckpointProblem.Value,
                    groupKey group,
                    $"expected a {field.Name} that can be used, got {number}"
                )
            | _ -> ()

        staged

    let private stageTensor
        (loader: StagedLoad)
        (p: Parameter)
        (name: string)
        (isOn: string -> bool)
        (tensor: OptimizerTensor)
        =
        let stored = moment name tensor.Name
        let isThere = loader.File.TryFind(stored).IsSome

        match tensor.Presence with
        | TensorPresence.WithSwitch option when not (isOn option) && isThere ->
            loader.Wrong $"'{stored}': the optimizer's options have no use for it"
        | TensorPresence.WithSwitch option when not (isOn option) -> loader.Plan(fun () -> fun () -> tensor.Give null)
        | TensorPresence.Later when not isThere -> loader.Plan(fun () -> fun () -> tensor.Give null)
        | _ ->
            match loader.Find stored with
            | ValueNone -> ()
            | ValueSome t when t.Shape <> loader.ShapeOf p || not (TorchDtypes.isOf p.dtype t.Dtype) ->
                let expected = $"{p.dtype} {Shape.text (loader.ShapeOf p)}"

                loader.Wrong $"'{stored}': expected {expected}, got {t.Dtype} {Shape.text t.Shape}"
            | ValueSome t ->
                loader.Plan(fun () ->
                    let fresh = (loader.File.Read t).``to`` p.device
                    fun () -> tensor.Give(fresh.DetachFromDisposeScope()))

    /// A parameter without a gradient is passed over by the optimizer, one with a gradient of zeros is not.
    let private stageGradient (loader: StagedLoad) (p: Parameter) (hasGradient: bool) =
        let shape = loader.ShapeOf p

        loader.Plan(fun () ->
            if hasGradient then
                let zeros = torch.zeros (shape, dtype = p.dtype, device = p.device)
                fun () -> TorchNulls.setGrad p zeros
            else
                fun () -> TorchNulls.setGrad p null)

    let private stageState
        (loader: StagedLoad)
        (isOn: string -> bool)
        (p: Parameter)
        (name: string)
        (group: int)
        (state: ParameterState)
        (text: string)
        =
        let reader = FieldReader(loader.File.File, key name, text)
        let stored = reader.Integer("group", 0L, int64 Int32.MaxValue)
        let hasGradient = reader.Bool "grad"

        if stored <> int64 group then
            loader.Wrong $"'{name}': expected it in the optimizer's group {group}, got it in {stored}"

        let changes =
            [ for field in state.Numbers do
                  let struct (_, set) = field.Stage reader
                  set ]

        reader.End()

        loader.Plan(fun () ->
            fun () ->
                for set in changes do
                    set ())

        for tensor in state.Tensors do
            stageTensor loader p name isOn tensor

        stageGradient loader p hasGradient

    /// <summary>Plans an optimizer's memory; after the model, whose shapes it must fit.</summary>
    /// <exception cref="T:SparseFs.CheckpointException">A text is none of an optimizer.</exception>
    let plan (loader: StagedLoad) (names: Dictionary<nativeint, string>) (optimizer: OptimizerStates) : unit =
        let file = loader.File
        let entries = optimizer.Entries
        let groups = optimizer.Options

        let metadata (name: string) (go: string -> unit) =
            match file.Metadata.TryGetValue name with
            | true, text -> go text
            | _ -> loader.Wrong $"missing: the text '{name}'"

        metadata "sparsefs.optimizer" (fun text ->
            let reader = FieldReader(file.File, "sparsefs.optimizer", text)
            let kind = reader.Text "kind"
            let ours = optimizer.Kind
            let groupCount = reader.Integer("groups", 0L, Int64.MaxValue)
            let parameters = reader.Integer("parameters", 0L, Int64.MaxValue)
            reader.End()

            if kind <> ours then
                loader.Wrong $"expected the state of {ours}, got that of {kind}"
                loader.Cure $"make the optimizer that the run had, {kind}, {LoadComplaints.OrModelAlone}"
            elif groupCount <> groups.LongLength || parameters <> entries.LongLength then
                let expected = $"expected {groups.Length} groups of {entries.Length} parameters"
                loader.Wrong $"{expected} in the optimizer, got {groupCount} of {parameters}"
                loader.Cure "make the optimizer over the same groups of parameters as at the start of the run"
            else
                /// Switches that a group's options in the file have on.
                let on = HashSet<struct (int * string)>()

                for group in 0 .. groups.Length - 1 do
                    metadata (groupKey group) (fun text ->
                        for struct (field, value, set) in stageOptions file group groups[group] text do
                            if value = OptimizerNumber.Switch true then
                                on.Add(struct (group, field.Name)) |> ignore

                            loader.Plan(fun () -> set))

                for struct (p, group, state) in entries do
                    let name = nameOf names p
                    let isOn option = on.Contains(struct (group, option))
                    metadata (key name) (stageState loader isOn p name group state))
