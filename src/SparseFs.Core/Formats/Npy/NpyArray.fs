namespace SparseFs

open System

/// <summary>An array of numbers as NumPy has it: a shape, and the numbers in C order, the last index running fastest.</summary>
[<Sealed>]
type NpyArray
    /// <summary>Numbers with a shape.</summary>
    /// <param name="shape">Sizes of 0 or more, at most 64; none for a single number.</param>
    /// <param name="data">Half[], float32[], float[], sbyte[], int16[], int[], int64[], byte[], uint16[], uint32[], uint64[]
    /// or bool[], in C order; not copied.</param>
    /// <exception cref="T:System.ArgumentException">An argument is null, the array is of another kind, or there are more
    /// or fewer numbers than the shape has.</exception>
    (shape: int[], data: Array) =

    do
        ArgumentNullException.ThrowIfNull(shape, nameof shape)
        ArgumentNullException.ThrowIfNull(data, nameof data)

        if (NpyElements.tryOfArray data).IsNone then
            let known =
                String.Join(", ", NpyElements.all |> List.map (fun element -> element.Type.Name))

            raise (
                ArgumentException((invariant $"expected an array of {known}, got {data.GetType().Name}"), nameof data)
            )

        if shape.Length > NpyHeader.maxRank then
            let message =
                (invariant $"expected at most {NpyHeader.maxRank} sizes, got {shape.Length}")

            raise (ArgumentException(message, nameof shape))

        for size in shape do
            if size < 0 then
                raise (ArgumentException((invariant $"expected sizes of 0 or more, got {size}"), nameof shape))

        let count = shape |> Array.fold (fun count size -> count * bigint size) 1I

        if count <> bigint data.Length then
            let message =
                (invariant $"expected the {count} numbers of shape {Shape.text shape}, got {data.Length}")

            raise (ArgumentException(message, nameof data))

    let shape = Array.copy shape

    override _.ToString() =
        invariant $"NpyArray({data.GetType().GetElementType()}, {Shape.text shape})"

    /// <summary>The sizes; empty for a single number.</summary>
    member _.Shape: int[] = Array.copy shape

    /// <summary>The numbers in C order, not a copy: an array of one of the types that the constructor takes.</summary>
    member _.Data: Array = data
