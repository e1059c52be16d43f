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
/// <c>Linear</c> or <c>Conv2d</c>. A layer that cannot be replaced everywhere where it is held is left as it is, and the table says why; so are
/// recurrent modules, attention and transformers' layers: torch does not tell all that their twins have to know. <c>Sparsify.twins</c> puts those in place
/// that a function makes, by their ofDense.
/// An optimizer that was made before has no state of the new weights, and its next step fails: make it after the conversion, or convert with
/// <c>modelWith</c>, which carries it over. Replaced layers are not disposed of: they may be somebody else's. Hooks and gradients stay behind.
/// </remarks>
[<RequireQualifiedAccess>]
module Sparsify =

    let private ruleOf (budget: SparsifyBudget) : SparsifyRule =
        { Wanted = fun _ -> true
          Layers = Layers.All
          MinCells = 0L
          Budget = budget
          FasterAt = ValueNone
          Input = null
          RowGroup = 1
          WholeKernels = false
          GroupNorm = RowGroupNorm.L2 }

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
    /// <remarks>The Global Magnitude baseline of Blalock et al., 2020. A layer may end up empty; the table marks it.</remarks>
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
    /// <exception cref="T:System.ArgumentException">The pattern is null or no regular expression; the message says where.</exception>
    /// <example><code>
    /// let rule = Sparsify.each 0.9 |> Sparsify.matching "^0$"
    /// (Sparsify.model rule dense).Replaced // = 1
    /// </code></example>
    [<CompiledName "Matching">]
    let matching (pattern: string) (rule: SparsifyRule) : SparsifyRule =
        let regex =
            try
                Regex pattern
            with :? RegexParseException as e ->
                raise (ArgumentException($"expected a regular expression: {e.Message}", nameof pattern, e))

        { rule with
            Wanted = fun name -> rule.Wanted name && regex.IsMatch name }

    /// <summary>Only layers of a choice; the others stay as they are, and no budget counts them.</summary>
    /// <param name="layers">Names, patterns or a predicate; a name that no such layer of the model has is refused there.</param>
    /// <param name="rule">For the layers of the choice; what it wanted before still counts.</param>
    /// <exception cref="T:System.ArgumentNullException">An argument is null.</exception>
    /// <remarks>A sparsity that is shared is that of the chosen layers together, not of the whole model.</remarks>
    /// <example><code>
    /// let rule = Sparsify.globally 0.9 |> Sparsify.only (Layers.Named "0")
    /// let report = Sparsify.model rule dense
    /// (report.Replaced, report.Rows[0].Nnz) // = (1, 23520L)
    /// </code></example>
    [<CompiledName "Only">]
    let only (layers: Layers) (rule: SparsifyRule) : SparsifyRule =
        ArgumentNullException.ThrowIfNull(layers, nameof layers)

        if isNull (box rule) then
            nullArg (nameof rule)

        { rule with
            Layers = rule.Layers.And layers }

    /// <summary>The same rule over groups of neighbouring rows: the columns of groups whose weights have the largest norms
    /// stay, in all rows of the group, and products are faster.</summary>
    /// <param name="size">Rows of a group, 1 or more: 4 is the fastest. A layer's last group may be smaller.</param>
    /// <param name="norm">What the weights of a group's column are worth together.</param>
    /// <param name="rule">Of any budget, which is met as nearly as whole columns of groups allow.</param>
    /// <exception cref="T:System.ArgumentException">size is below 1, the norm does not exist, or the rule is null.</exception>
    /// <remarks>Each layer's count is rounded to whole columns of groups, as <c>Topology.rowGroups</c> does it. With
    /// <c>globally</c>, all layers' columns of groups are taken in the order of their norms until the next one brings the
    /// slots no nearer to the budget: at most half a group away. One of a smaller last group counts there as one of a whole group with
    /// the same mean square, or mean magnitude with L1. A tie keeps the lower layer, then the lower group, then the lower
    /// column. <c>Policy.inRowGroups</c> makes policies that keep the groups. Products of a convolution are faster where size
    /// divides out_channels / groups; depthwise ones, with a channel a group, gain nothing.</remarks>
    /// <example><code>
    /// let report = Sparsify.model (Sparsify.each 0.9 |> Sparsify.inRowGroups 4 RowGroupNorm.L2) dense
    /// report.Rows |> Array.map _.Nnz // = [|23520L; 300L|]
    /// </code></example>
    [<CompiledName "InRowGroups">]
    let inRowGroups (size: int) (norm: RowGroupNorm) (rule: SparsifyRule) : SparsifyRule =
        if isNull (box rule) then
            nullArg (nameof rule)

        GroupMagnitude.check (nameof size) size (nameof norm) norm

        { rule with
            RowGroup = size
            GroupNorm = norm }

    /// <summary>The same rule over whole kernels of convolutions: those with the largest norms stay, with all their
    /// cells.</summary>
    /// <param name="norm">What the weights of a kernel are worth together.</param>
    /// <param name="rule">Of any budget, which is met as nearly as whole kernels allow.</param>
    /// <exception cref="T:System.ArgumentException">The norm does not exist, or the rule is null.</exception>
    /// <remarks>A kernel is all cells of a pair of an input and an output channel; a weight of a linear layer is one by itself. With row
    /// groups too, a kernel stays in all rows of its group. Counts are rounded as <c>inRowGroups</c> says, to one kernel at least; <c>globally</c> ranks
    /// kernels of unlike sizes by what a weight is worth in the mean. <c>Policy.inKernels</c> keeps them whole.</remarks>
    /// <example><code>
    /// let dense = torch.nn.Sequential(torch.nn.Conv2d(16L, 32L, 3L), torch.nn.ReLU())
    /// let report = Sparsify.model (Sparsify.each 0.75 |> Sparsify.inKernels RowGroupNorm.L2) dense
    /// report.Rows |> Array.map _.Nnz // = [|1152L|]
    /// </code></example>
    [<CompiledName "InKernels">]
    let inKernels (norm: RowGroupNorm) (rule: SparsifyRule) : SparsifyRule =
        if isNull (box rule) then
            nullArg (nameof rule)

        GroupMagnitude.check "RowGroup" 1 (nameof norm) norm

        { rule with
            WholeKernels = true
            GroupNorm = norm }

    /// <summary>The same rule, where it pays: a layer is replaced only if its forward and backward for what it sees of an input are
    /// measured to be faster than those of the dense layer.</summary>
    /// <param name="input">An input of the model, as large as those that will come; the model runs once, in evaluation mode and
    /// without gradients.</param>
    /// <param name="rule">Of any budget; layers that stay dense leave the others' counts as they are.</param>
    /// <exception cref="T:System.ArgumentNullException">An argument is null.</exception>
    /// <remarks>As SparseProp does it: Nikdan et al., ICML 2023, section 4. The model takes a tensor and gives one, and every layer
    /// of the rule is called by it.</remarks>
    /// <example><code>
    /// let report = Sparsify.model (Sparsify.each 0.9 |> Sparsify.fasterFor x) dense
    /// printfn $"{report}" // with the milliseconds of both
    /// </code></example>
    [<CompiledName "FasterFor">]
    let fasterFor (input: torch.Tensor) (rule: SparsifyRule) : SparsifyRule =
        ArgumentNullException.ThrowIfNull(input, nameof input)

        if isNull (box rule) then
            nullArg (nameof rule)

        { rule with Input = input }

    let private check (rule: SparsifyRule) =
        if isNull (box rule) then
            nullArg (nameof rule)

        ArgumentNullException.ThrowIfNull(rule.Layers, nameof rule.Layers)

        if rule.MinCells < 0L then
            raise (ArgumentOutOfRangeException("MinCells", rule.MinCells, $"expected 0 or more, got {rule.MinCells}"))

        GroupMagnitude.check "RowGroup" rule.RowGroup "GroupNorm" rule.GroupNorm

        match rule.FasterAt with
        | ValueSome batch when batch < 1 ->
            raise (ArgumentOutOfRangeException("FasterAt", batch, $"expected 1 or more samples, got {batch}"))
        | _ -> ()

        match rule.Budget with
        | SparsifyBudget.Each s
        | SparsifyBudget.Shared(_, s)
        | SparsifyBudget.Magnitude s -> Sparsity.density s |> ignore
        | SparsifyBudget.ByName _ -> ()

    /// <summary>Replaces torch.nn.Linear, Conv1d, Conv2d and Conv3d layers of a model by sparse ones, in place.</summary>
    /// <param name="rule">Which, and by what.</param>
    /// <param name="model">Any module; a layer that is itself the model is not replaced: see <c>Conversion.ofDense</c>.</param>
    /// <returns>One row for each such layer, replaced or not. The slots of the layers that could be replaced add up to the
    /// rule's budget exactly, in row groups and whole kernels as nearly as <c>inRowGroups</c> and <c>inKernels</c> say; where one stays dense because it is not
    /// faster, the others keep their counts.</returns>
    /// <exception cref="T:System.ArgumentException">An argument is null, the model has no such layer, a part of the rule is outside
    /// its range, or a name of its layers is none's: nothing has changed.</exception>
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
        DenseReplacement.replaceIn ValueNone rule model

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
        DenseReplacement.replaceIn (ValueSome(OptimizerTransfer(OptimizerStates.Of optimizer))) rule model

    /// <summary>Puts sparse modules that a function makes in the place of modules of a model: of an LSTM, a MultiheadAttention, or whatever else
    /// <c>model</c> leaves as it is, since torch does not tell all that its twin has to know.</summary>
    /// <param name="twinOf">From a module's dotted name and itself to its twin, or to null where it has none. It is called for every module but the
    /// model, parents before children, and not for what lies in a module that got a twin.</param>
    /// <param name="model">Any module.</param>
    /// <returns>One row for each sparse layer of a twin that was put in place, for each matrix of a module whose places cannot hold its twin, with
    /// the reason, and for those matrices that <c>model</c> leaves.</returns>
    /// <exception cref="T:System.ArgumentNullException">An argument is null. What twinOf throws passes, and nothing has changed.</exception>
    /// <remarks>A field has to be declared by a type that both have: <c>torch.nn.Module</c>, or the base with the types of forward's arguments. A
    /// twin that cannot be put in place is disposed of; a module that was replaced is not.</remarks>
    /// <example><code>
    /// let twinOf (_: string) (m: torch.nn.Module) : torch.nn.Module | null =
    ///     match m with
    ///     | :? Modules.LSTM as lstm -> SparseLSTM.ofDense (lstm, 0.9)
    ///     | _ -> null
    /// printfn $"{Sparsify.twins twinOf dense}" // a row for each matrix
    /// </code></example>
    [<CompiledName "Twins">]
    let twins (twinOf: string -> torch.nn.Module -> torch.nn.Module | null) (model: torch.nn.Module) : SparsifyReport =
        ArgumentNullException.ThrowIfNull(twinOf, nameof twinOf)
        ArgumentNullException.ThrowIfNull(model, nameof model)
        ModuleTwins.replace twinOf model

    /// <summary>Replaces the sparse layers of a model by torch's dense ones of the same function, in place.</summary>
    /// <param name="model">Any module.</param>
    /// <returns>One row for each sparse layer, with the slots that it had, replaced or not.</returns>
    /// <exception cref="T:System.ArgumentException">The model is null or has not registered its layers, or a pattern was loaded
    /// that is not one.</exception>
    /// <remarks>A field that is declared as SparseLinear cannot hold a Linear: the table says so.</remarks>
    /// <example><code>
    /// let report = Sparsify.densify model
    /// (model[0] :? Modules.Linear, report.Replaced) // = (true, 1)
    /// </code></example>
    [<CompiledName "Densify">]
    let densify (model: torch.nn.Module) : SparsifyReport =
        ArgumentNullException.ThrowIfNull(model, nameof model)
        DenseRestoration.restoreIn model
