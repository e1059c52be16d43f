namespace SparseFs

open SparseFs.Torch

/// <summary>A value of a network that is being described: what an operation gives.</summary>
[<Sealed>]
type DeployValue internal (value: DescribedValue) =
    member internal _.Value: DescribedValue = value

    /// <summary>Dimensions, with the batch.</summary>
    member _.Rank: int = value.Rank

    override _.ToString() = value.Name
