namespace SparseFs

open System

/// <summary>A convolution's size in each of its dimensions: one number for all of them, or one for each, as torch orders them (depth,
/// height, width).</summary>
/// <remarks>Numbers and tuples become sizes by themselves where a layer asks for one: <c>3</c>, <c>(3, 5)</c>, <c>(3, 5, 5)</c>; in C# too. Elsewhere <c>Of</c> makes them. Sizes
/// are equal where their numbers are: a layer tells (3, 3) where 3 was given.</remarks>
/// <example><code>
/// let wide = new SparseConv2d(3, 64, (3, 5), stride = 2, sparsity = 0.8)
/// wide.kernel_size // = (3, 5)
/// </code></example>
[<Sealed>]
type ConvSize private (numbers: int[]) =

    /// <summary>The numbers: one for all dimensions, or one for each.</summary>
    member _.Numbers: ReadOnlyMemory<int> = ReadOnlyMemory numbers

    /// As they are, for this assembly, which does not write into them.
    member internal _.Array: int[] = numbers

    /// <summary>One number for all dimensions.</summary>
    /// <param name="size">The number.</param>
    /// <example><code>ConvSize.Of 3</code></example>
    static member Of(size: int) : ConvSize = ConvSize [| size |]

    /// <summary>Height and width.</summary>
    /// <param name="height">The first number.</param>
    /// <param name="width">The second one.</param>
    /// <example><code>ConvSize.Of(3, 5)</code></example>
    static member Of(height: int, width: int) : ConvSize = ConvSize [| height; width |]

    /// <summary>Depth, height and width.</summary>
    /// <param name="depth">The first number.</param>
    /// <param name="height">The second one.</param>
    /// <param name="width">The third one.</param>
    /// <example><code>ConvSize.Of(1, 3, 3)</code></example>
    static member Of(depth: int, height: int, width: int) : ConvSize = ConvSize [| depth; height; width |]

    /// <summary>One number for all dimensions.</summary>
    static member op_Implicit(size: int) : ConvSize = ConvSize [| size |]

    /// <summary>Height and width.</summary>
    static member op_Implicit(size: Tuple<int, int>) : ConvSize =
        let a, b = size
        ConvSize [| a; b |]

    /// <summary>Height and width.</summary>
    static member op_Implicit(size: ValueTuple<int, int>) : ConvSize =
        let struct (a, b) = size
        ConvSize [| a; b |]

    /// <summary>Depth, height and width.</summary>
    static member op_Implicit(size: Tuple<int, int, int>) : ConvSize =
        let a, b, c = size
        ConvSize [| a; b; c |]

    /// <summary>Depth, height and width.</summary>
    static member op_Implicit(size: ValueTuple<int, int, int>) : ConvSize =
        let struct (a, b, c) = size
        ConvSize [| a; b; c |]

    static member internal OfArray(numbers: int[]) : ConvSize = ConvSize numbers

    override _.Equals(other: obj) =
        match other with
        | :? ConvSize as other -> numbers.AsSpan().SequenceEqual(ReadOnlySpan other.Array)
        | _ -> false

    override _.GetHashCode() =
        numbers |> Array.fold (fun hash n -> HashCode.Combine(hash, n)) numbers.Length

    /// <summary>As Python writes a tuple: (3, 5); one number alone as it is.</summary>
    override _.ToString() =
        match numbers with
        | [| one |] -> string one
        | all -> $"""({all |> Array.map string |> String.concat ", "})"""
