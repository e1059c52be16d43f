namespace SparseFs.Kernels

#nowarn "3536"

open SparseFs

/// <summary>Logistic sigmoid and tanh of vectors, within 3 units in the last place.</summary>
/// <remarks>Both come from e^x − 1, which keeps its precision near 0: x = n · ln 2 + r with |r| ≤ ln 2 / 2, and e^r − 1 by the first seven terms
/// of its series, whose rest is below 6e-9 of r. Oracle: float64's, in the tests of the recurrent kernels.</remarks>
module internal Activations =

    /// e^x − 1, for |x| up to 87.
    let inline expm1<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        (x: 'V)
        : 'V =
        let n = 'A.Round('L.Multiply(x, 'L.Broadcast 1.44269504f))
        // ln 2 in two parts, of which the first has few enough digits that n times it is exact.
        let r = 'L.MultiplyAdd(n, 'L.Broadcast -0.693359375f, x)
        let r = 'L.MultiplyAdd(n, 'L.Broadcast 2.12194440e-4f, r)
        let p = 'L.MultiplyAdd('L.Broadcast(1.0f / 5040.0f), r, 'L.Broadcast(1.0f / 720.0f))
        let p = 'L.MultiplyAdd(p, r, 'L.Broadcast(1.0f / 120.0f))
        let p = 'L.MultiplyAdd(p, r, 'L.Broadcast(1.0f / 24.0f))
        let p = 'L.MultiplyAdd(p, r, 'L.Broadcast(1.0f / 6.0f))
        let p = 'L.MultiplyAdd(p, r, 'L.Broadcast 0.5f)
        let p = 'L.MultiplyAdd('L.Multiply(p, r), r, r)
        let scale = 'A.PowerOf2 n
        'L.MultiplyAdd(scale, p, 'L.Add(scale, 'L.Broadcast -1.0f))

    /// 1 / (1 + e^−x)
    let inline sigmoid<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        (x: 'V)
        : 'V =
        let minus = 'L.Multiply(x, 'L.Broadcast -1.0f)

        let e = expm1<'L, 'A, 'V>('A.Clamp(minus, 'L.Broadcast -87.0f, 'L.Broadcast 87.0f))

        'A.Divide('L.Broadcast 1.0f, 'L.Add(e, 'L.Broadcast 2.0f))

    /// (e^2x − 1) / (e^2x + 1); from 10 on it is 1 in float32.
    let inline tanh<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        (x: 'V)
        : 'V =
        let twice = 'L.Add(x, x)

        let e = expm1<'L, 'A, 'V>('A.Clamp(twice, 'L.Broadcast -20.0f, 'L.Broadcast 20.0f))

        'A.Divide(e, 'L.Add(e, 'L.Broadcast 2.0f))

    /// 1 − x²
    let inline oneMinusSquare<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct> (x: 'V) : 'V =
        'L.MultiplyAdd('L.Multiply(x, 'L.Broadcast -1.0f), x, 'L.Broadcast 1.0f)

    /// x · (1 − x)
    let inline timesRest<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct> (x: 'V) : 'V =
        'L.MultiplyAdd('L.Multiply(x, 'L.Broadcast -1.0f), x, x)
