namespace SparseFs

open System.Collections.Generic
open TorchSharp.Modules

/// <summary>What a rewirer, a checkpoint and Sparsify need of an optimizer. TorchSharp's own optimizers need nothing; an
/// optimizer class of one's own implements it, and is then rewired, saved, resumed and carried over as those are.</summary>
/// <remarks>
/// The optimizer is also a <c>torch.optim.Optimizer</c> whose ParamGroups are TorchSharp's <c>ParamGroup</c>s, as those of a
/// class derived from <c>OptimizerHelper</c> are. Learning rates are the groups' own, and need no field here. An optimizer
/// that wraps another hands out what <see cref="M:SparseFs.StatefulOptimizer.Of"/> gives for that one.
/// </remarks>
/// <example><code>
/// // As an optimizer's class says it (docs/optimizers.md has one whole): a running mean for each parameter.
/// let means = System.Collections.Generic.Dictionary&lt;nativeint, torch.Tensor&gt;()
///
/// let lion =
///     { new IStatefulOptimizer with
///         member _.Kind = "Lion"
///         member _.OptionsOf _ = []
///         member _.Forget p = means.Remove p.Handle |&gt; ignore
///
///         member _.StateOf p =
///             { new IParameterState with
///                 member _.Numbers = []
///
///                 member _.Tensors =
///                     [ OptimizerTensor("mean", 0.0, (fun () -&gt; means[p.Handle]), (fun t -&gt; means[p.Handle] &lt;- t)) ] } }
///
/// lion.Kind // = "Lion"
/// </code></example>
type IStatefulOptimizer =
    /// <summary>Its name in files: a run is resumed by an optimizer of the same name alone.</summary>
    abstract Kind: string

    /// <summary>Options of a group beside its learning rates.</summary>
    /// <param name="group">Its place among the optimizer's ParamGroups, from 0.</param>
    abstract OptionsOf: group: int -> IReadOnlyList<OptimizerField>

    /// <summary>What it keeps for a parameter. Where it keeps nothing yet, it begins to: Sparsify asks for parameters that are
    /// to take the place of others.</summary>
    /// <param name="parameter">One of its groups', or one that will be.</param>
    abstract StateOf: parameter: Parameter -> IParameterState

    /// <summary>Lets go of what it keeps for a parameter that is no longer one of its groups'.</summary>
    /// <param name="parameter">Any; one that is not known is passed over.</param>
    abstract Forget: parameter: Parameter -> unit
