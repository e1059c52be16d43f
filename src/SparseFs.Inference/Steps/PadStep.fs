namespace SparseFs.Inference

open SparseFs.Kernels

/// What a padding is.
[<Struct; NoComparison; NoEquality>]
type internal Padding =
    {
        Input: Extent
        Output: Extent
        /// Pixels before those of the input.
        Before: Extent
        /// pad_reflect, pad_replicate or pad_circular.
        Operator: string
    }

    /// The pixel of the input that one of the padded dimension is.
    member p.Source(size: int, index: int) : int =
        match p.Operator with
        | "pad_replicate" -> max 0 (min (size - 1) index)
        | "pad_circular" -> (index + size) % size
        | _ ->
            let positive = abs index

            if positive < size then
                positive
            else
                2 * (size - 1) - positive

/// <summary>Each channel with pixels around it that are others of it.</summary>
/// <param name="p">Which ones.</param>
/// <param name="channels">Of a sample.</param>
/// <param name="from">The buffer of inputs.</param>
/// <param name="into">That of outputs.</param>
[<Sealed>]
type internal PadStep(p: Padding, channels: int, from: int, into: int) =
    inherit Step()

    override _.Run w =
        let x, y = w.Buffer from, w.Buffer into
        let input, output, before = p.Input, p.Output, p.Before
        let mutable at = 0

        for plane in 0 .. w.Samples * channels - 1 do
            for d in 0 .. output.Depth - 1 do
                let depth = plane * input.Depth + p.Source(input.Depth, d - before.Depth)

                for h in 0 .. output.Height - 1 do
                    let row =
                        (depth * input.Height + p.Source(input.Height, h - before.Height)) * input.Width

                    for c in 0 .. output.Width - 1 do
                        y[at] <- x[row + p.Source(input.Width, c - before.Width)]
                        at <- at + 1
