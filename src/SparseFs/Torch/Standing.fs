namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open TorchSharp

/// <summary>A backward pass of a layer: upstream gradients [n, rows], inputs [n, cols], and the sparse gradient [nnz] that
/// they make. Copies, which it owns.</summary>
[<Sealed>]
type internal Pass(born: int64, arrived: int64, g: torch.Tensor, x: torch.Tensor, d: torch.Tensor) =
    /// When its forward ran, by the recorder's clock.
    member _.Born = born
    /// When its backward ran.
    member _.Arrived = arrived
    member _.G = g
    member _.X = x
    member _.D = d
    /// The number that has multiplied it in the gradient since.
    member val Factor = 1.0 with get, set

    member _.Dispose() =
        g.Dispose()
        x.Dispose()
        d.Dispose()

/// <summary>Which of a step's passes are in the gradient that the optimizer will step with.</summary>
/// <remarks>
/// The gradient is looked at whenever a pass arrives, and at the step. What it has become since the last look tells what
/// happened to the passes between: undefined or zero, all are gone; unchanged, they were never added (autograd.grad);
/// changed, <c>Attribution</c> says which were added, and what has multiplied them. Passes of one backward call arrive
/// before any of them is added; a pass whose forward ran after another's backward is none of the same call.
/// One thread at a time.
/// </remarks>
[<Sealed>]
type internal Standing() =
    let settled = List<Pass>() // in the gradient as it was last seen
    let pending = List<Pass>() // not known yet
    let mutable seen: torch.Tensor = null // the gradient as it was last seen, null for none or 0
    let mutable isStale = false // it holds what was there before the first pass
    let mutable isFinite = true
    let mutable hasGradient = false
    let mutable oddity: NoticeKind voption = ValueNone

    let drop (passes: List<Pass>) (isGone: Pass -> bool) =
        for p in passes do
            if isGone p then
                p.Dispose()

        passes.RemoveAll(fun p -> isGone p) |> ignore

    let remember (gradient: torch.Tensor) =
        if not (isNull seen) then
            seen.Dispose()

        seen <-
            if isNull gradient then
                null
            else
                gradient.detach().clone().DetachFromDisposeScope()

    /// Multiplies what is settled; by 0 it is gone.
    let rescale (number: float) =
        if number = 0.0 then
            drop settled (fun _ -> true)
            isStale <- false
        else
            for p in settled do
                p.Factor <- p.Factor * number

    /// The pending passes of a range of places are in the gradient, times a number; of the others only those stay pending
    /// that came later and may be of a backward call that has not ended.
    let settle (struct (first: int, last: int)) (number: float) (mayBeRunning: Pass -> bool) =
        let passes = pending.ToArray()
        pending.Clear()

        for place in 0 .. passes.Length - 1 do
            let p = passes[place]

            if place >= first && place < last then
                p.Factor <- number
                settled.Add p
            elif place >= last && mayBeRunning p then
                pending.Add p
            else
                p.Dispose()

    let wide (t: torch.Tensor) =
        t.detach().to_type torch.ScalarType.Float64

    /// Looks at a gradient that is neither undefined nor zero.
    let look (gradient: torch.Tensor) (mayBeRunning: Pass -> bool) =
        let fits =
            pending.TrueForAll(fun p -> p.D.numel () = gradient.numel ())
            && (isNull seen || seen.numel () = gradient.numel ())

        if isNull seen && pending.Count = 0 then
            isStale <- true
        elif not fits then
            // Of another pattern: nothing can be compared.
            oddity <- ValueSome NoticeKind.ForeignGradient
            settle (struct (0, pending.Count)) 1.0 mayBeRunning
        elif isNull seen && pending.Count = 1 && gradient.Equals pending[0].D then
            settle (struct (0, 1)) 1.0 mayBeRunning // one pass and nothing else, as most often
        elif pending.Count > 0 || not (gradient.Equals seen) then
            let now = wide gradient
            let earlier = if isNull seen then null else wide seen
            let passes = [| for p in pending -> wide p.D |]

            match Attribution.tryFit gradient.dtype now earlier passes with
            | ValueSome(struct (range, fit)) ->
                rescale fit.OfEarlier
                settle range fit.OfPasses mayBeRunning
            | ValueNone ->
                let struct (keepsEarlier, first, number, cosine) =
                    Attribution.nearest now earlier passes

                oddity <-
                    ValueSome(
                        if cosine < 0.5 then
                            NoticeKind.ForeignGradient
                        else
                            NoticeKind.ElementwiseGradient
                    )

                rescale (if keepsEarlier then number else 0.0)
                settle (struct (first, pending.Count)) number mayBeRunning

    let isZero (t: torch.Tensor) =
        use any = t.any ()
        not (any.item<bool>())

    let isWhole (t: torch.Tensor) =
        use finite = t.isfinite ()
        use all = finite.all ()
        all.item<bool>()

    /// <param name="gradient">The weight's, or null.</param>
    /// <param name="isStep">Whether the optimizer is about to step.</param>
    /// <param name="mayBeRunning">Whether a pass may be of a backward call that has not ended.</param>
    member private _.Look(gradient: torch.Tensor, isStep: bool, mayBeRunning: Pass -> bool) =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()

        if isNull gradient || isZero gradient then
            rescale 0.0
            // A pass that gives 0 at every slot leaves no trace: at the step it stands, if there is a gradient at all.
            let leavesNoTrace (p: Pass) =
                isStep && not (isNull gradient) && isZero p.D

            for p in pending do
                if leavesNoTrace p then
                    settled.Add p

            pending.RemoveAll(fun p -> leavesNoTrace p) |> ignore
            drop pending (fun p -> not (mayBeRunning p))
            remember null
            isFinite <- true
            hasGradient <- false
        else
            let wasFinite = isFinite
            isFinite <- isWhole gradient

            if isFinite && wasFinite then
                look gradient mayBeRunning
            else
                settle (struct (0, pending.Count)) 1.0 mayBeRunning // nothing can be compared

            remember (if isStep then null else gradient)
            hasGradient <- true

    /// Before a pass is added whose forward ran at that time.
    member s.LookForPass(gradient: torch.Tensor, born: int64) =
        s.Look(gradient, false, (fun p -> p.Arrived > born))

    member _.Add(pass: Pass) = pending.Add pass

    /// <summary>Looks a last time. Afterwards the passes that stand are all that there are.</summary>
    member s.LookForStep(gradient: torch.Tensor) =
        s.Look(gradient, true, (fun _ -> false))

    /// Whether the gradient held finite numbers when it was last seen.
    member _.IsFinite = isFinite

    /// Whether there is a gradient that is not 0.
    member _.HasGradient = hasGradient

    /// What was odd about the gradient, if anything.
    member _.Oddity: NoticeKind voption =
        match oddity with
        | ValueNone when isStale && settled.Count > 0 -> ValueSome NoticeKind.StaleGradient
        | oddity -> oddity

    /// Passes that are known or may turn out to stand.
    member _.Count = settled.Count + pending.Count

    /// Gives up the passes that stand, and begins anew.
    member s.Take() : Pass[] =
        let passes = settled.ToArray()
        settled.Clear()
        s.Clear()
        passes

    member _.Clear() =
        drop settled (fun _ -> true)
        drop pending (fun _ -> true)
        remember null
        isStale <- false
        isFinite <- true
        hasGradient <- false
        oddity <- ValueNone
