namespace SparseFs

/// <summary>What plain recurrent units do with their sum.</summary>
type RecurrentNonlinearity =
    /// <summary>tanh.</summary>
    | Tanh = 0
    /// <summary>The part of it that is above 0.</summary>
    | ReLU = 1
