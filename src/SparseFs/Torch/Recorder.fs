namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>What has become of a step's passes.</summary>
[<RequireQualifiedAccess>]
type internal Concluded =
    /// At least one pass is in the gradient.
    | Passes
    /// The gradient is undefined or 0.
    | NoGradient
    /// There is a gradient, but no pass that was noted is in it.
    | Unseen
    /// The gradient holds a number that is not finite.
    | NotFinite

/// <summary>What a layer's backward passes have seen: upstream gradients [n, rows] and inputs [n, cols], from which the
/// gradient of every cell is computed when it is asked for.</summary>
/// <remarks>
/// Copies: the tensors themselves may be changed, or freed, before the update. Backward may run on other threads than the
/// training loop's, so that adding is locked. The layer holds its recorder, which must not keep the rewirer alive: owner is a
/// weak reference to something that lives as long as the rewirer does, and without it nothing is kept.
/// </remarks>
[<Sealed; AllowNullLiteral>]
type internal Recorder(name: string, weight: Func<Modules.Parameter>, board: NoticeBoard, owner: WeakReference) =
    /// No loop changes weights so often between two steps of its own.
    static let mostChanges = 32

    let passes = List<struct (int64 * torch.Tensor * torch.Tensor)>()
    let standing = Standing()
    let mutable clock = 0L
    let mutable isOpen = false
    let mutable weightSeen: torch.Tensor = null
    let mutable changes = 0

    let copyOf (t: torch.Tensor) =
        use detached = t.detach ()
        detached.clone().DetachFromDisposeScope()

    /// All samples of several passes together, as scores are computed from them.
    let joined = List<struct (torch.Tensor * torch.Tensor)>()

    let seeWeight (w: torch.Tensor) =
        if not (isNull weightSeen) then
            weightSeen.Dispose()

        weightSeen <- (if isNull w then null else copyOf w)

    /// Whether the weights have changed so often since the last step that somebody else must be stepping.
    let isLeftBehind (w: torch.Tensor) =
        if isNull weightSeen then
            seeWeight w
        elif not (w.Equals weightSeen) then
            changes <- changes + 1
            seeWeight w

        changes > mostChanges

    let startAnew () =
        standing.Clear()
        seeWeight null
        changes <- 0

    /// The optimizer step to which passes belong that come next.
    member val Step = 0L with get, set

    /// The time, by a clock that only this recorder's passes move: a forward asks for it.
    member _.Now() : int64 = Threading.Interlocked.Increment &clock

    /// Whether a pass of that step has been noted.
    member r.Has(step: int64) : bool =
        (step = r.Step && standing.Count > 0)
        || passes.Exists(fun (struct (at, _, _)) -> at = step)

    /// Whether any pass is there that can be asked for.
    member _.IsEmpty = passes.Count = 0

    /// <summary>Notes a pass, on the thread of its backward and before its gradient is added to the weight's.</summary>
    /// <param name="g">Upstream gradients, shape [n, rows].</param>
    /// <param name="x">Inputs, shape [n, cols].</param>
    /// <param name="d">The sparse gradient that the pass returns, shape [nnz].</param>
    /// <param name="born">When its forward ran, by <c>Now</c>.</param>
    member r.Add(g: torch.Tensor, x: torch.Tensor, d: torch.Tensor, born: int64) =
        lock passes (fun () ->
            if not owner.IsAlive then
                r.Close()
            elif isOpen then
                use _ = torch.no_grad ()
                use _ = torch.NewDisposeScope()
                let w = weight.Invoke()
                standing.LookForPass(w.grad, born)

                if isLeftBehind w then
                    startAnew ()
                    isOpen <- false

                    board.Post(
                        NoticeKind.SteppedInstead,
                        name,
                        "the weights change from batch to batch, but neither Step() nor Follow() of the rewirer is called: "
                        + "call rewirer.Step() in place of optimizer.step(), or dispose of the rewirer"
                    )
                else
                    standing.Add(Pass(born, r.Now(), copyOf g, copyOf x, copyOf d)))

    /// Begins to note the passes of a step, or to pass over them.
    member r.Open(step: int64, isWanted: bool) =
        lock passes (fun () ->
            startAnew ()
            r.Step <- step
            isOpen <- isWanted)

    /// <summary>Ends a step's passes: those that the weight's gradient consists of are kept, as they are in it.</summary>
    member r.Conclude() : Concluded =
        lock passes (fun () ->
            use _ = torch.no_grad ()
            use _ = torch.NewDisposeScope()
            standing.LookForStep(weight.Invoke().grad)

            let isFinite, hasGradient, oddity =
                standing.IsFinite, standing.HasGradient, standing.Oddity

            // What is not finite would spoil momenta for as long as they look back.
            let taken = if isFinite then standing.Take() else [||]
            standing.Clear()
            isOpen <- false

            for p in taken do
                let g =
                    if p.Factor = 1.0 then
                        p.G
                    else
                        // Half precision could lose a small number times a small one.
                        let wide =
                            if p.G.dtype = torch.ScalarType.Float64 then
                                p.G
                            else
                                p.G.to_type torch.ScalarType.Float32

                        let scaled = wide.mul(p.Factor.ToScalar()).DetachFromDisposeScope()
                        p.G.Dispose()
                        scaled

                p.D.Dispose()
                passes.Add(struct (r.Step, g, p.X))

            match oddity with
            | ValueSome kind -> board.Post(kind, name, Recorder.Tell kind)
            | ValueNone -> ()

            if not isFinite then Concluded.NotFinite
            elif taken.Length > 0 then Concluded.Passes
            elif hasGradient then Concluded.Unseen
            else Concluded.NoGradient)

    static member private Tell(kind: NoticeKind) : string =
        match kind with
        | NoticeKind.ElementwiseGradient ->
            "the gradient is not one number times what the backward passes gave: it was clipped by value, or noise or a "
            + "penalty was added; growth uses the passes since it was last zero"
        | NoticeKind.ForeignGradient ->
            "the gradient has little in common with what the backward passes gave, as if it had been set by hand; growth "
            + "uses the passes since it was last zero"
        | _ ->
            "the gradient was not zeroed after the last step: growth sees the passes of this step alone; call "
            + "optimizer.zero_grad() between steps"

    /// Forgets everything, for good.
    member r.Close() =
        isOpen <- false
        r.Forget(fun _ -> true)
        lock passes startAnew

    /// Forgets the passes of some steps, and what scores were computed from.
    member _.Forget(isGone: int64 -> bool) =
        lock passes (fun () ->
            for struct (g, x) in joined do
                g.Dispose()
                x.Dispose()

            joined.Clear()

            for struct (at, g, x) in passes do
                if isGone at then
                    g.Dispose()
                    x.Dispose()

            passes.RemoveAll(fun (struct (at, _, _)) -> isGone at) |> ignore)

    /// Takes tensors over as its passes, in place of those that it has.
    member r.Replace(taken: struct (int64 * torch.Tensor * torch.Tensor)[]) =
        r.Forget(fun _ -> true)

        for struct (_, g, x) in taken do
            g.DetachFromDisposeScope() |> ignore
            x.DetachFromDisposeScope() |> ignore

        lock passes (fun () -> passes.AddRange taken)

    /// <summary>Σ weightOf(step) · gᵀ x over the passes, rows at a time.</summary>
    /// <returns>Float32 scores of any rows, whatever the dtype and the device of the passes, good until the next call and
    /// until anything is forgotten; at least one pass must have a weight.</returns>
    member _.Scores(rows: int, cols: int, weightOf: int64 -> float) : CellScores =
        // All passes as one: their samples follow each other. Kept for as long as the scores are asked for.
        let together =
            lazy
                (use _ = torch.no_grad ()
                 use _ = torch.NewDisposeScope()

                 let wide (t: torch.Tensor) =
                     if t.dtype = torch.ScalarType.Float64 then
                         t
                     else
                         t.to_type torch.ScalarType.Float32

                 let weighted =
                     [| for struct (step, g, x) in passes do
                            match weightOf step with
                            | 0.0 -> ()
                            | 1.0 -> struct (wide g, wide x)
                            | weight -> struct ((wide g).mul(weight.ToScalar()), wide x) |]

                 let one (ts: torch.Tensor[]) =
                     (if ts.Length = 1 then ts[0].alias() else torch.cat (ts, 0L)).DetachFromDisposeScope()

                 let both =
                     struct (one [| for struct (g, _) in weighted -> g |], one [| for struct (_, x) in weighted -> x |])

                 joined.Add both
                 both)

        let onKernels =
            passes.TrueForAll(fun (struct (_, g, _)) ->
                g.device_type = DeviceType.CPU && g.dtype <> torch.ScalarType.Float64)

        let samples =
            passes
            |> Seq.sumBy (fun (struct (_, g, _)) -> g.shape[0])
            |> min (int64 Int32.MaxValue)
            |> int

        let buffer: float32[] ref = ref [||]

        let rowsOf (first: int) (count: int) : float32[] =
            // One array for all blocks of a size: whoever asks copies.
            if buffer.Value.LongLength <> int64 count * int64 cols then
                buffer.Value <- Array.zeroCreate (count * cols)

            use _ = torch.no_grad ()
            use _ = torch.NewDisposeScope()
            let struct (g, x) = together.Value
            let block = g.narrow(1L, int64 first, int64 count).t().mm(x)
            TensorView.copyTo buffer.Value (block.to_type(torch.ScalarType.Float32).cpu().contiguous())
            buffer.Value

        if not onKernels then
            CellScores rowsOf
        else
            Team.attach ()

            let machine =
                Dispatch.machineFor
                    (torch.get_num_threads ())
                    (int (min (int64 rows * int64 cols) (int64 Int32.MaxValue)))
                    samples

            CellScores(
                rowsOf,
                machine.Threads,
                fun body ->
                    use _ = torch.NewDisposeScope()
                    let struct (g, x) = together.Value
                    let g, x = TensorView.contiguous g, TensorView.contiguous x

                    ProductDispatch.product
                        machine
                        (TensorView.floats "g" g)
                        (TensorView.floats "x" x)
                        (int g.shape[0])
                        rows
                        cols
                        body

                    GC.KeepAlive(struct (g, x))
            )

    /// The passes as arrays, for a state that outlives the process.
    member _.Passes: struct (int64 * torch.Tensor * torch.Tensor)[] = passes.ToArray()
