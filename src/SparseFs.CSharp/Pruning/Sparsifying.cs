using System;
using System.Linq;
using Microsoft.FSharp.Core;
using static TorchSharp.torch;

namespace SparseFs.CSharp;

/// <summary>Replaces the dense layers of a model by sparse ones, and back.</summary>
/// <remarks>
/// Layers are found in any tree of modules: in Sequential, ModuleList and ModuleDict, and in the fields of modules of
/// one's own, where the field's type can hold the new layer: declare it <c>Module&lt;Tensor, Tensor&gt;</c>, not
/// <c>Linear</c> or <c>Conv2d</c>. A layer that cannot be replaced everywhere where it is held is left as it is, and the table says why.
/// An optimizer that was made before has no state of the new weights, and its next step fails: make it after the
/// conversion, or give it to <c>Sparsify</c>, which carries it over. Replaced layers are not disposed of: they may be somebody else's.
/// </remarks>
public static class Sparsifying
{
    /// <summary>Replaces torch.nn.Linear, Conv1d, Conv2d and Conv3d layers of a model by sparse ones that keep the largest magnitudes, in place.</summary>
    /// <param name="model">Any module; a layer that is itself the model is not replaced: see <c>ToSparse</c>.</param>
    /// <param name="sparsity">In [0, 1): of each layer; of all layers together with <paramref name="allocation"/> or
    /// <paramref name="byGlobalMagnitude"/>; not used with <paramref name="sparsityOf"/>.</param>
    /// <param name="allocation">How a budget for all layers together is shared out, exact to the slot; null for the same
    /// sparsity in each.</param>
    /// <param name="byGlobalMagnitude">Whether the largest magnitudes of all layers together stay.</param>
    /// <param name="sparsityOf">A sparsity in [0, 1) for each layer's dotted name.</param>
    /// <param name="namePattern">A regular expression that the dotted names of wanted layers match; null for all.</param>
    /// <param name="wanted">Whether the layer of a dotted name is wanted; null for all.</param>
    /// <param name="minCells">Layers with fewer cells stay dense.</param>
    /// <param name="fasterAt">A batch size: a layer is replaced only if its forward and backward for so many samples is
    /// measured to be faster; null to replace without measuring.</param>
    /// <param name="optimizer">The optimizer that trains the model, to go on with the new parameters: weights that stay keep
    /// their moments; null for none.</param>
    /// <param name="layers">The layers that may be replaced, such as <c>Layers.Named("encoder.*")</c>: the others stay as they
    /// are, and no budget counts them; null for all.</param>
    /// <param name="rowGroup">Rows whose columns stay or go together, 1 for each by itself: the columns of groups whose weights
    /// have the largest norms stay, and a budget is met as nearly as whole ones allow.</param>
    /// <param name="groupNorm">What the weights of a group's column are worth together.</param>
    /// <param name="fasterFor">An input of the model: a layer is replaced only if its forward and backward for what it sees of that
    /// input is measured to be faster; null to replace without measuring. Convolutions are measured so alone.</param>
    /// <param name="wholeKernels">Whether the cells of a convolution's kernels stay or go together: those with the largest norms
    /// stay.</param>
    /// <returns>One row for each layer that has a sparse twin, replaced or not.</returns>
    /// <exception cref="ArgumentException">The model is null, a name of layers is none of those layers', a number is outside its range, more than one of allocation,
    /// byGlobalMagnitude and sparsityOf is given, or the optimizer is of a kind whose state is not known or has no state of a
    /// parameter that it lists: nothing has changed.</exception>
    public static SparsifyReport Sparsify(
        this nn.Module model,
        double sparsity = 0.9,
        SparsityDistribution? allocation = null,
        bool byGlobalMagnitude = false,
        Func<string, double>? sparsityOf = null,
        string? namePattern = null,
        Func<string, bool>? wanted = null,
        long minCells = 0,
        int? fasterAt = null,
        optim.Optimizer? optimizer = null,
        Layers? layers = null,
        int rowGroup = 1,
        RowGroupNorm groupNorm = RowGroupNorm.L2,
        Tensor? fasterFor = null,
        bool wholeKernels = false)
    {
        bool[] budgets = [allocation is not null, byGlobalMagnitude, sparsityOf is not null];

        if (budgets.Count(isGiven => isGiven) > 1)
        {
            throw new ArgumentException(
                "expected at most one of allocation, byGlobalMagnitude and sparsityOf, got more",
                nameof(allocation));
        }

        if (minCells < 0)
        {
            throw new ArgumentOutOfRangeException(
                nameof(minCells), minCells, $"expected 0 or more, got {minCells}");
        }

        if (fasterAt < 1)
        {
            throw new ArgumentOutOfRangeException(
                nameof(fasterAt), fasterAt, $"expected 1 or more samples, got {fasterAt}");
        }

        var budget =
            allocation is { } rule ? SparsifyBudget.NewShared(rule, sparsity)
            : byGlobalMagnitude ? SparsifyBudget.NewMagnitude(sparsity)
            : sparsityOf is not null ? SparsifyBudget.NewByName(FuncConvert.FromFunc(sparsityOf))
            : SparsifyBudget.NewEach(sparsity);

        var all = new SparsifyRule(
            FuncConvert.FromFunc(wanted ?? (_ => true)),
            layers ?? Layers.All,
            minCells,
            budget,
            fasterAt is { } batch ? FSharpValueOption<int>.NewValueSome(batch) : FSharpValueOption<int>.ValueNone,
            fasterFor,
            rowGroup,
            wholeKernels,
            groupNorm);

        var chosen = namePattern is null
            ? all
            : Named.Call(() => SparseFs.Sparsify.Matching(namePattern, all), ("pattern", nameof(namePattern)));

        return Named.Call(
            () => optimizer is null
                ? SparseFs.Sparsify.Model(chosen, model)
                : SparseFs.Sparsify.ModelWith(optimizer, chosen, model),
            ("rule", nameof(allocation)),
            ("input", nameof(fasterFor)),
            ("FasterAt", nameof(fasterAt)),
            ("RowGroup", nameof(rowGroup)),
            ("GroupNorm", nameof(groupNorm)));
    }

