namespace SparseFs

open System

/// How the numbers of weights are kept.
type internal ValueForm =
    | Float32 = 0
    /// The upper halves of float32.
    | BFloat16 = 1
    /// Integers of −127 to 127, and a float32 a row that they are multiplied by.
    | Int8 = 2

/// <summary>A number for each slot of a pattern, in slot order.</summary>
[<RequireQualifiedAccess; NoComparison; NoEquality>]
type internal CompactValues =
    | Float32 of values: float32[]
    | BFloat16 of bits: uint16[]
    | Int8 of values: sbyte[] * scales: float32[]

    member v.Form: ValueForm =
        match v with
        | Float32 _ -> ValueForm.Float32
        | BFloat16 _ -> ValueForm.BFloat16
        | Int8 _ -> ValueForm.Int8

    /// Numbers of slots.
    member v.Length: int =
        match v with
        | Float32 values -> values.Length
        | BFloat16 bits -> bits.Length
        | Int8(values, _) -> values.Length

    member v.Bytes: int64 =
        match v with
        | Float32 values -> 4L * values.LongLength
        | BFloat16 bits -> 2L * bits.LongLength
        | Int8(values, scales) -> values.LongLength + 4L * scales.LongLength

    override v.ToString() =
        invariant $"CompactValues({v.Length} numbers, {v.Bytes} bytes)"

[<RequireQualifiedAccess>]
module internal BFloat16 =

    /// The nearest of the floats that are upper halves, a tie going to the even one; beyond the largest, infinity. A NaN stays one.
    let ofFloat32 (x: float32) : uint16 =
        let bits = BitConverter.SingleToUInt32Bits x

        if Single.IsNaN x then
            // Its lower half alone may say that it is one.
            uint16 (bits >>> 16) ||| 0x40us
        else
            uint16 ((bits + 0x7FFFu + ((bits >>> 16) &&& 1u)) >>> 16)

    let toFloat32 (bits: uint16) : float32 =
        BitConverter.UInt32BitsToSingle(uint32 bits <<< 16)

[<RequireQualifiedAccess>]
module internal CompactValues =

    /// <summary>The scale of a row: its largest magnitude / 127 as a float32, rounded up, so that no number is beyond 127 of it.</summary>
    let scaleOf (row: ReadOnlySpan<float32>) : float32 =
        let mutable most = 0.0f

        for value in row do
            most <- max most (abs value)

        let nearest = float32 (float most / 127.0)

        if 127.0 * float nearest < float most then
            MathF.BitIncrement nearest
        else
            nearest

    let private int8 (pattern: Connectivity) (values: float32[]) : CompactValues =
        let rowPtr = pattern.RowPtr
        let scales: float32[] = Array.zeroCreate pattern.Rows
        let quantized: sbyte[] = Array.zeroCreate values.Length

        for row in 0 .. pattern.Rows - 1 do
            let first, last = rowPtr[row], rowPtr[row + 1]

            for slot in first .. last - 1 do
                if not (Single.IsFinite values[slot]) then
                    let message =
                        invariant
                            $"expected finite weights for 8 bits, got {values[slot]} in row {row}: keep them as float32 or bfloat16"

                    raise (ArgumentException(message, nameof values))

            let scale = scaleOf (ReadOnlySpan(values, first, last - first))
            scales[row] <- scale

            if scale > 0.0f then
                for slot in first .. last - 1 do
                    quantized[slot] <- sbyte (Math.Round(float values[slot] / float scale, MidpointRounding.ToEven))

        CompactValues.Int8(quantized, scales)

    /// <summary>Numbers of a pattern's slots in a form.</summary>
    /// <returns>bfloat16 is off by half a unit of its last place at most, 8 bits by half the row's scale.</returns>
    /// <exception cref="T:System.ArgumentException">There are more or fewer numbers than slots, or one is NaN or infinite and the form is
    /// 8 bits.</exception>
    let ofFloat32 (form: ValueForm) (pattern: Connectivity) (values: float32[]) : CompactValues =
        if values.Length <> pattern.Nnz then
            raise (
                ArgumentException(
                    (invariant $"expected nnz = {pattern.Nnz} numbers, got {values.Length}"),
                    nameof values
                )
            )

        match form with
        | ValueForm.Float32 -> CompactValues.Float32(Array.copy values)
        | ValueForm.BFloat16 -> CompactValues.BFloat16(Array.map BFloat16.ofFloat32 values)
        | _ -> int8 pattern values

    /// The numbers as floats; those of 8 bits are rounded once, as a product with them is not.
    let toFloat32 (pattern: Connectivity) (values: CompactValues) : float32[] =
        match values with
        | CompactValues.Float32 values -> Array.copy values
        | CompactValues.BFloat16 bits -> Array.map BFloat16.toFloat32 bits
        | CompactValues.Int8(values, scales) ->
            let rows = Connectivity.rowIndices pattern
            Array.init values.Length (fun slot -> float32 values[slot] * scales[rows[slot]])
