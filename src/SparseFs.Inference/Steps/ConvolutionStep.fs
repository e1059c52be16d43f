namespace SparseFs.Inference

#nowarn "9"

open SparseFs
open SparseFs.Kernels

/// <summary>A convolution of each sample, with weights at a pattern.</summary>
/// <param name="product">The weights, [out, in / groups · cells].</param>
/// <param name="geometry">Sizes, but for those of the input.</param>
/// <param name="input">Those of the input.</param>
/// <param name="threads">The most that a call uses.</param>
/// <param name="from">The buffer of inputs.</param>
/// <param name="into">That of outputs.</param>
[<Sealed>]
type internal ConvolutionStep
    (product: Product, geometry: ConvGeometry, input: Extent, threads: int, from: int, into: int) =
    inherit Step()

    let stencil = ((ConvPlans.planOf product.Pattern geometry).For input).Forward input

    let pixels = (geometry.Output input).Pixels

    override _.Run w =
        use values = fixed product.Values
        use bias = fixed product.Bias
        use x = fixed w.Buffer from
        use y = fixed w.Buffer into
        let work = int (min 1_000_000_000L (pixels * int64 w.Samples))

        let policy = CpuSpmm.machineFor ParallelFor.Workers threads product.Pattern.Nnz work

        StencilProducts.sum policy stencil values bias x w.Samples y
