namespace SparseFs.Torch

open System
open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>Gradients of every cell of a convolution's kernels, some output channels at a time.</summary>
/// <remarks>They are what the layer's own gradient is, with a pattern that has all cells of those channels: nothing as large as all
/// kernels, nor an input's columns, is ever held.</remarks>
module internal ConvScores =

    /// A plan of so many output channels of one group, with all their cells.
    let private planOf (geometry: ConvGeometry) (rows: int) : ConvPlan =
        let part =
            { geometry with
                InChannels = geometry.InChannels / geometry.Groups
                OutChannels = rows
                Groups = 1 }

        ConvPlan(Connectivity.full rows (part.InChannels * part.Cells), part)

    /// The gradient [rows · cols] of the plan's channels, from upstream gradients and inputs of their group alone.
    let private ofGroup (plan: ConvPlan) (g: torch.Tensor) (x: torch.Tensor) =
        let size i = int x.shape[i]
        let input = Extent.of3 (size 2) (size 3) (size 4)

        let call = { Plan = plan.For input; Input = input }

        let backend = (Backends.ofPlace x.dtype x.device_type)[int Arithmetic.Sparse]
        backend.ConvSddmm call g x

    /// <summary>Σ over passes of a convolution with those sizes.</summary>
    /// <param name="geometry">The convolution's sizes.</param>
    /// <param name="passes">Upstream gradients [N, out, depth, height, width] and inputs [N, in, depth, height, width], which have to stay
    /// until nobody asks any more.</param>
    let ofPasses (geometry: ConvGeometry) (passes: Lazy<struct (torch.Tensor * torch.Tensor)[]>) : CellScores =
        let inputs, outputs =
            geometry.InChannels / geometry.Groups, geometry.OutChannels / geometry.Groups

        let cols = inputs * geometry.Cells

        // The last one, which most blocks and groups share.
        let plan: ConvPlan voption ref = ref ValueNone

        let keptPlan (count: int) : ConvPlan =
            match plan.Value with
            | ValueSome plan when plan.Geometry.OutChannels = count -> plan
            | _ ->
                let made = planOf geometry count
                plan.Value <- ValueSome made
                made

        /// The channels first .. first + count − 1, of one group.
        let rowsOfGroup (first: int) (count: int) (scores: torch.Tensor) =
            let channel = int64 (first / outputs * inputs)
            let plan = keptPlan count

            for struct (g, x) in passes.Value do
                let gradient: torch.Tensor =
                    ofGroup plan (g.narrow (1L, int64 first, int64 count)) (x.narrow (1L, channel, int64 inputs))

                scores.add_ (gradient.to_type(scores.dtype).``to`` scores.device) |> ignore

        RowScores(fun first count ->
            use _ = torch.no_grad ()
            use _ = torch.NewDisposeScope()

            let dtype =
                if
                    passes.Value
                    |> Array.exists (fun (struct (g, _)) -> g.dtype = torch.ScalarType.Float64)
                then
                    torch.ScalarType.Float64
                else
                    torch.ScalarType.Float32

            let scores =
                torch.zeros (int64 count * int64 cols, dtype = dtype, device = torch.CPU)

            let mutable from = first

            while from < first + count do
                let next = min (first + count) ((from / outputs + 1) * outputs)

                rowsOfGroup
                    from
                    (next - from)
                    (scores.narrow (0L, int64 (from - first) * int64 cols, int64 (next - from) * int64 cols))

                from <- next

            scores.to_type(torch.ScalarType.Float32).data<float32>().ToArray())
