namespace SparseFs

open System
open System.Numerics
open System.Runtime.CompilerServices

/// The mixing of SplitMix64.
[<RequireQualifiedAccess>]
module internal SplitMix =

    [<Literal>]
    let GoldenGamma = 0x9E3779B97F4A7C15UL

    /// Variant 13 of Stafford's 64-bit mixers, as in the paper's mix64.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    let mix64 (z: uint64) =
        let z = (z ^^^ (z >>> 30)) * 0xBF58476D1CE4E5B9UL
        let z = (z ^^^ (z >>> 27)) * 0x94D049BB133111EBUL
        z ^^^ (z >>> 31)

    /// The number that mix64 takes to z: each of its three steps is undone.
    let unmix64 (z: uint64) =
        let z = (z ^^^ (z >>> 31) ^^^ (z >>> 62)) * 0x319642B2D24D8EC3UL
        let z = (z ^^^ (z >>> 27) ^^^ (z >>> 54)) * 0x96DE1B173F119089UL
        z ^^^ (z >>> 30) ^^^ (z >>> 60)

/// <summary>A source of randomness as a value: the same seed gives the same draws on every machine.</summary>
/// <remarks>
/// SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, sections 3 and 5
/// (state and an odd gamma; draw i is a mix of <c>state + i * gamma</c>). Draws are addressed by their index, so nothing
/// is ever advanced; only integer arithmetic decides a topology.
/// </remarks>
[<Struct; StructuredFormatDisplay("{Text}")>]
type Seed =
    private
        {
            state: uint64
            /// The gamma's difference from the golden one, so that the zero value (C#'s default) is a seed too.
            gammaOffset: uint64
        }

    /// The expression that makes it: of a child, which no number makes, its two words.
    override s.ToString() =
        let number = int64 (SplitMix.unmix64 s.state)

        if s.gammaOffset <> 0UL then
            invariant $"Seed.ofWords 0x{s.state:X16}UL 0x{s.gammaOffset + SplitMix.GoldenGamma:X16}UL"
        elif number = int64 (int number) then
            invariant $"Seed.ofInt {number}"
        else
            invariant $"Seed.ofInt64 {number}L"

    /// What %A prints.
    member internal s.Text: string = s.ToString()

