namespace SparseFs.CSharp;

/// <summary>Budgets of slots: whose number of slots an update keeps, or how it falls.</summary>
public enum BudgetRule
{
    /// <summary>Each layer's.</summary>
    Layer,

    /// <summary>Each row's.</summary>
    Row,

    /// <summary>That of all layers together, grown where weights are largest in the mean.</summary>
    RedistributedByMagnitude,

    /// <summary>That of all layers together, grown where momenta are largest in the mean.</summary>
    RedistributedByMomentum,
}
