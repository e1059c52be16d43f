namespace SparseFs.Torch

open SparseFs.Kernels
open TorchSharp

/// <summary>One call's fixed part of one layer and direction of a recurrent module: its two products and how sequences lie.</summary>
[<Sealed>]
type internal RecurrentScan
    (
        cell: Cell,
        ofInputs: SparseOperator,
        ofState: SparseOperator,
        isBatchFirst: bool,
        isReverse: bool,
        batchSizes: int[] | null
    ) =
    /// The product with the inputs.
    member _.OfInputs = ofInputs

    /// The product with the state.
    member _.OfState = ofState

    member val Call: RecurrenceCall =
        { Cell = cell
          OfInputs = ofInputs.Plan
          OfState = ofState.Plan
          IsBatchFirst = isBatchFirst
          IsReverse = isReverse
          BatchSizes = batchSizes }

    /// Who computes all steps in one go, if both products have somebody who does.
    member _.Recurrence: Recurrence voption =
        match ofInputs.Recurrence, ofState.Recurrence with
        | ValueSome recurrence, ValueSome _ -> ValueSome recurrence
        | _ -> ValueNone

/// <summary>The tensors of such a call, as autograd knows them.</summary>
[<NoEquality; NoComparison>]
type internal RecurrentTensors =
    {
        /// Sequences.
        Inputs: torch.Tensor
        InputValues: torch.Tensor
        StateValues: torch.Tensor
        InputBias: torch.Tensor | null
        StateBias: torch.Tensor | null
        /// [batch, units], and an LSTM's cells; null for zeros.
        First: RecurrenceStates
    }

/// What such a call gives: sequences of the units' outputs, and the states after the last steps.
[<NoEquality; NoComparison>]
type internal RecurrentOutputs =
    { Outputs: torch.Tensor
      Last: RecurrenceStates }
