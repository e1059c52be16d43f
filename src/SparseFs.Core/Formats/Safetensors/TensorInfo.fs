namespace SparseFs

open System

/// <summary>A tensor as a file's header tells of it.</summary>
type TensorInfo =
    {
        /// <summary>Its name.</summary>
        Name: string
        /// <summary>Its element type.</summary>
        Dtype: Dtype
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
type internal FileHeader =
    {
        /// <summary>By their place in the file.</summary>
        Tensors: TensorInfo[]
        /// <summary>In the file's order.</summary>
        Metadata: struct (string * string)[]
        /// <summary>The place in the file where tensors begin.</summary>
        DataStart: int64
    }

module internal TensorInfo =

    /// More dimensions than torch itself copes with everywhere.
    let maxRank = 32

    /// The bits of one element; of some that are not read it takes several to fill a byte.
    let bits (dtype: Dtype) : int64 =
        match dtype with
        | Dtype.F64
        | Dtype.I64
        | Dtype.U64
        | Dtype.C64 -> 64L
        | Dtype.F32
        | Dtype.I32
        | Dtype.U32 -> 32L
        | Dtype.F16
        | Dtype.BF16
        | Dtype.I16
        | Dtype.U16 -> 16L
        | Dtype.F6_E2M3
        | Dtype.F6_E3M2 -> 6L
        | Dtype.F4 -> 4L
        | _ -> 8L

    /// The bytes of one element that is read.
    let size (dtype: Dtype) : int64 = bits dtype / 8L

    /// The element type of that name in the format: letters as they are.
    let tryDtype (name: string) : Dtype voption =
        match Enum.TryParse<Dtype> name with
        | true, dtype when dtype.ToString() = name -> ValueSome dtype
        | _ -> ValueNone

    /// <summary>The bits of a shape, or nothing where its bytes, or a stride, would exceed 2^63 − 1.</summary>
    let tryBits (dtype: Dtype) (shape: int64[]) : Int128 voption =
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
