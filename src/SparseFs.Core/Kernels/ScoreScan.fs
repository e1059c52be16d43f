namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open System
open System.Numerics
open System.Runtime.Intrinsics
open SparseFs

/// <summary>One pass over scores: which of them reach a bound, and whether all are finite.</summary>
/// <remarks>Oracle: one lane, and the sort of all scores in the tests of StreamingTopK.</remarks>
module internal ScoreScan =

    /// <summary>Calls body with the index of each score, or magnitude, that is at least a bound and not taken, in rising
    /// order.</summary>
    /// <param name="scores">[size]</param>
    /// <param name="size">0 or more.</param>
    /// <param name="taken">A bit a score, set where body is not to be called.</param>
    /// <param name="isMagnitude">Whether it is the magnitude that counts.</param>
    /// <param name="bound">Asked before each vector, for body may raise it; not NaN.</param>
    /// <param name="body">Takes the index, and the score or magnitude.</param>
    /// <returns>Whether all scores are finite, the taken ones too.</returns>
    let inline candidates<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (scores: nativeptr<float32>)
        (size: int)
        (taken: nativeptr<byte>)
        (isMagnitude: bool)
        ([<InlineIfLambda>] bound: unit -> float32)
        ([<InlineIfLambda>] body: int -> float32 -> unit)
        : bool =
        let lanes = 'L.Count
        let all = (1u <<< lanes) - 1u
        let mutable finite = all
        let mutable i = 0

        while i + lanes <= size do
            let signed = 'L.Load(Pointer.at scores (int64 i))
            let magnitudes = 'L.Abs signed
            finite <- finite &&& 'L.AtLeast('L.Broadcast Single.MaxValue, magnitudes)
            let values = if isMagnitude then magnitudes else signed

            // Bits of whole bytes, or of a part of one.
            let ofByte = uint32 (Pointer.get taken (i >>> 3))

            let isTaken =
                if lanes = 16 then
                    ofByte ||| (uint32 (Pointer.get taken ((i >>> 3) + 1)) <<< 8)
                else
                    ofByte >>> (i &&& 7)

            let mutable hits = 'L.AtLeast(values, 'L.Broadcast(bound ())) &&& ~~~isTaken

            while hits <> 0u do
                let at = i + BitOperations.TrailingZeroCount hits
                let score = Pointer.get scores at
                body at (if isMagnitude then abs score else score)
                hits <- hits &&& (hits - 1u)

            i <- i + lanes

        let mutable isFinite = (finite = all)

        while i < size do
            let signed = Pointer.get scores i
            let score = if isMagnitude then abs signed else signed

            if not (abs signed <= Single.MaxValue) then
                isFinite <- false
            elif (Pointer.get taken (i >>> 3) >>> (i &&& 7)) &&& 1uy = 0uy && score >= bound () then
                body i score

            i <- i + 1

        isFinite

    /// The index of the first number that is not finite, or size.
    [<AggressiveOptimization>]
    let private firstNotFiniteOf<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (numbers: nativeptr<float32>)
        (size: int)
        : int =
        let lanes = 'L.Count
        let all = (1u <<< lanes) - 1u
        let mutable i = 0

        while i + lanes <= size
              && 'L.AtLeast('L.Broadcast Single.MaxValue, 'L.Abs('L.Load(Pointer.at numbers (int64 i)))) = all do
            i <- i + lanes

        while i < size && abs (Pointer.get numbers i) <= Single.MaxValue do
            i <- i + 1

        i

    /// The index of the first number that is not finite, or their number.
    let firstNotFinite (width: Width) (numbers: float32[]) : int =
        use pin = fixed numbers
        let size = numbers.Length

        match width with
        | Width.V512 -> firstNotFiniteOf<Simd512, Vector512<float32>> pin size
        | Width.V256 -> firstNotFiniteOf<Simd256, Vector256<float32>> pin size
        | Width.V128 -> firstNotFiniteOf<Simd128, Vector128<float32>> pin size
        | _ -> firstNotFiniteOf<SimdScalar, float32> pin size
