namespace SparseFs.Torch

open SparseFs
open SparseFs.Kernels
open TorchSharp

/// A convolution's call: its plan, and the size of a channel of its input.
[<Struct; NoEquality; NoComparison>]
type internal ConvCall = { Plan: ConvPlan; Input: Extent }

/// <summary>The gradients of y = x · Wᵀ + bias; each null where nobody wants it.</summary>
[<Struct>]
type internal LinearGradients =
    {
        /// [nnz]
        Values: torch.Tensor | null
        /// [rows]
        Bias: torch.Tensor | null
        /// [N, cols]
        Input: torch.Tensor | null
    }

/// <summary>The k winners of each row of a matrix.</summary>
[<Struct>]
type internal TopK =
    {
        /// Winners a row, 1..n.
        K: int
        /// What the terms do to the inputs.
        Form: Scores
        /// [n], of float32, on the input's device; null where the inputs are the scores.
        Terms: torch.Tensor | null
        /// Whether wins are counted.
        Counts: bool
    }

/// <summary>The rows of a matrix with their winners alone.</summary>
[<Struct>]
type internal TopKResult =
    {
        /// [N, n]: 0 where no winner is.
        Values: torch.Tensor
        /// Where winners are, in whatever form the backend's <c>Keep</c> takes.
        Mask: torch.Tensor
        /// How often each unit has won, [n], of integers; null where nobody counts.
        Wins: torch.Tensor | null
    }

/// <summary>All operations whose implementation depends on dtype and device: a value for each implementation.</summary>
/// <remarks>
/// Which one computes is chosen once, by <c>Backends</c>, where a layer's numbers are made or a function is called; nothing
/// below asks for dtype or device. Callers have checked every size. No gradient is recorded, a DisposeScope is open, and
/// results belong to it. W is the [rows, cols] matrix that has values [nnz] at the plan's pattern.
/// </remarks>
[<NoEquality; NoComparison>]
type internal Backend =
    {
        /// For tests and messages.
        Name: string
        /// Whether it computes with tensors of that dtype on that device.
        Accepts: torch.ScalarType -> DeviceType -> bool
        /// x [N, cols] · Wᵀ + bias: [N, rows]; bias [rows] may be null.
        Spmm: SpmmPlan -> torch.Tensor -> (torch.Tensor | null) -> torch.Tensor -> torch.Tensor
        /// g [N, rows] · W: [N, cols].
        SpmmT: SpmmPlan -> torch.Tensor -> torch.Tensor -> torch.Tensor
        /// g [N, rows]ᵀ · x [N, cols] at the pattern: [nnz].
        Sddmm: SpmmPlan -> torch.Tensor -> torch.Tensor -> torch.Tensor
        /// The gradients for an upstream g [N, rows]: of the values where x is not null, of the input where values is not
        /// null, of the bias where it is wanted.
        Gradients: SpmmPlan -> (torch.Tensor | null) -> (torch.Tensor | null) -> torch.Tensor -> bool -> LinearGradients
        /// The convolution of x [N, in, depth, height, width] with values, + bias [out] or null: [N, out, ...].
        Conv: ConvCall -> torch.Tensor -> (torch.Tensor | null) -> torch.Tensor -> torch.Tensor
        /// The transposed convolution of g [N, out, ...]: [N, in, depth, height, width].
        ConvT: ConvCall -> torch.Tensor -> torch.Tensor -> torch.Tensor
        /// The gradient of a convolution's values, of g [N, out, ...] and x [N, in, ...]: [nnz].
        ConvSddmm: ConvCall -> torch.Tensor -> torch.Tensor -> torch.Tensor
        /// values at the pattern, 0 elsewhere: [rows, cols].
        ToDense: SpmmPlan -> torch.Tensor -> torch.Tensor
        /// The elements of w [rows, cols] at the pattern: [nnz].
        OfDense: SpmmPlan -> torch.Tensor -> torch.Tensor
        /// gᵀ · x of every cell, for g [N, rows] and x [N, cols], which have to stay until nobody asks any more; then N, rows
        /// and cols.
        GrowthScores: Lazy<struct (torch.Tensor * torch.Tensor)> -> int -> int -> int -> CellScores
        /// Numbers of old slots, brought to the new slots that continue them; grown slots get one number.
        GatherSlots: SlotIndices -> float -> torch.Tensor -> torch.Tensor
        /// The winners of each row of x [N, n].
        TopK: TopK -> torch.Tensor -> TopKResult
        /// u [N, n] where a mask of <c>TopK</c> keeps it, 0 elsewhere.
        Keep: torch.Tensor -> torch.Tensor -> torch.Tensor
        /// strength · (target − duty cycle), [units] of float32.
        DutyDeficit: torch.Tensor -> torch.Tensor -> float -> torch.Tensor
        /// A chain of products in one go, where that is more than one operation after the other.
        Chain: ChainBackend voption
        /// Attention in one go, where that is more than torch's operations.
        Attention: AttentionBackend voption
        /// Drops numbers of a tensor of any shape without a mask that is kept.
        Dropout: (DropoutDraw -> torch.Tensor -> torch.Tensor) voption
        /// A recurrent layer over all steps, where that is more than its products one after the other.
        Recurrence: Recurrence voption
        /// Moves a duty cycle [units] to wins / all by a weight, in place.
        DutyUpdate: torch.Tensor -> torch.Tensor -> float -> float -> unit
    }

[<RequireQualifiedAccess>]
module internal Backend =

    /// All three gradients, one operation after the other.
    let gradientsBy
        (spmmT: SpmmPlan -> torch.Tensor -> torch.Tensor -> torch.Tensor)
        (sddmm: SpmmPlan -> torch.Tensor -> torch.Tensor -> torch.Tensor)
        (plan: SpmmPlan)
        (values: torch.Tensor | null)
        (x: torch.Tensor | null)
        (g: torch.Tensor)
        (wantsBias: bool)
        : LinearGradients =
        { Values =
            match x with
            | null -> null
            | x -> sddmm plan g x
          Bias = (if wantsBias then g.sum 0L else null)
          Input =
            match values with
            | null -> null
            | values -> spmmT plan values g }
