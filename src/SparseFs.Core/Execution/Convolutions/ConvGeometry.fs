namespace SparseFs.Kernels

/// A convolution's sizes, but for that of its input.
type internal ConvGeometry =
    {
        InChannels: int
        OutChannels: int
        /// Channels are divided into so many groups, each of which sees its own inputs only.
        Groups: int
        Kernel: Extent
        Stride: Extent
        Dilation: Extent
        /// Zeros before and behind each dimension of the input.
        Before: Extent
        After: Extent
    }

    /// Cells of a kernel: the columns of one input channel.
    member g.Cells: int = int g.Kernel.Pixels

    /// Pixels that a kernel spans.
    member g.Reach: Extent =
        Extent.map2 (fun kernel dilation -> (kernel - 1) * dilation + 1) g.Kernel g.Dilation

    member g.Padded(input: Extent) : Extent =
        Extent.map3 (fun size before after -> size + before + after) input g.Before g.After

    /// Pixels of the output; 0 in a dimension where the kernel does not fit.
    member g.Output(input: Extent) : Extent =
        Extent.map3
            (fun padded reach stride -> if padded < reach then 0 else (padded - reach) / stride + 1)
            (g.Padded input)
            g.Reach
            g.Stride

    /// A cell's place in its kernel, from its number.
    member g.CellAt(cell: int) : Extent =
        Extent.of3
            (cell / (g.Kernel.Height * g.Kernel.Width))
            (cell / g.Kernel.Width % g.Kernel.Height)
            (cell % g.Kernel.Width)

    /// <summary>The same convolution of inputs of a size, with strides that are no longer than it takes.</summary>
    /// <remarks>A stride beyond the input gives one output, as a shorter one does, and its phases would fill the memory.</remarks>
    member g.For(input: Extent) : ConvGeometry =
        let enough =
            Extent.map3
                (fun padded reach stride -> max 1 (min stride (padded - reach + 1)))
                (g.Padded input)
                g.Reach
                g.Stride

        if enough = g.Stride then g else { g with Stride = enough }

    /// <summary>About how many floats the largest layout of a sample takes in a product, whatever the sizes are: no fewer than it does.</summary>
    /// <remarks>In float64, since sizes of a caller or a file may exceed what integers hold.</remarks>
    member g.MostFloats(input: Extent) : float =
        let volume (along: int -> int -> int -> int -> int -> float) =
            let b, a, reach, stride = g.Before, g.After, g.Reach, g.Stride

            along input.Depth b.Depth a.Depth reach.Depth stride.Depth
            * along input.Height b.Height a.Height reach.Height stride.Height
            * along input.Width b.Width a.Width reach.Width stride.Width

        let forward =
            volume (fun size before after _ stride -> float size + float before + float after + float stride)

        // Pixels of a phase, and as many beside them as a kernel reaches.
        let back =
            volume (fun size before _ reach stride -> (float size + float before + float reach) / float stride + 3.0)

        max (float g.InChannels * forward) (float g.OutChannels * back)

    /// Whether kernels can take a sample of a size: it has an output, and its layouts are within 2^31 floats.
    member g.Takes(input: Extent) : bool =
        let g = g.For input

        g.MostFloats input <= float System.Int32.MaxValue
        && (g.Output input).Pixels > 0L
