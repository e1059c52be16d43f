namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>A function of [N, n] that keeps some elements and makes the others 0.</summary>
/// <remarks>Its derivative is to keep the same ones: so is that of its derivative.</remarks>
[<AbstractClass; AllowNullLiteral>]
type internal MaskedOp() =
    /// Which implementation computes, here and in the gradient.
    abstract Backend: Backend

    /// The result, and the mask that the gradient goes through; no mask where it goes to all. No gradient is recorded.
    abstract Run: x: torch.Tensor -> struct (torch.Tensor * torch.Tensor)

/// <summary>Masks, and how an input goes through them, on kernels or on torch's operations.</summary>
/// <remarks>A kernel's mask has a bit an element, in int32 words [N, ⌈n / 32⌉]; torch's is boolean [N, n]. Results belong
/// to the open DisposeScope.</remarks>
module internal RawMasks =

    let isHalf (t: torch.Tensor) =
        t.dtype = torch.ScalarType.Float16 || t.dtype = torch.ScalarType.BFloat16

    let widen (t: torch.Tensor) : torch.Tensor = t.to_type torch.ScalarType.Float32

    /// The machine to run kernels on, or none for torch's operations.
    let machineFor (backend: Backend) (x: torch.Tensor) : ExecutionPolicy voption =
        match backend with
        | Backend.Auto when x.device_type = DeviceType.CPU && x.dtype <> torch.ScalarType.Float64 ->
            ValueSome(
                CpuTopK.machineFor (OpenMpTeam.get ()) (torch.get_num_threads ()) (int x.shape[0]) (int x.shape[1])
            )
        | Backend.Kernels machine -> ValueSome machine
        | _ -> ValueNone

    let whereElseZero (mask: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        torch.where (mask, x, torch.zeros ([||], dtype = x.dtype, device = x.device))

    /// u [N, n] where the mask keeps it.
    let rec keep (backend: Backend) (mask: torch.Tensor) (u: torch.Tensor) : torch.Tensor =
        if mask.dtype = torch.ScalarType.Bool then
            whereElseZero mask u
        elif isHalf u then
            (keep backend mask (widen u)).to_type u.dtype
        else
            let u = TensorView.contiguous u
            let d = torch.empty_like u

            machineFor backend u
            |> ValueOption.iter (fun machine ->
                CpuTopK.keep
                    machine
                    (TensorView.ints "mask" mask)
                    (TensorView.floats "u" u)
                    (int u.shape[0])
                    (int u.shape[1])
                    (TensorView.floats "d" d))

            GC.KeepAlive(struct (mask, u))
            d

/// The mask of a selection, for its gradient.
[<Sealed>]
type internal FixedMask(backend: Backend, mask: torch.Tensor) =
    inherit MaskedOp()

    override _.Backend = backend

    override _.Run u =
        struct (RawMasks.keep backend mask u, mask)

/// <summary>The k winners of each row of x [N, n].</summary>
/// <param name="k">1..n.</param>
/// <param name="form">What the terms do to the inputs.</param>
/// <param name="terms">[n], of float32, on x's device; null where the inputs are the scores.</param>
/// <param name="counts">Whether wins are counted.</param>
/// <param name="straightThrough">Whether the gradient goes to all.</param>
/// <param name="backend">Which implementation computes.</param>
[<Sealed>]
type internal TopKMask(k: int, form: Scores, terms: torch.Tensor, counts: bool, straightThrough: bool, backend: Backend)
    =
    inherit MaskedOp()

    let mutable wins: torch.Tensor = null

    let onKernels (machine: ExecutionPolicy) (x: torch.Tensor) =
        let x = TensorView.contiguous x
        let rows, n = int x.shape[0], int x.shape[1]
        let y = torch.empty_like x

        let mask =
            torch.empty (
                [| int64 rows; int64 (TopKRows.blocks n) |],
                dtype = torch.ScalarType.Int32,
                device = torch.CPU
            )

        if counts then
            wins <- torch.empty ([| int64 n |], dtype = torch.ScalarType.Int32, device = torch.CPU)

        let terms = if isNull terms then null else TensorView.contiguous terms

        CpuTopK.select
            machine
            { X = TensorView.floats "x" x
              Form = form
              Terms = TensorView.floatsOrNull "terms" terms
              Rows = rows
              N = n
              K = k
              Y = TensorView.floats "y" y
              Mask = TensorView.ints "mask" mask
              Wins = TensorView.intsOrNull "wins" wins }

        GC.KeepAlive(struct (x, terms))
        struct (y, mask)

    let scoresOf (x: torch.Tensor) =
        let wide = if RawMasks.isHalf x then RawMasks.widen x else x
        let ownTerms = if isNull terms then null else terms.to_type wide.dtype

        match form with
        | Scores.Products -> wide.mul ownTerms
        | Scores.Sums -> wide.add ownTerms
        | _ -> wide

    /// A stable sort leaves equal scores in the order of their indices, which topk does not promise.
    let portable (x: torch.Tensor) =
        let struct (_, order) = (scoresOf x).sort(1L, descending = true, stable = true)

        let mask = torch.zeros (x.shape, dtype = torch.ScalarType.Bool, device = x.device)

        let winners = order.narrow (1L, 0L, int64 k)

        mask.scatter_ (1L, winners, torch.ones (winners.shape, dtype = torch.ScalarType.Bool, device = x.device))
        |> ignore

        if counts then
            wins <- mask.sum (0L)

        struct (RawMasks.whereElseZero mask x, mask)

    override _.Backend = backend

    /// How often each unit has won, [n], of integers; null where nobody counts. For after Run.
    member _.Wins = wins

    override _.Run x =
        let struct (y, mask) =
            match RawMasks.machineFor backend x with
            | ValueNone -> portable x
            | ValueSome machine when RawMasks.isHalf x ->
                let struct (y, mask) = onKernels machine (RawMasks.widen x)
                struct (y.to_type x.dtype, mask)
            | ValueSome machine -> onKernels machine x

        struct (y, (if straightThrough then null else mask))

/// A masking with its gradient, of any order.
[<AllowNullLiteral>]
type internal MaskFunction() =
    inherit torch.autograd.SingleTensorFunction<MaskFunction>()

    override _.Name = "SparseFs.masking"

    /// In a DisposeScope of the caller's.
    static member Apply(masking: MaskedOp, x: torch.Tensor) : torch.Tensor =
        if torch.is_grad_enabled () && x.requires_grad then
            MaskFunction.apply (masking, x)
        else
            use _ = torch.no_grad ()
            let struct (y, _) = masking.Run x
            y

    override _.forward(ctx, args) =
        use _ = torch.no_grad ()
        let masking = args[0] :?> MaskedOp
        let struct (y, mask) = masking.Run(args[1] :?> torch.Tensor)
        ctx.set_materialize_grads false
        ctx.save_data ("backend", masking.Backend)
        ctx.save_data ("masks", not (isNull mask))

        if not (isNull mask) then
            ctx.save_for_backward (List [ mask ])

        y

    override _.backward(ctx, upstream) =
        Backward.run upstream 2 (fun u ->
            let own =
                if unbox<bool>(ctx.get_data "masks") then
                    let mask = ctx.get_saved_variables()[0]
                    MaskFunction.Apply(FixedMask(ctx.get_data "backend" :?> Backend, mask), u)
                else
                    u.alias ()

            [ null; own ])
