namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open TorchSharp

/// <summary>A rewirer's state as texts and tensors.</summary>
module internal RewirerCodec =

    let private stateKey = "sparsefs.rewirer"
    let private layerKey (place: int) = $"sparsefs.rewirer.layer.{place}"
    let private policyKey (place: int) (part: string) = $"sparsefs.policy.{place}.{part}"

    [<Literal>]
    let private FirstLayer = "first layer"

    let private tensor (place: int) (what: string) = $"@rewirer.{place}.{what}"

    /// Two numbers in hexadecimal.
    let seedFields (seed: Seed) : (string * string) list =
        let struct (state, gamma) = Seed.toWords seed
        [ "seed", state.ToString "x16"; "gamma", gamma.ToString "x16" ]

    let readSeed (file: SafetensorsFile) (entry: string) (reader: FieldReader) : Seed =
        match Seed.tryOfWords (reader.Bits "seed") (reader.Bits "gamma") with
        | ValueSome seed -> seed
        | ValueNone -> file.Refuse(CheckpointProblem.Value, entry, "expected an odd gamma, got an even one")

    // Writing

    /// The first layer that has the same policy: layers of one policy are rewired together.
    let private firstLayer (rewirer: Rewirer) (place: int) : string =
        let policies = rewirer.Policies

        policies
        |> Seq.findIndex (fun p -> obj.ReferenceEquals(p, policies[place]))
        |> string

    let private policyTexts (rewirer: Rewirer) (place: int) : (string * string) list =
        [ for part in PolicyText.parts rewirer.Policies[place] do
              if part.IsWritten then
                  part.Name, part.Text

          FirstLayer, firstLayer rewirer place ]

    let private exploredTensors (place: int) (explored: ExploredCells) : struct (string * torch.Tensor) list =
        match explored.Cells with
        | ValueSome c ->
            [ struct (tensor place "explored.row_ptr", torch.tensor (c.RowPtrArray, device = torch.CPU))
              struct (tensor place "explored.col_idx", torch.tensor (c.ColIdxArray, device = torch.CPU)) ]
        | ValueNone ->
            [ struct (tensor place "explored", torch.tensor (Array.map int64 explored.Bits, device = torch.CPU)) ]

    let private passTensors (place: int) (layer: SparseLinear) (passes: (int64 * int * Numbers * Numbers)[]) =
        [ struct (tensor place "pass_steps",
                  torch.tensor ([| for step, _, _, _ in passes -> step |], device = torch.CPU))

          for i, (_, n, gradient, input) in Array.indexed passes do
              struct (tensor place $"pass.{i}.gradient", gradient.Tensor(int64 n, layer.out_features))
              struct (tensor place $"pass.{i}.input", input.Tensor(int64 n, layer.in_features)) ]

    /// Only where a slot is young: a file without ages is one in which all are old.
    let private agesTensors (place: int) (ages: int[]) : struct (string * torch.Tensor) list =
        if ages.Length = 0 then
            []
        else
            [ struct (tensor place "ages", torch.tensor (ages, device = torch.CPU)) ]

    /// <summary>Texts and tensors of a rewirer; the open DisposeScope owns the tensors.</summary>
    let write (rewirer: Rewirer) : (string * string) list * struct (string * torch.Tensor) list =
        let state = rewirer.Capture()

        let texts =
            [ for place in 0 .. rewirer.Layers.Length - 1 do
                  for part, text in policyTexts rewirer place do
                      policyKey place part, text

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
            [ for place, (_, explored) in Array.indexed state.Explored do
                  yield! exploredTensors place explored
                  let struct (_, layer) = rewirer.Layers[place]
                  yield! passTensors place layer state.Passes[place]
                  yield! agesTensors place state.Ages[place] ]

        texts, tensors

    // Reading

    let private find (loader: StagedLoad) (name: string) (dtype: Dtype) (shape: int64[]) : TensorInfo voption =
        match loader.Find name with
        | ValueSome t when t.Dtype <> dtype || t.Shape <> shape ->
            let expected = $"{dtype} {Shape.text shape}"
            loader.Wrong $"'{name}': expected {expected}, got {t.Dtype} {Shape.text t.Shape}"
            ValueNone
        | found -> found

    let private lengthOf (loader: StagedLoad) (name: string) : int64 =
        match loader.File.TryFind name with
        | ValueSome t when t.Shape.Length = 1 -> t.Shape[0]
        | _ -> 0L

    let private int64s (file: SafetensorsFile) (t: TensorInfo) : int64[] =
        use _ = torch.NewDisposeScope()
        (file.Read t).data<int64>().ToArray()

    /// What reads the cells that have ever been slots; nothing where a tensor does not fit.
    let private planExplored (loader: StagedLoad) (place: int) (c: Connectivity) : (unit -> ExploredCells) voption =
        let file = loader.File
        let rows, cols = c.Rows, c.Cols
        let cells = tensor place "explored.col_idx"

        if file.TryFind(cells).IsSome then
            let rowPtr =
                find loader (tensor place "explored.row_ptr") Dtype.I32 [| int64 rows + 1L |]

            match rowPtr, find loader cells Dtype.I32 [| lengthOf loader cells |] with
            | ValueSome rowPtr, ValueSome colIdx ->
                ValueSome(fun () -> ExploredCells.Of(LayerWeights.readCsr file rows cols rowPtr colIdx))
            | _ -> ValueNone
        else
            let words = (c.Cells + 63L) / 64L

            match find loader (tensor place "explored") Dtype.I64 [| words |] with
            | ValueNone -> ValueNone
            | ValueSome t ->
                ValueSome(fun () ->
                    match ExploredCells.TryOfBits(rows, cols, int64s file t |> Array.map uint64) with
                    | ValueSome explored -> explored
                    | ValueNone ->
                        file.Refuse(
                            CheckpointProblem.Value,
                            t.Name,
                            "expected bits of cells only, got one beyond the last"
                        ))

    /// What reads the noted passes.
    let private planPasses (loader: StagedLoad) (place: int) (step: int64) (layer: SparseLinear) =
        let file = loader.File
        let c = layer.Connectivity
        let steps = tensor place "pass_steps"
        let count = lengthOf loader steps

        let pass (i: int) =
            let samples =
                match file.TryFind(tensor place $"pass.{i}.input") with
                | ValueSome t when t.Shape.Length = 2 && t.Shape[0] <= int64 Int32.MaxValue -> t.Shape[0]
                | _ -> 0L

            let matrix (what: string) (features: int) =
                let name = tensor place $"pass.{i}.{what}"

                // As Numbers has them.
                let dtype =
                    if layer.weight.dtype = torch.ScalarType.Float64 then
                        Dtype.F64
                    else
                        Dtype.F32

                find loader name dtype [| samples; int64 features |]

            match matrix "gradient" c.Rows, matrix "input" c.Cols with
            | ValueSome gradient, ValueSome input -> ValueSome(struct (gradient, input))
            | _ -> ValueNone

        match find loader steps Dtype.I64 [| count |] with
        | ValueNone -> ValueNone
        | ValueSome stored when count > int64 loader.File.Tensors.Length ->
            loader.Wrong $"'{stored.Name}': expected as many steps as passes, got {count}"
            ValueNone
        | ValueSome stored ->
            let passes = Array.init (int count) pass

            let numbers (t: TensorInfo) =
                use _ = torch.NewDisposeScope()
                Numbers.Of(file.Read t)

            if Array.exists ValueOption.isNone passes then
                ValueNone
            else
                ValueSome(fun () ->
                    Array.map2
                        (fun at (pass: struct (TensorInfo * TensorInfo) voption) ->
                            let struct (gradient, input) = pass.Value

                            if at < 1L || at > step + 1L then
                                let reason = $"expected steps in 1..{step + 1L}, got {at}"
                                file.Refuse(CheckpointProblem.Value, stored.Name, reason)

                            at, int gradient.Shape[0], numbers gradient, numbers input)
                        (int64s file stored)
                        passes)

    /// What reads the ages of a layer's slots.
    let private planAges (loader: StagedLoad) (place: int) (layer: SparseLinear) : (unit -> int[]) voption =
        let name = tensor place "ages"

        if loader.File.TryFind(name).IsNone then
            ValueSome(fun () -> [||])
        else
            match find loader name Dtype.I32 (loader.ShapeOf layer.weight) with
            | ValueNone -> ValueNone
            | ValueSome t ->
                ValueSome(fun () ->
                    use _ = torch.NewDisposeScope()
                    let ages = (loader.File.Read t).data<int>().ToArray()

                    match ages |> Array.tryFind (fun age -> age < -1) with
                    | Some age ->
                        loader.File.Refuse(CheckpointProblem.Value, name, $"expected ages of −1 or more, got {age}")
                    | None -> ages)

    /// What says which rules cannot be told from the file's: the rewirer does, once the run is back.
    let private noteUnknown (loader: StagedLoad) (rewirer: Rewirer) (layer: string) (rules: string list) =
        let shown = String.Join(" and ", rules)

        let message =
            $"the file has no name for the policy's own rule ({shown}), so that the rule given may be another than the one "
            + "that the run was saved with: a named one (Drop.NamedScore, Grow.NamedScore; in C# dropName, growName) is "
            + "written with its name, and checked from the next file on"

        loader.Plan(fun () -> fun () -> rewirer.Board.Post(NoticeKind.UnnamedRule, layer, message))

    let private comparePolicy (loader: StagedLoad) (rewirer: Rewirer) (place: int) =
        let struct (layer, _) = rewirer.Layers[place]

        let where =
            if layer = "" then
                "policy"
            else
                $"policy of layer '{layer}'"

        let stored (part: string) (absent: string voption) (go: string -> unit) =
            match loader.File.Metadata.TryGetValue(policyKey place part), absent with
            | (true, theirs), _ -> go theirs
            | _, ValueSome theirs -> go theirs
            | _ -> loader.Wrong $"missing: the text '{policyKey place part}'"

        let differs (part: string) (ours: string) (theirs: string) (cure: string) =
            loader.Wrong $"{where}: expected {part} = {ours}, got {theirs}{cure}"

        let unknown = List<string>()

        for part in PolicyText.parts rewirer.Policies[place] do
            stored part.Name part.Absent (fun theirs ->
                match PolicyText.compare part theirs with
                | PartMatch.Same -> ()
                | PartMatch.Unknown -> unknown.Add part.Name
                | PartMatch.OtherName ->
                    differs
                        part.Name
                        part.Text
                        theirs
                        " (make the rewirer with the rule of the file's name, or, if the rule given is that one, name it so)"
                | PartMatch.Other -> differs part.Name part.Text theirs "")

        stored FirstLayer ValueNone (fun theirs ->
            let ours = firstLayer rewirer place

            if theirs <> ours then
                differs FirstLayer ours theirs "")

        if unknown.Count > 0 then
            noteUnknown loader rewirer layer (List.ofSeq unknown)

    let private planState (loader: StagedLoad) (rewirer: Rewirer) (step: int64) (seed: Seed) (optimizer: string) =
        let file = loader.File
        let layers = rewirer.Layers

        let readers =
            [| for place in 0 .. layers.Length - 1 do
                   let struct (name, layer) = layers[place]

                   match file.Metadata.TryGetValue(layerKey place) with
                   | true, stored when stored = name -> ()
                   | true, stored -> loader.Wrong $"rewirer: expected layer '{name}', got '{stored}'"
                   | _ -> loader.Wrong $"missing: the text '{layerKey place}'"

                   let c = layer.Connectivity

                   name,
                   layer,
                   planExplored loader place c,
                   planPasses loader place step layer,
                   planAges loader place layer |]

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
        for place in 0 .. rewirer.Layers.Length - 1 do
            comparePolicy loader rewirer place

        match loader.File.Metadata.TryGetValue stateKey with
        | true, text ->
            let reader = FieldReader(loader.File.File, stateKey, text)
            let step = reader.Integer("step", 0L, Int64.MaxValue - 1L)
            let stored = reader.Text "optimizer"
            let count = reader.Integer("layers", 0L, int64 Int32.MaxValue)
            let seed = readSeed loader.File stateKey reader
            reader.End()

            if stored <> optimizer then
                loader.Wrong $"rewirer: expected a state beside {optimizer}, got one beside {stored}"
            elif count <> rewirer.Layers.LongLength then
                loader.Wrong $"rewirer: expected {rewirer.Layers.Length} layers, got {count}"
            else
                planState loader rewirer step seed stored
        | _ -> loader.Wrong "missing: the state of a rewirer"
