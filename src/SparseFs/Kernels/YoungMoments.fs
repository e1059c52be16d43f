namespace SparseFs.Kernels

#nowarn "9"

open System
open System.Runtime.Intrinsics
open System.Runtime.Intrinsics.X86
open Microsoft.FSharp.NativeInterop
open SparseFs

/// Where Adam's numbers of a weight lie, one a slot, and what the optimizer makes of its gradient.
[<Struct>]
type internal AdamNumbers =
    {
        Gradient: nativeptr<float32>
        /// Read only where Decay is not 0.
        Weight: nativeptr<float32>
        Mean: nativeptr<float32>
        Square: nativeptr<float32>
        /// AMSGrad's, or null.
        Largest: nativeptr<float32>
        /// 1, or −1 where the loss is to rise.
        Sign: float32
        /// The part of the weight that is added to the gradient.
        Decay: float32
    }

/// Moments of slots that were grown not long ago, made such that the optimizer's next step is that of their age.
module internal YoungMoments =

    /// Cohorts that a vector of coefficients holds, that of all other slots among them.
    [<Literal>]
    let Few = 8

    /// <summary>For each slot s from and to whose cohort is not 0, with c its cohort's number, g = sign · gradient + decay ·
    /// weight: mean += d1[c] · g − e1[c] · mean; square += d2[c] · g² − e2[c] · square; largest −= e2[c] · largest.</summary>
    /// <param name="cohorts">[slots]</param>
    /// <param name="tables">e1, d1, e2, d2, each of stride numbers, one a cohort.</param>
    /// <param name="stride">Few, or more.</param>
    /// <param name="means">Cohorts whose mean is changed, from the first on: the others' e1 and d1 are as good as 0.</param>
    /// <param name="x">All overwritten where a cohort is not 0, untouched elsewhere; they overlap nothing.</param>
    /// <param name="slotFrom">The first slot.</param>
    /// <param name="slotTo">The slot behind the last.</param>
    /// <remarks>The same operations in the same order at any width, so the same bits.</remarks>
    [<FullyOptimized>]
    let adam
        (cohorts: nativeptr<byte>)
        (tables: nativeptr<float32>)
        (stride: int)
        (means: int)
        (x: AdamNumbers)
        (slotFrom: int)
        (slotTo: int)
        =
        let mutable s = slotFrom
        let hasLargest = not (Pointer.isNull x.Largest)
        let decays = x.Decay <> 0.0f

        if stride = Few && Avx2.IsSupported && Fma.IsSupported then
            let e1 = Vector256.Load tables
            let d1 = Vector256.Load(Pointer.at tables 8L)
            let e2 = Vector256.Load(Pointer.at tables 16L)
            let d2 = Vector256.Load(Pointer.at tables 24L)
            let sign = Vector256.Create x.Sign
            let decay = Vector256.Create x.Decay
            let beyond = Vector256.Create(means + 1)

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

                    let hasMean =
                        Vector256.AndNot(Vector256.GreaterThan(beyond, cohort).AsSingle(), isOld)

                    if Avx.MoveMask hasMean <> 0 then
                        let m = Vector256.Load(Pointer.at x.Mean at)
                        let taken = Avx2.PermuteVar8x32(e1, cohort) * m
                        let next = m + Fma.MultiplySubtract(Avx2.PermuteVar8x32(d1, cohort), g, taken)
                        Vector256.Store(Avx.BlendVariable(m, next, hasMean), Pointer.at x.Mean at)

                    let e = Avx2.PermuteVar8x32(e2, cohort)
                    let v = Vector256.Load(Pointer.at x.Square at)
                    let next = v + Fma.MultiplySubtract(Avx2.PermuteVar8x32(d2, cohort) * g, g, e * v)
                    Vector256.Store(Avx.BlendVariable(next, v, isOld), Pointer.at x.Square at)

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

    /// Slots below which a second thread costs more than it brings, to torch's operations too.
    let private slotsOfThread = 32_768

    /// <summary>As adam, for all slots; tables has four times stride numbers.</summary>
    let adamOf (threads: int) (cohorts: byte[]) (tables: float32[]) (stride: int) (means: int) (x: AdamNumbers) =
        let slots = cohorts.Length
        let parts = max 1 (min threads (slots / slotsOfThread))
        use cohortsPin = fixed cohorts
        use tablesPin = fixed tables
        let ofSlots, ofCohorts = cohortsPin, tablesPin

        // A part begins where a vector does.
        let bound part =
            if part = parts then
                slots
            else
                int (int64 slots * int64 part / int64 parts) &&& ~~~7

        if parts = 1 then
            adam ofSlots ofCohorts stride means x 0 slots
        else
            Team.run parts parts (fun part -> adam ofSlots ofCohorts stride means x (bound part) (bound (part + 1)))
