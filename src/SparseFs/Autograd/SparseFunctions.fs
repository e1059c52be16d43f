namespace SparseFs.Torch

#nowarn "3535" // a product says its derivatives by static members

open System
open System.Collections.Generic
open TorchSharp

/// <summary>The three operations on [N, features] tensors, or [N, channels, depth, height, width], without a gradient.</summary>
module internal RawOps =

    /// Runs in a scope of its own and with no gradient recorded; only the result leaves.
    let private scoped (compute: unit -> torch.Tensor) : torch.Tensor =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        (compute ()).MoveToOuterDisposeScope()

    let spmm (op: SparseOperator) (values: torch.Tensor) (bias: torch.Tensor | null) (x: torch.Tensor) : torch.Tensor =
        scoped (fun () -> op.Multiply values bias x)

    let spmmT (op: SparseOperator) (values: torch.Tensor) (g: torch.Tensor) : torch.Tensor =
        scoped (fun () -> op.MultiplyTransposed values g)

    let sddmm (op: SparseOperator) (g: torch.Tensor) (x: torch.Tensor) : torch.Tensor = scoped (fun () -> op.Sample g x)

/// Two saved tensors and who asked for a gradient: what each backward below needs.
module internal Context =

    let private gone (what: string) =
        let message =
            $"the loss was computed before {what}: its gradient belongs to weights that are gone; "
            + "call forward again and then backward"

        raise (InvalidOperationException message)

    /// Runs with a layer's numbers in use, if they are still the layer's: a gradient in their order would reach others.
    let inUse (numbers: LayerNumbers | null) (body: unit -> 'a) : 'a =
        match numbers with
        | null -> body ()
        | numbers when numbers.IsSuperseded -> gone "a layer of it was rewired or loaded, or drawn anew"
        | numbers when not (numbers.Shared.TryEnter()) -> gone "a layer of it was moved or disposed of"
        | numbers ->
            try
                try
                    body ()
                with e ->
                    numbers.Failure <- BackwardFailure.Note e
                    reraise ()
            finally
                numbers.Shared.Exit()

    let save (ctx: torch.autograd.AutogradContext) (op: SparseOperator) (first: torch.Tensor) (second: torch.Tensor) =
        ctx.set_materialize_grads false
        ctx.save_data ("operator", op)
        // Each gradient needs the other factor only.
        let firstFor: torch.Tensor | null = if second.requires_grad then first else null
        let secondFor: torch.Tensor | null = if first.requires_grad then second else null
        ctx.save_for_backward (TorchNulls.listOf [ firstFor; secondFor ])

    /// <summary>Runs a backward: body gets the operator, the two saved factors (null where the other wants no gradient) and
    /// the upstream gradient, and returns one gradient an argument, null for the operator and for what nobody asked.</summary>
    let backward
        (ctx: torch.autograd.AutogradContext)
        (upstream: torch.Tensor | null)
        (arguments: int)
        (body:
            SparseOperator
                -> (torch.Tensor | null)
                -> (torch.Tensor | null)
                -> torch.Tensor
                -> (torch.Tensor | null) list)
        : List<torch.Tensor> =
        BackwardGuard.run upstream arguments (fun upstream ->
            let op = ctx.get_data "operator" :?> SparseOperator

            inUse op.Numbers (fun () ->
                let saved = ctx.get_saved_variables () // refuses a tensor that was changed in place meanwhile
                body op saved[0] saved[1] upstream))

/// <summary>A product of two tensors, linear in each, as an autograd function has it.</summary>
type internal IBilinear =
    static abstract Name: string

    /// The product, of which no gradient is recorded.
    static abstract Compute: op: SparseOperator * first: torch.Tensor * second: torch.Tensor -> torch.Tensor

    /// The gradient for the first factor, from the second and the upstream gradient.
    static abstract OfFirst: op: SparseOperator * second: torch.Tensor * upstream: torch.Tensor -> torch.Tensor

    /// The gradient for the second factor, from the first and the upstream gradient.
    static abstract OfSecond: op: SparseOperator * first: torch.Tensor * upstream: torch.Tensor -> torch.Tensor

/// <summary>A product of two tensors with its gradient, of any order.</summary>
type internal BilinearFunction<'P when 'P :> IBilinear>() =
    inherit torch.autograd.SingleTensorFunction<BilinearFunction<'P>>()

    override _.Name = 'P.Name

    static member Apply(op: SparseOperator, first: torch.Tensor, second: torch.Tensor) : torch.Tensor =
        if torch.is_grad_enabled () && (first.requires_grad || second.requires_grad) then
            BilinearFunction<'P>.apply(op, first, second)
        else
            'P.Compute(op, first, second)

    override _.forward(ctx, args) =
        let op = args[0] :?> SparseOperator
        let first, second = args[1] :?> torch.Tensor, args[2] :?> torch.Tensor
        Context.save ctx op first second
        'P.Compute(op, first, second)

    override _.backward(ctx, upstream) =
        Context.backward ctx upstream 3 (fun op first second u ->
            [ null
              (match second with
               | null -> null
               | second -> 'P.OfFirst(op, second, u))
              (match first with
               | null -> null
               | first -> 'P.OfSecond(op, first, u)) ])

/// y = x · Wᵀ + bias
type internal SpmmFunction() =
    inherit torch.autograd.SingleTensorFunction<SpmmFunction>()

    override _.Name = "SparseFs.spmm"

    /// Whether the bias is there and wants a gradient.
    static member private Learns(bias: torch.Tensor | null) : bool =
        match bias with
        | null -> false
        | bias -> bias.requires_grad

    static member Apply
        (op: SparseOperator, values: torch.Tensor, bias: torch.Tensor | null, x: torch.Tensor)
        : torch.Tensor =
        let wanted = values.requires_grad || x.requires_grad || SpmmFunction.Learns bias

        if torch.is_grad_enabled () && wanted then
            match bias with
            | null -> SpmmFunction.apply (op, values, x)
            | bias -> SpmmFunction.apply (op, values, x, bias)
        else
            RawOps.spmm op (op.Values values) (op.Bias bias) x

    override _.forward(ctx, args) =
        let op = args[0] :?> SparseOperator
        let values, x = args[1] :?> torch.Tensor, args[2] :?> torch.Tensor

        let bias: torch.Tensor | null =
            match args with
            | [| _; _; _; (:? torch.Tensor as bias) |] -> bias
            | _ -> null

        Context.save ctx op values x
        ctx.save_data ("arguments", args.Length)
        ctx.save_data ("bias", SpmmFunction.Learns bias)
        RawOps.spmm op (op.Values values) (op.Bias bias) x

    override _.backward(ctx, upstream) =
        let arguments = unbox<int>(ctx.get_data "arguments")
        let wantsBias = unbox<bool>(ctx.get_data "bias")

        Context.backward ctx upstream arguments (fun op values x u ->
            let gradients: LinearGradients =
                if torch.is_grad_enabled () then
                    // With create_graph, each gradient has to be a function with a derivative of its own.
                    { Values =
                        match x with
                        | null -> null
                        | x -> BilinearFunction<Sddmm>.Apply(op.OfValues, u, x)
                      Bias = (if wantsBias then op.SumOfSamples u else null)
                      Input =
                        match values with
                        | null -> null
                        | values -> BilinearFunction<SpmmT>.Apply(op, values, u) }
                else
                    let read: torch.Tensor | null =
                        match values with
                        | null -> null
                        | values -> op.Values values

                    op.Gradients read x u wantsBias

            match x, gradients.Values with
            | null, _
            | _, null -> ()
            | x, ofValues -> op.Note(u, x, ofValues)

            if arguments > 3 then
                [ null; gradients.Values; gradients.Input; gradients.Bias ]
            else
                [ null; gradients.Values; gradients.Input ])

/// x = g · W, of values and g.
and [<AbstractClass; Sealed>] internal SpmmT =
    interface IBilinear with
        static member Name = "SparseFs.spmmT"
        static member Compute(op, values, g) = RawOps.spmmT op (op.Values values) g

        static member OfFirst(op, g, u) =
            let ofValues = BilinearFunction<Sddmm>.Apply(op.OfValues, g, u)
            op.Note(g, u, ofValues)
            ofValues

        static member OfSecond(op, values, u) = SpmmFunction.Apply(op, values, null, u)

/// d = (gᵀ · x) at the pattern, of g and x.
and [<AbstractClass; Sealed>] internal Sddmm =
    interface IBilinear with
        static member Name = "SparseFs.sddmm"
        static member Compute(op, g, x) = RawOps.sddmm op g x
        static member OfFirst(op, x, u) = SpmmFunction.Apply(op, u, null, x)
        static member OfSecond(op, g, u) = BilinearFunction<SpmmT>.Apply(op, u, g)

/// y + bias, a number for each channel of [N, channels, depth, height, width].
type internal ChannelBias() =
    inherit torch.autograd.SingleTensorFunction<ChannelBias>()

    override _.Name = "SparseFs.channelBias"

    static member private Sum(op: SparseOperator, bias: torch.Tensor, y: torch.Tensor) : torch.Tensor =
        use _ = torch.no_grad ()

        match op.Bias bias with
        | null -> y
        | numbers -> y.add (numbers.view (1L, -1L, 1L, 1L, 1L))

    static member Apply(op: SparseOperator, bias: torch.Tensor, y: torch.Tensor) : torch.Tensor =
        if torch.is_grad_enabled () && (bias.requires_grad || y.requires_grad) then
            ChannelBias.apply (op, bias, y)
        else
            ChannelBias.Sum(op, bias, y)

    override _.forward(ctx, args) =
        let op = args[0] :?> SparseOperator
        let bias, y = args[1] :?> torch.Tensor, args[2] :?> torch.Tensor
        ctx.set_materialize_grads false
        ctx.save_data ("operator", op)
        ctx.save_data ("bias", bias.requires_grad)
        ChannelBias.Sum(op, bias, y)

    override _.backward(ctx, upstream) =
        let op = ctx.get_data "operator" :?> SparseOperator
        let wantsBias = unbox<bool>(ctx.get_data "bias")

        BackwardGuard.run upstream 3 (fun u ->
            Context.inUse op.Numbers (fun () -> [ null; (if wantsBias then op.SumOfSamples u else null); u.alias () ]))
