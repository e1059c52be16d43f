using System.ComponentModel;

namespace SparseFs.CSharp;

/// <summary>How the weights of a new layer are drawn; torch.manual_seed governs the draws.</summary>
/// <remarks>Each stands for the case of <c>SparseFs.Init</c> that has its name.</remarks>
public enum Initialization
{
    /// <summary>Uniform within ± 1/√(fan-in of the row): torch.nn.Linear's rule, with the inputs that the row has.</summary>
    FanIn,

    /// <summary>Uniform within ± 1/√in_features, whatever the sparsity: SparseLinear's rule.</summary>
    DenseFanIn,

    /// <summary>Uniform within ± √(6 / fan-in of the row): He et al. 2015, equation 10, for a ReLU that follows.</summary>
    KaimingUniform,

    /// <summary>Normal of deviation √(2 / fan-in of the row): He et al. 2015, equation 10, for a ReLU that follows.</summary>
    KaimingNormal,

    /// <summary>All weights 0.</summary>
    Zeros,
}

internal static class Initializations
{
    /// <exception cref="InvalidEnumArgumentException">No such rule.</exception>
    internal static Init ToCore(this Initialization init) => init switch
    {
        Initialization.FanIn => Init.FanIn,
        Initialization.DenseFanIn => Init.DenseFanIn,
        Initialization.KaimingUniform => Init.KaimingUniform,
        Initialization.KaimingNormal => Init.KaimingNormal,
        Initialization.Zeros => Init.Zeros,
        _ => throw new InvalidEnumArgumentException(nameof(init), (int)init, typeof(Initialization)),
    };
}
