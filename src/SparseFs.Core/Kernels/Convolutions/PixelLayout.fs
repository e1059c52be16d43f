namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>How a sample's channels are laid out so that each cell of a kernel meets all pixels of an output at one distance.</summary>
/// <remarks>
/// The sample gets margins of zeros, or loses some pixels, and is then divided by the stride's phases: those pixels whose places leave
/// the same remainders when they are divided by the stride lie together. An output pixel (z, y, x) then reads, for a cell of
/// the kernel, at z · Plane + y · Row + x behind one place, which <c>Place</c> tells: whatever stride and dilation are. Rows are
/// not cut to the output's width, so that a run of pixels goes on over their ends; what it finds there belongs to nobody.
/// </remarks>
[<Sealed>]
type internal PixelLayout(channels: int, size: Extent, before: Extent, padded: Extent, stride: Extent) =
    let split = Extent.map2 (fun p s -> (p + s - 1) / s) padded stride
    let volume = split.Pixels
    let phases = stride.Pixels
    let apart = phases * volume

    /// Floats behind the last channel that a run may read.
    static member Slack = 128

    member _.Channels: int = channels
    /// Pixels of a channel of the sample.
    member _.SamplePixels: int64 = size.Pixels
    /// Floats from a channel to the next.
    member _.Apart: int64 = apart
    member _.Row: int = split.Width
    member _.Plane: int = split.Width * split.Height
    member _.Floats: int64 = int64 channels * apart + int64 PixelLayout.Slack
    /// Whether it is the sample itself.
    member _.IsSample: bool = before = Extent.all 0 && padded = size && phases = 1L

    /// Where a place of the padded channel lies.
    member _.Place(at: Extent) : int64 =
        let phase =
            int64 (
                (at.Depth % stride.Depth * stride.Height + at.Height % stride.Height)
                * stride.Width
                + at.Width % stride.Width
            )

        let inPhase =
            (int64 (at.Depth / stride.Depth) * int64 split.Height
             + int64 (at.Height / stride.Height))
            * int64 split.Width
            + int64 (at.Width / stride.Width)

        phase * volume + inPhase

    /// The first and the last but one pixel of a phase's row that come from the sample.
    member _.Inside(phase: int) : struct (int * int) =
        let step, first = stride.Width, phase - before.Width

        let from =
            if first >= 0 then
                0
            else
                min split.Width ((step - 1 - first) / step)

        struct (from, max from (min split.Width ((size.Width - first + step - 1) / step)))

    /// Lays a sample [channels, depth, height, width] out.
    [<AggressiveOptimization>]
    member layout.Fill<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (sample: nativeptr<float32>, planes: nativeptr<float32>)
        : unit =
        // Rows are written in order and in whole vectors: what one writes too many, those behind it write over, or the slack.
        let mutable row = planes
        let step, wide = stride.Width, split.Width
        let behind = Pointer.at sample (int64 channels * size.Pixels)

        for channel in 0 .. channels - 1 do
            let ofChannel = Pointer.at sample (int64 channel * size.Pixels)

            for phase in 0 .. int phases - 1 do
                let px = phase % stride.Width
                let py = phase / stride.Width % stride.Height
                let pz = phase / (stride.Width * stride.Height)
                let struct (from, until) = layout.Inside px
                let first = px - before.Width

                for z in 0 .. split.Depth - 1 do
                    let fromZ = z * stride.Depth + pz - before.Depth

                    for y in 0 .. split.Height - 1 do
                        let fromY = y * stride.Height + py - before.Height

                        if fromZ >= 0 && fromZ < size.Depth && fromY >= 0 && fromY < size.Height then
                            let at = (int64 fromZ * int64 size.Height + int64 fromY) * int64 size.Width
                            let source = Pointer.at ofChannel at
                            Pixels.clearVectors<'L, 'V> row from

                            if step = 1 then
                                let source = Pointer.at source (int64 (first + from))
                                Pixels.copyOver<'L, 'V> source behind (until - from) (Pointer.at row (int64 from))
                            else
                                for x in from .. until - 1 do
                                    Pointer.set row x (Pointer.get source (first + x * step))

                            Pixels.clearVectors<'L, 'V> (Pointer.at row (int64 until)) (wide - until)
                        else
                            Pixels.clearVectors<'L, 'V> row wide

                        row <- Pointer.at row (int64 wide)

        Pointer.clear row (int64 PixelLayout.Slack)

    /// The other way round: brings the pixels of some channels back to the sample; what lies beyond it is left out.
    [<AggressiveOptimization>]
    member layout.Unfill<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (planes: nativeptr<float32>, channels: RowRange, sample: nativeptr<float32>)
        : unit =
        let step = stride.Width
        let behind = Pointer.at sample (int64 channels.To * size.Pixels)

        for channel in channels.From .. channels.To - 1 do
            let ofChannel = Pointer.at planes (int64 channel * apart)
            let into = Pointer.at sample (int64 channel * size.Pixels)

            for z in 0 .. size.Depth - 1 do
                // Rows of a plane follow each other where the stride has one phase of them.
                let ofPlane = layout.Place(Extent.of3 (z + before.Depth) before.Height before.Width)

                for y in 0 .. size.Height - 1 do
                    let row =
                        Pointer.at into ((int64 z * int64 size.Height + int64 y) * int64 size.Width)

                    let place = Extent.of3 (z + before.Depth) (y + before.Height) before.Width

                    // A sample may reach further than any kernel does.
                    if place.Depth >= padded.Depth || place.Height >= padded.Height then
                        Pixels.clear row size.Width
                    elif step = 1 then
                        let at =
                            if stride.Height = 1 then
                                ofPlane + int64 y * int64 split.Width
                            else
                                layout.Place place

                        let count = min size.Width (padded.Width - before.Width)
                        let source = Pointer.at ofChannel at

                        // Rows come in order, and planes have slack behind them.
                        if
                            count = size.Width
                            && count < 'L.Count
                            && Pointer.distance row behind >= int64 'L.Count
                        then
                            'L.Store(row, 'L.Load source)
                        else
                            Pixels.copyRow<'L, 'V> source count row
                            Pixels.clear (Pointer.at row (int64 count)) (size.Width - count)
                    else
                        for px in 0 .. step - 1 do
                            // The pixels of a phase, each a stride from the one before it.
                            let first = (px + step - before.Width % step) % step

                            let at =
                                { place with
                                    Width = before.Width + first }

                            let from = Pointer.at ofChannel (layout.Place at)
                            let mutable x = first
                            let mutable i = 0

                            while x < size.Width do
                                Pointer.set row x (Pointer.get from i)
                                x <- x + step
                                i <- i + 1
