namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3535"

open Microsoft.FSharp.NativeInterop

/// <summary>Scores as integers in the order of the scores, and what the selection asks of a vector of Count of them.</summary>
/// <remarks>Members are inlined on demand: one that were called would run as .NET compiles it first, unoptimised.
/// The keys are OrderedKey's signed ones: −0 has the key of 0, and NaN of either sign the highest.</remarks>
type internal ISimdKeys<'K when 'K: struct> =
    static abstract Count: int
    static abstract Broadcast: int -> 'K
    static abstract Load: nativeptr<int> -> 'K
    static abstract Store: nativeptr<int> * 'K -> unit
    static abstract KeysOf: x: nativeptr<float32> -> 'K
    static abstract KeysOfProducts: x: nativeptr<float32> * factors: nativeptr<float32> -> 'K
    static abstract KeysOfSums: x: nativeptr<float32> * addends: nativeptr<float32> -> 'K
    static abstract Lower: 'K * 'K -> 'K
    static abstract Higher: 'K * 'K -> 'K
    /// −1 in each lane where a > b, else 0.
    static abstract Above: a: 'K * b: 'K -> 'K
    /// −1 in each lane where both are equal, else 0.
    static abstract Equal: 'K * 'K -> 'K
    static abstract Subtract: 'K * 'K -> 'K
    static abstract Sum: 'K -> int
    /// Bit i is the sign of lane i.
    static abstract Bits: 'K -> uint32
    /// −1 in lane i where bit i is set, else 0.
    static abstract OfBits: uint32 -> 'K
    /// dst[i] = src[i] where the lane is −1, 0 where it is 0.
    static abstract Keep: mask: 'K * src: nativeptr<float32> * dst: nativeptr<float32> -> unit
