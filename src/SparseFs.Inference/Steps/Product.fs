namespace SparseFs.Inference

open System
open SparseFs
open SparseFs.Kernels

/// <summary>x · Wᵀ + bias, with weights at a pattern.</summary>
/// <param name="kernels">On whose threads.</param>
/// <param name="plan">The pattern's.</param>
/// <param name="values">In slot order.</param>
/// <param name="bias">Empty for none.</param>
[<Sealed>]
type internal Product(kernels: CpuKernels, plan: SpmmPlan, values: float32[], bias: float32[]) =
    let pattern = plan.Connectivity
    // Others while the network is compiled, never afterwards.
    let mutable values = values
    let mutable bias = bias

    member _.Pattern: Connectivity = pattern
    member _.Plan: SpmmPlan = plan
    member _.Inputs: int = pattern.Cols
    member _.Outputs: int = pattern.Rows
    member _.Values: float32[] = values
    member _.Bias: float32[] = bias

    /// Multiplies each output by a factor and adds a shift: what a batch norm does.
    member _.Fold(factors: float32[], shifts: float32[]) : unit =
        let rowPtr = pattern.RowPtrArray
        values <- Array.copy values // others may have them too

        for row in 0 .. pattern.Rows - 1 do
            for slot in rowPtr[row] .. rowPtr[row + 1] - 1 do
                values[slot] <- values[slot] * factors[row]

        bias <-
            Array.init pattern.Rows (fun row ->
                (if bias.Length = 0 then 0.0f else bias[row] * factors[row]) + shifts[row])

    /// Some rows of an array into another one.
    member _.Run(x: float32[], rows: int, y: float32[]) : unit =
        kernels.Spmm(
            plan,
            ReadOnlySpan values,
            ReadOnlySpan bias,
            ReadOnlySpan(x, 0, rows * pattern.Cols),
            rows,
            Span(y, 0, rows * pattern.Rows)
        )

/// <summary>A product of rows of a buffer into another one.</summary>
/// <param name="product">What is computed.</param>
/// <param name="from">The buffer of inputs.</param>
/// <param name="into">That of outputs.</param>
/// <param name="rows">Rows of a sample, or of a token.</param>
/// <param name="hasTokens">Of which of both.</param>
[<Sealed>]
type internal ProductStep(product: Product, from: int, into: int, rows: int, hasTokens: bool) =
    inherit Step()

    override _.Run w =
        product.Run(w.Buffer from, w.Rows hasTokens * rows, w.Buffer into)
