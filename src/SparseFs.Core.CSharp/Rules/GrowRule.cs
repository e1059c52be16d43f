namespace SparseFs.CSharp;

/// <summary>Which absent cells an update grows.</summary>
public enum GrowRule
{
    /// <summary>Those of the largest |gradient|: RigL's.</summary>
    Gradient,

    /// <summary>Those of the largest |momentum|: SNFS's.</summary>
    Momentum,

    /// <summary>Any, all alike: SET's.</summary>
    Random,
}
