namespace SparseFs.CSharp;

/// <summary>Which slots an update drops.</summary>
public enum DropRule
{
    /// <summary>Those of the smallest magnitude.</summary>
    Magnitude,

    /// <summary>Those nearest to zero on each side: SET's.</summary>
    NearestZero,

    /// <summary>Any, all alike.</summary>
    Random,
}
