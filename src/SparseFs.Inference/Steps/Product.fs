namespace SparseFs.Inference

#nowarn "9"

open System
open System.Threading
open SparseFs
open SparseFs.Kernels

/// <summary>x · Wᵀ + bias, with weights at a pattern.</summary>
/// <remarks>Few samples go through weights that are packed for that, from the first such call on; many through those of a batch, which float32
/// values have.</remarks>
/// <param name="kernels">On whose threads.</param>
/// <param name="plan">The pattern's.</param>
/// <param name="numbers">In slot order.</param>
/// <param name="bias">Empty for none.</param>
[<Sealed>]
type internal Product(kernels: CpuKernels, plan: SpmmPlan, numbers: CompactValues, bias: float32[]) =
    let pattern = plan.Connectivity
    // Others while the network is compiled, never afterwards.
    let mutable numbers = numbers
    let mutable bias = bias

    // Made by the first call that asks for them; where two calls are the first ones, one of both is kept. FSharp.Core's lazy values cannot be
    // compiled ahead of time without a warning.
    let mutable values: float32[] | null = null
    let mutable packed: PackedRows | null = null

    let valuesNow () : float32[] =
        match Volatile.Read &values with
        | null ->
            let made =
                match numbers with
                | CompactValues.Float32 values -> values
                | others -> CompactValues.toFloat32 pattern others

            Interlocked.CompareExchange(&values, made, null) |> ignore
            made
        | values -> values

    let packedNow () : PackedRows =
        match Volatile.Read &packed with
        | null ->
            let made = PackedRows.Create(pattern, numbers)
            Interlocked.CompareExchange(&packed, made, null) |> ignore
            made
        | packed -> packed

    /// Samples from which a batch is as fast.
    let few =
        match PackedLayout.groupOf pattern with
        | 1 -> 2
        | 16 -> 8
        | _ -> 4

    member _.Pattern: Connectivity = pattern
    member _.Inputs: int = pattern.Cols
    member _.Outputs: int = pattern.Rows
    member _.Values: float32[] = valuesNow ()
    member _.Bias: float32[] = bias

    /// Multiplies each output by a factor and adds a shift: what a batch norm does.
    member _.Fold(factors: float32[], shifts: float32[]) : unit =
        let rowPtr = pattern.RowPtrArray

        numbers <-
            match numbers with
            | CompactValues.Int8(values, scales) -> CompactValues.Int8(values, Array.map2 (*) scales factors)
            | others ->
                let values = CompactValues.toFloat32 pattern others // a copy: others may have them too

                for row in 0 .. pattern.Rows - 1 do
                    for slot in rowPtr[row] .. rowPtr[row + 1] - 1 do
                        values[slot] <- values[slot] * factors[row]

                CompactValues.Float32 values

        bias <-
            Array.init pattern.Rows (fun row ->
                (if bias.Length = 0 then 0.0f else bias[row] * factors[row]) + shifts[row])

    /// As Run of one row, of whose numbers few are not 0: their columns alone are walked.
    member _.RunSparse(x: float32[], y: float32[]) : unit =
        use values = fixed valuesNow ()
        use bias = fixed bias
        use x = fixed x
        use y = fixed y
        let policy = kernels.MachineFor(pattern.Nnz, 1)
        CpuSparseActivations.spmm { policy with Threads = 1 } plan values bias x 1 y

    /// Some rows of an array into another one.
    member _.Run(x: float32[], rows: int, y: float32[]) : unit =
        let x = ReadOnlySpan(x, 0, rows * pattern.Cols)
        let y = Span(y, 0, rows * pattern.Rows)

        if rows < few then
            kernels.Multiply(packedNow (), ReadOnlySpan bias, x, rows, y)
        else
            kernels.Spmm(plan, ReadOnlySpan(valuesNow ()), ReadOnlySpan bias, x, rows, y)

/// <summary>A product of rows of a buffer into another one.</summary>
/// <param name="product">What is computed.</param>
/// <param name="from">The buffer of inputs.</param>
/// <param name="into">That of outputs.</param>
/// <param name="rows">Rows of a sample, or of a token.</param>
/// <param name="hasTokens">Of which of both.</param>
/// <param name="isSparse">Whether few inputs are not 0.</param>
[<Sealed>]
type internal ProductStep(product: Product, from: int, into: int, rows: int, hasTokens: bool, isSparse: bool) =
    inherit Step()

    override _.Run w =
        let rows = w.Rows hasTokens * rows

        if isSparse && rows = 1 then
            product.RunSparse(w.Buffer from, w.Buffer into)
        else
            product.Run(w.Buffer from, rows, w.Buffer into)
