namespace SparseFs

open System
open System.Runtime.CompilerServices

/// <summary>Floats as integers in the order of the floats, so that what is largest is found by comparing and counting bits.</summary>
/// <remarks>The key of a float is its bits, those but the sign flipped where it is negative. −0 has the key of 0 where a
/// function says so. Signed keys compare as int, unsigned ones have the same order and 0 as the lowest.</remarks>
module internal OrderedKey =

    /// All bits but the sign.
    [<Literal>]
    let Magnitude = 0x7FFFFFFF

    /// Above every signed key but NaN's own.
    [<Literal>]
    let OfNaN = 0x7FFFFFFE

    /// Below every signed key.
    [<Literal>]
    let Nothing = Int32.MinValue

    /// The lower bits of an unsigned key, which its place among KeyCounts leaves out.
    [<Literal>]
    let LowerBits = 19

    /// To the key of these bits, and back: it is its own inverse.
    let inline private flipped (bits: int) : int = bits ^^^ ((bits >>> 31) &&& Magnitude)

    /// The signed key; −0 counts as 0, and NaN of either sign is above all.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    let signed (score: float32) : int =
        if score <> score then
            OfNaN
        else
            flipped (BitConverter.SingleToInt32Bits(if score = 0.0f then 0.0f else score))

    /// The number that has this signed key.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    let ofSigned (key: int) : float32 =
        BitConverter.Int32BitsToSingle(flipped key)

    /// The unsigned key of a number, not NaN; −0 counts as 0.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    let unsigned (score: float32) : uint32 =
        uint32 (flipped (BitConverter.SingleToInt32Bits(score + 0.0f)) ^^^ Int32.MinValue)

    /// The number that has this unsigned key.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    let ofUnsigned (key: uint32) : float32 = ofSigned (int key ^^^ Int32.MinValue)

    /// The key of the magnitude, NaN's above infinity's: what a signed and an unsigned one share.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    let magnitude (number: float32) : uint32 =
        uint32 (BitConverter.SingleToInt32Bits number &&& Magnitude)

    /// The magnitude that has this key.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    let ofMagnitude (key: uint32) : float32 = BitConverter.UInt32BitsToSingle key

    /// A score of which only some bits count: Magnitude, or −1 for all.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    let masked (bits: int) (score: float32) : float32 =
        BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits score &&& bits)
