namespace SparseFs

open System

/// <summary>The element types of safetensors. Those up to <c>BOOL</c> are read and written; the others are told of by a file's
/// header, and passed over unless one is asked for, which is refused by its name.</summary>
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
    /// <summary>16-bit integers without a sign; not read.</summary>
    | U16 = 10
    /// <summary>32-bit integers without a sign; not read.</summary>
    | U32 = 11
    /// <summary>64-bit integers without a sign; not read.</summary>
    | U64 = 12
    /// <summary>8-bit floats, 4 bits of exponent and 3 of mantissa; not read.</summary>
    | F8_E4M3 = 13
    /// <summary>8-bit floats, 5 bits of exponent and 2 of mantissa; not read.</summary>
    | F8_E5M2 = 14
    /// <summary>8-bit floats of an exponent alone; not read.</summary>
    | F8_E8M0 = 15
    /// <summary>As F8_E4M3, without infinities and with one NaN and one zero; not read.</summary>
    | F8_E4M3FNUZ = 16
    /// <summary>As F8_E5M2, without infinities and with one NaN and one zero; not read.</summary>
    | F8_E5M2FNUZ = 17
    /// <summary>6-bit floats, 2 bits of exponent and 3 of mantissa; not read.</summary>
    | F6_E2M3 = 18
    /// <summary>6-bit floats, 3 bits of exponent and 2 of mantissa; not read.</summary>
    | F6_E3M2 = 19
    /// <summary>4-bit floats; not read.</summary>
    | F4 = 20
    /// <summary>Complex numbers of two 32-bit floats; not read.</summary>
    | C64 = 21

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

    override t.ToString() =
        invariant $"{t.Name}: {t.Dtype} [{String.Join(',', t.Shape)}], {t.Bytes} bytes"

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

    /// The bits of one element; of some that are not read it takes several to fill a byte.
    let bits (dtype: StoredDtype) : int64 =
        match dtype with
        | StoredDtype.F64
        | StoredDtype.I64
        | StoredDtype.U64
        | StoredDtype.C64 -> 64L
        | StoredDtype.F32
        | StoredDtype.I32
        | StoredDtype.U32 -> 32L
        | StoredDtype.F16
        | StoredDtype.BF16
        | StoredDtype.I16
        | StoredDtype.U16 -> 16L
        | StoredDtype.F6_E2M3
        | StoredDtype.F6_E3M2 -> 6L
        | StoredDtype.F4 -> 4L
        | _ -> 8L

    /// The bytes of one element that is read.
    let size (dtype: StoredDtype) : int64 = bits dtype / 8L

    /// The element type of that name in the format: letters as they are.
    let tryDtype (name: string) : StoredDtype voption =
        match Enum.TryParse<StoredDtype> name with
        | true, dtype when dtype.ToString() = name -> ValueSome dtype
        | _ -> ValueNone

    let describe (shape: int64[]) : string = "[" + String.Join(", ", shape) + "]"

    /// <summary>The bits of a shape, or nothing where its bytes, or a stride, would exceed 2^63 − 1.</summary>
    let tryBits (dtype: StoredDtype) (shape: int64[]) : Int128 voption =
        let mutable product = Int128.op_Implicit (bits dtype)
        let most = Int128.op_Implicit Int64.MaxValue * Int128.op_Implicit 8

        // A size of 0 does not excuse the others: strides are products too. 2^66 times a size stays below 2^127 where the
        // size is held against the room first.
        let mutable fits = true

        for size in shape do
            if fits then
                let size = Int128.op_Implicit (max 1L size)
                fits <- size <= most / product

                if fits then
                    product <- product * size

        if not fits then ValueNone
        elif Array.contains 0L shape then ValueSome Int128.Zero
        else ValueSome product
