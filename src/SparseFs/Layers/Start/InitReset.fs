namespace SparseFs

open SparseFs.Torch

/// <summary>Initial weights of a sparse layer, drawn anew by any rule.</summary>
/// <remarks>torch.nn.init's functions need matrices, and the weight of a sparse layer is a vector: they refuse it, or take
/// its length for a fan. Here each weight is scaled by the slots that its row and column have.</remarks>
[<RequireQualifiedAccess; CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Init =

    /// <summary>Draws a layer's weight and bias anew by a rule, in place; the Parameters stay.</summary>
    /// <param name="init">The rule; the layer keeps its own for <c>reset_parameters</c>.</param>
    /// <param name="layer">Any sparse layer; its pattern stays.</param>
    /// <exception cref="T:System.ArgumentException">An argument is null, or a pattern was loaded that is not one.</exception>
    /// <exception cref="T:System.ObjectDisposedException">The layer has been disposed of.</exception>
    /// <remarks>torch.manual_seed governs the draws. Calls on other threads end with the numbers that they began with.
    /// Gradients and an optimizer's memory stay as they are: reset before the optimizer is made.</remarks>
    /// <example><code>
    /// Init.reset Init.XavierUniform layer
    /// layer.weight.abs().max().item&lt;float32>() &lt; 1.0f // = true
    /// </code></example>
    [<CompiledName "Reset">]
    let reset (init: Init) (layer: SparseLayer) : unit =
        if isNull (box init) then
            nullArg (nameof init)

        if isNull (box layer) then
            nullArg (nameof layer)

        LayerStart.redraw init layer.Description.Channels layer.Versions
