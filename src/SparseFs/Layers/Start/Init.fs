namespace SparseFs

/// <summary>How the weights of a new layer are drawn; torch.manual_seed governs the draws.</summary>
/// <remarks>An output is a feature or a channel, and of a sparse layer it has few slots, so every rule but DenseFanIn scales by the slots that there are; cf.
/// Evci et al., "Gradient flow in sparse neural networks and how lottery tickets win", AAAI 2022, section 3.1.</remarks>
[<RequireQualifiedAccess>]
type Init =
    /// <summary>Uniform within ± 1/√(fan-in of the output): torch.nn.Linear's rule, with the slots that the output has.</summary>
    | FanIn
    /// <summary>Uniform within ± 1/√(cells of an output), in_features of a linear layer, whatever the sparsity: SparseLinear's rule.</summary>
    | DenseFanIn
    /// <summary>Uniform within ± √(6 / fan-in of the output): He et al. 2015, equation 10, for a ReLU that follows.</summary>
    | KaimingUniform
    /// <summary>Normal of deviation √(2 / fan-in of the output): He et al. 2015, equation 10, for a ReLU that follows.</summary>
    | KaimingNormal
    /// <summary>All weights 0.</summary>
    | Zeros
    /// <summary>Uniform within ± √(6 / (fan-in of the output + fan-out of the input)): Glorot and Bengio 2010, equation 16, for
    /// tanh and its like.</summary>
    | XavierUniform
    /// <summary>Normal of deviation √(2 / (fan-in of the output + fan-out of the input)): Glorot and Bengio 2010, equation 12, for
    /// tanh and its like.</summary>
    | XavierNormal
