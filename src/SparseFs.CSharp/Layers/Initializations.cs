using System;
using System.ComponentModel;

namespace SparseFs.CSharp;

/// <summary>Initial weights of a sparse layer, drawn anew by any rule.</summary>
/// <remarks>torch.nn.init's functions need matrices, and the weight of a sparse layer is a vector. Here each weight is scaled by
/// the slots that its row and column have.</remarks>
public static class Initializations
{
    /// <summary>Draws a layer's weight and bias anew by a rule, in place; the Parameters stay.</summary>
    /// <param name="layer">Any sparse layer; its pattern stays.</param>
    /// <param name="init">The rule; the layer keeps its own for <c>reset_parameters</c>.</param>
    /// <exception cref="ArgumentNullException">The layer is null.</exception>
    /// <exception cref="InvalidEnumArgumentException">No such rule.</exception>
    /// <exception cref="ObjectDisposedException">The layer has been disposed of.</exception>
    /// <remarks>torch.manual_seed governs the draws. Gradients and an optimizer's memory stay as they are: reset before the
    /// optimizer is made.</remarks>
    public static void Reset(this SparseLinear layer, Initialization init) =>
        InitModule.Reset(init.ToCore(), Require.NotNull(layer));

    /// <exception cref="InvalidEnumArgumentException">No such rule.</exception>
    internal static Init ToCore(this Initialization init) => init switch
    {
        Initialization.FanIn => Init.FanIn,
        Initialization.DenseFanIn => Init.DenseFanIn,
        Initialization.KaimingUniform => Init.KaimingUniform,
        Initialization.KaimingNormal => Init.KaimingNormal,
        Initialization.Zeros => Init.Zeros,
        Initialization.XavierUniform => Init.XavierUniform,
        Initialization.XavierNormal => Init.XavierNormal,
        _ => throw new InvalidEnumArgumentException(nameof(init), (int)init, typeof(Initialization)),
    };
}
