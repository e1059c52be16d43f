namespace SparseFs.Inference

open System
open System.Collections.Generic
open SparseFs

/// <summary>Numbers of an input or output by its name, with their shape.</summary>
/// <example><code>
/// let x = ModelTensor.Of([| 0.5f; 1f; 2f; 3f |], [| 2; 2 |])
/// x.Shape.Count // = 2
/// </code></example>
[<Sealed>]
type ModelTensor private (floats: float32[], tokens: int64[], isTokens: bool, shape: int[]) =

    static let check (length: int) (shape: IReadOnlyList<int>) : int[] =
        ArgumentNullException.ThrowIfNull(shape, nameof shape)
        let sizes = Array.ofSeq shape
        let mutable product = 1L

        for size in sizes do
            product <-
                if size < 0 || product < 0L then
                    -1L
                else
                    product * int64 size

        if product <> int64 length then
            let text = String.Join(", ", sizes)
            raise (ArgumentException(invariant $"expected sizes whose product is {length}, got [{text}]", nameof shape))

        sizes

    /// <summary>Numbers, which are not copied.</summary>
    /// <param name="values">Row-major.</param>
    /// <param name="shape">Sizes, the batch first.</param>
    /// <exception cref="T:System.ArgumentException">The sizes have another product than there are values.</exception>
    static member Of(values: float32[], shape: IReadOnlyList<int>) : ModelTensor =
        ArgumentNullException.ThrowIfNull(values, nameof values)
        ModelTensor(values, [||], false, check values.Length shape)

    /// <summary>Tokens, which are not copied.</summary>
    /// <param name="values">Row-major.</param>
    /// <param name="shape">Sizes, the batch first.</param>
    /// <exception cref="T:System.ArgumentException">The sizes have another product than there are values.</exception>
    static member Of(values: int64[], shape: IReadOnlyList<int>) : ModelTensor =
        ArgumentNullException.ThrowIfNull(values, nameof values)
        ModelTensor([||], values, true, check values.Length shape)

    /// <summary>Sizes, the batch first.</summary>
    member _.Shape: IReadOnlyList<int> = shape

    /// <summary>Whether these are tokens.</summary>
    member _.IsTokens: bool = isTokens

    /// <summary>The numbers, row-major; none of tokens.</summary>
    member _.Values: float32[] = floats

    /// <summary>The tokens, row-major; none of numbers.</summary>
    member _.Tokens: int64[] = tokens

    override _.ToString() =
        (if isTokens then "int64 [" else "float32 [") + String.Join(", ", shape) + "]"
