namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>The work of Sparsify: which layers are candidates, their patterns, and the replacement, all or nothing.</summary>
module internal DenseReplacement =

    let private denseOf (held: HeldModule) : DenseLayer = (DenseLayer.tryOf held.Module).Value

    let private shapeOf (held: HeldModule) : struct (int * int) =
        let dense = denseOf held
        struct (int dense.Rows, int dense.Cols)

    let private cellsOf (held: HeldModule) : int64 = (denseOf held).Weight.numel()

    /// Parameters that several modules share, by handle.
    let private tied (model: torch.nn.Module) : Set<nativeint> =
        seq {
            for struct (_, m) in ModuleTree.all model do
                for struct (_, p) in m.named_parameters false do
                    p.Handle
        }
        |> Seq.countBy id
        |> Seq.filter (fun (_, count) -> count > 1)
        |> Seq.map fst
        |> Set.ofSeq

    let private holdsNaN (weight: torch.Tensor) =
        use _ = torch.NewDisposeScope()
        weight.detach().isnan().any().item<bool>()

    /// Why a layer is no candidate; empty where it is one.
    let private refusal (rule: SparsifyRule) (tied: Set<nativeint>) (held: HeldModule) (isChosen: bool) : string =
        let dense = denseOf held
        let weight = dense.Weight

        let isTied (bias: torch.Tensor | null) =
            match bias with
            | null -> false
            | bias -> tied.Contains bias.Handle

        if not isChosen then
            "it is not chosen"
        elif not (rule.Wanted held.Name) then
            "its name is not wanted"
        elif cellsOf held < rule.MinCells then
            $"it has fewer than {rule.MinCells} cells"
        elif torch.is_complex weight then
            $"its dtype is {weight.dtype}"
        elif tied.Contains weight.Handle then
            "another module shares its weight"
        elif isTied dense.Bias then
            "another module shares its bias"
        else
            match ModuleTree.whyNot (DenseLayer.typeOfTwin dense) held with
            | "" when holdsNaN weight -> "a weight is NaN"
            | "" -> DenseLayer.whyNot dense
            | why -> why

    /// <exception cref="T:System.ArgumentException">The model has no layer that has a sparse twin; the message says why, where its
    /// class forgot something.</exception>
    let private checkThere (model: torch.nn.Module) (found: HeldModule[]) : unit =
        if found.Length = 0 then
            let sparse =
                ModuleTree.all model
                |> Seq.choose (fun (struct (_, m)) ->
                    match m with
                    | :? SparseLayer as layer -> Some layer.Description.Kind
                    | _ -> None)
                |> List.ofSeq

            let otherwise =
                match sparse, List.distinct sparse with
                | [], _ ->
                    "torch.nn.Linear, Conv1d, Conv2d and Conv3d are replaced, so build the model of such layers, or of sparse ones"
                | [ one ], _ -> $"its {one} is sparse already"
                | all, [ one ] -> $"its {all.Length} {one} layers are sparse already"
                | all, _ -> $"its {all.Length} layers are sparse already"

            let cure = Registration.adviceOr otherwise DenseLayer.is model
            let got = $"got {Registration.typeName model} without any"
            raise (ArgumentException($"expected a model with {DenseLayer.Kinds} layers, {got}: {cure}", nameof model))

    let private patterns (rule: SparsifyRule) (layers: HeldModule[]) : Connectivity[] =
        let matrix (held: HeldModule) = DenseLayer.matrix (denseOf held)

        let groupOf (held: HeldModule) =
            DenseLayer.slotGroup rule.RowGroup rule.WholeKernels rule.GroupNorm (denseOf held)

        let ofCounts (counts: int[]) =
            Array.map2
                (fun count held ->
                    let group = groupOf held

                    // Large kernels would round many a first layer to none, which cannot learn.
                    let count =
                        if group.Cells > 1 && count > 0 then
                            max count group.Slots
                        else
                            count

                    GroupMagnitude.ofLayer group count (matrix held))
                counts
                layers

        let each (sparsityOf: HeldModule -> float) =
            layers
            |> Array.map (fun held ->
                let struct (rows, cols) = shapeOf held
                Sparsity.nnz rows cols (sparsityOf held))
            |> ofCounts

        let named (sparsityOf: string -> float) (held: HeldModule) =
            let sparsity = sparsityOf held.Name

            if not (sparsity >= 0.0 && sparsity < 1.0) then
                let message = $"for '{held.Name}': {Sparsity.refusal sparsity}"
                raise (ArgumentOutOfRangeException(nameof sparsityOf, sparsity, message))

            sparsity

        match rule.Budget with
        | SparsifyBudget.Each sparsity -> each (fun _ -> sparsity)
        | SparsifyBudget.ByName sparsityOf -> each (named sparsityOf)
        | SparsifyBudget.Shared(distribution, sparsity) ->
            layers
            |> Array.map (fun held -> DenseLayer.shape (denseOf held))
            |> SparsityDistribution.counts distribution [||] sparsity
            |> Array.map2
                (fun held count ->
                    let struct (rows, _) = shapeOf held
                    GroupMagnitude.count (groupOf held) rows count)
                layers
            |> ofCounts
        | SparsifyBudget.Magnitude sparsity ->
            let cells = layers |> Array.sumBy cellsOf

            let nnz = Rounding.part (Sparsity.density sparsity) (bigint cells)
            GroupMagnitude.ofLayers (Array.map groupOf layers) (int64 nnz) (Array.map matrix layers)

    let rowOf (held: HeldModule) (nnz: int64) (why: string) (times: struct (float * float) voption) : SparsifyRow =
        let struct (rows, cols) =
            match held.Module with
            | :? SparseLayer as layer -> struct (layer.Connectivity.Rows, layer.Connectivity.Cols)
            | _ -> shapeOf held

        let time (pick: struct (float * float) -> float) =
            match times with
            | ValueSome t -> Nullable(pick t)
            | ValueNone -> Nullable()

        { Name = held.Name
          Rows = rows
          Cols = cols
          Nnz = nnz
          IsReplaced = (why = "")
          WhyNot = why
          DenseMs = time (fun (struct (dense, _)) -> dense)
          SparseMs = time (fun (struct (_, sparse)) -> sparse) }

    /// Makes each new layer before anything is replaced; if one fails, or what is done with them, they are freed.
    let making (make: 'a -> #torch.nn.Module) (go: _[] -> 'b) (layers: 'a[]) : 'b =
        let made = ResizeArray()

        try
            for held in layers do
                made.Add(make held)

            go (made.ToArray())
        with _ ->
            for m in made do
                (m :> torch.nn.Module).Dispose()

            reraise ()

    /// The parameters of a dense layer and those that take their place.
    let private successors (dense: DenseLayer) (layer: SparseLayer) : Successor list =
        let c = layer.Connectivity
        let rows = Connectivity.rowIndices c

        let cells =
            Array.map2 (fun row col -> int64 row * int64 c.Cols + int64 col) rows c.ColIdxArray

        [ { Old = dense.Weight
            New = layer.weight
            Cells = torch.tensor (cells, device = torch.CPU) }
          match dense.Bias, layer.bias with
          | null, _
          | _, null -> ()
          | old, bias -> { Old = old; New = bias; Cells = null } ]

    /// <summary>Replaces what the rule wants, as Sparsify says it.</summary>
    /// <param name="carrying">The optimizer that goes along, or none.</param>
    /// <param name="rule">Checked.</param>
    /// <param name="model">Any module.</param>
    let replaceIn (carrying: OptimizerTransfer voption) (rule: SparsifyRule) (model: torch.nn.Module) : SparsifyReport =
        let found = model |> ModuleTree.find DenseLayer.is |> Array.ofList
        checkThere model found
        let tied = tied model

        let chosen =
            rule.Layers.Choose(
                $"{DenseLayer.Kinds} layers",
                found |> Array.map (fun held -> struct (held.Name, held.Module))
            )

        let refusals = Array.map2 (refusal rule tied) found chosen

        let candidates =
            Array.zip found refusals
            |> Array.filter (fun (_, why) -> why = "")
            |> Array.map fst

        let shapes = LayerTiming.inputs rule model candidates
        let patterns = patterns rule candidates

        let struct (made, times, isFaster) =
            Array.zip candidates patterns
            |> making (fun (held, pattern) -> DenseLayer.sparse pattern (denseOf held)) (fun made ->
                let times =
                    Array.map3
                        (fun held shape sparse ->
                            shape
                            |> ValueOption.map (fun shape -> LayerTiming.measure shape (denseOf held) sparse))
                        candidates
                        shapes
                        made

                let isFaster =
                    times
                    |> Array.map (function
                        | ValueSome(struct (dense, sparse)) -> sparse < dense
                        | ValueNone -> true)

                let replaced =
                    [ for held, layer, faster in Array.zip3 candidates made isFaster do
                          if faster then
                              held, layer ]

                let carry =
                    carrying
                    |> ValueOption.map (fun transfer ->
                        use _ = torch.NewDisposeScope()

                        transfer.Prepare
                            [| for held, layer in replaced do
                                   yield! successors (denseOf held) layer |])

                try
                    ModuleTree.replace
                        [ for held, layer in replaced do
                              held, layer :> torch.nn.Module ]
                with _ ->
                    carry |> ValueOption.iter _.Undo()
                    reraise ()

                carry |> ValueOption.iter _.Commit()

                for held, layer in replaced do
                    layer.KnownAs <- held.Name

                struct (made, times, isFaster))

        // Two layers may have one name: TorchSharp's Sequential does not prevent it.
        let outcome = Dictionary<torch.nn.Module, SparsifyRow>(HashIdentity.Reference)

        for i in 0 .. candidates.Length - 1 do
            let held = candidates[i]

            outcome[held.Module] <-
                if isFaster[i] then
                    rowOf held (int64 made[i].Connectivity.Nnz) "" times[i]
                else
                    made[i].Dispose()
                    rowOf held (cellsOf held) "it is not faster" times[i]

        let rows =
            Array.map2
                (fun held why ->
                    match outcome.TryGetValue held.Module with
                    | true, row -> row
                    | _ -> rowOf held (cellsOf held) why ValueNone)
                found
                refusals

        SparsifyReport(Array.append rows (SparsifyRow.ofMatrices model), carrying.IsNone)
