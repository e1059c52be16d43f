namespace SparseFs

open System

/// <summary>Logarithm and exponential that give the same bits on every machine.</summary>
/// <remarks>Those of System.Math are the C library's, which differ in the last bit; one bit can move a connection. Only
/// operations that IEEE 754 rounds correctly are used. Relative error below 1e-15 times the argument's size.</remarks>
module internal ReproducibleMath =

    let private ln2 = 0.693147180559945309417232

    /// ln x for a normal x > 0: ln 2^e + 2 artanh((m − 1) / (m + 1)), for m in [√½, √2).
    [<AggressiveOptimization>]
    let ln (x: float) : float =
        let bits = BitConverter.DoubleToInt64Bits x
        let mutable exponent = int (bits >>> 52) - 1023

        let mutable mantissa =
            BitConverter.Int64BitsToDouble((bits &&& 0x000FFFFFFFFFFFFFL) ||| 0x3FF0000000000000L)

        if mantissa > 1.4142135623730951 then
            mantissa <- mantissa * 0.5
            exponent <- exponent + 1

        let s = (mantissa - 1.0) / (mantissa + 1.0)
        let square = s * s
        let mutable sum = 0.0
        let mutable k = 23

        while k >= 1 do
            sum <- sum * square + 1.0 / float k
            k <- k - 2

        float exponent * ln2 + 2.0 * s * sum

    /// e^x for x ≤ 0: 2^k · e^r, |r| ≤ ½ ln 2, by Taylor's series; 0 below the smallest normal number.
    [<AggressiveOptimization>]
    let exp (x: float) : float =
        if x < -708.0 then
            0.0
        else
            let k = Math.Round(x / ln2)
            let r = x - k * ln2
            let mutable sum = 1.0
            let mutable i = 16

            while i >= 1 do
                sum <- 1.0 + sum * r / float i
                i <- i - 1

            sum * BitConverter.Int64BitsToDouble((int64 k + 1023L) <<< 52)

    /// cos(π x) for 0 ≤ x ≤ 1: Taylor's series of sine or cosine within an eighth of a turn.
    let cosPi (x: float) : float =
        let series (first: int) (turn: float) =
            let square = turn * turn
            let mutable sum = 0.0
            let mutable i = first + 20

            while i > first do
                sum <- (1.0 + sum) * -square / float (i * (i - 1))
                i <- i - 2

            1.0 + sum

        let sine (x: float) = Math.PI * x * series 1 (Math.PI * x)

        if x <= 0.25 then series 0 (Math.PI * x)
        elif x <= 0.75 then sine (0.5 - x)
        else -(series 0 (Math.PI * (1.0 - x)))
