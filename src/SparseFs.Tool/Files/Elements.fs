namespace SparseFs.Tool

open System
open System.Runtime.InteropServices
open SparseFs

/// <summary>Elements of tensors as they lie in a file.</summary>
module internal Elements =

    let inline private count<'T when 'T: struct and 'T :> ValueType and 'T: (new: unit -> 'T)>
        (bytes: ReadOnlySpan<byte>)
        ([<InlineIfLambda>] isZero: 'T -> bool)
        : int64 =
        let elements = MemoryMarshal.Cast<byte, 'T> bytes
        let mutable others = 0L

        for i in 0 .. elements.Length - 1 do
            if not (isZero elements[i]) then
                others <- others + 1L

        others

    /// Whether elements of a dtype are read here.
    let isRead (dtype: Dtype) : bool = dtype <= Dtype.BOOL

    let isFloating (dtype: Dtype) : bool = dtype <= Dtype.BF16

    /// <summary>How many of some whole elements are not 0; −0 is 0, and a NaN is not.</summary>
    let nonZeros (dtype: Dtype) (bytes: ReadOnlySpan<byte>) : int64 =
        match dtype with
        | Dtype.F64 -> count<uint64> bytes (fun bits -> bits <<< 1 = 0UL)
        | Dtype.F32 -> count<uint32> bytes (fun bits -> bits <<< 1 = 0u)
        | Dtype.F16
        | Dtype.BF16 -> count<uint16> bytes (fun bits -> bits &&& 0x7FFFus = 0us)
        | Dtype.I64 -> count<uint64> bytes (fun bits -> bits = 0UL)
        | Dtype.I32 -> count<uint32> bytes (fun bits -> bits = 0u)
        | Dtype.I16 -> count<uint16> bytes (fun bits -> bits = 0us)
        | _ -> count<byte> bytes (fun bits -> bits = 0uy)

    /// <summary>Some whole elements of a floating dtype as float32.</summary>
    /// <param name="dtype">F64, F32, F16 or BF16.</param>
    /// <param name="bytes">Little-endian, as the format has them.</param>
    /// <param name="target">As many numbers, overwritten.</param>
    let toFloats (dtype: Dtype) (bytes: ReadOnlySpan<byte>) (target: Span<float32>) : unit =
        match dtype with
        | Dtype.F32 -> bytes.CopyTo(MemoryMarshal.AsBytes target)
        | Dtype.F64 ->
            let source = MemoryMarshal.Cast<byte, float> bytes

            for i in 0 .. source.Length - 1 do
                target[i] <- float32 source[i]
        | Dtype.F16 ->
            let source = MemoryMarshal.Cast<byte, Half> bytes

            for i in 0 .. source.Length - 1 do
                target[i] <- float32 source[i]
        | _ ->
            let source = MemoryMarshal.Cast<byte, uint16> bytes

            for i in 0 .. source.Length - 1 do
                target[i] <- BitConverter.UInt32BitsToSingle(uint32 source[i] <<< 16)
