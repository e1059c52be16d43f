namespace SparseFs.Inference

open System
open System.Numerics
open SparseFs.Kernels

/// What a pooling is, over pixels of up to three dimensions.
[<Struct; NoComparison; NoEquality>]
type internal Pooling =
    {
        Input: Extent
        Output: Extent
        Kernel: Extent
        Stride: Extent
        Dilation: Extent
        Padding: Extent
        IsMax: bool
        /// Whether means count the zeros around the input too.
        CountsPadding: bool
    }

/// Places of a window in one dimension: From, From + dilation, ..., before To.
[<Struct>]
type internal PoolingWindow = { From: int; To: int }

[<RequireQualifiedAccess>]
module internal PoolingWindow =

    /// Those that lie in the input.
    let inside (index: int) (size: int) (kernel: int) (stride: int) (dilation: int) (padding: int) : PoolingWindow =
        let first = index * stride - padding

        let skipped = if first < 0 then (-first + dilation - 1) / dilation else 0

        { From = first + skipped * dilation
          To = min size (first + (kernel - 1) * dilation + 1) }

    /// How many lie in the input and the zeros around it.
    let padded (index: int) (size: int) (kernel: int) (stride: int) (padding: int) : int =
        let first = index * stride - padding
        min (first + kernel) (size + padding) - first

    let count (window: PoolingWindow) (dilation: int) : int =
        if window.To <= window.From then
            0
        else
            (window.To - window.From - 1) / dilation + 1

