namespace SparseFs.Torch

open TorchSharp

/// What a call is and who computes it, of so many tensors.
[<NoEquality; NoComparison>]
type internal AttentionOperator =
    { Call: AttentionCall
      Backend: AttentionBackend
      Tensors: int }

/// <summary>Attention without masks, but for the causal one, as one node of the graph.</summary>
type internal AttentionFunction() =
    inherit torch.autograd.SingleTensorFunction<AttentionFunction>()

    override _.Name = "SparseFs.attention"

    /// <summary>The outputs [batch, queries, features].</summary>
    static member Apply(call: AttentionCall, backend: AttentionBackend, t: AttentionTensors) : torch.Tensor =
        let tensors: (torch.Tensor | null) list = [ for t in t.List -> t ]

        if torch.is_grad_enabled () && List.exists Recomputed.wants tensors then
            let op =
                { Call = call
                  Backend = backend
                  Tensors = tensors.Length }

            AttentionFunction.apply (TorchNulls.argumentsOf op tensors)
        else
            use _ = torch.no_grad ()
            let struct (y, _) = backend.Forward call t
            y

    override _.forward(ctx, args) =
        let op = args[0] :?> AttentionOperator
        let tensors = [ for index in 1 .. op.Tensors -> args[index] :?> torch.Tensor ]
        use _ = torch.no_grad ()

        let struct (y, logarithms) =
            op.Backend.Forward op.Call (AttentionTensors.Of tensors)

        ctx.set_materialize_grads false
        ctx.save_data ("operator", op)
        // Another tensor of the same numbers: an output that its own node kept would keep the node.
        ctx.save_for_backward (ResizeArray(y.detach () :: logarithms :: tensors))
        y

    override _.backward(ctx, upstream) =
        let op = ctx.get_data "operator" :?> AttentionOperator

        BackwardGuard.run upstream (1 + op.Tensors) (fun upstream ->
            let saved = ctx.get_saved_variables () // refuses a tensor that was changed in place meanwhile
            let tensors = [ for index in 2 .. 1 + op.Tensors -> saved[index] ]
            let t = AttentionTensors.Of tensors

            null
            :: (if torch.is_grad_enabled () then
                    Recomputed.gradients [ AttentionSteps.plain op.Call t ] [ upstream ] [ for t in tensors -> t ]
                else
                    let gradients = op.Backend.Backward op.Call t saved[0] saved[1] upstream

                    [ for t, gradient in List.zip tensors gradients.List do
                          if t.requires_grad then gradient else null ]))

/// <summary>What queries make of keys and values: by the kernels where they can, and by torch's operations elsewhere.</summary>
[<RequireQualifiedAccess>]
module internal Attention =

    /// <summary>The outputs [batch, queries, features] and, where they are wanted, the weights [batch, queries, keys], mean over the heads.</summary>
    /// <param name="call">Heads, and whether a query sees only keys up to its own place.</param>
    /// <param name="t">Queries, keys and values.</param>
    /// <param name="mask">As AttentionSteps.mask makes it, or null.</param>
    /// <param name="dropout">The part of the weights that is dropped.</param>
    /// <param name="needWeights">Whether the weights are wanted.</param>
    let run
        (call: AttentionCall)
        (t: AttentionTensors)
        (mask: torch.Tensor | null)
        (dropout: float)
        (needWeights: bool)
        : struct (torch.Tensor * (torch.Tensor | null)) =
        match (Backends.ofTensor t.Query).Attention with
        | ValueSome backend when isNull mask && not needWeights && backend.Suits call t ->
            let call =
                if dropout > 0.0 then
                    { call with
                        Drop = Dropping.draw dropout }
                else
                    call

            struct (AttentionFunction.Apply(call, backend, t), null)
        | _ ->
            let struct (q, k, v) = AttentionSteps.byHeads call.Heads t

            let struct (y, weights) =
                AttentionSteps.attend q k v mask call.IsCausal dropout needWeights

            struct (AttentionSteps.join y, weights)
