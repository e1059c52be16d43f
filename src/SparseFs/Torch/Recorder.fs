namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open SparseFs.Kernels
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

    /// All samples of several passes together, as scores are computed from them.
    let joined = List<struct (torch.Tensor * torch.Tensor)>()

    /// The optimizer step to which passes belong that come next.
    member val Step = 0L with get, set

    /// Whether a pass of that step has been noted.
    member _.Has(step: int64) : bool =
        passes.Exists(fun (struct (at, _, _)) -> at = step)

    member r.Add(g: torch.Tensor, x: torch.Tensor) =
        lock passes (fun () ->
            use _ = torch.no_grad ()
            passes.Add(struct (r.Step, copyOf g, copyOf x)))

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