/// <summary>The largest number, or the mean, of each window of each channel.</summary>
/// <remarks>Rows of a window are taken together first, then shifted copies of that row, both in vectors; each output is one number of the last
/// row.</remarks>
/// <param name="p">What is computed.</param>
/// <param name="channels">Of a sample.</param>
/// <param name="from">The buffer of inputs.</param>
/// <param name="into">That of outputs.</param>
/// <param name="rows">A buffer that has room for PoolingStep.Room.</param>
[<Sealed>]
type internal PoolingStep(p: Pooling, channels: int, from: int, into: int, rows: int) =
    inherit Step()

    let input, output = p.Input, p.Output
    let wide = int (PoolingStep.Wide p)
    let start = if p.IsMax then Single.NegativeInfinity else 0.0f

    /// Windows of each dimension, and how many pixels of each count.
    let along (outputs: int) (size: int) (kernel: int) (stride: int) (dilation: int) (padding: int) =
        let windows =
            Array.init outputs (fun index -> PoolingWindow.inside index size kernel stride dilation padding)

        let counts =
            windows
            |> Array.mapi (fun index window ->
                if p.CountsPadding then
                    PoolingWindow.padded index size kernel stride padding
                else
                    PoolingWindow.count window dilation)

        struct (windows, counts)

    let struct (depths, depthCounts) =
        along output.Depth input.Depth p.Kernel.Depth p.Stride.Depth p.Dilation.Depth p.Padding.Depth

    let struct (heights, heightCounts) =
        along output.Height input.Height p.Kernel.Height p.Stride.Height p.Dilation.Height p.Padding.Height

    let struct (_, widthCounts) =
        along output.Width input.Width p.Kernel.Width p.Stride.Width p.Dilation.Width p.Padding.Width

    let joinRow (x: ReadOnlySpan<float32>) (sums: Span<float32>) =
        let lanes = Vector<float32>.Count
        let mutable i = 0

        while i + lanes <= sums.Length do
            let a = Vector<float32>(Span.op_Implicit (sums.Slice i): ReadOnlySpan<float32>)
            let b = Vector<float32>(x.Slice i)
            (if p.IsMax then Vector.Max(a, b) else a + b).CopyTo(sums.Slice i)
            i <- i + lanes

        while i < sums.Length do
            sums[i] <- if p.IsMax then MathF.Max(sums[i], x[i]) else sums[i] + x[i]
            i <- i + 1

    /// Whether all windows lie in the input, over at most two dimensions.
    let isInside =
        let reach size kernel dilation outputs stride =
            int64 (outputs - 1) * int64 stride + int64 (kernel - 1) * int64 dilation < int64 size

        input.Depth = 1
        && p.Kernel.Depth = 1
        && p.Padding = Extent.all 0
        && reach input.Height p.Kernel.Height p.Dilation.Height output.Height p.Stride.Height
        && reach input.Width p.Kernel.Width p.Dilation.Width output.Width p.Stride.Width

    /// Shifted copies of a plane, joined: windows of every place, of which outputs take some.
    let joinShifted (x: ReadOnlySpan<float32>) (count: int) (shift: int) (sums: Span<float32>) =
        x.CopyTo sums

        for i in 1 .. count - 1 do
            let left = x.Length - i * shift
            joinRow (x.Slice(i * shift, left)) (sums.Slice(0, left))

    let poolPlane (x: ReadOnlySpan<float32>) (room: Span<float32>) (y: Span<float32>) =
        let first = room.Slice(0, x.Length)
        let second = room.Slice(x.Length, x.Length)
        joinShifted x p.Kernel.Width p.Dilation.Width first
        joinShifted (Span.op_Implicit first) p.Kernel.Height (p.Dilation.Height * input.Width) second
        let count = float32 (p.Kernel.Height * p.Kernel.Width)

        for h in 0 .. output.Height - 1 do
            let row = h * p.Stride.Height * input.Width

            for c in 0 .. output.Width - 1 do
                let sum = second[row + c * p.Stride.Width]
                y[h * output.Width + c] <- if p.IsMax then sum else sum / count

    let poolPlanes (w: Workspace) =
        let pixels, outputs = int input.Pixels, int output.Pixels
        let room = w.Buffer(rows).AsSpan()

        for plane in 0 .. w.Samples * channels - 1 do
            poolPlane
                (ReadOnlySpan(w.Buffer from, plane * pixels, pixels))
                room
                (w.Buffer(into).AsSpan(plane * outputs, outputs))

    /// Numbers of a row with what is beside it, as far as windows reach.
    static member private Wide(p: Pooling) : int64 =
        max
            (int64 p.Padding.Width + int64 p.Input.Width)
            (int64 (p.Output.Width - 1) * int64 p.Stride.Width
             + int64 (p.Kernel.Width - 1) * int64 p.Dilation.Width
             + 1L)

    /// Two rows, or two planes.
    static member Room(p: Pooling) : int64 =
        2L * max (PoolingStep.Wide p) p.Input.Pixels

    member private _.RunRows(w: Workspace) : unit =
        let x, y = w.Buffer from, w.Buffer into
        let row = w.Buffer(rows).AsSpan(0, wide)
        let joined = w.Buffer(rows).AsSpan(wide, (output.Width - 1) * p.Stride.Width + 1)
        let sums = row.Slice(p.Padding.Width, input.Width)
        row.Fill start
        let mutable at = 0

        for plane in 0 .. w.Samples * channels - 1 do
            let first = plane * int input.Pixels

            for d in 0 .. output.Depth - 1 do
                let depth = depths[d]

                for h in 0 .. output.Height - 1 do
                    let height = heights[h]
                    sums.Fill start
                    let mutable z = depth.From

                    while z < depth.To do
                        let mutable v = height.From

                        while v < height.To do
                            let place = first + (z * input.Height + v) * input.Width
                            joinRow (ReadOnlySpan(x, place, input.Width)) sums
                            v <- v + p.Dilation.Height

                        z <- z + p.Dilation.Depth

                    row.Slice(0, joined.Length).CopyTo joined

                    for u in 1 .. p.Kernel.Width - 1 do
                        joinRow (Span.op_Implicit (row.Slice(u * p.Dilation.Width, joined.Length))) joined

                    if p.IsMax then
                        for c in 0 .. output.Width - 1 do
                            y[at + c] <- joined[c * p.Stride.Width]
                    else
                        let lines = depthCounts[d] * heightCounts[h]

                        for c in 0 .. output.Width - 1 do
                            y[at + c] <- joined[c * p.Stride.Width] / float32 (lines * widthCounts[c])

                    at <- at + output.Width

    override step.Run w =
        if isInside then poolPlanes w else step.RunRows w

/// <summary>Means of windows that divide each channel into so many.</summary>
[<Sealed>]
type internal AdaptiveMeanStep(input: Extent, output: Extent, channels: int, from: int, into: int) =
    inherit Step()

    static let window (index: int) (outputs: int) (size: int) : PoolingWindow =
        { From = int (int64 index * int64 size / int64 outputs)
          To = int ((int64 (index + 1) * int64 size + int64 outputs - 1L) / int64 outputs) }

    override _.Run w =
        let x, y = w.Buffer from, w.Buffer into
        let mutable at = 0

        for plane in 0 .. w.Samples * channels - 1 do
            let first = plane * int input.Pixels

            for d in 0 .. output.Depth - 1 do
                let depth = window d output.Depth input.Depth

                for h in 0 .. output.Height - 1 do
                    let height = window h output.Height input.Height

                    for c in 0 .. output.Width - 1 do
                        let width = window c output.Width input.Width
                        let mutable sum = 0.0f

                        for z in depth.From .. depth.To - 1 do
                            for v in height.From .. height.To - 1 do
                                let place = first + (z * input.Height + v) * input.Width

                                for u in width.From .. width.To - 1 do
                                    sum <- sum + x[place + u]

                        let count =
                            (depth.To - depth.From) * (height.To - height.From) * (width.To - width.From)

                        y[at] <- sum / float32 count
                        at <- at + 1
