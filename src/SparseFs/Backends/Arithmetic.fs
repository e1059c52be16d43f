namespace SparseFs

open System

/// <summary>Arithmetic of a layer: which of its products are sparse. Results agree within rounding; speed and memory differ.</summary>
type Arithmetic =
    /// Only the weights that exist, whatever the sparsity; the default.
    | Sparse = 0
    /// <summary>A dense copy of the matrix, made at each use.</summary>
    /// <remarks>Costs 4 · rows · cols bytes during forward; during backward the same once more, and again for the dense
    /// gradient of which the weights' own is taken (float32; by element size otherwise). Nothing of it stays. An infinite
    /// or NaN input makes every output NaN, as in a dense layer; elsewhere it reaches only the outputs that use it.</remarks>
    | Dense = 1
    /// Dense where the batch and the sparsity say that it is faster (Arithmetic.breakEven; for a convolution, below 0.5), else Sparse.
    | Faster = 2
    /// <summary>Only the weights that exist and only the inputs that are not 0: for what comes from K-winners.</summary>
    /// <remarks>Forward and the weights' gradient walk the inputs of each sample that are not 0; the input's own gradient is
    /// that of Sparse, for all inputs. A weight that is infinite or NaN does not reach an output through an input of 0. It
    /// takes the kernels: on another device, or in float64, it is Sparse. docs/performance.md says where it is
    /// faster.</remarks>
    | SparseActivations = 3

/// <summary>Which arithmetic is faster.</summary>
[<RequireQualifiedAccess>]
module Arithmetic =

    /// The sparsity from which on a convolution's sparse arithmetic is faster than the dense one, of any size that was measured:
    /// docs/performance.md, "Convolutions".
    [<Literal>]
    let internal breakEvenOfConvolutions = 0.5

    /// Samples at least, and the sparsity from which on the sparse arithmetic is faster there.
    let private measured = [ 32, 0.7; 8, 0.5; 0, 0.8 ]

    /// <summary>The sparsity from which on the sparse arithmetic is faster than a dense layer.</summary>
    /// <param name="samples">N, the product of an input's leading dimensions; 0 or more.</param>
    /// <returns>0.8 for up to 7 samples, 0.5 for 8 to 31, 0.7 from 32 on.</returns>
    /// <exception cref="T:System.ArgumentException">samples is negative.</exception>
    /// <remarks>Measured on the CPU in float32, uniform patterns of 1024 × 1024 and 4096 × 4096, one thread, AVX2;
    /// docs/performance.md has the numbers. Patterns with neighbouring columns break even earlier.</remarks>
    /// <example><code>
    /// if layer.Connectivity.Sparsity &lt; Arithmetic.breakEven 32 then
    ///     layer.Arithmetic &lt;- Arithmetic.Dense // as Arithmetic.Faster decides by itself, at each call
    /// </code></example>
    [<CompiledName "BreakEven">]
    let breakEven (samples: int) : float =
        if samples < 0 then
            raise (ArgumentException($"expected 0 or more, got {samples}", nameof samples))

        measured |> List.find (fun (least, _) -> samples >= least) |> snd

    /// <exception cref="T:System.ArgumentException">The value is none of Arithmetic's.</exception>
    let internal check (name: string) (arithmetic: Arithmetic) : Arithmetic =
        if not (Enum.IsDefined arithmetic) then
            let expected = "expected one of Sparse, Dense, Faster and SparseActivations"
            raise (ArgumentException($"{expected}, got {arithmetic}", name))

        arithmetic

    /// Dense or Sparse, whichever is faster for a pattern's sparsity and so many samples.
    let internal faster (sparsity: float) (samples: int) : Arithmetic =
        if sparsity < breakEven samples then
            Arithmetic.Dense
        else
            Arithmetic.Sparse
