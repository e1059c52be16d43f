namespace SparseFs

/// <summary>Initial weights of grown slots.</summary>
[<RequireQualifiedAccess>]
type GrownWeight =
    /// <summary>0: growing changes no output until the weight has trained.</summary>
    | Zero
    /// <summary>Uniform within ± bound.</summary>
    | Uniform of bound: float
    /// <summary>Normal around 0.</summary>
    | Normal of deviation: float

    override w.ToString() =
        match w with
        | Zero -> "Zero"
        | Uniform bound -> invariant $"Uniform({bound})"
        | Normal deviation -> invariant $"Normal({deviation})"
