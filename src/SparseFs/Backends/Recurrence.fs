namespace SparseFs.Torch

open SparseFs.Kernels
open TorchSharp

/// <summary>What a recurrent layer's call has, beside its tensors.</summary>
[<NoEquality; NoComparison>]
type internal RecurrenceCall =
    {
        Cell: Cell
        /// [gates · units, inputs]
        OfInputs: SpmmPlan
        /// [gates · units, units]
        OfState: SpmmPlan
        /// Whether sequences are [batch, steps, *] rather than [steps, batch, *].
        IsBatchFirst: bool
        /// Whether the last step is the first.
        IsReverse: bool
        /// Samples that have a step, which never rise; null where all have all.
        BatchSizes: int[] | null
    }

    member c.Units: int = c.OfState.Connectivity.Rows / Cell.gates c.Cell

    /// Steps and samples of sequences.
    member c.Sizes(x: torch.Tensor) : struct (int * int) =
        let shape = x.shape

        if c.IsBatchFirst then
            struct (int shape[1], int shape[0])
        else
            struct (int shape[0], int shape[1])

/// <summary>The numbers of a recurrent layer; a bias is null where there is none.</summary>
[<Struct; NoEquality; NoComparison>]
type internal RecurrenceWeights =
    { InputValues: torch.Tensor
      StateValues: torch.Tensor
      InputBias: torch.Tensor | null
      StateBias: torch.Tensor | null }

/// <summary>The states of all samples, [batch, units]; null where there are none, or where nobody has them.</summary>
[<Struct; NoEquality; NoComparison>]
type internal RecurrenceStates =
    { Hidden: torch.Tensor | null
      Cells: torch.Tensor | null }

/// <summary>What a recurrent layer's forward gives.</summary>
[<NoEquality; NoComparison>]
type internal RecurrenceResult =
    {
        /// The units' outputs, sequences as the inputs.
        Outputs: torch.Tensor
        /// After each sample's last step.
        Last: RecurrenceStates
        /// What a backward needs, in an order that only the backend knows.
        Tape: torch.Tensor list
    }

/// <summary>Gradients that somebody wants of a recurrent layer.</summary>
[<Struct>]
type internal RecurrenceWants =
    {
        Inputs: bool
        Hidden: bool
        Cells: bool
        InputValues: bool
        StateValues: bool
        InputBias: bool
        StateBias: bool
        /// Whether upstream gradients and factors of both products are wanted.
        Passes: bool
    }

/// <summary>The gradients of a recurrent layer; each null where nobody wants it.</summary>
[<NoEquality; NoComparison>]
type internal RecurrenceGradients =
    {
        Inputs: torch.Tensor | null
        First: RecurrenceStates
        InputValues: torch.Tensor | null
        StateValues: torch.Tensor | null
        InputBias: torch.Tensor | null
        StateBias: torch.Tensor | null
        /// Of the product with the inputs: its upstream gradients [steps · batch, gates · units], 0 where a sample has no step.
        UpstreamOfInputs: torch.Tensor | null
        /// The inputs that it multiplied, [steps · batch, inputs], 0 where a sample has no step.
        InputsTaken: torch.Tensor | null
        /// Of the product with the state: its upstream gradients.
        UpstreamOfState: torch.Tensor | null
        /// The states that it multiplied, [steps · batch, units].
        StatesBefore: torch.Tensor | null
    }

/// <summary>A recurrent layer over all steps in one go.</summary>
[<NoEquality; NoComparison>]
type internal Recurrence =
    {
        /// Of sequences x, and the states before the first step.
        Forward: RecurrenceCall -> RecurrenceWeights -> torch.Tensor -> RecurrenceStates -> RecurrenceResult
        /// Of the shape of x, a forward's tape, and the gradients of outputs and of last states, each null for 0.
        Backward:
            RecurrenceCall
                -> RecurrenceWeights
                -> torch.Tensor
                -> torch.Tensor list
                -> (torch.Tensor | null)
                -> RecurrenceStates
                -> RecurrenceWants
                -> RecurrenceGradients
    }
