namespace SparseFs.Kernels

#nowarn "9" // this is where spans become addresses; everything is checked here

open System
open SparseFs

/// Products with packed weights over spans.
[<AutoOpen>]
module internal PackedCalls =

    type CpuKernels with

        /// <summary>y = x · Wᵀ + bias, for one sample or few.</summary>
        /// <param name="weights">W.</param>
        /// <param name="bias">[rows], or empty for none.</param>
        /// <param name="x">[samples, cols]</param>
        /// <param name="samples">0 or more, taken one by one: Spmm is as fast from two on where rows go alone, from four in groups
        /// of 4, from eight in groups of 16.</param>
        /// <param name="y">[samples, rows], overwritten.</param>
        /// <exception cref="T:System.ArgumentException">A size is not as said, or y overlaps an input.</exception>
        /// <remarks>Results do not depend on the number of threads, to the bit; one thread allocates nothing.</remarks>
        member kernels.Multiply
            (weights: PackedRows, bias: ReadOnlySpan<float32>, x: ReadOnlySpan<float32>, samples: int, y: Span<float32>)
            : unit =
            ArgumentNullException.ThrowIfNull(weights, nameof weights)
            SpanChecks.samples samples

            if bias.Length <> 0 then
                SpanChecks.size (nameof bias) "rows" 1 weights.Rows bias.Length

            SpanChecks.size (nameof x) "samples · cols" samples weights.Cols x.Length
            SpanChecks.size (nameof y) "samples · rows" samples weights.Rows y.Length
            SpanChecks.apart (nameof y) (y.Overlaps x || y.Overlaps bias)

            if samples > 0 then
                use biasPin = fixed bias
                use xPin = fixed x
                use yPin = fixed y
                let bias, x, y = biasPin, xPin, yPin

                ExecutionPolicy.run (kernels.MachineFor(weights.Nnz, samples)) (fun machine ->
                    PackedProducts.multiply machine weights bias x samples y)
