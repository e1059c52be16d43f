namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>An optimizer's memory as texts and tensors: options of each group, and state of each parameter by the name that
/// the model has for it.</summary>
/// <remarks>Names of options, numbers and moments are those of OptimizerFields.</remarks>
module internal OptimizerCodec =

    let private text (value: OptimizerNumber) : string =
        match value with
        | OptimizerNumber.None -> "none"
        | OptimizerNumber.Steps steps -> MetadataFields.ofInteger steps
        | OptimizerNumber.Switch isOn -> MetadataFields.ofBool isOn
        | OptimizerNumber.Number number when Double.IsNaN number ->
            raise (ArgumentException("expected an optimizer of numbers, got NaN", "optimizer"))
        | OptimizerNumber.Number number -> MetadataFields.ofFloat number

    let private key (parameter: string) = $"sparsefs.optimizer.state.{parameter}"
    let private groupKey (group: int) = $"sparsefs.optimizer.group.{group}"
    let private moment (parameter: string) (field: string) = $"@optimizer.{parameter}.{field}"

    /// What an optimizer's own constructor would refuse, and what no number at all may be; an option's name in files tells
    /// which.
    let private isSound (name: string) (value: float) : bool =
        match name with
        | "beta1"
        | "beta2" -> value >= 0.0 && value < 1.0 // at 1 some constructors take it, and all weights become NaN
        | "rho" -> value >= 0.0 && value <= 1.0
        | "LearningRate"
        | "InitialLearningRate"
        | "eps"
        | "weight_decay"
        | "momentum"
        | "lr_decay" -> value >= 0.0 && Double.IsFinite value
        | _ -> Double.IsFinite value

    let private optionTexts (options: OptimizerOptions) : (string * string) list =
        [ for field in OptimizerFields.ofOptions options do
              match field.Value() with
              | OptimizerNumber.Number number when not (isSound field.Name number) ->
                  let expected = $"expected an optimizer whose {field.Name} can be used"
                  raise (ArgumentException($"{expected}, got {number}", "optimizer"))
              | value -> field.Name, text value ]

    /// Each parameter, its group and its state.
    let private entries (optimizer: OptimizerHelper) =
        let state = OptimizerState.all optimizer

        let groups =
            [| for group in 0 .. state.StateIndexRef.Count - 1 do
                   for _ in state.StateIndexRef[group] -> group |]

        Seq.zip3 (optimizer.parameters ()) groups (state.State |> Seq.map OptimizerFields.ofState)
        |> Array.ofSeq

    /// <exception cref="T:System.ArgumentException">The optimizer holds a parameter that is not the model's.</exception>
    let private nameOf (names: Dictionary<nativeint, string>) (p: Parameter) : string =
        match names.TryGetValue p.Handle with
        | true, name -> name
        | _ ->
            let got = $"got one of shape {Shape.text p.shape} that is not"
            raise (ArgumentException($"expected an optimizer of the model's parameters, {got}", "optimizer"))

    /// <summary>Texts and tensors of an optimizer.</summary>
    let write
        (names: Dictionary<nativeint, string>)
        (optimizer: OptimizerHelper)
        : (string * string) list * struct (string * torch.Tensor) list =
        let entries = entries optimizer
        let groups = (OptimizerState.all optimizer).Options

        let texts =
            [ "sparsefs.optimizer",
              MetadataFields.write
                  [ "kind", OptimizerFields.kind optimizer
                    "groups", $"{groups.Count}"
                    "parameters", $"{entries.Length}" ]

              for group in 0 .. groups.Count - 1 do
                  groupKey group, MetadataFields.write (optionTexts groups[group])

              for p, group, state in entries do
                  use grad = p.grad

                  key (nameOf names p),
                  MetadataFields.write
                      [ "group", $"{group}"
                        "grad", MetadataFields.ofBool (not (isNull grad))
                        for field in state.Numbers do
                            field.Name, text (field.Value()) ] ]

        let tensors =
            [ for p, _, state in entries do
                  for field in state.Moments do
                      match field.Value() with
                      | null -> ()
                      | t -> struct (moment (nameOf names p) field.Name, t) ]

        texts, tensors

    /// The options that a text holds by their names, and what sets them.
    let private stageOptions (file: SafetensorsFile) (group: int) (options: OptimizerOptions) (text: string) =
        let reader = FieldReader(file.File, groupKey group, text)

        let staged =
            [ for field in OptimizerFields.ofOptions options do
                  let struct (value, set) = field.Stage reader
                  struct (field.Name, value, set) ]

        reader.End()

        for struct (name, value, _) in staged do
            match value with
            | OptimizerNumber.Number number when not (isSound name number) ->
                file.Refuse(
                    CheckpointProblem.Value,
                    groupKey group,
                    $"expected a {name} that can be used, got {number}"
                )
            | _ -> ()

        staged

    let private stageMoment (loader: StagedLoad) (p: Parameter) (name: string) (isAmsgrad: bool) (field: MomentField) =
        let stored = moment name field.Name

        let give (fresh: torch.Tensor) =
            match field.Value() with
            | null -> ()
            | old when not (obj.ReferenceEquals(old, fresh)) -> old.Dispose()
            | _ -> ()

            field.Set fresh

        let isThere = loader.File.TryFind(stored).IsSome

        match field.Use with
        | MomentUse.WithAmsgrad when not isAmsgrad && isThere ->
            loader.Wrong $"'{stored}': the optimizer's options have no use for it"
        | MomentUse.WithAmsgrad when not isAmsgrad -> loader.Plan(fun () -> fun () -> give null)
        | MomentUse.Later when not isThere -> loader.Plan(fun () -> fun () -> give null)
        | _ ->
            match loader.Find stored with
            | ValueNone -> ()
            | ValueSome t when t.Shape <> loader.ShapeOf p || not (TorchDtypes.isOf p.dtype t.Dtype) ->
                let expected = $"{p.dtype} {Shape.text (loader.ShapeOf p)}"

                loader.Wrong $"'{stored}': expected {expected}, got {t.Dtype} {Shape.text t.Shape}"
            | ValueSome t ->
                loader.Plan(fun () ->
                    let fresh = (loader.File.Read t).``to`` p.device
                    fun () -> give (fresh.DetachFromDisposeScope()))

    /// A parameter without a gradient is passed over by the optimizer, one with a gradient of zeros is not.
    let private stageGradient (loader: StagedLoad) (p: Parameter) (hasGradient: bool) =
        let shape = loader.ShapeOf p

        loader.Plan(fun () ->
            if hasGradient then
                let zeros = torch.zeros (shape, dtype = p.dtype, device = p.device)
                fun () -> p.grad <- zeros
            else
                fun () -> p.grad <- null)

    let private stageState
        (loader: StagedLoad)
        (isAmsgrad: int -> bool)
        (p: Parameter)
        (name: string)
        (group: int)
        (state: StateFields)
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

        for field in state.Moments do
            stageMoment loader p name (isAmsgrad group) field

        stageGradient loader p hasGradient

    /// <summary>Plans an optimizer's memory; after the model, whose shapes it must fit.</summary>
    /// <exception cref="T:SparseFs.CheckpointException">A text is none of an optimizer.</exception>
    let plan (loader: StagedLoad) (names: Dictionary<nativeint, string>) (optimizer: OptimizerHelper) : unit =
        let file = loader.File
        let entries = entries optimizer
        let groups = (OptimizerState.all optimizer).Options

        let metadata (name: string) (go: string -> unit) =
            match file.Metadata.TryGetValue name with
            | true, text -> go text
            | _ -> loader.Wrong $"missing: the text '{name}'"

        metadata "sparsefs.optimizer" (fun text ->
            let reader = FieldReader(file.File, "sparsefs.optimizer", text)
            let kind = reader.Text "kind"
            let ours = OptimizerFields.kind optimizer
            let groupCount = reader.Integer("groups", 0L, Int64.MaxValue)
            let parameters = reader.Integer("parameters", 0L, Int64.MaxValue)
            reader.End()

            if kind <> ours then
                loader.Wrong $"expected the state of {ours}, got that of {kind}"
            elif groupCount <> int64 groups.Count || parameters <> entries.LongLength then
                let expected = $"expected {groups.Count} groups of {entries.Length} parameters"
                loader.Wrong $"{expected} in the optimizer, got {groupCount} of {parameters}"
            else
                let amsgrad = HashSet<int>()

                for group in 0 .. groups.Count - 1 do
                    metadata (groupKey group) (fun text ->
                        let staged = stageOptions file group groups[group] text

                        for struct (name, value, set) in staged do
                            if name = "amsgrad" && value = OptimizerNumber.Switch true then
                                amsgrad.Add group |> ignore

                            loader.Plan(fun () -> set))

                for p, group, state in entries do
                    let name = nameOf names p
                    metadata (key name) (stageState loader amsgrad.Contains p name group state))
