namespace SparseFs.Torch

open SparseFs

/// <summary>Which slots of a pattern belong to an output of its layer, and which to an input: features of a linear layer, channels of a
/// convolution.</summary>
/// <remarks>A row is one of them. Columns are the other: each a feature, or, in each group of rows, the cells of a channel's kernel.</remarks>
[<NoComparison>]
type internal LayerChannels =
    {
        Groups: int
        /// Columns of one channel: the cells of a kernel.
        Cells: int
        /// A transposed convolution's rows are its inputs.
        RowsAreInputs: bool
        /// What the rules by the fan-in are multiplied with: another than 1 where torch's layer goes by another number than its own inputs.
        Gain: float
        /// Whether biases begin with 0 whatever the rule.
        HasZeroBias: bool
    }

    static member Linear: LayerChannels =
        { Groups = 1
          Cells = 1
          RowsAreInputs = false
          Gain = 1.0
          HasZeroBias = false }

/// <summary>A layer's inputs or its outputs: how many, and which of them each slot belongs to.</summary>
type internal ChannelSlots = (struct (int * int[]))

[<RequireQualifiedAccess>]
module internal LayerChannels =

    let private rows (c: Connectivity) : ChannelSlots =
        struct (c.Rows, Connectivity.rowIndices c)

    let private blocks (channels: LayerChannels) (c: Connectivity) : ChannelSlots =
        let ofGroup = c.Cols / channels.Cells

        let blockOf row col =
            row / (c.Rows / channels.Groups) * ofGroup + col / channels.Cells

        struct (channels.Groups * ofGroup, Array.map2 blockOf (Connectivity.rowIndices c) c.ColIdxArray)

    let outputs (channels: LayerChannels) (c: Connectivity) : ChannelSlots =
        if channels.RowsAreInputs then blocks channels c else rows c

    let inputs (channels: LayerChannels) (c: Connectivity) : ChannelSlots =
        if channels.RowsAreInputs then rows c else blocks channels c

    /// How many outputs: as many as a bias has numbers.
    let outputCount (channels: LayerChannels) (rows: int) (cols: int) : int =
        if channels.RowsAreInputs then
            channels.Groups * (cols / channels.Cells)
        else
            rows

    /// Slots of each.
    let counts (struct (count, ofSlots): ChannelSlots) : int[] =
        let counts = Array.zeroCreate count

        for channel in ofSlots do
            counts[channel] <- counts[channel] + 1

        counts
