namespace SparseFs.Kernels

#nowarn "9"

open System
open System.Runtime.Intrinsics
open System.Runtime.Intrinsics.X86
open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>Moments of slots that were grown not long ago, made such that the optimizer's next step is that of their age.</summary>
/// <remarks>Oracle: torch's operations one after the other, and one lane to the bit.</remarks>
module internal YoungMoments =

    /// Cohorts that a vector of coefficients holds, that of all other slots among them.
    [<Literal>]
    let Few = 8

    /// x + (a · b − e · x), but x where a mask says so.
    let inline private moved (a: Vector256<float32>) b (e: Vector256<float32>) (x: Vector256<float32>) keeps =
        Avx.BlendVariable(x + Fma.MultiplySubtract(a, b, e * x), x, keeps)

    /// <summary>For each slot s from and to whose cohort is not 0, with c its cohort's number, g = sign · gradient + decay ·
    /// weight: mean += d1[c] · g − e1[c] · mean; square += d2[c] · g² − e2[c] · square; largest −= e2[c] · largest.</summary>
    /// <param name="cohorts">[slots]</param>
    /// <param name="tables">e1, d1, e2, d2, each of stride numbers, one a cohort.</param>
    /// <param name="stride">Few, or more.</param>
    /// <param name="means">Cohorts whose mean is changed, from the first on: the others' e1 and d1 are as good as 0.</param>
    /// <param name="x">All overwritten where a cohort is not 0, untouched elsewhere; they overlap nothing.</param>
    /// <param name="slots">Which slots.</param>
    /// <param name="width">Eight slots at a time from 256 bits on, one by one below.</param>
    /// <remarks>The same operations in the same order at any width, so the same bits.</remarks>
    [<AggressiveOptimization>]
    let adam
        (width: Width)
        (cohorts: nativeptr<byte>)
        (tables: nativeptr<float32>)
        (stride: int)
        (means: int)
        (x: AdamNumbers)
        (slots: RowRange)
        =
        let slotTo = slots.To
        let mutable s = slots.From
        let hasLargest = not (Pointer.isNull x.Largest)
        let decays = x.Decay <> 0.0f

        if stride = Few && width >= Width.V256 then
            let e1 = Vector256.Load tables
            let d1 = Vector256.Load(Pointer.at tables 8L)
            let e2 = Vector256.Load(Pointer.at tables 16L)
            let d2 = Vector256.Load(Pointer.at tables 24L)
            let sign = Vector256.Create x.Sign
            let decay = Vector256.Create x.Decay
            let last = Vector256.Create means

            while s <= slotTo - 8 do
                let at = int64 s

                if
                    NativePtr.read (NativePtr.ofNativeInt<uint64>(NativePtr.toNativeInt (Pointer.at cohorts at)))
                    <> 0UL
                then
                    let cohort = Avx2.ConvertToVector256Int32(Pointer.at cohorts at)
                    let isOld = Vector256.Equals(cohort, Vector256<int>.Zero).AsSingle()
                    let g = Vector256.Load(Pointer.at x.Gradient at) * sign

                    let g =
                        if decays then
                            Fma.MultiplyAdd(decay, Vector256.Load(Pointer.at x.Weight at), g)
                        else
                            g

                    // No mean of theirs changes: old, or beyond the cohorts whose does.
                    let keepsMean =
                        Vector256.BitwiseOr(isOld, Vector256.GreaterThan(cohort, last).AsSingle())

                    if Avx.MoveMask keepsMean <> 255 then
                        let m = Vector256.Load(Pointer.at x.Mean at)
                        let e, d = Avx2.PermuteVar8x32(e1, cohort), Avx2.PermuteVar8x32(d1, cohort)
                        Vector256.Store(moved d g e m keepsMean, Pointer.at x.Mean at)

                    let e, d = Avx2.PermuteVar8x32(e2, cohort), Avx2.PermuteVar8x32(d2, cohort)
                    let v = Vector256.Load(Pointer.at x.Square at)
                    Vector256.Store(moved (d * g) g e v isOld, Pointer.at x.Square at)

                    if hasLargest then
                        let largest = Vector256.Load(Pointer.at x.Largest at)
                        let next = Fma.MultiplyAddNegated(e, largest, largest)
                        Vector256.Store(Avx.BlendVariable(next, largest, isOld), Pointer.at x.Largest at)

                s <- s + 8

        while s < slotTo do
            let cohort = int (Pointer.get cohorts s)

            if cohort <> 0 then
                let g = Pointer.get x.Gradient s * x.Sign

                let g =
                    if decays then
                        MathF.FusedMultiplyAdd(x.Decay, Pointer.get x.Weight s, g)
                    else
                        g

                let e1 = Pointer.get tables cohort
                let d1 = Pointer.get tables (stride + cohort)
                let e2 = Pointer.get tables (2 * stride + cohort)
                let d2 = Pointer.get tables (3 * stride + cohort)

                if cohort <= means then
                    let m = Pointer.get x.Mean s
                    Pointer.set x.Mean s (m + MathF.FusedMultiplyAdd(d1, g, -(e1 * m)))

                let v = Pointer.get x.Square s
                Pointer.set x.Square s (v + MathF.FusedMultiplyAdd(d2 * g, g, -(e2 * v)))

                if hasLargest then
                    let largest = Pointer.get x.Largest s
                    Pointer.set x.Largest s (MathF.FusedMultiplyAdd(-e2, largest, largest))

            s <- s + 1

    /// Whether this machine rounds as torch's operations do: vectors of 256 bits, a multiply-add in one rounding.
    let isFused = Widths.widest >= Width.V256

    /// <summary>As adam, and then, for every slot: mean = β1 · mean + (1 − β1) · g; square = β2 · square + (1 − β2) · g²;
    /// largest = max(largest, square).</summary>
    /// <remarks>stride is Few. At any width, the roundings are those of torch's operations, one after the other.</remarks>
    [<AggressiveOptimization>]
    let private adamMeans
        (width: Width)
        (cohorts: nativeptr<byte>)
        (tables: nativeptr<float32>)
        (means: int)
        (x: AdamNumbers)
        (o: AdamMeans)
        (slots: RowRange)
        =
        let slotTo = slots.To
        let mutable s = slots.From
        let hasLargest = not (Pointer.isNull x.Largest)
        let decays = x.Decay <> 0.0f

        if width >= Width.V256 then
            let e1, d1 = Vector256.Load tables, Vector256.Load(Pointer.at tables 8L)

            let e2, d2 =
                Vector256.Load(Pointer.at tables 16L), Vector256.Load(Pointer.at tables 24L)

            let last = Vector256.Create means
            let sign = Vector256.Create x.Sign
            let decay = Vector256.Create x.Decay
            let beta1, rest1 = Vector256.Create o.Beta1, Vector256.Create o.Rest1
            let beta2, rest2 = Vector256.Create o.Beta2, Vector256.Create o.Rest2

            while s <= slotTo - 8 do
                let at = int64 s
                let cohort = Avx2.ConvertToVector256Int32(Pointer.at cohorts at)
                let isOld = Vector256.Equals(cohort, Vector256<int>.Zero).AsSingle()

                let keepsMean =
                    Vector256.BitwiseOr(isOld, Vector256.GreaterThan(cohort, last).AsSingle())

                let g = Vector256.Load(Pointer.at x.Gradient at) * sign

                let g =
                    if decays then
                        Fma.MultiplyAdd(decay, Vector256.Load(Pointer.at x.Weight at), g)
                    else
                        g

                let e, d = Avx2.PermuteVar8x32(e1, cohort), Avx2.PermuteVar8x32(d1, cohort)
                let m = moved d g e (Vector256.Load(Pointer.at x.Mean at)) keepsMean
                Vector256.Store(Fma.MultiplyAdd(g, rest1, m * beta1), Pointer.at x.Mean at)
                let e, d = Avx2.PermuteVar8x32(e2, cohort), Avx2.PermuteVar8x32(d2, cohort)
                let v = moved (d * g) g e (Vector256.Load(Pointer.at x.Square at)) isOld
                let v = Fma.MultiplyAdd(rest2 * g, g, v * beta2)
                Vector256.Store(v, Pointer.at x.Square at)

                if hasLargest then
                    let largest = Vector256.Load(Pointer.at x.Largest at)

                    let largest =
                        Avx.BlendVariable(Fma.MultiplyAddNegated(e, largest, largest), largest, isOld)

                    Vector256.Store(Vector256.Max(largest, v), Pointer.at x.Largest at)

                s <- s + 8

        adam width cohorts tables Few means x { From = s; To = slotTo }

        while s < slotTo do
            let g = Pointer.get x.Gradient s * x.Sign

            let g =
                if decays then
                    MathF.FusedMultiplyAdd(x.Decay, Pointer.get x.Weight s, g)
                else
                    g

            Pointer.set x.Mean s (MathF.FusedMultiplyAdd(g, o.Rest1, Pointer.get x.Mean s * o.Beta1))
            let v = MathF.FusedMultiplyAdd(o.Rest2 * g, g, Pointer.get x.Square s * o.Beta2)
            Pointer.set x.Square s v

            if hasLargest then
                Pointer.set x.Largest s (MathF.Max(Pointer.get x.Largest s, v))

            s <- s + 1

    /// <summary>w = kept · w + rate · mean / (root / correction + epsilon), for the slots from and to.</summary>
    /// <remarks>At any width, the roundings are those of torch's operations, one after the other.</remarks>
    [<AggressiveOptimization>]
    let private adamUpdate
        (width: Width)
        (root: nativeptr<float32>)
        (mean: nativeptr<float32>)
        (w: nativeptr<float32>)
        (o: AdamUpdate)
        (slots: RowRange)
        =
        let slotTo = slots.To
        let mutable s = slots.From

        if width >= Width.V256 then
            let kept, correction = Vector256.Create o.Kept, Vector256.Create o.Correction
            let epsilon, rate = Vector256.Create o.Epsilon, Vector256.Create o.Rate

            while s <= slotTo - 8 do
                let at = int64 s
                let denominator = Vector256.Load(Pointer.at root at) / correction + epsilon
                let update = rate * Vector256.Load(Pointer.at mean at) / denominator
                Vector256.Store(Vector256.Load(Pointer.at w at) * kept + update, Pointer.at w at)
                s <- s + 8

        while s < slotTo do
            let denominator = Pointer.get root s / o.Correction + o.Epsilon
            Pointer.set w s (Pointer.get w s * o.Kept + o.Rate * Pointer.get mean s / denominator)
            s <- s + 1

    /// <summary>As adam, for all slots; tables has four times stride numbers.</summary>
    let adamAt
        (width: Width)
        (team: ParallelFor)
        (threads: int)
        (cohorts: byte[])
        (tables: float32[])
        (stride: int)
        (means: int)
        (x: AdamNumbers)
        =
        use cohortsPin = fixed cohorts
        use tablesPin = fixed tables
        let ofSlots, ofCohorts = cohortsPin, tablesPin
        SlotParts.each team threads cohorts.Length (fun slots -> adam width ofSlots ofCohorts stride means x slots)

    /// As adamMeans, for all slots.
    let adamMeansAt
        (width: Width)
        (team: ParallelFor)
        (threads: int)
        (cohorts: byte[])
        (tables: float32[])
        (means: int)
        (x: AdamNumbers)
        (o: AdamMeans)
        =
        use cohortsPin = fixed cohorts
        use tablesPin = fixed tables
        let ofSlots, ofCohorts = cohortsPin, tablesPin
        SlotParts.each team threads cohorts.Length (fun slots -> adamMeans width ofSlots ofCohorts means x o slots)

    /// As adamUpdate, for all slots.
    let adamUpdateAt (width: Width) (team: ParallelFor) (threads: int) (slots: int) root mean w (o: AdamUpdate) =
        SlotParts.each team threads slots (fun slots -> adamUpdate width root mean w o slots)

    /// adamAt the machine's widest.
    let adamOf team threads cohorts tables stride means x =
        adamAt Widths.widest team threads cohorts tables stride means x

    /// adamMeansAt the machine's widest.
    let adamMeansOf team threads cohorts tables means x o =
        adamMeansAt Widths.widest team threads cohorts tables means x o

    /// adamUpdateAt the machine's widest.
    let adamUpdateOf team threads slots root mean w o =
        adamUpdateAt Widths.widest team threads slots root mean w o
