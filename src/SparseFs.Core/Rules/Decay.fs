namespace SparseFs

/// <summary>Decay of the part of the slots that is rewired, from the first update to the last.</summary>
[<RequireQualifiedAccess>]
type Decay =
    /// <summary>It does not fall.</summary>
    | Constant
    /// <summary>α/2 · (1 + cos(π p)), p the progress of the schedule: Dettmers and Zettlemoyer, 2019; RigL.</summary>
    | Cosine
    /// <summary>α · (1 − p).</summary>
    | Linear
    /// <summary>α · (1 − p)^power: RigL, appendix G.</summary>
    | InversePower of power: float

    override d.ToString() =
        match d with
        | Constant -> "Constant"
        | Cosine -> "Cosine"
        | Linear -> "Linear"
        | InversePower power -> invariant $"InversePower({power})"
