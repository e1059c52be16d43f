namespace SparseFs.Inference

open System
open SparseFs.Kernels

/// Rows that a value has.
[<Struct>]
type internal RowCount =
    {
        /// Of a sample, or of a token.
        Rows: int
        HasTokens: bool
    }

    member c.Of(w: Workspace) : int = w.Rows c.HasTokens * c.Rows

/// A buffer as another one, which may be changed in place.
[<Sealed>]
type internal CopyStep(from: int, into: int, count: RowCount) =
    inherit Step()

    override _.Run w =
        Array.Copy(w.Buffer from, w.Buffer into, count.Of w)

/// Numbers of a buffer, each by itself.
[<Sealed>]
type internal ElementStep(buffer: int, count: RowCount, operator': string, number: float) =
    inherit Step()

    override _.Run w =
        let x, count = w.Buffer buffer, count.Of w

        match operator' with
        | "relu" -> Elements.activate ChainActivation.Relu x count
        | "gelu" -> Elements.activate ChainActivation.Gelu x count
        | "gelu_tanh" -> Elements.activate ChainActivation.GeluTanh x count
        | "silu" -> Elements.activate ChainActivation.Silu x count
        | "sigmoid" -> Elements.sigmoid x 0 count
        | "tanh" -> Elements.tanh x 0 count
        | _ -> Elements.leakyRelu (float32 number) (x.AsSpan(0, count))

/// Rows of a buffer, each by itself.
[<Sealed>]
type internal RowStep
    (buffer: int, count: RowCount, features: int, operator': string, epsilon: float, weight: float32[], bias: float32[])
    =
    inherit Step()

    override _.Run w =
        let x = w.Buffer buffer

        for row in 0 .. count.Of w - 1 do
            let own = x.AsSpan(row * features, features)

            match operator' with
            | "softmax" -> Elements.softmax own
            | "log_softmax" -> Elements.logSoftmax own
            | "layer_norm" -> Elements.layerNorm epsilon weight bias own
            | "rms_norm" -> Elements.rmsNorm epsilon weight own
            | _ -> Elements.affine weight bias own

/// <summary>Channels of pixels [channels, pixels] of each sample, each by its own scale and shift.</summary>
[<Sealed>]
type internal ChannelStep(buffer: int, channels: int, pixels: int, factors: float32[], shifts: float32[]) =
    inherit Step()

    override _.Run w =
        let x = w.Buffer buffer

        for row in 0 .. w.Samples * channels - 1 do
            let channel = row % channels
            Elements.scale factors[channel] shifts[channel] (x.AsSpan(row * pixels, pixels))

/// <summary>The numbers of a buffer with those of another one, into the first.</summary>
[<Sealed>]
type internal PairStep(buffer: int, other: int, count: RowCount, isProduct: bool) =
    inherit Step()

    override _.Run w =
        let count = count.Of w
        let x = w.Buffer(buffer).AsSpan(0, count)
        let y = ReadOnlySpan(w.Buffer other, 0, count)

        if isProduct then
            Elements.multiply x y
        else
            Elements.add x y

/// <summary>Neighbouring numbers of each row, into rows of another buffer.</summary>
/// <param name="from">Whose rows.</param>
/// <param name="features">Of its rows.</param>
/// <param name="first">The first number that is taken.</param>
/// <param name="count">How many are.</param>
/// <param name="into">Where to.</param>
/// <param name="width">Of rows there.</param>
/// <param name="place">The first number there.</param>
/// <param name="rows">How many.</param>
[<Sealed>]
type internal PartStep
    (from: int, features: int, first: int, count: int, into: int, width: int, place: int, rows: RowCount) =
    inherit Step()

    override _.Run w =
        let x, y = w.Buffer from, w.Buffer into

        for row in 0 .. rows.Of w - 1 do
            Array.Copy(x, row * features + first, y, row * width + place, count)