/// <summary>Making, splitting and reading seeds.</summary>
[<RequireQualifiedAccess>]
module Seed =

    /// An odd gamma with enough bit transitions (the paper's mixGamma).
    let private mixGamma (z: uint64) =
        let z = (z ^^^ (z >>> 33)) * 0xFF51AFD7ED558CCDUL
        let z = (z ^^^ (z >>> 33)) * 0xC4CEB9FE1A85EC53UL
        let z = (z ^^^ (z >>> 33)) ||| 1UL

        if BitOperations.PopCount(z ^^^ (z >>> 1)) < 24 then
            z ^^^ 0xAAAAAAAAAAAAAAAAUL
        else
            z

    /// <summary>The seed that belongs to a number.</summary>
    /// <param name="value">Any number; neighbouring numbers give unrelated draws.</param>
    /// <example><code>
    /// let ofThisRun = Seed.ofInt64 DateTime.UtcNow.Ticks // print it: the same number draws the same run again
    /// </code></example>
    [<CompiledName "OfInt64">]
    let ofInt64 (value: int64) : Seed =
        { state = SplitMix.mix64 (uint64 value)
          gammaOffset = 0UL }

    /// <summary>The seed that belongs to a number.</summary>
    /// <param name="value">Any number; neighbouring numbers give unrelated draws.</param>
    /// <example><code>
    /// let pattern () = Topology.uniform 300 784 2352 (Seed.ofInt 42)
    /// pattern () = pattern () // = true
    /// </code></example>
    [<CompiledName "OfInt">]
    let ofInt (value: int) : Seed = ofInt64 (int64 value)

    /// The state that draw number index mixes.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    let private stateAt (index: int64) (seed: Seed) : uint64 =
        seed.state + (uint64 index + 1UL) * (seed.gammaOffset + SplitMix.GoldenGamma)

    /// <summary>Draw number <paramref name="index"/> of a seed: 64 uniform bits, a pure function of both.</summary>
    /// <param name="index">Which draw, from 0.</param>
    /// <param name="seed">The seed.</param>
    /// <example><code>
    /// let coins = [ for toss in 0L .. 9_999L -> Seed.bitsAt toss seed &amp;&amp;&amp; 1UL ]
    /// printfn $"heads: {List.sum coins} of 10000"
    /// </code></example>
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    [<CompiledName "BitsAt">]
    let bitsAt (index: int64) (seed: Seed) : uint64 = SplitMix.mix64 (stateAt index seed)

    /// <summary>The <paramref name="index"/>-th of many independent children of a seed, for one layer or one task of many.</summary>
    /// <param name="index">Which child, from 0.</param>
    /// <param name="seed">The parent; do not also draw from it.</param>
    /// <example><code>
    /// let patterns =
    ///     [ 784, 300; 300, 100; 100, 10 ]
    ///     |> List.mapi (fun i (inputs, outputs) -> Topology.constantFanIn outputs inputs 10 (Seed.child i seed))
    /// </code></example>
    [<CompiledName "Child">]
    let child (index: int) (seed: Seed) : Seed =
        { state = bitsAt (2L * int64 index) seed
          gammaOffset = mixGamma (stateAt (2L * int64 index + 1L) seed) - SplitMix.GoldenGamma }

    /// <summary>Two independent seeds in place of one.</summary>
    /// <param name="seed">The parent; do not draw from it any more.</param>
    /// <example><code>
    /// let ofPattern, ofTraining = Seed.split seed
    /// let model = new SparseLinear(784, 10, seed = ofPattern)
    /// let optimizer = torch.optim.SGD(model.parameters (), 0.1)
    /// use rewirer = new Rewirer(model, optimizer, Policy.set (Schedule.constant 0.3 600L 60_000L), ofTraining)
    /// </code></example>
    [<CompiledName "Split">]
    let split (seed: Seed) : Seed * Seed = child 0 seed, child 1 seed

    /// The number that ofInt64 makes the seed of; of a child, which no number makes, what it is.
    let internal text (seed: Seed) : string =
        if seed.gammaOffset = 0UL then
            invariant $"{int64 (SplitMix.unmix64 seed.state)}"
        else
            string seed

    /// The two numbers that a seed is.
    let internal toWords (seed: Seed) : struct (uint64 * uint64) =
        struct (seed.state, seed.gammaOffset + SplitMix.GoldenGamma)

    /// The seed of two numbers, if the second, the gamma, is odd.
    let internal tryOfWords (state: uint64) (gamma: uint64) : Seed voption =
        if gamma &&& 1UL = 0UL then
            ValueNone
        else
            ValueSome
                { state = state
                  gammaOffset = gamma - SplitMix.GoldenGamma }

    /// <summary>The seed of two words, as a child of a seed is printed: a seed that no single number makes.</summary>
    /// <param name="state">The first word, any number.</param>
    /// <param name="gamma">The second word, an odd number.</param>
    /// <exception cref="T:System.ArgumentException">gamma is even.</exception>
    /// <example><code>
    /// let child = Seed.child 1 (Seed.ofInt 3)
    /// child // = Seed.ofWords 0x669BB27A971CD2E4UL 0x82CEA35F8FE6ADF1UL
    /// child = Seed.ofWords 0x669BB27A971CD2E4UL 0x82CEA35F8FE6ADF1UL // = true
    /// </code></example>
    [<CompiledName "OfWords">]
    let ofWords (state: uint64) (gamma: uint64) : Seed =
        match tryOfWords state gamma with
        | ValueSome seed -> seed
        | ValueNone ->
            let message =
                invariant $"expected an odd number, as the second word of every seed is, got 0x{gamma:X16}UL"

            raise (ArgumentException(message, nameof gamma))

/// <summary>A cursor over the draws of a seed, for loops; never shared, never public.</summary>
[<Sealed>]
type internal Draws(seed: Seed) =
    let mutable index = 0L

    /// 64 uniform bits.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    member _.Next() : uint64 =
        let bits = Seed.bitsAt index seed
        index <- index + 1L
        bits

    /// <summary>A uniform integer in [0, bound), bound ≥ 1, without bias.</summary>
    /// <remarks>Lemire, "Fast random integer generation in an interval", ACM TOMACS 29(1), 2019, algorithm 5.</remarks>
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    member d.Below(bound: int64) : int64 =
        let n = uint64 bound
        let mutable low = 0UL
        let mutable high = Math.BigMul(d.Next(), n, &low)

        if low < n then
            let threshold = (0UL - n) % n

            while low < threshold do
                high <- Math.BigMul(d.Next(), n, &low)

        int64 high
