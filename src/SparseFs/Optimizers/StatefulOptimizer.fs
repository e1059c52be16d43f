namespace SparseFs

open SparseFs.Torch
open TorchSharp

/// <summary>Optimizers as rewirers and checkpoints see them.</summary>
[<AbstractClass; Sealed>]
type StatefulOptimizer private () =

    /// <summary>What an optimizer keeps, for one that wraps it: SAM, Lookahead, clipping.</summary>
    /// <param name="optimizer">Any of TorchSharp's but LBFGS, or one that implements
    /// <see cref="T:SparseFs.IStatefulOptimizer"/>.</param>
    /// <returns>Its options and its state of each parameter, read from it each time.</returns>
    /// <exception cref="T:System.ArgumentException">It is another; the message names it.</exception>
    /// <exception cref="T:System.ArgumentNullException">It is null.</exception>
    /// <example><code>
    /// let adam = torch.optim.Adam(model.parameters (), 1e-3)
    /// let kept = StatefulOptimizer.Of adam
    /// kept.Kind // = "Adam"
    /// </code></example>
    static member Of(optimizer: torch.optim.Optimizer) : IStatefulOptimizer = OptimizerStates.Of(optimizer).Stateful
