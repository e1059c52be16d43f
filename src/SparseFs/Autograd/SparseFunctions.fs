namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>The three operations on [N, features] tensors, without a gradient.</summary>
module internal RawOps =

    /// Half precision is computed in float32 and rounded once, at the end.
    let private isHalf (t: torch.Tensor) =
        t.dtype = torch.ScalarType.Float16 || t.dtype = torch.ScalarType.BFloat16

    let private widen (t: torch.Tensor) : torch.Tensor =
        if isNull t then
            null
        else
            t.to_type torch.ScalarType.Float32

    /// Runs in a scope of its own and with no gradient recorded; only the result leaves.
    let private scoped (compute: unit -> torch.Tensor) : torch.Tensor =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        (compute ()).MoveToOuterDisposeScope()

    let private empty (n: int64) (features: int) =
        torch.empty ([| n; int64 features |], dtype = torch.ScalarType.Float32, device = torch.CPU)

    let rec spmm (job: SparseOperator) (values: torch.Tensor) (bias: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        scoped (fun () ->
            if isHalf x then
                (spmm job (widen values) (widen bias) (widen x)).to_type x.dtype
            else
                match job.MachineFor x with
                | ValueNone when job.IsDense -> DenseOps.spmm job.Connectivity values bias x
                | ValueNone -> PortableOps.spmm job.Connectivity values bias x
                | ValueSome machine ->
                    let values, x = TensorView.contiguous values, TensorView.contiguous x
                    let bias = if isNull bias then null else TensorView.contiguous bias
                    let y = empty x.shape[0] job.Connectivity.Rows

                    let multiply =
                        if job.SkipsZeros then
                            CpuSparseActivations.spmm
                        else
                            CpuSpmm.spmm

                    multiply
                        machine
                        job.Plan
                        (TensorView.floats "values" values)
                        (TensorView.floatsOrNull "bias" bias)
                        (TensorView.floats "x" x)
                        (int x.shape[0])
                        (TensorView.floats "y" y)

                    GC.KeepAlive(struct (values, bias, x))
                    y)

    let rec spmmT (job: SparseOperator) (values: torch.Tensor) (g: torch.Tensor) : torch.Tensor =
        scoped (fun () ->
            if isHalf g then
                (spmmT job (widen values) (widen g)).to_type g.dtype
            else
                match job.MachineFor g with
                | ValueNone when job.IsDense -> DenseOps.spmmT job.Connectivity values g
                | ValueNone -> PortableOps.spmmT job.Connectivity values g
                | ValueSome machine ->
                    let values, g = TensorView.contiguous values, TensorView.contiguous g
                    let x = empty g.shape[0] job.Connectivity.Cols

                    CpuSpmm.spmmT
                        machine
                        job.Plan
                        (TensorView.floats "values" values)
                        (TensorView.floats "g" g)
                        (int g.shape[0])
                        (TensorView.floats "x" x)

                    GC.KeepAlive(struct (values, g))
                    x)

    /// <summary>The gradients of spmm for values, bias and x, each null where it is not wanted; or none where kernels
    /// do not run, and the three operations have to be called one by one.</summary>
    /// <remarks>values may be null where x's gradient is not wanted, x where that of values is not.</remarks>
    let tryGradients
        (job: SparseOperator)
        (values: torch.Tensor)
        (x: torch.Tensor)
        (g: torch.Tensor)
        (wantsBias: bool)
        =
        match (if isHalf g then ValueNone else job.MachineFor g) with
        | ValueNone -> ValueNone
        | ValueSome machine ->
            let prepared (t: torch.Tensor) =
                if isNull t then null else TensorView.contiguous t

            let values, x, g = prepared values, prepared x, prepared g

            let room (wanted: bool) (shape: int64[]) =
                if wanted then
                    torch.empty (shape, dtype = torch.ScalarType.Float32, device = torch.CPU)
                else
                    null

            let dValues = room (not (isNull x)) [| int64 job.Connectivity.Nnz |]
            let dBias = room wantsBias [| int64 job.Connectivity.Rows |]
            let dX = room (not (isNull values)) [| g.shape[0]; int64 job.Connectivity.Cols |]

            // The values' gradient alone can pass over inputs of 0.
            let ofSparse = if job.SkipsZeros then dValues else null
            let ofDense = if job.SkipsZeros then null else dValues

            if not (isNull ofSparse) then
                CpuSparseActivations.sddmm
                    machine
                    job.Plan
                    (TensorView.floats "g" g)
                    (TensorView.floats "x" x)
                    (int g.shape[0])
                    (TensorView.floats "dValues" ofSparse)

            CpuGradients.gradients
                machine
                job.Plan
                (TensorView.floatsOrNull "values" values)
                (TensorView.floats "g" g)
                (TensorView.floatsOrNull "x" x)
                (int g.shape[0])
                { Values = TensorView.floatsOrNull "dValues" ofDense
                  Bias = TensorView.floatsOrNull "dBias" dBias
                  Input = TensorView.floatsOrNull "dX" dX }

            GC.KeepAlive(struct (values, x, g))
            ValueSome(struct (dValues, dBias, dX))

    let rec sddmm (job: SparseOperator) (g: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        scoped (fun () ->
            if isHalf x then
                (sddmm job (widen g) (widen x)).to_type x.dtype
            else
                match job.MachineFor x with
                | ValueNone when job.IsDense -> DenseOps.sddmm job.Connectivity g x
                | ValueNone -> PortableOps.sddmm job.Connectivity g x
                | ValueSome machine ->
                    let g, x = TensorView.contiguous g, TensorView.contiguous x

                    let d =
                        torch.empty (
                            [| int64 job.Connectivity.Nnz |],
                            dtype = torch.ScalarType.Float32,
                            device = torch.CPU
                        )

                    let multiply =
                        if job.SkipsZeros then
                            CpuSparseActivations.sddmm
                        else
                            CpuGradients.sddmm

                    multiply
                        machine
                        job.Plan
                        (TensorView.floats "g" g)
                        (TensorView.floats "x" x)
                        (int x.shape[0])
                        (TensorView.floats "d" d)

                    GC.KeepAlive(struct (g, x))
                    d)

/// <summary>Gradients that a backward has returned, until libtorch has taken them.</summary>
/// <remarks>libtorch copies the references right after the backward returns, on the same thread; TorchSharp then leaves
/// the managed ones to the finaliser. They are freed here on the thread's next call instead.</remarks>
[<AbstractClass; Sealed>]
type internal Returned private () =

    [<ThreadStatic; DefaultValue>]
    static val mutable private tensors: List<torch.Tensor>

    static member Release() =
        if not (isNull Returned.tensors) then
            for t in Returned.tensors do
                if not (isNull t) then
                    t.Dispose()

            Returned.tensors <- null

    /// Takes over what a backward is about to return.
    static member Hold(gradients: List<torch.Tensor>) : List<torch.Tensor> =
        Returned.Release()

        for t in gradients do
            if not (isNull t) then
                t.DetachFromDisposeScope() |> ignore

        Returned.tensors <- gradients
        gradients

/// What every backward has around it.
module internal Backward =

    /// <summary>Gradients that libtorch refuses, so that backward() ends in an error which the caller can catch.</summary>
    /// <remarks>An exception that left a backward would end the process. No shape expands to that of a scalar.</remarks>
    let private refused (arguments: int) (e: exn) : torch.Tensor list =
        BackwardFailure.Note e |> ignore

        [ null
          for _ in 2..arguments do
              torch.zeros [||] ]

    /// Body gets the upstream gradient and returns one gradient an argument, null for what has none.
    let run (upstream: torch.Tensor) (arguments: int) (body: torch.Tensor -> torch.Tensor list) : List<torch.Tensor> =
        use _ = torch.NewDisposeScope()

        if isNull upstream || upstream.IsInvalid then
            List(Array.zeroCreate<torch.Tensor> arguments)
        else
            let gradients =
                try
                    body upstream
                with e ->
                    refused arguments e

            let held = Returned.Hold(List gradients)
            upstream.Dispose()
            held

/// Two saved tensors and who asked for a gradient: what each backward below needs.
module private Context =

    let private gone (what: string) =
        let message =
            $"the loss was computed before {what}: its gradient belongs to weights that are gone; "
            + "call forward again and then backward"

        raise (InvalidOperationException message)

    /// Runs with a layer's numbers in use, if they are still the layer's: a gradient in their order would reach others.
    let private inUse (numbers: LayerNumbers) (body: unit -> 'a) : 'a =
        if isNull numbers then
            body ()
        elif numbers.IsSuperseded then
            gone "a layer of it was rewired or loaded"
        elif not (numbers.Shared.TryEnter()) then
            gone "a layer of it was moved or disposed of"
        else
            try
                try
                    body ()
                with e ->
                    numbers.Failure <- BackwardFailure.Note e
                    reraise ()
            finally
                numbers.Shared.Exit()

    let save (ctx: torch.autograd.AutogradContext) (job: SparseOperator) (first: torch.Tensor) (second: torch.Tensor) =
        ctx.set_materialize_grads false
        ctx.save_data ("job", job)
        // Each gradient needs the other factor only.
        let firstFor = if second.requires_grad then first else null
        let secondFor = if first.requires_grad then second else null
        ctx.save_for_backward (List [ firstFor; secondFor ])

    /// <summary>Runs a backward: body gets the job, the two saved factors (null where the other wants no gradient) and
    /// the upstream gradient, and returns one gradient an argument, null for the job and for what nobody asked.</summary>
    let backward
        (ctx: torch.autograd.AutogradContext)
        (upstream: torch.Tensor)
        (arguments: int)
        (body: SparseOperator -> torch.Tensor -> torch.Tensor -> torch.Tensor -> torch.Tensor list)
        : List<torch.Tensor> =
        Backward.run upstream arguments (fun upstream ->
            let job = ctx.get_data "job" :?> SparseOperator

            inUse job.Numbers (fun () ->
                let saved = ctx.get_saved_variables () // refuses a tensor that was changed in place meanwhile
                body job saved[0] saved[1] upstream))

/// y = x · Wᵀ + bias
[<AllowNullLiteral>]
type internal SpmmFunction() =
    inherit torch.autograd.SingleTensorFunction<SpmmFunction>()

    override _.Name = "SparseFs.spmm"

    static member Apply(job: SparseOperator, values: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) : torch.Tensor =
        let wanted =
            values.requires_grad
            || x.requires_grad
            || (not (isNull bias) && bias.requires_grad)

        if torch.is_grad_enabled () && wanted then
            match bias with
            | null -> SpmmFunction.apply (job, values, x)
            | _ -> SpmmFunction.apply (job, values, x, bias)
        else
            RawOps.spmm job (job.Values values) (job.Bias bias) x

    override _.forward(ctx, args) =
        let job = args[0] :?> SparseOperator
        let values, x = args[1] :?> torch.Tensor, args[2] :?> torch.Tensor
        let bias = if args.Length > 3 then args[3] :?> torch.Tensor else null
        Context.save ctx job values x
        ctx.save_data ("arguments", args.Length)
        ctx.save_data ("bias", not (isNull bias) && bias.requires_grad)
        RawOps.spmm job (job.Values values) (job.Bias bias) x

    override _.backward(ctx, upstream) =
        let arguments = unbox<int>(ctx.get_data "arguments")
        let wantsBias = unbox<bool>(ctx.get_data "bias")

        Context.backward ctx upstream arguments (fun job values x u ->
            let together =
                // With create_graph, each gradient has to be a function with a derivative of its own.
                if torch.is_grad_enabled () then
                    ValueNone
                else
                    let read = if isNull values then null else job.Values values
                    RawOps.tryGradients job read x u wantsBias

            let struct (dValues, dBias, dX) =
                match together with
                | ValueSome gradients -> gradients
                | ValueNone ->
                    struct ((if isNull x then
                                 null
                             else
                                 SddmmFunction.Apply(job.OfValues, u, x)),
                            (if wantsBias then u.sum 0L else null),
                            (if isNull values then
                                 null
                             else
                                 SpmmTFunction.Apply(job, values, u)))

            job.Note(u, x, dValues)

            [ null
              dValues
              dX
              if arguments > 3 then
                  dBias ])

/// x = g · W
and [<AllowNullLiteral>] internal SpmmTFunction() =
    inherit torch.autograd.SingleTensorFunction<SpmmTFunction>()

    override _.Name = "SparseFs.spmmT"

    static member Apply(job: SparseOperator, values: torch.Tensor, g: torch.Tensor) : torch.Tensor =
        if torch.is_grad_enabled () && (values.requires_grad || g.requires_grad) then
            SpmmTFunction.apply (job, values, g)
        else
            RawOps.spmmT job (job.Values values) g

    override _.forward(ctx, args) =
        let job = args[0] :?> SparseOperator
        let values, g = args[1] :?> torch.Tensor, args[2] :?> torch.Tensor
        Context.save ctx job values g
        RawOps.spmmT job (job.Values values) g

    override _.backward(ctx, upstream) =
        Context.backward ctx upstream 3 (fun job values g u ->
            let dValues =
                if isNull g then
                    null
                else
                    SddmmFunction.Apply(job.OfValues, g, u)

            job.Note(g, u, dValues)

            [ null
              dValues
              (if isNull values then
                   null
               else
                   SpmmFunction.Apply(job, values, null, u)) ])

/// d = (gᵀ · x) at the pattern
and [<AllowNullLiteral>] internal SddmmFunction() =
    inherit torch.autograd.SingleTensorFunction<SddmmFunction>()

    override _.Name = "SparseFs.sddmm"

    static member Apply(job: SparseOperator, g: torch.Tensor, x: torch.Tensor) : torch.Tensor =
        if torch.is_grad_enabled () && (g.requires_grad || x.requires_grad) then
            SddmmFunction.apply (job, g, x)
        else
            RawOps.sddmm job g x

    override _.forward(ctx, args) =
        let job = args[0] :?> SparseOperator
        let g, x = args[1] :?> torch.Tensor, args[2] :?> torch.Tensor
        Context.save ctx job g x
        RawOps.sddmm job g x

    override _.backward(ctx, upstream) =
        Context.backward ctx upstream 3 (fun job g x u ->
            [ null
              (if isNull x then
                   null
               else
                   SpmmFunction.Apply(job, u, null, x))
              (if isNull g then null else SpmmTFunction.Apply(job, u, g)) ])
