namespace SparseFs.Torch

open System.Collections.Generic
open TorchSharp

/// A masked operation with its gradient, of any order.
type internal MaskFunction() =
    inherit torch.autograd.SingleTensorFunction<MaskFunction>()

    override _.Name = "SparseFs.mask"

    /// In a DisposeScope of the caller's.
    static member Apply(op: MaskedOp, x: torch.Tensor) : torch.Tensor =
        if torch.is_grad_enabled () && x.requires_grad then
            MaskFunction.apply (op, x)
        else
            use _ = torch.no_grad ()
            let struct (y, _) = op.Run x
            y

    override _.forward(ctx, args) =
        use _ = torch.no_grad ()
        let op = args[0] :?> MaskedOp
        let struct (y, mask) = op.Run(args[1] :?> torch.Tensor)
        ctx.set_materialize_grads false
        ctx.save_data ("backend", op.Backend)
        ctx.save_data ("masks", not (isNull mask))

        match mask with
        | null -> ()
        | mask -> ctx.save_for_backward (List [ mask ])

        y

    override _.backward(ctx, upstream) =
        BackwardGuard.run upstream 2 (fun u ->
            let own =
                if unbox<bool>(ctx.get_data "masks") then
                    let mask = ctx.get_saved_variables()[0]
                    MaskFunction.Apply(FixedMask(ctx.get_data "backend" :?> Backend, mask), u)
                else
                    u.alias ()

            [ null; own ])
