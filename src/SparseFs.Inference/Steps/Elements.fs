namespace SparseFs.Inference

#nowarn "9" // a pinned array becomes an address

open System
open System.Numerics
open Microsoft.FSharp.NativeInterop
open SparseFs.Kernels

/// <summary>What networks compute of each number, and of each row of numbers, beside products.</summary>
/// <remarks>In place. Arrays are whole vectors of 16 numbers long, so that what is done beyond the count does no harm.</remarks>
[<RequireQualifiedAccess>]
module internal Elements =

    /// Numbers of the widest vector.
    [<Literal>]
    let Widest = 16

    /// Numbers made up to whole vectors.
    let room (count: int64) : int64 =
        (count + int64 Widest - 1L) / int64 Widest * int64 Widest

    /// By the kernels of chains.
    let activate (activation: ChainActivation) (x: float32[]) (count: int) : unit =
        use first = fixed x
        let wide = int (room (int64 count))
        ChainTable.ofWidth(Widths.widest).Activate(activation, first, 1, wide, first, Pointer.nothing)

    /// Each vector of numbers by another one; the last numbers by way of a vector of their own.
    let inline private map (x: Span<float32>) ([<InlineIfLambda>] f: Vector<float32> -> Vector<float32>) =
        let lanes = Vector<float32>.Count
        let mutable i = 0

        while i + lanes <= x.Length do
            (f (Vector<float32>(Span.op_Implicit (x.Slice i): ReadOnlySpan<float32>))).CopyTo(x.Slice i)
            i <- i + lanes

        if i < x.Length then
            let rest: float32[] = Buffers.ArrayPool<float32>.Shared.Rent lanes
            x.Slice(i).CopyTo(Span<float32>(rest))
            (f (Vector<float32>(rest))).CopyTo rest
            Span<float32>(rest, 0, x.Length - i).CopyTo(x.Slice i)
            Buffers.ArrayPool<float32>.Shared.Return rest

    /// Of count numbers of an array from one of them on, and of as many behind them as make up whole vectors: which has to be room of nobody.
    let sigmoid (x: float32[]) (from: int) (count: int) : unit =
        use first = fixed x
        ActivationRuns.sigmoid Widths.widest (NativePtr.add first from) (int64 count)

    /// As sigmoid.
    let tanh (x: float32[]) (from: int) (count: int) : unit =
        use first = fixed x
        ActivationRuns.tanh Widths.widest (NativePtr.add first from) (int64 count)

    let leakyRelu (slope: float32) (x: Span<float32>) : unit =
        let slopes = Vector<float32>(slope)

        map x (fun v -> Vector.ConditionalSelect(Vector.GreaterThan(v, Vector<float32>.Zero), v, v * slopes))

    /// x · scale + shift
    let scale (factor: float32) (shift: float32) (x: Span<float32>) : unit =
        for i in 0 .. x.Length - 1 do
            x[i] <- x[i] * factor + shift

    let private largest (x: Span<float32>) =
        let mutable most = Single.NegativeInfinity

        for i in 0 .. x.Length - 1 do
            most <- MathF.Max(most, x[i])

        most

    /// e^(x − the largest), of a row, and their sum.
    let private exponentials (x: Span<float32>) : float32 =
        let most = Vector<float32>(largest x)
        map x (fun v -> Vector.Exp(v - most))
        let mutable sum = 0.0

        for i in 0 .. x.Length - 1 do
            sum <- sum + float x[i]

        float32 sum

    let softmax (x: Span<float32>) : unit =
        let sum = exponentials x
        scale (1.0f / sum) 0.0f x

    let logSoftmax (x: Span<float32>) : unit =
        let most = largest x
        let mutable sum = 0.0

        for i in 0 .. x.Length - 1 do
            sum <- sum + Math.Exp(float (x[i] - most))

        scale 1.0f (-most - float32 (Math.Log sum)) x

    /// (x − mean) / √(variance + epsilon) · weight + bias, of a row; weight and bias may be empty.
    let layerNorm (epsilon: float) (weight: float32[]) (bias: float32[]) (x: Span<float32>) : unit =
        let mutable sum = 0.0

        for i in 0 .. x.Length - 1 do
            sum <- sum + float x[i]

        let mean = sum / float x.Length
        let mutable squares = 0.0

        for i in 0 .. x.Length - 1 do
            let away = float x[i] - mean
            squares <- squares + away * away

        let factor = 1.0 / sqrt (squares / float x.Length + epsilon)

        for i in 0 .. x.Length - 1 do
            let normal = float32 ((float x[i] - mean) * factor)
            let scaled = if weight.Length = 0 then normal else normal * weight[i]
            x[i] <- if bias.Length = 0 then scaled else scaled + bias[i]

    /// x / √(mean of squares + epsilon) · weight, of a row; weight may be empty. Zhang and Sennrich 2019, arXiv 1910.07467.
    let rmsNorm (epsilon: float) (weight: float32[]) (x: Span<float32>) : unit =
        let mutable squares = 0.0

        for i in 0 .. x.Length - 1 do
            squares <- squares + float x[i] * float x[i]

        let factor = 1.0 / sqrt (squares / float x.Length + epsilon)

        for i in 0 .. x.Length - 1 do
            let normal = float32 (float x[i] * factor)
            x[i] <- if weight.Length = 0 then normal else normal * weight[i]

    let inline private both
        (x: Span<float32>)
        (y: ReadOnlySpan<float32>)
        ([<InlineIfLambda>] vectors: Vector<float32> -> Vector<float32> -> Vector<float32>)
        ([<InlineIfLambda>] one: float32 -> float32 -> float32)
        =
        let lanes = Vector<float32>.Count
        let mutable i = 0

        while i + lanes <= x.Length do
            let own = Vector<float32>(Span.op_Implicit (x.Slice i): ReadOnlySpan<float32>)
            (vectors own (Vector<float32>(y.Slice i))).CopyTo(x.Slice i)
            i <- i + lanes

        while i < x.Length do
            x[i] <- one x[i] y[i]
            i <- i + 1

    /// x + y, into x.
    let add (x: Span<float32>) (y: ReadOnlySpan<float32>) : unit = both x y (+) (+)

    /// x · y, into x.
    let multiply (x: Span<float32>) (y: ReadOnlySpan<float32>) : unit = both x y (*) (*)

    /// Each row's numbers by their own scale and shift.
    let affine (factors: float32[]) (shifts: float32[]) (x: Span<float32>) : unit =
        for i in 0 .. x.Length - 1 do
            x[i] <- x[i] * factors[i] + shifts[i]
