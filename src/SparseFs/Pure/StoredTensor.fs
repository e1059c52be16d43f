namespace SparseFs

open System

/// <summary>The element types that safetensors files may hold here.</summary>
type StoredDtype =
    /// <summary>64-bit floats.</summary>
    | F64 = 0
    /// <summary>32-bit floats.</summary>
    | F32 = 1
    /// <summary>16-bit floats of IEEE 754.</summary>
    | F16 = 2
    /// <summary>The upper half of 32-bit floats.</summary>
    | BF16 = 3
    /// <summary>64-bit integers.</summary>
    | I64 = 4
    /// <summary>32-bit integers.</summary>
    | I32 = 5
    /// <summary>16-bit integers.</summary>
    | I16 = 6
    /// <summary>8-bit integers.</summary>
    | I8 = 7
    /// <summary>Bytes.</summary>
    | U8 = 8
    /// <summary>A byte each, 0 or 1.</summary>
    | BOOL = 9

/// <summary>A tensor as a file's header tells of it.</summary>
type StoredTensor =
    {
        /// <summary>Its name.</summary>
        Name: string
        /// <summary>Its element type.</summary>
        Dtype: StoredDtype
        /// <summary>Its shape; empty for a single number.</summary>
        Shape: int64[]
        /// <summary>Its first byte, counted from the end of the header.</summary>
        Start: int64
        /// <summary>How many bytes it takes.</summary>
        Bytes: int64
    }

/// <summary>What a safetensors file says of itself, checked against its length.</summary>
type internal StoredHeader =
    {
        /// <summary>By their place in the file.</summary>
        Tensors: StoredTensor[]
        /// <summary>In the file's order.</summary>
        Metadata: struct (string * string)[]
        /// <summary>The place in the file where tensors begin.</summary>
        DataStart: int64
    }

module internal StoredTensor =

    /// More dimensions than torch itself copes with everywhere.
    let maxRank = 32

    /// The bytes of one element.
    let size (dtype: StoredDtype) : int64 =
        match dtype with
        | StoredDtype.F64
        | StoredDtype.I64 -> 8L
        | StoredDtype.F32
        | StoredDtype.I32 -> 4L
        | StoredDtype.F16
        | StoredDtype.BF16
        | StoredDtype.I16 -> 2L
        | _ -> 1L

    /// The element type of that name in the format: letters as they are.
    let tryDtype (name: string) : StoredDtype voption =
        match Enum.TryParse<StoredDtype> name with
        | true, dtype when dtype.ToString() = name -> ValueSome dtype
        | _ -> ValueNone

    let describe (shape: int64[]) : string = "[" + String.Join(", ", shape) + "]"

    /// <summary>The bytes of a shape, or nothing where they, or a stride, would exceed 2^63 − 1.</summary>
    let tryBytes (dtype: StoredDtype) (shape: int64[]) : int64 voption =
        let mutable product = uint64 (size dtype)
        let mutable fits = true

        for size in shape do
            // A size of 0 does not excuse the others: strides are products too.
            if fits then
                let mutable low = 0UL
                let high = Math.BigMul(product, uint64 (max 1L size), &low)
                fits <- high = 0UL && low <= uint64 Int64.MaxValue
                product <- low

        if not fits then ValueNone
        elif Array.contains 0L shape then ValueSome 0L
        else ValueSome(int64 product)
