namespace SparseFs.Torch

open SparseFs.Kernels
open TorchSharp

/// What is drawn, and who computes it.
[<NoEquality; NoComparison>]
type internal DropoutOperator =
    { Draw: DropoutDraw
      Run: DropoutDraw -> torch.Tensor -> torch.Tensor }

/// <summary>Dropout as one node of the graph; its gradient is the same of the upstream, of any order.</summary>
type internal DropoutFunction() =
    inherit torch.autograd.SingleTensorFunction<DropoutFunction>()

    override _.Name = "SparseFs.dropout"

    static member Apply(op: DropoutOperator, x: torch.Tensor) : torch.Tensor =
        if torch.is_grad_enabled () && x.requires_grad then
            DropoutFunction.apply (op, x)
        else
            use _ = torch.no_grad ()
            op.Run op.Draw x

    override _.forward(ctx, args) =
        use _ = torch.no_grad ()
        let op = args[0] :?> DropoutOperator
        ctx.set_materialize_grads false
        ctx.save_data ("operator", op)
        op.Run op.Draw (args[1] :?> torch.Tensor)

    override _.backward(ctx, upstream) =
        BackwardGuard.run upstream 2 (fun u ->
            [ null; DropoutFunction.Apply(ctx.get_data "operator" :?> DropoutOperator, u) ])

/// <summary>Dropout by the kernels where they can, and by torch elsewhere.</summary>
[<RequireQualifiedAccess>]
module internal Dropping =

    /// Numbers below which a node of our own costs more than torch's mask.
    [<Literal>]
    let private Few = 16_384L

    /// What drops a part of some numbers; torch's generator governs it.
    let draw (part: float) : DropoutDraw =
        DropoutDraw.Of(DrawnSeed.draw null, part)

    /// <summary>x with a part of its numbers dropped, the others made larger by as much.</summary>
    let apply (part: float) (x: torch.Tensor) : torch.Tensor =
        if part = 0.0 then
            x
        else
            match (Backends.ofTensor x).Dropout with
            | ValueSome run when x.numel () >= Few -> DropoutFunction.Apply({ Draw = draw part; Run = run }, x)
            | _ -> torch.nn.functional.dropout (x, part, true)
