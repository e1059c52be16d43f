namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>Steps of optimizers, each slot read and written once.</summary>
/// <remarks>
/// Each operation rounds as torch's operations do, one after the other; the root alone is the correctly rounded one, where torch's
/// vectors may be off by a unit in the last place. The order of slots is of no account: no slot looks at another. Arrays are of
/// one length and overlap nothing. Oracle: torch's operations, in the tests of the optimizers.
/// </remarks>
module internal OptimizerSteps =

    /// The gradient with its sign, and with decay where there is some.
    let inline private gradient<'L, 'R, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'R: struct and 'R :> IVectorRoots<'V> and 'V: struct>
        (x: StepNumbers)
        (sign: 'V)
        (decays: bool)
        (decay: 'V)
        (w: 'V)
        (at: int64)
        =
        let g = 'L.Multiply('L.Load(Pointer.at x.Gradient at), sign)
        if decays then 'R.Fused(w, decay, g) else g

    [<AggressiveOptimization>]
    let private adam<'L, 'R, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'R: struct and 'R :> IVectorRoots<'V> and 'V: struct>
        (x: StepNumbers)
        (o: AdamStep)
        (from: int)
        (until: int)
        =
        let sign, decay, kept =
            'L.Broadcast o.Sign, 'L.Broadcast o.Decay, 'L.Broadcast o.Kept

        let beta1, rest1 = 'L.Broadcast o.Beta1, 'L.Broadcast o.Rest1
        let beta2, rest2 = 'L.Broadcast o.Beta2, 'L.Broadcast o.Rest2
        let correction, epsilon = 'L.Broadcast o.Correction, 'L.Broadcast o.Epsilon
        let rate = 'L.Broadcast o.Rate
        let decays, hasLargest = o.Decay <> 0.0f, not (Pointer.isNull x.Largest)
        let lanes = 'L.Count
        let mutable s = from

        while s <= until - lanes do
            let at = int64 s
            let w = 'L.Load(Pointer.at x.Weight at)
            let g = gradient<'L, 'R, 'V> x sign decays decay w at
            let m = 'R.Fused(g, rest1, 'L.Multiply('L.Load(Pointer.at x.Mean at), beta1))

            let v =
                'R.Fused('L.Multiply(rest2, g), g, 'L.Multiply('L.Load(Pointer.at x.Square at), beta2))

            'L.Store(Pointer.at x.Mean at, m)
            'L.Store(Pointer.at x.Square at, v)
            let mutable top = v

            if hasLargest then
                top <- 'R.Max('L.Load(Pointer.at x.Largest at), v)
                'L.Store(Pointer.at x.Largest at, top)

            let denominator = 'L.Add('R.Divide('R.Sqrt top, correction), epsilon)
            let update = 'R.Divide('L.Multiply(rate, m), denominator)
            'L.Store(Pointer.at x.Weight at, 'L.Add('L.Multiply(w, kept), update))
            s <- s + lanes

        s

    [<AggressiveOptimization>]
    let private sgd<'L, 'R, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'R: struct and 'R :> IVectorRoots<'V> and 'V: struct>
        (x: StepNumbers)
        (o: SgdStep)
        (from: int)
        (until: int)
        =
        let sign, decay = 'L.Broadcast o.Sign, 'L.Broadcast o.Decay
        let momentum, weight = 'L.Broadcast o.Momentum, 'L.Broadcast o.Weight
        let rate = 'L.Broadcast o.Rate
        let decays, hasBuffer = o.Decay <> 0.0f, not (Pointer.isNull x.Mean)
        let isNesterov = o.IsNesterov
        let lanes = 'L.Count
        let mutable s = from

        while s <= until - lanes do
            let at = int64 s
            let w = 'L.Load(Pointer.at x.Weight at)
            let mutable g = gradient<'L, 'R, 'V> x sign decays decay w at

            if hasBuffer then
                let buffer =
                    'R.Fused(g, weight, 'L.Multiply('L.Load(Pointer.at x.Mean at), momentum))

                'L.Store(Pointer.at x.Mean at, buffer)
                g <- if isNesterov then 'R.Fused(buffer, momentum, g) else buffer

            'L.Store(Pointer.at x.Weight at, 'R.Fused(g, rate, w))
            s <- s + lanes

        s

    [<AggressiveOptimization>]
    let private rmsProp<'L, 'R, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'R: struct and 'R :> IVectorRoots<'V> and 'V: struct>
        (x: StepNumbers)
        (o: RmsPropStep)
        (from: int)
        (until: int)
        =
        let sign, decay = 'L.Broadcast o.Sign, 'L.Broadcast o.Decay
        let alpha, rest = 'L.Broadcast o.Alpha, 'L.Broadcast o.Rest

        let epsilon, momentum, rate =
            'L.Broadcast o.Epsilon, 'L.Broadcast o.Momentum, 'L.Broadcast o.Rate

        let minus = 'L.Broadcast -1.0f
        let decays, hasBuffer = o.Decay <> 0.0f, not (Pointer.isNull x.Mean)
        let isCentred = not (Pointer.isNull x.Centre)
        let lanes = 'L.Count
        let mutable s = from

        while s <= until - lanes do
            let at = int64 s
            let w = 'L.Load(Pointer.at x.Weight at)
            let g = gradient<'L, 'R, 'V> x sign decays decay w at

            let v =
                'R.Fused('L.Multiply(rest, g), g, 'L.Multiply('L.Load(Pointer.at x.Square at), alpha))

            'L.Store(Pointer.at x.Square at, v)
            let mutable spread = v

            if isCentred then
                let centre = 'R.Fused(g, rest, 'L.Multiply('L.Load(Pointer.at x.Centre at), alpha))

                'L.Store(Pointer.at x.Centre at, centre)
                spread <- 'R.Fused('L.Multiply(minus, centre), centre, v)

            let root = 'L.Add('R.Sqrt spread, epsilon)

            if hasBuffer then
                let buffer =
                    'L.Add('L.Multiply('L.Load(Pointer.at x.Mean at), momentum), 'R.Divide(g, root))

                'L.Store(Pointer.at x.Mean at, buffer)
                'L.Store(Pointer.at x.Weight at, 'R.Fused(buffer, rate, w))
            else
                'L.Store(Pointer.at x.Weight at, 'L.Add(w, 'R.Divide('L.Multiply(rate, g), root)))

            s <- s + lanes

        s

    /// The rest behind the last whole vector goes slot by slot.
    let private adamRange (width: Width) (x: StepNumbers) (o: AdamStep) (slots: RowRange) : unit =
        let next =
            match width with
            | Width.V512 -> adam<Simd512, Roots512, _> x o slots.From slots.To
            | Width.V256 -> adam<Simd256, Roots256, _> x o slots.From slots.To
            | Width.V128 -> adam<Simd128, Roots128, _> x o slots.From slots.To
            | _ -> slots.From

        adam<SimdScalar, RootsScalar, _> x o next slots.To |> ignore

    let private sgdRange (width: Width) (x: StepNumbers) (o: SgdStep) (slots: RowRange) : unit =
        let next =
            match width with
            | Width.V512 -> sgd<Simd512, Roots512, _> x o slots.From slots.To
            | Width.V256 -> sgd<Simd256, Roots256, _> x o slots.From slots.To
            | Width.V128 -> sgd<Simd128, Roots128, _> x o slots.From slots.To
            | _ -> slots.From

        sgd<SimdScalar, RootsScalar, _> x o next slots.To |> ignore

    let private rmsPropRange (width: Width) (x: StepNumbers) (o: RmsPropStep) (slots: RowRange) : unit =
        let next =
            match width with
            | Width.V512 -> rmsProp<Simd512, Roots512, _> x o slots.From slots.To
            | Width.V256 -> rmsProp<Simd256, Roots256, _> x o slots.From slots.To
            | Width.V128 -> rmsProp<Simd128, Roots128, _> x o slots.From slots.To
            | _ -> slots.From

        rmsProp<SimdScalar, RootsScalar, _> x o next slots.To |> ignore

    /// <summary>Adam's step, or AdamW's.</summary>
    /// <remarks>mean = β1 · mean + (1 − β1) · g, square = β2 · square + (1 − β2) · g², weight = kept · weight + rate · mean /
    /// (√square / correction + ε), with g = sign · gradient + decay · weight.</remarks>
    let adamAt (width: Width) (team: ParallelFor) (threads: int) (slots: int) (x: StepNumbers) (o: AdamStep) : unit =
        if SlotParts.isOne threads slots then
            adamRange width x o { From = 0; To = slots } // no closure: a step leaves no garbage
        else
            SlotParts.each team threads slots (adamRange width x o)

    /// SGD's step.
    let sgdAt (width: Width) (team: ParallelFor) (threads: int) (slots: int) (x: StepNumbers) (o: SgdStep) : unit =
        if SlotParts.isOne threads slots then
            sgdRange width x o { From = 0; To = slots } // no closure: a step leaves no garbage
        else
            SlotParts.each team threads slots (sgdRange width x o)

    /// RMSProp's step.
    let rmsPropAt (width: Width) (team: ParallelFor) (threads: int) (slots: int) (x: StepNumbers) (o: RmsPropStep) =
        if SlotParts.isOne threads slots then
            rmsPropRange width x o { From = 0; To = slots } // no closure: a step leaves no garbage
        else
            SlotParts.each team threads slots (rmsPropRange width x o)
