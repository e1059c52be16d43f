namespace SparseFs.Kernels

#nowarn "9" // this is where spans become addresses; everything is checked here

open System
open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>Products with a sparse matrix on the CPU, over spans of float32.</summary>
/// <remarks>
/// Matrices are row-major: x [samples, cols], y and g [samples, rows]; values has one number for each slot of the plan's
/// pattern, in slot order. Outputs are overwritten, and may not overlap inputs. Results do not depend on the number of threads,
/// to the bit. Any number of threads may call one object. A wrong size raises ArgumentException before anything is written.
/// </remarks>
/// <example><code>
/// let plan = SpmmPlan(Topology.uniform 100 784 7840 (Seed.ofInt 1))
/// let values, x, y = Array.create 7840 0.1f, Array.create 784 1f, Array.create 100 0f
/// CpuKernels.Shared.Spmm(plan, values, ReadOnlySpan.Empty, x, 1, y) // y = W x
/// </code></example>
[<Sealed>]
type CpuKernels
    /// <summary>Kernels on threads of one's own.</summary>
    /// <param name="threads">The most threads that a call uses, 1 or more.</param>
    /// <param name="team">Runs the parts of a call.</param>
    /// <exception cref="T:System.ArgumentException">threads is below 1, or team is null.</exception>
    (threads: int, team: ParallelFor) =

    do
        if threads < 1 then
            raise (ArgumentException((invariant $"expected 1 or more, got {threads}"), nameof threads))

        ArgumentNullException.ThrowIfNull(team, nameof team)

    static let shared = CpuKernels(Environment.ProcessorCount, ParallelFor.Workers)

    let machineFor (plan: SpmmPlan) (samples: int) =
        CpuSpmm.machineFor team threads plan.Connectivity.Nnz samples

    /// What a product of so many slots uses.
    member internal _.MachineFor(nnz: int, samples: int) : ExecutionPolicy =
        CpuSpmm.machineFor team threads nnz samples

    /// <summary>Kernels on the library's own threads, with as many of them as there are processors.</summary>
    static member Shared: CpuKernels = shared

    /// <summary>The most threads that a call uses.</summary>
    member _.Threads: int = threads

    /// <summary>Bits of the vectors that the kernels use on this machine: 512, 256, 128, or 32 for none.</summary>
    member _.VectorBits: int = 32 * int CpuSpmm.widest

    override _.ToString() =
        invariant $"CpuKernels(threads={threads})"

    /// <summary>y = x · Wᵀ + bias.</summary>
    /// <param name="plan">The plan of W's pattern.</param>
    /// <param name="values">[nnz]</param>
    /// <param name="bias">[rows], or empty for none.</param>
    /// <param name="x">[samples, cols]</param>
    /// <param name="samples">0 or more.</param>
    /// <param name="y">[samples, rows], overwritten.</param>
    /// <exception cref="T:System.ArgumentException">A size is not as said, or y overlaps an input.</exception>
    member _.Spmm
        (
            plan: SpmmPlan,
            values: ReadOnlySpan<float32>,
            bias: ReadOnlySpan<float32>,
            x: ReadOnlySpan<float32>,
            samples: int,
            y: Span<float32>
        ) : unit =
        SpanChecks.plan plan samples
        let c = plan.Connectivity
        SpanChecks.slots (nameof values) plan values.Length

        if bias.Length <> 0 then
            SpanChecks.size (nameof bias) "rows" 1 c.Rows bias.Length

        SpanChecks.size (nameof x) "samples · cols" samples c.Cols x.Length
        SpanChecks.size (nameof y) "samples · rows" samples c.Rows y.Length
        SpanChecks.apart (nameof y) (y.Overlaps x || y.Overlaps values || y.Overlaps bias)

        if samples > 0 then
            use valuesPin = fixed values
            use biasPin = fixed bias
            use xPin = fixed x
            use yPin = fixed y
            let values, bias, x, y = valuesPin, biasPin, xPin, yPin

            ExecutionPolicy.run (machineFor plan samples) (fun policy ->
                CpuSpmm.spmm policy plan values bias x samples y)

    /// <summary>x = g · W: what flows back to the inputs.</summary>
    /// <param name="plan">The plan of W's pattern.</param>
    /// <param name="values">[nnz]</param>
    /// <param name="g">[samples, rows]</param>
    /// <param name="samples">0 or more.</param>
    /// <param name="x">[samples, cols], overwritten.</param>
    /// <exception cref="T:System.ArgumentException">A size is not as said, or x overlaps an input.</exception>
    member _.SpmmT
        (plan: SpmmPlan, values: ReadOnlySpan<float32>, g: ReadOnlySpan<float32>, samples: int, x: Span<float32>)
        : unit =
        SpanChecks.plan plan samples
        let c = plan.Connectivity
        SpanChecks.slots (nameof values) plan values.Length
        SpanChecks.size (nameof g) "samples · rows" samples c.Rows g.Length
        SpanChecks.size (nameof x) "samples · cols" samples c.Cols x.Length
        SpanChecks.apart (nameof x) (x.Overlaps g || x.Overlaps values)

        if samples > 0 then
            use valuesPin = fixed values
            use gPin = fixed g
            use xPin = fixed x
            let values, g, x = valuesPin, gPin, xPin
            ExecutionPolicy.run (machineFor plan samples) (fun policy -> CpuSpmm.spmmT policy plan values g samples x)

    /// <summary>d = gᵀ · x at the pattern: the gradient of the values.</summary>
    /// <param name="plan">The plan of the pattern.</param>
    /// <param name="g">[samples, rows]</param>
    /// <param name="x">[samples, cols]</param>
    /// <param name="samples">0 or more.</param>
    /// <param name="d">[nnz], overwritten.</param>
    /// <exception cref="T:System.ArgumentException">A size is not as said, or d overlaps an input.</exception>
    member _.Sddmm
        (plan: SpmmPlan, g: ReadOnlySpan<float32>, x: ReadOnlySpan<float32>, samples: int, d: Span<float32>)
        : unit =
        SpanChecks.plan plan samples
        let c = plan.Connectivity
        SpanChecks.size (nameof g) "samples · rows" samples c.Rows g.Length
        SpanChecks.size (nameof x) "samples · cols" samples c.Cols x.Length
        SpanChecks.slots (nameof d) plan d.Length
        SpanChecks.apart (nameof d) (d.Overlaps g || d.Overlaps x)

        if samples = 0 then
            d.Clear()
        else
            use gPin = fixed g
            use xPin = fixed x
            use dPin = fixed d
            let g, x, d = gPin, xPin, dPin
            ExecutionPolicy.run (machineFor plan samples) (fun policy -> CpuGradients.sddmm policy plan g x samples d)

    /// <summary>The gradients of y = x · Wᵀ + bias for an upstream g, in one pass where that is faster.</summary>
    /// <param name="plan">The plan of W's pattern.</param>
    /// <param name="values">[nnz]</param>
    /// <param name="g">[samples, rows]</param>
    /// <param name="x">[samples, cols]</param>
    /// <param name="samples">0 or more.</param>
    /// <param name="dValues">[nnz], overwritten; or empty where it is not wanted.</param>
    /// <param name="dBias">[rows], overwritten; or empty where it is not wanted.</param>
    /// <param name="dx">[samples, cols], overwritten; or empty where it is not wanted.</param>
    /// <exception cref="T:System.ArgumentException">A size is not as said, or an output overlaps an input or another
    /// output.</exception>
    member _.Backward
        (
            plan: SpmmPlan,
            values: ReadOnlySpan<float32>,
            g: ReadOnlySpan<float32>,
            x: ReadOnlySpan<float32>,
            samples: int,
            dValues: Span<float32>,
            dBias: Span<float32>,
            dx: Span<float32>
        ) : unit =
        SpanChecks.plan plan samples
        let c = plan.Connectivity
        SpanChecks.slots (nameof values) plan values.Length
        SpanChecks.size (nameof g) "samples · rows" samples c.Rows g.Length
        SpanChecks.size (nameof x) "samples · cols" samples c.Cols x.Length

        if dValues.Length <> 0 then
            SpanChecks.slots (nameof dValues) plan dValues.Length

        if dBias.Length <> 0 then
            SpanChecks.size (nameof dBias) "rows" 1 c.Rows dBias.Length

        if dx.Length <> 0 then
            SpanChecks.size (nameof dx) "samples · cols" samples c.Cols dx.Length

        SpanChecks.apart (nameof dValues) (dValues.Overlaps values || dValues.Overlaps g || dValues.Overlaps x)

        SpanChecks.apart
            (nameof dBias)
            (dBias.Overlaps values
             || dBias.Overlaps g
             || dBias.Overlaps x
             || dBias.Overlaps(Span.op_Implicit dValues: ReadOnlySpan<float32>))

        SpanChecks.apart
            (nameof dx)
            (dx.Overlaps values
             || dx.Overlaps g
             || dx.Overlaps x
             || dx.Overlaps(Span.op_Implicit dValues: ReadOnlySpan<float32>)
             || dx.Overlaps(Span.op_Implicit dBias: ReadOnlySpan<float32>))

        if samples = 0 then
            dValues.Clear()
            dBias.Clear()
        else
            use valuesPin = fixed values
            use gPin = fixed g
            use xPin = fixed x
            use dValuesPin = fixed dValues
            use dBiasPin = fixed dBias
            use dxPin = fixed dx

            let values, g, x = valuesPin, gPin, xPin

            let wanted =
                { Values = dValuesPin
                  Bias = dBiasPin
                  Input = dxPin }

            ExecutionPolicy.run (machineFor plan samples) (fun policy ->
                CpuGradients.gradients policy plan values g x samples wanted)

    /// <summary>The k largest numbers of each row, and 0 elsewhere; a tie keeps the lower place.</summary>
    /// <param name="x">[rows, n]; NaN counts as more than any number.</param>
    /// <param name="rows">0 or more.</param>
    /// <param name="n">1 or more.</param>
    /// <param name="k">1 to n.</param>
    /// <param name="y">[rows, n], overwritten.</param>
    /// <exception cref="T:System.ArgumentException">A size is not as said, or y overlaps x.</exception>
    member _.TopKRows(x: ReadOnlySpan<float32>, rows: int, n: int, k: int, y: Span<float32>) : unit =
        if rows < 0 then
            raise (ArgumentException(String.Concat("expected 0 or more, got ", rows.ToString()), nameof rows))

        if n < 1 then
            raise (ArgumentException(String.Concat("expected 1 or more, got ", n.ToString()), nameof n))

        if k < 1 || k > n then
            let message = String.Concat("expected 1 to ", n.ToString(), ", got ", k.ToString())

            raise (ArgumentException(message, nameof k))

        SpanChecks.size (nameof x) "rows · n" rows n x.Length
        SpanChecks.size (nameof y) "rows · n" rows n y.Length
        SpanChecks.apart (nameof y) (y.Overlaps x)

        if rows > 0 then
            use xPin = fixed x
            use yPin = fixed y
            let mask = ScratchPool.rent (int64 rows * int64 (TopKRows.blocks n))

            let request =
                { X = xPin
                  Form = Scores.Inputs
                  Terms = Pointer.nothing
                  Rows = rows
                  N = n
                  K = k
                  Y = yPin
                  Mask = NativePtr.ofNativeInt (NativePtr.toNativeInt mask.Floats)
                  Wins = Pointer.nothing }

            try
                ExecutionPolicy.run (CpuTopK.machineFor team threads rows n) (fun policy ->
                    CpuTopK.select policy request)
            finally
                ScratchPool.giveBack mask

    /// <summary>gᵀ · x for every cell, the scores of growth by gradient (RigL), some rows at a time: for Rewire.</summary>
    /// <param name="rows">Units of an upstream sample.</param>
    /// <param name="cols">Units of an input sample.</param>
    /// <param name="g">[samples, rows]; not to be changed while the scores are in use.</param>
    /// <param name="x">[samples, cols]; not to be changed while the scores are in use.</param>
    /// <param name="samples">0 or more.</param>
    /// <exception cref="T:System.ArgumentException">An array is null, or a size is not as said.</exception>
    member _.GrowthScores(rows: int, cols: int, g: float32[], x: float32[], samples: int) : CellScores =
        ArgumentNullException.ThrowIfNull(g, nameof g)
        ArgumentNullException.ThrowIfNull(x, nameof x)

        for name, value in [| nameof rows, rows; nameof cols, cols; nameof samples, samples |] do
            if value < 0 then
                raise (ArgumentException(String.Concat("expected 0 or more, got ", value.ToString()), name))

        SpanChecks.size (nameof g) "samples · rows" samples rows g.Length
        SpanChecks.size (nameof x) "samples · cols" samples cols x.Length
        let cells = int (min (int64 rows * int64 cols) (int64 Int32.MaxValue))
        let machine = CpuSpmm.machineFor team threads cells samples

        let rowsOf = CpuGrowthScores.someRows g x samples rows cols

        if samples = 0 then
            RowScores rowsOf
        else
            BlockScores(
                rowsOf,
                machine.Threads,
                fun body ->
                    use gPin = fixed g
                    use xPin = fixed x
                    CpuGrowthScores.product machine gPin xPin samples rows cols body
            )
