namespace SparseFs.Inference

/// A product's weights, for people.
[<NoComparison>]
type internal CompiledLayer =
    {
        Layer: string
        Outputs: int
        Inputs: int
        Nnz: int
        /// Of the weight and its pattern in the file.
        StoredBytes: int64
    }

/// <summary>A network whose sizes agree, as steps over buffers.</summary>
[<NoComparison; NoEquality>]
type internal CompiledNetwork =
    {
        Inputs: NetworkPort[]
        Outputs: NetworkPort[]
        Steps: Step[]
        Room: WorkspacePlan
        /// The buffers of inputs and outputs, in their order.
        Sources: int[]
        Results: int[]
        Layers: CompiledLayer[]
        /// The most tokens that the network can see; 0 for no end.
        MostTokens: int
        /// Why it cannot go on from token to token; empty where it can.
        WhyNoSession: string
    }

/// <summary>A value of the network: what a node gives, and where it lies.</summary>
[<NoComparison>]
type internal Value =
    {
        Shape: ValueShape
        Buffer: int
        /// Whole numbers that only an embedding takes.
        IsTokens: bool
    }

    member v.Numbers: RowCount =
        { Rows = int v.Shape.Numbers
          HasTokens = v.Shape.HasTokens }

    /// Rows of the last dimension.
    member v.RowCount: RowCount =
        { Rows = int (v.Shape.Numbers / int64 (max 1 v.Shape.Last))
          HasTokens = v.Shape.HasTokens }
