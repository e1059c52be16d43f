namespace SparseFs.Torch

#nowarn "9" // here tensors become addresses; the layers have checked every size

open System
open Microsoft.FSharp.NativeInterop
open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>Recurrent layers on the library's kernels: float32 on the CPU.</summary>
[<RequireQualifiedAccess>]
module internal CpuRecurrence =

    let private empty (shape: int64[]) : torch.Tensor =
        torch.empty (shape, dtype = torch.ScalarType.Float32, device = torch.CPU)

    let private zeros (shape: int64[]) : torch.Tensor =
        torch.zeros (shape, dtype = torch.ScalarType.Float32, device = torch.CPU)

    let private emptyOrNull (isWanted: bool) (shape: int64[]) : torch.Tensor | null =
        if isWanted then empty shape else null

    let private policyOf (policies: CpuPolicies) (call: RecurrenceCall) (batch: int) : ExecutionPolicy =
        policies.Products call.OfState.Connectivity.Nnz batch

    let private planOf (width: Width) (call: RecurrenceCall) (steps: int) (batch: int) : RecurrentPlan =
        RecurrentPlan(
            call.Cell,
            width,
            steps,
            batch,
            call.OfInputs.Connectivity.Cols,
            call.Units,
            call.BatchSizes,
            call.IsReverse
        )

    /// Where the numbers of contiguous sequences lie.
    let private view (call: RecurrenceCall) (name: string) (t: torch.Tensor) : SequenceView =
        let struct (steps, batch) = call.Sizes t
        let features = t.shape[2]

        let ofSample =
            if call.IsBatchFirst then
                int64 steps * features
            else
                features

        if ofSample > int64 Int32.MaxValue then
            let most = $"at most {Int32.MaxValue} numbers a sample"
            raise (ArgumentException($"expected {most}, got {steps} steps of {features}", name))

        { Data = TensorView.floats name t
          Step =
            if call.IsBatchFirst then
                features
            else
                int64 batch * features
          Sample = int ofSample }

    let private viewOrNothing (call: RecurrenceCall) (name: string) (t: torch.Tensor | null) : SequenceView =
        match t with
        | null ->
            { Data = Pointer.nothing
              Step = 0L
              Sample = 0 }
        | t -> view call name t

    /// What a kernel gets of the weights; the tensors are contiguous and stay alive.
    let private weightsOf (call: RecurrenceCall) (w: RecurrenceWeights) : RecurrentWeights =
        { OfInputs = call.OfInputs
          OfState = call.OfState
          InputValues = TensorView.floats "weight_ih" w.InputValues
          StateValues = TensorView.floats "weight_hh" w.StateValues
          InputBias = TensorView.floatsOrNull "bias_ih" w.InputBias
          StateBias = TensorView.floatsOrNull "bias_hh" w.StateBias }

    let private contiguous (w: RecurrenceWeights) : RecurrenceWeights =
        { InputValues = TensorView.contiguous w.InputValues
          StateValues = TensorView.contiguous w.StateValues
          InputBias = TensorView.contiguousOrNull w.InputBias
          StateBias = TensorView.contiguousOrNull w.StateBias }

    let private contiguousStates (s: RecurrenceStates) : RecurrenceStates =
        { Hidden = TensorView.contiguousOrNull s.Hidden
          Cells = TensorView.contiguousOrNull s.Cells }

    let private statesOf (s: RecurrenceStates) : RecurrentStates =
        { RecurrentStates.Hidden = TensorView.floatsOrNull "h" s.Hidden
          Cells = TensorView.floatsOrNull "c" s.Cells }

    let private tapeOf (tensors: torch.Tensor list) : RecurrentTape =
        match tensors with
        | [ inputs; gates; before; cells ] ->
            { Inputs = TensorView.floats "inputs" inputs
              Gates = TensorView.floats "gates" gates
              Before = TensorView.floats "before" before
              Cells = TensorView.floats "cells" cells }
        | others -> invalidOp $"expected the four tensors of a forward, got {others.Length}"

    let private sequence (call: RecurrenceCall) (steps: int) (batch: int) (features: int) : int64[] =
        if call.IsBatchFirst then
            [| int64 batch; int64 steps; int64 features |]
        else
            [| int64 steps; int64 batch; int64 features |]

    let private forward
        (policies: CpuPolicies)
        (call: RecurrenceCall)
        (weights: RecurrenceWeights)
        (x: torch.Tensor)
        (first: RecurrenceStates)
        : RecurrenceResult =
        let struct (steps, batch) = call.Sizes x
        let units = call.Units
        let policy = policyOf policies call batch
        let plan = planOf policy.Width call steps batch

        let x, weights, first =
            TensorView.contiguous x, contiguous weights, contiguousStates first
        // Where a sample has no step its outputs are 0.
        let make = if plan.HasLengths then zeros else empty
        let outputs = make (sequence call steps batch units)
        let state = [| int64 batch; int64 units |]

        let last: RecurrenceStates =
            { Hidden = empty state
              Cells = emptyOrNull (call.Cell = Cell.Lstm) state }

        let tape =
            [ empty [| plan.Floats plan.Inputs |]
              empty [| plan.Floats(Cell.saved call.Cell * units) |]
              empty [| plan.Floats units |]
              empty [| max 1L plan.CellFloats |] ]

        let w, ofX, ofFirst = weightsOf call weights, view call "x" x, statesOf first
        let ofY, ofLast, ofTape = view call "y" outputs, statesOf last, tapeOf tape

        ExecutionPolicy.call policy (fun granted -> RecurrentForward.run granted plan w ofX ofFirst ofY ofLast ofTape)

        GC.KeepAlive(struct (x, weights, first))

        { Outputs = outputs
          Last = last
          Tape = tape }

    /// Room for a buffer of a forward or a backward as [steps · batch, rows].
    let private roomOf (plan: RecurrentPlan) (call: RecurrenceCall) (isWanted: bool) (rows: int) : torch.Tensor | null =
        if not isWanted then
            null
        else
            (if plan.HasLengths then zeros else empty) (sequence call plan.Steps plan.Batch rows)

    /// As the products have had it.
    let private flat (t: torch.Tensor | null) : torch.Tensor | null =
        match t with
        | null -> null
        | t -> t.flatten (0L, 1L)

    let private backward
        (policies: CpuPolicies)
        (call: RecurrenceCall)
        (weights: RecurrenceWeights)
        (x: torch.Tensor)
        (tape: torch.Tensor list)
        (dy: torch.Tensor | null)
        (dLast: RecurrenceStates)
        (wants: RecurrenceWants)
        : RecurrenceGradients =
        let struct (steps, batch) = call.Sizes x
        let policy = policyOf policies call batch
        let plan = planOf policy.Width call steps batch

        let weights, dLast, dy =
            contiguous weights, contiguousStates dLast, TensorView.contiguousOrNull dy

        let state = [| int64 batch; int64 call.Units |]

        let dx: torch.Tensor | null =
            if not wants.Inputs then
                null
            else
                (if plan.HasLengths then zeros else empty) x.shape

        let dFirst: RecurrenceStates =
            { Hidden = emptyOrNull wants.Hidden state
              Cells = emptyOrNull wants.Cells state }

        let isGru = call.Cell = Cell.Gru
        let length (plan: SpmmPlan) = [| int64 plan.Connectivity.Nnz |]
        let rows = [| int64 plan.Rows |]
        let ofInputValues = emptyOrNull wants.InputValues (length call.OfInputs)
        let ofStateValues = emptyOrNull wants.StateValues (length call.OfState)
        // But for a GRU, both biases have one gradient.
        let ofInputBias = emptyOrNull (wants.InputBias || wants.StateBias && not isGru) rows
        let ofStateBias = emptyOrNull (wants.StateBias && isGru) rows
        let room = roomOf plan call wants.Passes
        let upstreamOfInputs, upstreamOfState = room plan.Rows, room plan.Rows
        let inputsTaken, statesBefore = room plan.Inputs, room plan.Units

        let w, ofTape, ofDy =
            weightsOf call weights, tapeOf tape, viewOrNothing call "dy" dy

        let ofLast, ofFirst, ofDx =
            statesOf dLast, statesOf dFirst, viewOrNothing call "dx" dx

        let wanted: RecurrentGradients =
            { InputValues = TensorView.floatsOrNull "dWeight_ih" ofInputValues
              StateValues = TensorView.floatsOrNull "dWeight_hh" ofStateValues
              InputBias = TensorView.floatsOrNull "dBias_ih" ofInputBias
              StateBias = TensorView.floatsOrNull "dBias_hh" ofStateBias }

        // A GRU's differ for its two products.
        use ofGates =
            empty [| (if isGru then 2L else 1L); RecurrentBackward.gateFloats plan |]

        let gates: GateGradients =
            { OfInputs = TensorView.floats "gates" ofGates[0L]
              OfState = TensorView.floats "gates" ofGates[ofGates.shape[0] - 1L] }

        let unpack (granted: ExecutionPolicy) (rows: int) (buffer: nativeptr<float32>) (into: torch.Tensor | null) =
            match into with
            | null -> ()
            | into -> RecurrentProducts.unpack granted plan rows buffer (view call "pass" into)

        ExecutionPolicy.call policy (fun granted ->
            RecurrentBackward.gates granted plan w ofTape ofDy ofLast gates ofFirst
            RecurrentProducts.weights granted plan w ofTape gates wanted

            if wants.Inputs then
                RecurrentProducts.inputs granted plan w gates ofDx

            unpack granted plan.Rows gates.OfInputs upstreamOfInputs
            unpack granted plan.Rows gates.OfState upstreamOfState
            unpack granted plan.Inputs ofTape.Inputs inputsTaken
            unpack granted plan.Units ofTape.Before statesBefore)

        GC.KeepAlive(struct (weights, tape, dLast, dy))

        { Inputs = dx
          First = dFirst
          InputValues = ofInputValues
          StateValues = ofStateValues
          InputBias = if wants.InputBias then ofInputBias else null
          StateBias =
            (if not wants.StateBias then
                 null
             elif isGru then
                 ofStateBias
             else
                 match ofInputBias with
                 | null -> null
                 | both when wants.InputBias -> both.clone ()
                 | only -> only)
          UpstreamOfInputs = flat upstreamOfInputs
          InputsTaken = flat inputsTaken
          UpstreamOfState = flat upstreamOfState
          StatesBefore = flat statesBefore }

    /// <summary>On so many threads as a step keeps busy.</summary>
    let recurrence (policies: CpuPolicies) : Recurrence =
        { Forward = forward policies
          Backward = backward policies }
