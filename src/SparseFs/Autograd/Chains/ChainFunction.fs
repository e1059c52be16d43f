namespace SparseFs.Torch

open System.Collections.Generic
open TorchSharp

/// <summary>A chain of products as one node of the graph.</summary>
type internal ChainFunction() =
    inherit torch.autograd.SingleTensorFunction<ChainFunction>()

    /// Input, residual, scale and shift come before the products' values and biases.
    static let ahead = 4

    override _.Name = "SparseFs.chain"

    /// The tensors in the order of the arguments.
    static member private List(t: ChainTensors) : (torch.Tensor | null) list =
        [ t.Input
          t.Residual
          t.Scale
          t.Shift
          for p in t.Products do
              p.Values
              p.Bias ]

    static member private Tensors(args: obj[], from: int) : ChainTensors =
        let orNull (index: int) : torch.Tensor | null =
            match args[from + index] with
            | :? torch.Tensor as t -> t
            | _ -> null

        let present (index: int) = args[from + index] :?> torch.Tensor

        { Input = present 0
          Residual = orNull 1
          Scale = orNull 2
          Shift = orNull 3
          Products =
            Array.init ((args.Length - from - ahead) / 2) (fun index ->
                { Values = present (ahead + 2 * index)
                  Bias = orNull (ahead + 2 * index + 1) }) }

    /// What is read for tensors that autograd knows as these.
    static member private Read(chain: ChainOperator, t: ChainTensors) : ChainTensors =
        { t with
            Products =
                Array.map2
                    (fun (op: SparseOperator) (p: ChainNumbers) ->
                        { Values = op.Values p.Values
                          Bias = op.Bias p.Bias })
                    chain.Operators
                    t.Products }

    /// <summary>The whole chain by the kernels.</summary>
    static member Apply(chain: ChainOperator, backend: ChainBackend, t: ChainTensors) : torch.Tensor =
        let tensors = ChainFunction.List t

        if torch.is_grad_enabled () && List.exists Recomputed.wants tensors then
            ChainFunction.apply (TorchNulls.argumentsOf chain tensors)
        else
            use _ = torch.no_grad ()
            let struct (y, _) = backend.Forward chain.Call (ChainFunction.Read(chain, t)) false
            y

    override _.forward(ctx, args) =
        let chain = args[0] :?> ChainOperator

        match chain.Backend with
        | ValueNone -> invalidOp "nobody computes the chain in one go"
        | ValueSome backend ->
            let t = ChainFunction.Tensors(args, 1)
            use _ = torch.no_grad ()

            let struct (y, tape) =
                backend.Forward chain.Call (ChainFunction.Read(chain, t)) true

            ctx.set_materialize_grads false
            ctx.save_data ("chain", chain)
            ctx.save_for_backward (TorchNulls.listOf (tape :: ChainFunction.List t))
            y

    /// With create_graph, each gradient has to be a function with a derivative of its own: that of the operations, one by one.
    static member private Differentiably
        (chain: ChainOperator, t: ChainTensors, upstream: torch.Tensor)
        : (torch.Tensor | null) list =
        null
        :: Recomputed.gradients [ ChainSteps.run chain id id t ] [ upstream ] (ChainFunction.List t)

    static member private ByKernels
        (chain: ChainOperator, t: ChainTensors, tape: torch.Tensor, upstream: torch.Tensor)
        : (torch.Tensor | null) list =
        match chain.Backend with
        | ValueNone -> invalidOp "nobody computes the chain in one go"
        | ValueSome backend ->
            let results =
                backend.Backward
                    chain.Call
                    (ChainFunction.Read(chain, t))
                    tape
                    upstream
                    { Input = Recomputed.wants t.Input
                      Scale = Recomputed.wants t.Scale
                      Shift = Recomputed.wants t.Shift
                      Products =
                        Array.map2
                            (fun (op: SparseOperator) (p: ChainNumbers) ->
                                { Values = Recomputed.wants p.Values
                                  Bias = Recomputed.wants p.Bias
                                  Pass = op.IsNoted && Recomputed.wants p.Values })
                            chain.Operators
                            t.Products }

            for op, p in Array.zip chain.Operators results.Products do
                match p.Upstream, p.Taken, p.Values with
                | null, _, _
                | _, null, _
                | _, _, null -> ()
                | g, x, ofValues -> op.Note(g, x, ofValues)

            [ null
              results.Input
              if Recomputed.wants t.Residual then
                  upstream.alias ()
              else
                  null
              results.Scale
              results.Shift
              for p in results.Products do
                  p.Values
                  p.Bias ]

    override _.backward(ctx, upstream) =
        let chain = ctx.get_data "chain" :?> ChainOperator

        BackwardGuard.run upstream (1 + ahead + 2 * chain.Operators.Length) (fun upstream ->
            /// Runs with the numbers of every layer in use.
            let rec inUse (index: int) (body: unit -> (torch.Tensor | null) list) : (torch.Tensor | null) list =
                if index = chain.Operators.Length then
                    body ()
                else
                    Context.inUse chain.Operators[index].Numbers (fun () -> inUse (index + 1) body)

            inUse 0 (fun () ->
                let saved = ctx.get_saved_variables () // refuses a tensor that was changed in place meanwhile

                let t =
                    ChainFunction.Tensors(TorchNulls.argumentsOf chain [ for t in saved -> t ], 2)

                if torch.is_grad_enabled () then
                    ChainFunction.Differentiably(chain, t, upstream)
                else
                    ChainFunction.ByKernels(chain, t, saved[0], upstream)))
