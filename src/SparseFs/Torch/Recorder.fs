namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open TorchSharp

/// <summary>What a layer's backward passes have seen: upstream gradients [n, rows] and inputs [n, cols], from which the
/// gradient of every cell is computed when it is asked for.</summary>
/// <remarks>Copies: the tensors themselves may be changed, or freed, before the update. Backward may run on other threads
/// than the training loop's, so that adding is locked.</remarks>
[<Sealed; AllowNullLiteral>]
type internal Recorder() =
    let passes = List<struct (int64 * torch.Tensor * torch.Tensor)>()

    let copyOf (t: torch.Tensor) =
        use detached = t.detach ()
        detached.clone().DetachFromDisposeScope()

    let free (struct (_, g: torch.Tensor, x: torch.Tensor)) =
        g.Dispose()
        x.Dispose()

    /// The optimizer step to which passes belong that come next.
    member val Step = 0L with get, set

    member _.IsEmpty = passes.Count = 0

    member r.Add(g: torch.Tensor, x: torch.Tensor) =
        lock passes (fun () ->
            use _ = torch.no_grad ()
            passes.Add(struct (r.Step, copyOf g, copyOf x)))

    /// Forgets what is older than a step.
    member _.ForgetBefore(step: int64) =
        lock passes (fun () ->
            for pass in passes do
                let struct (at, _, _) = pass

                if at < step then
                    free pass

            passes.RemoveAll(fun (struct (at, _, _)) -> at < step) |> ignore)

    /// Forgets the passes of one step: its gradients were thrown away.
    member _.Forget(step: int64) =
        lock passes (fun () ->
            for pass in passes do
                let struct (at, _, _) = pass

                if at = step then
                    free pass

            passes.RemoveAll(fun (struct (at, _, _)) -> at = step) |> ignore)

    /// <summary>Σ weightOf(step) · gᵀ x over the passes, rows at a time.</summary>
    /// <returns>Float32 scores of any rows, whatever the dtype and the device of the passes, good until the next call.</returns>
    member _.Scores(cols: int, weightOf: int64 -> float) : CellScores =
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

                 let g =
                     [| for struct (step, g, _) in passes ->
                            match weightOf step with
                            | 1.0 -> wide g
                            | weight -> (wide g).mul(weight.ToScalar()) |]

                 let x = [| for struct (_, _, x) in passes -> wide x |]

                 let one (ts: torch.Tensor[]) =
                     (if ts.Length = 1 then ts[0].alias() else torch.cat (ts, 0L)).MoveToOuterDisposeScope()

                 let g, x = one g, one x
                 // They are freed with the garbage; an update is rare, and they are no larger than the passes.
                 struct (g.DetachFromDisposeScope(), x.DetachFromDisposeScope()))

        let buffer: float32[] ref = ref [||]

        CellScores(fun first count ->
            use _ = torch.no_grad ()
            use _ = torch.NewDisposeScope()
            let struct (g, x) = together.Value
            let block = g.narrow(1L, int64 first, int64 count).t().mm(x)

            // One array for all blocks of a size: whoever asks copies.
            if buffer.Value.LongLength <> int64 count * int64 cols then
                buffer.Value <- Array.zeroCreate (count * cols)

            TensorView.copyTo buffer.Value (block.to_type(torch.ScalarType.Float32).cpu().contiguous())
            buffer.Value)

    /// The passes as arrays, for a state that outlives the process.
    member _.Passes: struct (int64 * torch.Tensor * torch.Tensor)[] = passes.ToArray()

    member _.Clear() =
        lock passes (fun () ->
            for pass in passes do
                free pass

            passes.Clear())
