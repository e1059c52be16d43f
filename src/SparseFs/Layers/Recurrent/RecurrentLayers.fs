namespace SparseFs.Torch

open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>What a recurrent module makes of its inputs: all layers and directions.</summary>
[<RequireQualifiedAccess>]
module internal RecurrentLayers =

    /// One layer and direction.
    let private scan
        (s: RecurrentSettings)
        (m: RecurrentMatrices)
        (i: RecurrentInputs)
        (isReverse: bool)
        (x: torch.Tensor)
        (first: RecurrenceStates)
        : RecurrentOutputs =
        if not (isNull m.OfInputs.ShapesSeen) then
            for layer in [ m.OfInputs; m.OfState ] do
                layer.TellShapes [| int64 i.Steps; int64 i.Batch |]

        m.OfInputs.Call(fun name ofInputs inputNumbers ->
            TensorView.checkPlace "x" x name "weight" inputNumbers.Dtype inputNumbers.Device
            BackwardFailure.Raise inputNumbers.Failure

            m.OfState.Call(fun _ ofState stateNumbers ->
                BackwardFailure.Raise stateNumbers.Failure

                let scan =
                    RecurrentScan(s.Cell, ofInputs, ofState, s.IsBatchFirst, isReverse, i.BatchSizes)

                let tensors =
                    { Inputs = x
                      InputValues = inputNumbers.Leaf
                      StateValues = stateNumbers.Leaf
                      InputBias = inputNumbers.BiasLeaf
                      StateBias = stateNumbers.BiasLeaf
                      First = first }

                match m.Projection, scan.Recurrence with
                | null, ValueSome recurrence when i.Batch > 0 -> RecurrentFunction.Apply(scan, recurrence, tensors)
                | null, _ -> RecurrentSteps.run scan s.OutputSize id tensors
                | projection, _ -> RecurrentSteps.run scan s.OutputSize projection.call tensors))

    /// <summary>The outputs of the last layer, and the last states of all layers and directions, [states, batch, *].</summary>
    /// <param name="s">What the module is.</param>
    /// <param name="isTraining">Whether there is dropout between layers.</param>
    /// <param name="matrices">Of each layer, its directions.</param>
    /// <param name="i">The inputs.</param>
    /// <param name="first">States before the first step, [states, batch, *]; null for zeros.</param>
    let run
        (s: RecurrentSettings)
        (isTraining: bool)
        (matrices: RecurrentMatrices list)
        (i: RecurrentInputs)
        (first: RecurrenceStates)
        : RecurrentOutputs =
        let stateOf (states: torch.Tensor | null) (index: int) : torch.Tensor | null =
            match states with
            | null -> null
            | states -> states[int64 index]

        let hidden, cells = ResizeArray<torch.Tensor>(), ResizeArray<torch.Tensor>()
        let mutable x = i.Sequences

        for layer, ofLayer in List.chunkBySize s.Directions matrices |> List.indexed do
            if layer > 0 && s.Dropout > 0.0 && isTraining then
                x <- Dropping.apply s.Dropout x

            let outputs =
                ofLayer
                |> List.mapi (fun direction m ->
                    let index = layer * s.Directions + direction

                    let result =
                        scan
                            s
                            m
                            i
                            (direction = 1)
                            x
                            { Hidden = stateOf first.Hidden index
                              Cells = stateOf first.Cells index }

                    match result.Last.Hidden, result.Last.Cells with
                    | null, _ -> ()
                    | h, null -> hidden.Add h
                    | h, c ->
                        hidden.Add h
                        cells.Add c

                    result.Outputs)

            x <-
                match outputs with
                | [ one ] -> one
                | both -> torch.cat (Array.ofList both, 2L)

        let together (states: ResizeArray<torch.Tensor>) : torch.Tensor | null =
            if states.Count = 0 then null else torch.stack (states, 0L)

        { Outputs = x
          Last =
            { Hidden = together hidden
              Cells = together cells } }
