namespace SparseFs.Kernels

#nowarn "9"

open System
open System.Runtime.Intrinsics
open SparseFs

/// <summary>Which numbers a dropout keeps, and what they are multiplied by: a function of a key and of each number's place, so that the way back
/// asks again and no mask is kept.</summary>
[<Struct>]
type internal DropoutDraw =
    {
        Key: uint64
        /// Of 2²⁴ equally probable draws, those that drop.
        Dropping: int
        /// Of what is kept: 1 / (1 − part), and 0 where nothing is.
        Scale: float32
    }

    /// Keeps all.
    static member None: DropoutDraw =
        { Key = 0UL
          Dropping = 0
          Scale = 1.0f }

    member d.IsNone: bool = d.Dropping = 0 && d.Scale = 1.0f

    /// Drops a part of the numbers, in [0, 1].
    static member Of(seed: Seed, part: float) : DropoutDraw =
        { Key = Seed.bitsAt 0L seed
          Dropping = int (Math.Round(part * 16_777_216.0))
          Scale = if part = 1.0 then 0.0f else float32 (1.0 / (1.0 - part)) }

/// <summary>y = x · scale where a draw keeps, x · 0 elsewhere: what is not a number stays none.</summary>
/// <remarks>A place's draw are the upper 24 bits of two rounds of a mixer over the place and both halves of the key: Wellons 2018, "Prospecting for hash
/// functions", whose constants have the least bias known of their form. Every machine draws the same.</remarks>
[<RequireQualifiedAccess>]
module internal Dropout =

    let inline private mixed (x: uint32) : uint32 =
        let x = (x ^^^ (x >>> 16)) * 0x21F0AAADu
        let x = (x ^^^ (x >>> 15)) * 0xD35A2D97u
        x ^^^ (x >>> 15)

    let inline private mixedVector (x: Vector256<uint32>) : Vector256<uint32> =
        let x =
            Vector256.Multiply(Vector256.Xor(x, Vector256.ShiftRightLogical(x, 16)), Vector256.Create 0x21F0AAADu)

        let x =
            Vector256.Multiply(Vector256.Xor(x, Vector256.ShiftRightLogical(x, 15)), Vector256.Create 0xD35A2D97u)

        Vector256.Xor(x, Vector256.ShiftRightLogical(x, 15))

    /// Places whose upper halves are equal.
    [<AggressiveOptimization>]
    let private ofHalf (d: DropoutDraw) (first: int64) (count: int) (x: nativeptr<float32>) (y: nativeptr<float32>) =
        let low = uint32 d.Key
        let high = uint32 (d.Key >>> 32) + mixed (uint32 (first >>> 32))
        let place = uint32 first
        let mutable i = 0

        if Widths.widest >= Width.V256 then
            let lanes = Vector256.Create(0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u)
            let lows, highs = Vector256.Create low, Vector256.Create high
            let dropping, scale = Vector256.Create d.Dropping, Vector256.Create d.Scale

            while i + 8 <= count do
                let places = Vector256.Add(Vector256.Create(place + uint32 i), lanes)
                let h = mixedVector (Vector256.Xor(places, lows))
                let h = mixedVector (Vector256.Add(h, highs))

                let isKept =
                    Vector256.GreaterThanOrEqual(Vector256.ShiftRightLogical(h, 8).AsInt32(), dropping)

                let factor = Vector256.BitwiseAnd(isKept.AsSingle(), scale)
                let own = Vector256.Load(Pointer.at x (int64 i))
                Vector256.Store(Vector256.Multiply(own, factor), Pointer.at y (int64 i))
                i <- i + 8

        while i < count do
            let h = mixed (mixed ((place + uint32 i) ^^^ low) + high)
            let factor = if int (h >>> 8) >= d.Dropping then d.Scale else 0.0f
            Pointer.set y i (Pointer.get x i * factor)
            i <- i + 1

    /// <summary>y [count] of x [count], whose places begin with a first one; y may be x.</summary>
    let apply (d: DropoutDraw) (first: int64) (count: int) (x: nativeptr<float32>) (y: nativeptr<float32>) : unit =
        let mutable i = 0

        while i < count do
            let place = first + int64 i
            let toNext = 0x1_0000_0000L - (place &&& 0xFFFF_FFFFL)
            let run = int (min toNext (int64 (count - i)))
            ofHalf d place run (Pointer.at x (int64 i)) (Pointer.at y (int64 i))
            i <- i + run
