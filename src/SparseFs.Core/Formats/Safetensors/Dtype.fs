namespace SparseFs

/// <summary>The element types of safetensors. Those up to <c>BOOL</c> are read and written; the others are told of by a file's
/// header, and passed over unless one is asked for, which is refused by its name.</summary>
type Dtype =
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
