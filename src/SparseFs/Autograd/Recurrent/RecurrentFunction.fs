namespace SparseFs.Torch

open System.Collections.Generic
open SparseFs.Kernels
open TorchSharp

/// <summary>A recurrent layer over all steps as one node of the graph.</summary>
type internal RecurrentFunction() =
    inherit torch.autograd.MultiTensorFunction<RecurrentFunction>()

    /// The scan and its seven tensors.
    static let arguments = 8

    override _.Name = "SparseFs.recurrent"

    static member private Tensors(args: obj[]) : RecurrentTensors =
        let orNull index : torch.Tensor | null =
            match args[index] with
            | :? torch.Tensor as t -> t
            | _ -> null

        { Inputs = args[1] :?> torch.Tensor
          InputValues = args[2] :?> torch.Tensor
          StateValues = args[3] :?> torch.Tensor
          InputBias = orNull 4
          StateBias = orNull 5
          First = { Hidden = orNull 6; Cells = orNull 7 } }

    /// The tensors in the order of the arguments.
    static member private List(t: RecurrentTensors) : (torch.Tensor | null) list =
        [ t.Inputs
          t.InputValues
          t.StateValues
          t.InputBias
          t.StateBias
          t.First.Hidden
          t.First.Cells ]

    static member private OrNull(tensors: torch.Tensor seq) : (torch.Tensor | null) list = [ for t in tensors -> t ]

    static member private Forward(scan: RecurrentScan, recurrence: Recurrence, t: RecurrentTensors) : RecurrenceResult =
        use _ = torch.no_grad ()
        let ofInputs, ofState = scan.OfInputs, scan.OfState

        recurrence.Forward
            scan.Call
            { InputValues = ofInputs.Values t.InputValues
              StateValues = ofState.Values t.StateValues
              InputBias = ofInputs.Bias t.InputBias
              StateBias = ofState.Bias t.StateBias }
            t.Inputs
            t.First

    /// <summary>All steps by the kernels.</summary>
    static member Apply(scan: RecurrentScan, recurrence: Recurrence, t: RecurrentTensors) : RecurrentOutputs =
        if
            torch.is_grad_enabled ()
            && List.exists Recomputed.wants (RecurrentFunction.List t)
        then
            let results =
                RecurrentFunction.apply (TorchNulls.argumentsOf scan (RecurrentFunction.List t))

            { Outputs = results[0]
              Last =
                { Hidden = results[1]
                  Cells = if results.Count > 2 then results[2] else null } }
        else
            let result = RecurrentFunction.Forward(scan, recurrence, t)

            for t in result.Tape do
                t.Dispose()

            { Outputs = result.Outputs
              Last = result.Last }

    override _.forward(ctx, args) =
        let scan = args[0] :?> RecurrentScan
        let t = RecurrentFunction.Tensors args

        match scan.Recurrence with
        | ValueNone -> invalidOp "nobody computes all steps in one go"
        | ValueSome recurrence ->
            let result = RecurrentFunction.Forward(scan, recurrence, t)
            ctx.set_materialize_grads false
            ctx.save_data ("scan", scan)

            ctx.save_for_backward (
                TorchNulls.listOf (Seq.append (RecurrentFunction.List t) (RecurrentFunction.OrNull result.Tape))
            )

            TorchNulls.listOf
                [ result.Outputs
                  result.Last.Hidden
                  if not (isNull result.Last.Cells) then
                      result.Last.Cells ]

    /// With create_graph, each gradient has to be a function with a derivative of its own: that of the steps, one by one.
    static member private Differentiably
        (scan: RecurrentScan, t: RecurrentTensors, upstream: (torch.Tensor | null)[])
        : (torch.Tensor | null) list =
        let result = RecurrentSteps.run scan scan.Call.Units id t

        let outputs: (torch.Tensor | null) list =
            [ result.Outputs
              result.Last.Hidden
              if upstream.Length > 2 then
                  result.Last.Cells ]

        null
        :: Recomputed.gradients outputs (List.ofArray upstream) (RecurrentFunction.List t)

    override _.backward(ctx, upstream) =
        BackwardGuard.runAll (upstream.ToArray()) arguments (fun upstream ->
            let scan = ctx.get_data "scan" :?> RecurrentScan

            Context.inUse scan.OfInputs.Numbers (fun () ->
                Context.inUse scan.OfState.Numbers (fun () ->
                    let saved = ctx.get_saved_variables () // refuses a tensor that was changed in place meanwhile

                    let t =
                        RecurrentFunction.Tensors(
                            TorchNulls.argumentsOf scan (RecurrentFunction.OrNull(Seq.truncate 7 saved))
                        )

                    if torch.is_grad_enabled () then
                        RecurrentFunction.Differentiably(scan, t, upstream)
                    else
                        RecurrentFunction.ByKernels(scan, t, List.ofSeq (Seq.skip 7 saved), upstream))))

    static member private ByKernels
        (scan: RecurrentScan, t: RecurrentTensors, tape: torch.Tensor list, upstream: (torch.Tensor | null)[])
        : (torch.Tensor | null) list =
        match scan.Recurrence with
        | ValueNone -> invalidOp "nobody computes all steps in one go"
        | ValueSome recurrence ->
            let ofInputs, ofState = scan.OfInputs, scan.OfState

            let gradients =
                recurrence.Backward
                    scan.Call
                    { InputValues = ofInputs.Values t.InputValues
                      StateValues = ofState.Values t.StateValues
                      InputBias = ofInputs.Bias t.InputBias
                      StateBias = ofState.Bias t.StateBias }
                    t.Inputs
                    tape
                    upstream[0]
                    { Hidden = upstream[1]
                      Cells = if upstream.Length > 2 then upstream[2] else null }
                    { Inputs = Recomputed.wants t.Inputs
                      Hidden = Recomputed.wants t.First.Hidden
                      Cells = Recomputed.wants t.First.Cells
                      InputValues = Recomputed.wants t.InputValues
                      StateValues = Recomputed.wants t.StateValues
                      InputBias = Recomputed.wants t.InputBias
                      StateBias = Recomputed.wants t.StateBias
                      Passes =
                        (ofInputs.IsNoted && Recomputed.wants t.InputValues)
                        || (ofState.IsNoted && Recomputed.wants t.StateValues) }

            match gradients.UpstreamOfInputs, gradients.InputsTaken, gradients.InputValues with
            | null, _, _
            | _, null, _
            | _, _, null -> ()
            | g, inputs, ofValues -> ofInputs.Note(g, inputs, ofValues)

            match gradients.UpstreamOfState, gradients.StatesBefore, gradients.StateValues with
            | null, _, _
            | _, null, _
            | _, _, null -> ()
            | g, before, ofValues -> ofState.Note(g, before, ofValues)

            [ null
              gradients.Inputs
              gradients.InputValues
              gradients.StateValues
              gradients.InputBias
              gradients.StateBias
              gradients.First.Hidden
              gradients.First.Cells ]
