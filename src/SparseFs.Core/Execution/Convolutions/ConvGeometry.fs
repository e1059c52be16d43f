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