    /// <summary>Puts sparse modules that a function makes in the place of modules of a model: of an LSTM, a MultiheadAttention, or whatever else
    /// <c>Sparsify</c> leaves as it is, since torch does not tell all that its twin has to know.</summary>
    /// <param name="model">Any module.</param>
    /// <param name="twinOf">From a module's dotted name and itself to its twin, or to null where it has none. It is called for every module but the
    /// model, parents before children, and not for what lies in a module that got a twin.</param>
    /// <returns>One row for each sparse layer of a twin that was put in place, for each matrix of a module whose places cannot hold its twin, with
    /// the reason, and for those matrices that <c>Sparsify</c> leaves.</returns>
    /// <exception cref="ArgumentNullException">An argument is null. What twinOf throws passes, and nothing has changed.</exception>
    /// <remarks>A field has to be declared by a type that both have: <c>nn.Module</c>, or the base with the types of forward's arguments. A twin that
    /// cannot be put in place is disposed of; a module that was replaced is not.</remarks>
    public static SparsifyReport ReplaceByTwins(this nn.Module model, Func<string, nn.Module, nn.Module?> twinOf)
    {
        ArgumentNullException.ThrowIfNull(twinOf);
        return SparseFs.Sparsify.Twins(FuncConvert.FromFunc(twinOf), model);
    }

    /// <summary>Replaces the sparse layers of a model by torch's dense ones of the same function, in place.</summary>
    /// <param name="model">Any module.</param>
    /// <returns>One row for each sparse layer, with the slots that it had, replaced or not.</returns>
    /// <exception cref="ArgumentException">The model is null, or a pattern was loaded that is not one.</exception>
    public static SparsifyReport Densify(this nn.Module model) => SparseFs.Sparsify.Densify(model);
}
