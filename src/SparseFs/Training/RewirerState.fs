namespace SparseFs

open SparseFs.Torch
open TorchSharp

/// A tensor's shape and its numbers, none of them rounded: half precision fits into float32.
[<RequireQualifiedAccess>]
type internal Numbers =
    | Single of shape: int64[] * numbers: float32[]
    | Double of shape: int64[] * numbers: float[]

    static member Of(t: torch.Tensor) : Numbers =
        if t.dtype = torch.ScalarType.Float64 then
            Double(t.shape, TensorArrays.copy<float> torch.ScalarType.Float64 t)
        else
            Single(t.shape, TensorArrays.copy<float32> torch.ScalarType.Float32 t)

    member n.Shape: int64[] =
        match n with
        | Single(shape, _)
        | Double(shape, _) -> shape

    /// A new tensor of them.
    member n.Tensor() : torch.Tensor =
        match n with
        | Single(shape, numbers) ->
            use flat = torch.tensor (numbers, device = torch.CPU)
            flat.reshape shape
        | Double(shape, numbers) ->
            use flat = torch.tensor (numbers, device = torch.CPU)
            flat.reshape shape

/// <summary>State of a rewirer beside the model and the optimizer: an immutable value that <c>Capture</c> gives and
/// <c>Restore</c> takes.</summary>
/// <remarks>Between optimizer steps. Passes that momentum rules have noted are part of it.</remarks>
[<Sealed>]
type RewirerState
    internal
    (
        step: int64,
        seed: Seed,
        optimizer: string,
        explored: (string * ExploredCells)[],
        passes: struct (int64 * Numbers * Numbers)[][],
        ages: int[][]
    ) =
    /// <summary>Optimizer steps taken.</summary>
    member _.Step: int64 = step

    /// <summary>The seed of all updates.</summary>
    member _.Seed: Seed = seed

    /// <summary>The type of the optimizer that it belongs to.</summary>
    member _.Optimizer: string = optimizer

    override _.ToString() =
        $"RewirerState(layers={explored.Length}, step={step}, optimizer={optimizer}, seed={seed})"

    /// Layers by name, and their cells that have ever been slots.
    member internal _.Explored = explored

    /// For each layer: step, upstream gradients, inputs.
    member internal _.Passes = passes

    /// For each layer: how many steps each slot has taken since it was grown, −1 where it is old; empty where all are.
    member internal _.Ages = ages
