namespace SparseFs

/// <summary>All that a rewirer knows beside the model and the optimizer: an immutable value, to be saved and put back.</summary>
/// <remarks>Between optimizer steps. Passes that momentum rules have noted are part of it.</remarks>
[<Sealed; AllowNullLiteral>]
type RewirerState
    internal
    (
        step: int64,
        seed: Seed,
        optimizer: string,
        explored: (string * Explored)[],
        passes: (int64 * int * float32[] * float32[])[][]
    ) =
    /// <summary>Optimizer steps taken.</summary>
    member _.Step: int64 = step

    /// <summary>What updates draw from.</summary>
    member _.Seed: Seed = seed

    /// <summary>The type of the optimizer that it belongs to.</summary>
    member _.Optimizer: string = optimizer

    /// Layers by name, and their cells that have ever been slots.
    member internal _.Explored = explored

    /// For each layer: step, samples, upstream gradients, inputs.
    member internal _.Passes = passes
