namespace SparseFs

open System.Collections.Generic

/// <summary>What an optimizer keeps for one parameter.</summary>
type IParameterState =
    /// <summary>Its tensors of one number a weight; an optimizer that keeps none has none.</summary>
    abstract Tensors: IReadOnlyList<OptimizerTensor>

    /// <summary>Its counts and numbers. One of the name <c>step</c> is the steps taken.</summary>
    abstract Numbers: IReadOnlyList<OptimizerField>
