namespace SparseFs.Kernels

#nowarn "3536"

open SparseFs

/// What stands between two products of a chain.
type internal ChainActivation =
    | Gelu = 0
    /// GELU by way of tanh.
    | GeluTanh = 1
    | Relu = 2
    | Silu = 3
    /// SiLU of the first half of the rows times the second half.
    | SwiGlu = 4

[<RequireQualifiedAccess>]
module internal ChainActivation =

    /// Rows that an activation takes for each that it gives.
    let rowsTaken (activation: ChainActivation) : int =
        match activation with
        | ChainActivation.SwiGlu -> 2
        | _ -> 1

/// <summary>Activations and their slopes, of vectors, given to whoever wants one or both.</summary>
/// <remarks>
/// GELU: Hendrycks and Gimpel 2016, arXiv 1606.08415. Its normal distribution function comes from the error function by Abramowitz and Stegun,
/// formula 7.1.26, which is off by 1.5e-7 at most and shares its exponential with the density. SwiGLU: Shazeer 2020, arXiv
/// 2002.05202, section 2. Oracle: float64's, in the tests of chains.
/// </remarks>
module internal ActivationSlopes =

    /// e^x, for x from −87 to 87; numbers beyond count as these.
    let inline exp<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        (x: 'V)
        : 'V =
        'L.Add(Activations.expm1<'L, 'A, 'V>('A.Clamp(x, 'L.Broadcast -87.0f, 'L.Broadcast 87.0f)), 'L.Broadcast 1.0f)

    /// x times the part of a normal distribution below x, and the slope of that.
    let inline gelu<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        (x: 'V)
        ([<InlineIfLambda>] give: 'V -> 'V -> unit)
        : unit =
        // With z = |x| / √2: t = 1 / (1 + 0.3275911 z), and e^−z² = e^−x²/2.
        let t =
            'A
                .Divide(
                    'L.Broadcast 1.0f,
                    'L.MultiplyAdd('L.Abs x, 'L.Broadcast(0.3275911f * 0.70710678f), 'L.Broadcast 1.0f)
                )

        let bell = exp<'L, 'A, 'V>('L.Multiply('L.Multiply(x, 'L.Broadcast -0.5f), x))

        let p = 'L.MultiplyAdd(t, 'L.Broadcast 1.061405429f, 'L.Broadcast -1.453152027f)
        let p = 'L.MultiplyAdd(t, p, 'L.Broadcast 1.421413741f)
        let p = 'L.MultiplyAdd(t, p, 'L.Broadcast -0.284496736f)
        let p = 'L.MultiplyAdd(t, p, 'L.Broadcast 0.254829592f)
        // The part above |x|.
        let above = 'L.Multiply('L.Multiply('L.Multiply(p, t), 'L.Broadcast 0.5f), bell)

        let below =
            'L.Add(above, 'A.WherePositive(x, 'L.MultiplyAdd(above, 'L.Broadcast -2.0f, 'L.Broadcast 1.0f)))

        give ('L.Multiply(x, below)) ('L.MultiplyAdd(x, 'L.Multiply(bell, 'L.Broadcast 0.39894228f), below))

    let inline geluTanh<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        (x: 'V)
        ([<InlineIfLambda>] give: 'V -> 'V -> unit)
        : unit =
        let square = 'L.Multiply(x, x)
        let scaled = 'L.Multiply(x, 'L.Broadcast 0.79788456f)

        let inner =
            'L.Multiply(scaled, 'L.MultiplyAdd(square, 'L.Broadcast 0.044715f, 'L.Broadcast 1.0f))

        let t = Activations.tanh<'L, 'A, 'V> inner
        let part = 'L.MultiplyAdd(t, 'L.Broadcast 0.5f, 'L.Broadcast 0.5f)

        let rise =
            'L.Multiply(scaled, 'L.MultiplyAdd(square, 'L.Broadcast 0.134145f, 'L.Broadcast 1.0f))

        let bend = 'L.Multiply(Activations.oneMinusSquare<'L, 'V> t, 'L.Broadcast 0.5f)
        give ('L.Multiply(x, part)) ('L.MultiplyAdd(rise, bend, part))

    let inline silu<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        (x: 'V)
        ([<InlineIfLambda>] give: 'V -> 'V -> unit)
        : unit =
        let part = Activations.sigmoid<'L, 'A, 'V> x
        let value = 'L.Multiply(x, part)
        let rest = 'L.MultiplyAdd(part, 'L.Broadcast -1.0f, 'L.Broadcast 1.0f)
        give value ('L.MultiplyAdd(value, rest, part))

    let inline relu<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        (x: 'V)
        ([<InlineIfLambda>] give: 'V -> 'V -> unit)
        : unit =
        give ('A.Max(x, 'L.Zero)) ('A.WherePositive(x, 'L.Broadcast 1.0f))
