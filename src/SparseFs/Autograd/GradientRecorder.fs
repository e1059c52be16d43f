namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>What a layer's backward passes have seen: upstream gradients and inputs, from which the gradient of every cell
/// is computed when it is asked for.</summary>
/// <remarks>Which of them count is settled when the optimizer is about to step: those that <c>.grad</c> is made of. Backward
/// may run on other threads than the training loop's, so that adding is locked. A recorder does not keep its rewirer, and
/// stops with it.</remarks>
/// <param name="convolution">The sizes of the layer, if it is a convolution.</param>
[<Sealed>]
type internal GradientRecorder(convolution: ConvGeometry voption) =
    let passes = List<Pass>()
    let mutable owner: WeakReference | null = null

    let copyOf (t: torch.Tensor) =
        use detached = t.detach ()
        detached.clone().DetachFromDisposeScope()

    /// All samples of several passes together, as scores are computed from them.
    let joined = List<struct (torch.Tensor * torch.Tensor)>()

    /// Passes that are kept before it is asked which of them still count; where most do, that is asked again at twice as
    /// many.
    static let most = 40

    /// Passes of one step, at which it is taken that no step will come: nothing is noted until the next.
    static let tooMany = 1000

    /// The last passes may belong to the backward that is running, which .grad does not hold yet.
    static let running = 8

    let mutable ask = most

    /// The step of which there were too many.
    let mutable closed = -1L

    /// Passes that are still to be settled, with their samples.
    let openPasses () : struct (Pass * float[])[] =
        [| for pass in passes do
               match pass.Sample with
               | null -> ()
               | sample -> struct (pass, sample) |]

    let fit (opened: struct (Pass * float[])[]) (gradient: torch.Tensor | null) : PassFit =
        match gradient with
        | null -> PassFit.Exact(Array.zeroCreate opened.Length)
        | gradient ->
            let samples = opened |> Array.map (fun struct (_, sample) -> sample)
            let found = PassSample.ofGradient gradient

            if samples |> Array.exists (fun sample -> sample.Length <> found.Length) then
                PassFit.Exact(Array.zeroCreate opened.Length) // of another number of slots
            else
                PassFit.find (PassSample.rounding gradient.dtype) samples found

    let drop (gone: Pass -> bool) =
        for pass in passes do
            if gone pass then
                pass.Free()

        passes.RemoveAll(fun pass -> gone pass) |> ignore

    /// Upstream gradients, weighted, and inputs of the passes that have a weight; no halves, whose sums would be too coarse.
    let weighted (weightOf: int64 -> float) : struct (torch.Tensor * torch.Tensor)[] =
        let wide (t: torch.Tensor) =
            if t.dtype = torch.ScalarType.Float64 then
                t
            else
                t.to_type torch.ScalarType.Float32

        [| for pass in passes do
               match weightOf pass.Step with
               | 0.0 -> ()
               | 1.0 -> struct (wide pass.G, wide pass.X)
               | weight -> struct ((wide pass.G).mul(Scalars.Of weight), wide pass.X) |]

    /// What scores are computed from, made when it is first asked for and kept for as long as the scores are.
    let kept (make: unit -> struct (torch.Tensor * torch.Tensor)[]) : Lazy<struct (torch.Tensor * torch.Tensor)[]> =
        let make () =
            use _ = torch.no_grad ()
            use _ = torch.NewDisposeScope()

            let made =
                [| for struct (g, x) in make () -> struct (g.DetachFromDisposeScope(), x.DetachFromDisposeScope()) |]

            joined.AddRange made
            made

        Lazy<struct (torch.Tensor * torch.Tensor)[]>(make)

    /// A convolution's inputs may be of several sizes: its passes stay apart.
    let scoresOfConvolution (geometry: ConvGeometry) (weightOf: int64 -> float) : CellScores =
        kept (fun () -> [| for struct (g, x) in weighted weightOf -> struct (g.alias (), x.alias ()) |])
        |> ConvScores.ofPasses geometry

    /// All passes as one: their samples follow each other.
    let scoresOfProduct (rows: int) (cols: int) (weightOf: int64 -> float) : CellScores =
        let one (ts: torch.Tensor[]) =
            if ts.Length = 1 then ts[0].alias() else torch.cat (ts, 0L)

        let together =
            kept (fun () ->
                let weighted = weighted weightOf

                [| struct (one [| for struct (g, _) in weighted -> g |], one [| for struct (_, x) in weighted -> x |]) |])

        let samples =
            passes
            |> Seq.sumBy (fun pass -> pass.G.shape[0])
            |> min (int64 Int32.MaxValue)
            |> int

        // Halves are wide by now, and one pass in float64 makes all of them so.
        let dtype =
            if passes.Exists(fun pass -> pass.G.dtype = torch.ScalarType.Float64) then
                torch.ScalarType.Float64
            else
                torch.ScalarType.Float32

        let device =
            passes
            |> Seq.map _.G.device_type
            |> Seq.tryFind (fun device -> device <> DeviceType.CPU)
            |> Option.defaultValue DeviceType.CPU

        let backend = (Backends.ofPlace dtype device)[int Arithmetic.Sparse]
        let both = Lazy<struct (torch.Tensor * torch.Tensor)>(fun () -> together.Value[0])
        backend.GrowthScores both samples rows cols

    /// The optimizer step to which passes belong that come next.
    member val Step = 0L with get, set

    /// Whoever reads the passes; without it nothing is noted.
    member _.Owner
        with get (): obj | null =
            match owner with
            | null -> null
            | owner -> owner.Target
        and set (value: obj | null) =
            owner <-
                match value with
                | null -> null
                | value -> WeakReference value

    /// Whether a pass of that step counts.
    member _.Has(step: int64) : bool =
        passes.Exists(fun pass -> pass.Step = step)

    /// <summary>Notes a pass.</summary>
    /// <param name="g">Upstream gradients.</param>
    /// <param name="x">Inputs.</param>
    /// <param name="gradient">The weight's gradient of this pass, [nnz].</param>
    /// <param name="current">Gives the weight's .grad before this pass is added to it, or null.</param>
    member r.Add(g: torch.Tensor, x: torch.Tensor, gradient: torch.Tensor, current: unit -> (torch.Tensor | null)) =
        lock passes (fun () ->
            use _ = torch.no_grad ()

            if isNull r.Owner then
                drop (fun _ -> true)
            elif closed <> r.Step then
                let opened = openPasses ()

                if opened.Length >= tooMany then
                    closed <- r.Step
                    drop _.IsOpen
                else
                    if opened.Length >= ask then
                        use grad = current ()

                        let weights =
                            match fit opened grad with
                            | PassFit.Exact weights
                            | PassFit.Changed weights -> weights

                        let gone =
                            HashSet<Pass>(
                                Seq.zip opened weights
                                |> Seq.truncate (opened.Length - running)
                                |> Seq.filter (fun (_, weight) -> weight = 0.0)
                                |> Seq.map (fun (struct (pass, _), _) -> pass),
                                HashIdentity.Reference
                            )

                        drop gone.Contains
                        ask <- max most (2 * (opened.Length - gone.Count))

                    passes.Add(Pass(r.Step, copyOf g, copyOf x, PassSample.ofGradient gradient)))

    /// <summary>Keeps the passes that the gradient is made of, multiplied as it has been.</summary>
    /// <param name="gradient">The weight's .grad, or null.</param>
    /// <returns>Whether it is such a sum; false where its elements were changed one by one.</returns>
    member _.Settle(gradient: torch.Tensor | null) : bool =
        lock passes (fun () ->
            use _ = torch.no_grad ()
            let opened = openPasses ()
            ask <- most

            if opened.Length = 0 then
                true
            else
                let fitted = fit opened gradient

                let weights =
                    match fitted with
                    | PassFit.Exact weights
                    | PassFit.Changed weights -> weights

                for struct (pass, _), weight in Array.zip opened weights do
                    let at = passes.IndexOf pass

                    if weight = 0.0 then
                        pass.Free()
                        passes.RemoveAt at
                    else
                        if weight <> 1.0 then
                            use scale = weight.ToScalar()
                            pass.G.mul_ scale |> ignore

                        passes[at] <- pass.Settled

                fitted.IsExact)

    /// Forgets the passes of some steps, and what scores were computed from.
    member _.Forget(isGone: int64 -> bool) =
        lock passes (fun () ->
            for struct (g, x) in joined do
                g.Dispose()
                x.Dispose()

            joined.Clear()
            drop (fun pass -> isGone pass.Step))

    /// Takes tensors over as its passes, in place of those that it has.
    member r.Replace(taken: struct (int64 * torch.Tensor * torch.Tensor)[]) =
        r.Forget(fun _ -> true)

        lock passes (fun () ->
            for struct (at, g, x) in taken do
                g.DetachFromDisposeScope() |> ignore
                x.DetachFromDisposeScope() |> ignore
                passes.Add(Pass(at, g, x, null)))

    /// <summary>The gradient of every cell: Σ weightOf(step) · gᵀ x over the passes, or of a convolution's kernels, rows at a time.</summary>
    /// <returns>Float32 scores of any rows, whatever the dtype and the device of the passes, good until the next call and
    /// until anything is forgotten; at least one pass must have a weight.</returns>
    member _.Scores(rows: int, cols: int, weightOf: int64 -> float) : CellScores =
        match convolution with
        | ValueSome geometry -> scoresOfConvolution geometry weightOf
        | ValueNone -> scoresOfProduct rows cols weightOf

    /// What each pass gives, for a state that outlives the process; a backward on another thread waits.
    member _.Read(read: int64 -> torch.Tensor -> torch.Tensor -> 'a) : 'a[] =
        lock passes (fun () -> [| for pass in passes -> read pass.Step pass.G pass.X |])

    /// The passes themselves, where nothing runs beside.
    member r.Passes: struct (int64 * torch.Tensor * torch.Tensor)[] =
        r.Read(fun at g x -> struct (at, g, x))
