namespace SparseFs

open System
open System.Text.RegularExpressions
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>Replaces the dense layers of a model by sparse ones, and back.</summary>
/// <remarks>
/// Layers are found in any tree of modules: in Sequential, ModuleList and ModuleDict, and in the fields of modules of
/// one's own, where the field's type can hold the new layer: declare it <c>Module&lt;Tensor, Tensor&gt;</c>, not
/// <c>Linear</c>. A layer that cannot be replaced everywhere where it is held is left as it is, and the table says why.
/// An optimizer that was made before has no state of the new weights, and its next step fails: make it after the
/// conversion, or convert with <c>modelWith</c>, which carries it over. Replaced layers are not disposed of: they may be somebody else's. Hooks and gradients stay behind.
/// </remarks>
[<RequireQualifiedAccess>]
module Sparsify =

    let private ruleOf (budget: SparsifyBudget) : SparsifyRule =
        { Wanted = fun _ -> true
          MinCells = 0L
          Budget = budget
          FasterAt = ValueNone }

    /// <summary>All layers, each at the same sparsity: the largest magnitudes of each stay.</summary>
    /// <param name="sparsity">In [0, 1).</param>
    /// <example><code>
    /// let report = Sparsify.model (Sparsify.each 0.9) dense
    /// report.Nnz // = 23820L
    /// </code></example>
    [<CompiledName "Each">]
    let each (sparsity: float) : SparsifyRule = ruleOf (SparsifyBudget.Each sparsity)

    /// <summary>All layers, each at a sparsity of its own.</summary>
    /// <param name="sparsityOf">From the layer's dotted name to a sparsity in [0, 1).</param>
    /// <example><code>
    /// // The first layer at 0.95, all others at a half.
    /// let rule = Sparsify.byName (fun name -> if name = "0" then 0.95 else 0.5)
    /// (Sparsify.model rule dense).Nnz // = 13260L
    /// </code></example>
    [<CompiledName "ByName">]
    let byName (sparsityOf: string -> float) : SparsifyRule =
        ruleOf (SparsifyBudget.ByName sparsityOf)

    /// <summary>All layers, with a budget that an allocation shares out, exact to the slot.</summary>
    /// <param name="rule">Uniform, ErdosRenyi or ErdosRenyiKernel.</param>
    /// <param name="sparsity">Of all layers together, in [0, 1).</param>
    /// <example><code>
    /// let rule = Sparsify.shared SparsityDistribution.ErdosRenyi 0.9
    /// printfn $"{Sparsify.model { rule with MinCells = 10_000L } dense}" // the layer of the answers stays dense
    /// </code></example>
    [<CompiledName "Shared">]
    let shared (rule: SparsityDistribution) (sparsity: float) : SparsifyRule =
        ruleOf (SparsifyBudget.Shared(rule, sparsity))

    /// <summary>All layers, with a budget for all of them: the largest magnitudes of all stay, exact to the slot.</summary>
    /// <param name="sparsity">Of all layers together, in [0, 1).</param>
    /// <remarks>The Global Magnitude baseline of Blalock et al., 2020. A layer may end up empty.</remarks>
    /// <example><code>
    /// let report = Sparsify.model (Sparsify.globally 0.9) dense
    /// for row in report.Rows do
    ///     printfn $"{row.Name}: a sparsity of %.3f{row.Sparsity}"
    /// </code></example>
    [<CompiledName "Globally">]
    let globally (sparsity: float) : SparsifyRule =
        ruleOf (SparsifyBudget.Magnitude sparsity)

    /// <summary>Only layers whose dotted name a regular expression matches.</summary>
    /// <param name="pattern">A .NET regular expression, such as "^encoder\.".</param>
    /// <param name="rule">For the layers that match; what it wanted before still counts.</param>
    /// <exception cref="T:System.ArgumentException">The pattern is null or no regular expression.</exception>
    /// <example><code>
    /// let rule = Sparsify.each 0.9 |> Sparsify.matching "^0$"
    /// (Sparsify.model rule dense).Replaced // = 1
    /// </code></example>
    [<CompiledName "Matching">]
    let matching (pattern: string) (rule: SparsifyRule) : SparsifyRule =
        let regex = Regex pattern

        { rule with
            Wanted = fun name -> rule.Wanted name && regex.IsMatch name }

    let private check (rule: SparsifyRule) =
        if isNull (box rule) then
            nullArg (nameof rule)

        if rule.MinCells < 0L then
            raise (ArgumentOutOfRangeException("MinCells", rule.MinCells, $"expected 0 or more, got {rule.MinCells}"))

        match rule.FasterAt with
        | ValueSome batch when batch < 1 ->
            raise (ArgumentOutOfRangeException("FasterAt", batch, $"expected 1 or more samples, got {batch}"))
        | _ -> ()

        match rule.Budget with
        | SparsifyBudget.Each s
        | SparsifyBudget.Shared(_, s)
        | SparsifyBudget.Magnitude s -> Sparsity.density s |> ignore
        | SparsifyBudget.ByName _ -> ()

    let private linearOf (held: HeldModule) = held.Module :?> Linear

    let private shapeOf (held: HeldModule) : struct (int * int) =
        let shape = (linearOf held).weight.shape
        struct (int shape[0], int shape[1])

    let private cellsOf (held: HeldModule) : int64 =
        let struct (rows, cols) = shapeOf held
        int64 rows * int64 cols

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
    let private refusal (rule: SparsifyRule) (tied: Set<nativeint>) (held: HeldModule) : string =
        let weight = (linearOf held).weight

        let isTied (bias: torch.Tensor | null) =
            match bias with
            | null -> false
            | bias -> tied.Contains bias.Handle

        if not (rule.Wanted held.Name) then
            "its name is not wanted"
        elif cellsOf held < rule.MinCells then
            $"it has fewer than {rule.MinCells} cells"
        elif torch.is_complex weight then
            $"its dtype is {weight.dtype}"
        elif tied.Contains weight.Handle then
            "another module shares its weight"
        elif isTied (linearOf held).bias then
            "another module shares its bias"
        else
            match ModuleTree.whyNot typeof<SparseLinear> held with
            | "" when holdsNaN weight -> "a weight is NaN"
            | why -> why

    let private patterns (budget: SparsifyBudget) (layers: HeldModule[]) : Connectivity[] =
        let matrix (held: HeldModule) =
            Conversion.matrix (linearOf held).weight

        let ofCounts (counts: int[]) =
            Array.map2 (fun count held -> Connectivity.ofMagnitude count (matrix held)) counts layers

        let each (sparsityOf: HeldModule -> float) =
            layers
            |> Array.map (fun held ->
                let struct (rows, cols) = shapeOf held
                Sparsity.nnz rows cols (sparsityOf held))
            |> ofCounts

        match budget with
        | SparsifyBudget.Each sparsity -> each (fun _ -> sparsity)
        | SparsifyBudget.ByName sparsityOf -> each (fun held -> sparsityOf held.Name)
        | SparsifyBudget.Shared(rule, sparsity) ->
            layers
            |> Array.map (fun held ->
                let struct (rows, cols) = shapeOf held
                [| rows; cols |])
            |> SparsityDistribution.counts rule [||] sparsity
            |> ofCounts
        | SparsifyBudget.Magnitude sparsity ->
            let cells = layers |> Array.sumBy cellsOf

            let nnz = Rounding.part (Sparsity.density sparsity) (bigint cells)
            Connectivity.ofMagnitudes (int64 nnz) (Array.map matrix layers)

    let private rowOf
        (held: HeldModule)
        (nnz: int64)
        (why: string)
        (times: struct (float * float) voption)
        : SparsifyRow =
        let struct (rows, cols) =
            match held.Module with
            | :? SparseLinear as layer -> struct (layer.Connectivity.Rows, layer.Connectivity.Cols)
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
    let private making (make: 'a -> #torch.nn.Module) (go: _[] -> 'b) (layers: 'a[]) : 'b =
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
    let private successors (linear: Linear) (layer: SparseLinear) : Successor list =
        let c = layer.Connectivity
        let rows = Connectivity.rowIndices c

        let cells =
            Array.map2 (fun row col -> int64 row * int64 c.Cols + int64 col) rows c.ColIdxArray

        [ { Old = linear.weight
            New = layer.weight
            Cells = torch.tensor (cells, device = torch.CPU) }
          match linear.bias, layer.bias with
          | null, _
          | _, null -> ()
          | old, bias -> { Old = old; New = bias; Cells = null } ]

    /// With the optimizer that goes along, or none.
    let private replaceIn
        (carrying: OptimizerTransfer voption)
        (rule: SparsifyRule)
        (model: torch.nn.Module)
        : SparsifyReport =
        let found = model |> ModuleTree.find (fun m -> m :? Linear) |> Array.ofList
        let tied = tied model
        let refusals = found |> Array.map (refusal rule tied)

        let candidates =
            Array.zip found refusals
            |> Array.filter (fun (_, why) -> why = "")
            |> Array.map fst

        let patterns = patterns rule.Budget candidates

        let struct (made, times, isFaster) =
            Array.zip candidates patterns
            |> making (fun (held, pattern) -> Conversion.ofDensePattern pattern (linearOf held)) (fun made ->
                let times =
                    match rule.FasterAt with
                    | ValueNone -> made |> Array.map (fun _ -> ValueNone)
                    | ValueSome batch ->
                        Array.map2
                            (fun held sparse -> ValueSome(LayerTiming.measure batch (linearOf held) sparse))
                            candidates
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
                                   yield! successors (linearOf held) layer |])

                ModuleTree.replace
                    [ for held, layer in replaced do
                          held, layer :> torch.nn.Module ]

                carry |> ValueOption.iter (fun carry -> carry ())

                struct (made, times, isFaster))

        // Two layers may have one name: TorchSharp's Sequential does not prevent it.
        let outcome =
            System.Collections.Generic.Dictionary<torch.nn.Module, SparsifyRow>(HashIdentity.Reference)

        for i in 0 .. candidates.Length - 1 do
            let held = candidates[i]

            outcome[held.Module] <-
                if isFaster[i] then
                    rowOf held (int64 made[i].Connectivity.Nnz) "" times[i]
                else
                    made[i].Dispose()
                    rowOf held (cellsOf held) "it is not faster" times[i]

        SparsifyReport(
            Array.map2
                (fun held why ->
                    match outcome.TryGetValue held.Module with
                    | true, row -> row
                    | _ -> rowOf held (cellsOf held) why ValueNone)
                found
                refusals,
            carrying.IsNone
        )

    /// <summary>Replaces torch.nn.Linear layers of a model by sparse ones, in place.</summary>
    /// <param name="rule">Which, and by what.</param>
    /// <param name="model">Any module; a Linear that is itself the model is not replaced: see <c>Conversion.ofDense</c>.</param>
    /// <returns>One row for each Linear, replaced or not. The slots of the layers that could be replaced add up to the
    /// rule's budget exactly; where one stays dense because it is not faster, the others keep their counts.</returns>
    /// <exception cref="T:System.ArgumentException">An argument is null, or a part of the rule is outside its range: nothing
    /// has changed.</exception>
    /// <remarks>A layer that is held in several places is replaced in all of them. Magnitudes are compared as float32; a
    /// tie keeps the lower layer, then the lower cell. Timing as SparseProp does it: Nikdan et al., ICML 2023.</remarks>
    /// <example><code>
    /// let report = Sparsify.model (Sparsify.shared SparsityDistribution.ErdosRenyi 0.92) dense
    /// printfn $"{report}" // a line for each layer
    /// let optimizer = torch.optim.AdamW(dense.parameters (), 1e-3) // made after the conversion
    /// </code></example>
    [<CompiledName "Model">]
    let model (rule: SparsifyRule) (model: torch.nn.Module) : SparsifyReport =
        check rule
        ArgumentNullException.ThrowIfNull(model, nameof model)
        replaceIn ValueNone rule model

    /// <summary>As <c>model</c>, with the optimizer that trains the model: it goes on with the new parameters.</summary>
    /// <param name="optimizer">Any of TorchSharp's but LBFGS, or one that implements
    /// <see cref="T:SparseFs.IStatefulOptimizer"/>, made from the model's parameters.</param>
    /// <param name="rule">Which, and by what.</param>
    /// <param name="model">As <c>model</c>.</param>
    /// <returns>As <c>model</c>.</returns>
    /// <exception cref="T:System.ArgumentException">As <c>model</c>, or the optimizer is of another kind or has no state of a
    /// parameter that it lists: nothing has changed.</exception>
    /// <remarks>Weights that stay keep their moments, and every count goes on. Groups keep their options and their order;
    /// from now on each holds a fixed list of parameters. A learning-rate scheduler goes on unchanged.</remarks>
    /// <example><code>
    /// let adam = torch.optim.Adam(dense.parameters (), 1e-3) // it has trained the dense model so far
    /// let report = Sparsify.modelWith adam (Sparsify.globally 0.9) dense
    /// torch.nn.functional.cross_entropy(dense.call x, labels).backward()
    /// adam.step () |> ignore // it goes on, with the moments of the weights that have stayed
    /// </code></example>
    [<CompiledName "ModelWith">]
    let modelWith (optimizer: torch.optim.Optimizer) (rule: SparsifyRule) (model: torch.nn.Module) : SparsifyReport =
        check rule
        ArgumentNullException.ThrowIfNull(model, nameof model)
        replaceIn (ValueSome(OptimizerTransfer(OptimizerStates.Of optimizer))) rule model

    /// <summary>Replaces the sparse layers of a model by torch.nn.Linear layers of the same function, in place.</summary>
    /// <param name="model">Any module.</param>
    /// <returns>One row for each SparseLinear, with the slots that it had, replaced or not.</returns>
    /// <exception cref="T:System.ArgumentException">The model is null, or a pattern was loaded that is not one.</exception>
    /// <remarks>A field that is declared as SparseLinear cannot hold a Linear: the table says so.</remarks>
    /// <example><code>
    /// let report = Sparsify.densify model
    /// (model[0] :? Modules.Linear, report.Replaced) // = (true, 1)
    /// </code></example>
    [<CompiledName "Densify">]
    let densify (model: torch.nn.Module) : SparsifyReport =
        ArgumentNullException.ThrowIfNull(model, nameof model)
        let found = model |> ModuleTree.find (fun m -> m :? SparseLinear) |> Array.ofList
        let refusals = found |> Array.map (ModuleTree.whyNot typeof<Linear>)

        let candidates =
            Array.zip found refusals
            |> Array.filter (fun (_, why) -> why = "")
            |> Array.map fst

        candidates
        |> making (fun held -> Conversion.toDense (held.Module :?> SparseLinear)) (fun made ->
            ModuleTree.replace
                [ for held, layer in Array.zip candidates made do
                      held, layer :> torch.nn.Module ])

        SparsifyReport(
            Array.map2
                (fun held why -> rowOf held (int64 (held.Module :?> SparseLinear).Connectivity.Nnz) why ValueNone)
                found
                refusals,
            true
        )
