namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp

/// <summary>What a rewirer keeps of a layer as tensors of a file: cells that have been slots, noted passes, ages.</summary>
module internal RewirerTensors =

    let private tensor (place: int) (what: string) = $"@rewirer.{place}.{what}"

    let private exploredTensors (place: int) (explored: ExploredCells) : struct (string * torch.Tensor) list =
        match explored.Cells with
        | ValueSome c ->
            [ struct (tensor place "explored.row_ptr", torch.tensor (c.RowPtrArray, device = torch.CPU))
              struct (tensor place "explored.col_idx", torch.tensor (c.ColIdxArray, device = torch.CPU)) ]
        | ValueNone ->
            [ struct (tensor place "explored", torch.tensor (Array.map int64 explored.Bits, device = torch.CPU)) ]

    let private passTensors (place: int) (passes: struct (int64 * Numbers * Numbers)[]) =
        [ struct (tensor place "pass_steps",
                  torch.tensor ([| for struct (step, _, _) in passes -> step |], device = torch.CPU))

          for i, struct (_, gradient, input) in Array.indexed passes do
              struct (tensor place $"pass.{i}.gradient", gradient.Tensor())
              struct (tensor place $"pass.{i}.input", input.Tensor()) ]

    /// Only where a slot is young: a file without ages is one in which all are old.
    let private agesTensors (place: int) (ages: int[]) : struct (string * torch.Tensor) list =
        if ages.Length = 0 then
            []
        else
            [ struct (tensor place "ages", torch.tensor (ages, device = torch.CPU)) ]

    /// <summary>Tensors of the layer at a place; the open DisposeScope owns them.</summary>
    let write (state: RewirerState) (place: int) : struct (string * torch.Tensor) list =
        exploredTensors place (snd state.Explored[place])
        @ passTensors place state.Passes[place]
        @ agesTensors place state.Ages[place]

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
    let planExplored (loader: StagedLoad) (place: int) (c: Connectivity) : (unit -> ExploredCells) voption =
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
    let planPasses (loader: StagedLoad) (place: int) (step: int64) (layer: SparseLayer) =
        let file = loader.File
        let steps = tensor place "pass_steps"
        let count = lengthOf loader steps

        let pass (i: int) =
            // As Numbers has them.
            let dtype =
                if layer.weight.dtype = torch.ScalarType.Float64 then
                    Dtype.F64
                else
                    Dtype.F32

            let name (what: string) = tensor place $"pass.{i}.{what}"

            let shapes =
                PassShapes.ofInput layer.Description (file.TryFind(name "input") |> ValueOption.map _.Shape)

            let struct (ofGradient, ofInput) = shapes

            match find loader (name "gradient") dtype ofGradient, find loader (name "input") dtype ofInput with
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

                            struct (at, numbers gradient, numbers input))
                        (int64s file stored)
                        passes)

    /// What reads the ages of a layer's slots.
    let planAges (loader: StagedLoad) (place: int) (layer: SparseLayer) : (unit -> int[]) voption =
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
