namespace SparseFs.Torch

open System
open System.Collections.Generic
open System.Reflection
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>An optimizer's memory as texts and tensors: options of each group, and state of each parameter by the name that
/// the model has for it.</summary>
/// <remarks>TorchSharp's optimizers keep both in public fields: numbers, switches and tensors. The eleven that
/// OptimizerState knows keep nothing else.</remarks>
module internal OptimizerCodec =

    let private fieldsOf (o: obj) : FieldInfo[] =
        o.GetType().GetFields(BindingFlags.Public ||| BindingFlags.Instance)

    let private momentsOf (state: obj) =
        fieldsOf state |> Array.filter (fun f -> f.FieldType = typeof<torch.Tensor>)

    let private numbersOf (state: obj) =
        fieldsOf state |> Array.filter (fun f -> f.FieldType <> typeof<torch.Tensor>)

    let private text (value: obj) : string =
        match value with
        | null -> "none"
        | :? float as number when Double.IsNaN number ->
            raise (ArgumentException("expected an optimizer of numbers, got NaN", "optimizer"))
        | :? float as number -> Fields.ofFloat number
        | other -> other.ToString() // an integer or a switch

    let private key (parameter: string) = $"sparsefs.optimizer.state.{parameter}"
    let private groupKey (group: int) = $"sparsefs.optimizer.group.{group}"
    let private moment (parameter: string) (field: string) = $"@optimizer.{parameter}.{field}"

    /// What an optimizer's own constructor would refuse, and what no number at all may be; the name of an option tells which.
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

    let private optionFields (options: OptimizerOptions) : (string * string) list =
        [ "LearningRate", box options.LearningRate
          "InitialLearningRate", box options.InitialLearningRate
          for field in fieldsOf options do
              field.Name, field.GetValue options ]
        |> List.map (fun (name, value) ->
            match value with
            | :? float as number when not (isSound name number) ->
                raise (ArgumentException($"expected an optimizer whose {name} can be used, got {number}", "optimizer"))
            | value -> name, text value)

    /// Each parameter, its group and its state.
    let private entries (optimizer: OptimizerHelper) =
        let state = OptimizerState.all optimizer

        let groups =
            [| for group in 0 .. state.StateIndexRef.Count - 1 do
                   for _ in state.StateIndexRef[group] -> group |]

        Seq.zip3 (optimizer.parameters ()) groups state.State |> Array.ofSeq

    /// <exception cref="T:System.ArgumentException">The optimizer holds a parameter that is not the model's.</exception>
    let private nameOf (names: Dictionary<nativeint, string>) (p: Parameter) : string =
        match names.TryGetValue p.Handle with
        | true, name -> name
        | _ ->
            let got = $"got one of shape {StoredTensor.describe p.shape} that is not"
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
              Fields.write
                  [ "kind", optimizer.GetType().Name
                    "groups", $"{groups.Count}"
                    "parameters", $"{entries.Length}" ]

              for group in 0 .. groups.Count - 1 do
                  groupKey group, Fields.write (optionFields groups[group])

              for p, group, state in entries do
                  use grad = p.grad

                  key (nameOf names p),
                  Fields.write
                      [ "group", $"{group}"
                        "grad", $"{not (isNull grad)}"
                        for field in numbersOf state do
                            field.Name, text (field.GetValue state) ] ]

        let tensors =
            [ for p, _, state in entries do
                  for field in momentsOf state do
                      match field.GetValue state with
                      | :? torch.Tensor as t -> struct (moment (nameOf names p) field.Name, t)
                      | _ -> () ]

        texts, tensors

    /// What a text says that an option, or a number of a state, is. Steps leave room for the next ones.
    let private parsed (reader: FieldReader) (name: string) (t: Type) (current: obj) : obj =
        match Nullable.GetUnderlyingType t with
        | null when t = typeof<int64> -> box (reader.Integer(name, 0L, Int64.MaxValue / 2L))
        | null -> box (reader.Float name)
        | _ when isNull current && reader.Text name = "none" -> null
        | inner when inner = typeof<bool> -> box (reader.Bool name)
        | _ -> box (reader.Float name)

    let private stageOptions (file: StoredFile) (group: int) (options: OptimizerOptions) (text: string) =
        let reader = FieldReader(file.File, groupKey group, text)
        let rate = reader.Float "LearningRate"
        let initial = reader.Float "InitialLearningRate"


        let values =
            [| for field in fieldsOf options -> field, parsed reader field.Name field.FieldType (field.GetValue options) |]

        reader.End()

        for name, value in
            [ "LearningRate", box rate
              "InitialLearningRate", box initial
              for field, value in values do
                  field.Name, value ] do
            match value with
            | :? float as number when not (isSound name number) ->
                file.Refuse(
                    CheckpointProblem.Value,
                    groupKey group,
                    $"expected a {name} that can be used, got {number}"
                )
            | _ -> ()

        let change () =
            options.LearningRate <- rate
            options.InitialLearningRate <- initial

            for field, value in values do
                field.SetValue(options, value)

        values, change

    /// Whether a state must have this tensor: SGD makes its own when it first needs it, and Adam where it is asked to.
    let private isNeeded (field: string) (isAmsgrad: bool) : bool voption =
        match field with
        | "momentum_buffer" -> ValueNone
        | "max_exp_avg_sq" -> ValueSome isAmsgrad
        | _ -> ValueSome true

    let private stageMoment (loader: Loader) (p: Parameter) (name: string) (field: FieldInfo) (state: obj) isNeeded =
        let stored = moment name field.Name

        let give (fresh: torch.Tensor) =
            match field.GetValue state with
            | :? torch.Tensor as old when not (obj.ReferenceEquals(old, fresh)) -> old.Dispose()
            | _ -> ()

            field.SetValue(state, fresh)

        let isThere = loader.File.TryFind(stored).IsSome

        match isNeeded with
        | ValueSome false when isThere -> loader.Wrong $"'{stored}': the optimizer's options have no use for it"
        | ValueSome false -> loader.Plan(fun () -> fun () -> give null)
        | ValueNone when not isThere && (state :? SGD.State) -> loader.Plan(fun () -> fun () -> give null)
        | _ ->
            match loader.Find stored with
            | ValueNone -> ()
            | ValueSome t when t.Shape <> loader.ShapeOf p || not (StoredDtypes.isOf p.dtype t.Dtype) ->
                let expected = $"{p.dtype} {StoredTensor.describe (loader.ShapeOf p)}"

                loader.Wrong $"'{stored}': expected {expected}, got {t.Dtype} {StoredTensor.describe t.Shape}"
            | ValueSome t ->
                loader.Plan(fun () ->
                    let fresh = (loader.File.Read t).``to`` p.device
                    fun () -> give (fresh.DetachFromDisposeScope()))

    /// A parameter without a gradient is passed over by the optimizer, one with a gradient of zeros is not.
    let private stageGradient (loader: Loader) (p: Parameter) (hasGradient: bool) =
        let shape = loader.ShapeOf p

        loader.Plan(fun () ->
            if hasGradient then
                let zeros = torch.zeros (shape, dtype = p.dtype, device = p.device)
                fun () -> p.grad <- zeros
            else
                fun () -> p.grad <- null)

    let private stageState
        (loader: Loader)
        (isAmsgrad: int -> bool)
        (p: Parameter)
        name
        (group: int)
        (state: obj)
        text
        =
        let reader = FieldReader(loader.File.File, key name, text)
        let stored = reader.Integer("group", 0L, int64 Int32.MaxValue)
        let hasGradient = reader.Bool "grad"

        if stored <> int64 group then
            loader.Wrong $"'{name}': expected it in the optimizer's group {group}, got it in {stored}"

        let values =
            [| for field in numbersOf state -> field, parsed reader field.Name field.FieldType (field.GetValue state) |]

        reader.End()

        loader.Plan(fun () ->
            fun () ->
                for field, value in values do
                    field.SetValue(state, value))

        for field in momentsOf state do
            stageMoment loader p name field state (isNeeded field.Name (isAmsgrad group))

        stageGradient loader p hasGradient

    /// <summary>Plans an optimizer's memory; after the model, whose shapes it must fit.</summary>
    /// <exception cref="T:SparseFs.CheckpointException">A text is none of an optimizer.</exception>
    let plan (loader: Loader) (names: Dictionary<nativeint, string>) (optimizer: OptimizerHelper) : unit =
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
            let ours = optimizer.GetType().Name
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
                        let values, change = stageOptions file group groups[group] text

                        if
                            values
                            |> Array.exists (fun (f, value) -> f.Name = "amsgrad" && value = box true)
                        then
                            amsgrad.Add group |> ignore

                        loader.Plan(fun () -> change))

                for p, group, state in entries do
                    let name = nameOf names p
                    metadata (key name) (stageState loader amsgrad.Contains p name group state))
