namespace SparseFs

open System

/// <summary>Zeros, or what padding_mode makes, around a convolution's input: so many on both sides of each dimension, as many as keep the
/// size (same), or none (valid).</summary>
/// <remarks>Numbers and tuples become paddings by themselves where a layer asks for one; so does TorchSharp's own Padding.</remarks>
/// <example><code>
/// let same = new SparseConv2d(3, 64, 3, padding = ConvPadding.Same, sparsity = 0.8)
/// (same.call (torch.randn (1L, 3L, 28L, 28L))).shape // = [|1L; 64L; 28L; 28L|]
/// </code></example>
[<Sealed>]
type ConvPadding private (size: ConvSize, name: string) =

    static let same = ConvPadding(ConvSize.op_Implicit 0, "same")
    static let valid = ConvPadding(ConvSize.op_Implicit 0, "valid")

    /// <summary>Outputs have the size of inputs; of an odd number of pixels, one more stands behind. Strides are 1.</summary>
    static member Same: ConvPadding = same

    /// <summary>None.</summary>
    static member Valid: ConvPadding = valid

    /// <summary>Pixels on both sides; 0 where the padding is named.</summary>
    member _.Size: ConvSize = size

    /// <summary>Whether outputs have the size of inputs.</summary>
    member _.IsSame: bool = name = "same"

    /// <summary>So many on both sides of every dimension.</summary>
    static member op_Implicit(size: int) : ConvPadding =
        ConvPadding(ConvSize.op_Implicit size, "")

    /// <summary>Height and width.</summary>
    static member op_Implicit(size: Tuple<int, int>) : ConvPadding =
        ConvPadding(ConvSize.op_Implicit size, "")

    /// <summary>Height and width.</summary>
    static member op_Implicit(size: ValueTuple<int, int>) : ConvPadding =
        ConvPadding(ConvSize.op_Implicit size, "")

    /// <summary>Depth, height and width.</summary>
    static member op_Implicit(size: Tuple<int, int, int>) : ConvPadding =
        ConvPadding(ConvSize.op_Implicit size, "")

    /// <summary>Depth, height and width.</summary>
    static member op_Implicit(size: ValueTuple<int, int, int>) : ConvPadding =
        ConvPadding(ConvSize.op_Implicit size, "")

    /// <summary>One number for all dimensions, or one for each.</summary>
    /// <exception cref="T:System.ArgumentNullException">size is null.</exception>
    static member op_Implicit(size: ConvSize) : ConvPadding =
        ArgumentNullException.ThrowIfNull(size, nameof size)
        ConvPadding(size, "")

    /// <summary>TorchSharp's name.</summary>
    /// <exception cref="T:System.ArgumentException">It is none of the two.</exception>
    static member op_Implicit(padding: TorchSharp.Padding) : ConvPadding =
        match padding with
        | TorchSharp.Padding.Same -> same
        | TorchSharp.Padding.Valid -> valid
        | other -> raise (ArgumentException($"expected Same or Valid, got {other}", nameof padding))

    override _.Equals(other: obj) =
        match other with
        | :? ConvPadding as other -> size = other.Size && name = other.Name
        | _ -> false

    override _.GetHashCode() = HashCode.Combine(size, name)

    member internal _.Name: string = name

    /// <summary>The name, or the size.</summary>
    override _.ToString() = if name = "" then string size else name
