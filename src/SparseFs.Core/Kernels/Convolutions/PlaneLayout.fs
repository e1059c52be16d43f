namespace SparseFs.Kernels

#nowarn "9"

open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop
open SparseFs

/// Copies and zeros of a few pixels: shorter than a call that any length may have.
module internal Pixels =

    let inline copy<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (source: nativeptr<float32>)
        (count: int)
        (target: nativeptr<float32>)
        =
        let lanes = 'L.Count
        let mutable i = 0

        while i + lanes <= count do
            'L.Store(Pointer.at target (int64 i), 'L.Load(Pointer.at source (int64 i)))
            i <- i + lanes

        if 'L.Count > 4 then
            while i + 4 <= count do
                Vector128.Store(Vector128.Load(Pointer.at source (int64 i)), Pointer.at target (int64 i))
                i <- i + 4

        while i < count do
            Pointer.set target i (Pointer.get source i)
            i <- i + 1

    let inline clear (target: nativeptr<float32>) (count: int) =
        let mutable i = 0

        while i < count do
            Pointer.set target i 0.0f
            i <- i + 1

/// <summary>How a sample's channels are laid out so that each cell of a kernel meets all pixels of an output at one distance.</summary>
/// <remarks>
/// The sample gets margins of zeros, or loses some pixels, and is then divided by the stride's phases: those pixels whose places leave
/// the same remainders when they are divided by the stride lie together. An output pixel (z, y, x) then reads, for a cell of
/// the kernel, at z · Plane + y · Row + x behind one place, which <c>Place</c> tells: whatever stride and dilation are. Rows are
/// not cut to the output's width, so that a run of pixels goes on over their ends; what it finds there belongs to nobody.
/// </remarks>
[<Sealed>]
type internal PlaneLayout(channels: int, size: Extent, before: Extent, padded: Extent, stride: Extent) =
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
    member _.Floats: int64 = int64 channels * apart + int64 PlaneLayout.Slack
    /// Whether it is the sample itself.
    member _.IsSample: bool = before = Extent.all 0 && padded = size && phases = 1L

    /// Where a place of the padded channel lies.
    member _.Place(at: Extent) : int64 =
        let phase =
            int64 ((at.Depth % stride.Depth * stride.Height + at.Height % stride.Height) * stride.Width
                   + at.Width % stride.Width)

        let inPhase =
            (int64 (at.Depth / stride.Depth) * int64 split.Height + int64 (at.Height / stride.Height))
            * int64 split.Width
            + int64 (at.Width / stride.Width)

        phase * volume + inPhase

    /// The first and the last but one pixel of a phase's row that come from the sample.
    member _.Inside(phase: int) : struct (int * int) =
        let step, first = stride.Width, phase - before.Width
        let from = if first >= 0 then 0 else min split.Width ((step - 1 - first) / step)
        struct (from, max from (min split.Width ((size.Width - first + step - 1) / step)))

    /// Lays a sample [channels, depth, height, width] out.
    [<AggressiveOptimization>]
    member layout.Fill<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (sample: nativeptr<float32>, planes: nativeptr<float32>)
        : unit =
        let mutable row = planes
        let step, wide = stride.Width, split.Width

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
                            Pixels.clear row from

                            if step = 1 then
                                let source = Pointer.at source (int64 (first + from))
                                Pixels.copy<'L, 'V> source (until - from) (Pointer.at row (int64 from))
                            else
                                for x in from .. until - 1 do
                                    Pointer.set row x (Pointer.get source (first + x * step))

                            Pixels.clear (Pointer.at row (int64 until)) (wide - until)
                        else
                            Pixels.clear row wide

                        row <- Pointer.at row (int64 wide)

        Pointer.clear row (int64 PlaneLayout.Slack)

/// <summary>Where outputs go that are computed row by row of pixels, in whole vectors.</summary>
[<Struct>]
type internal PlaneTarget =
    {
        /// Of a whole channel.
        Size: Extent
        /// From a pixel of a phase to its next; all 1 where there is one phase only.
        Stride: Extent
        /// Floats from an input row, and plane, to the next.
        Row: int
        Plane: int
    }

    /// Pixels of a phase, each of whose numbers is 0 to stride − 1.
    member t.Of(phase: Extent) : Extent =
        Extent.map3 (fun size step p -> (size - p + step - 1) / step) t.Size t.Stride phase

    /// Pixels of the largest phase.
    member t.Most: Extent = t.Of(Extent.all 0)

    /// Whether all pixels follow each other in the inputs as they do in the outputs: then they are one row.
    member t.IsOneRow: bool =
        t.Stride.Pixels = 1L
        && t.Row = t.Size.Width
        && (t.Size.Depth = 1 || t.Plane = t.Row * t.Size.Height)

    /// The same pixels in as few rows as they have.
    member t.Merged: PlaneTarget =
        let pixels = t.Size.Pixels

        { Size = if t.IsOneRow then Extent.of3 1 1 (int pixels) else t.Size
          Stride = t.Stride
          Row = t.Row
          Plane = t.Plane }

    member inline t.PerRow(lanes: int) : int = (t.Most.Width + lanes - 1) / lanes

    /// Vectors of all rows; each row begins one.
    member t.Vectors(lanes: int) : int =
        t.Most.Depth * t.Most.Height * t.PerRow lanes

    /// The first pixel of a vector in its row: a row's last vector ends where the row does, if it fills one at all.
    member t.InRow(lanes: int, vector: int) : int =
        let x = vector % t.PerRow lanes * lanes
        if t.Most.Width < lanes then x else min x (t.Most.Width - lanes)

    /// Where a vector's inputs begin.
    member t.Input(lanes: int, vector: int) : int64 =
        let row = vector / t.PerRow lanes
        let z, y = row / t.Most.Height, row % t.Most.Height
        int64 z * int64 t.Plane + int64 y * int64 t.Row + int64 (t.InRow(lanes, vector))

    /// Where a vector's outputs begin in a channel, where there is one phase.
    member t.Output(lanes: int, vector: int) : int64 =
        int64 (vector / t.PerRow lanes) * int64 t.Size.Width + int64 (t.InRow(lanes, vector))

    /// Pixels from the first to the last, in inputs.
    member t.Run: int =
        let most = t.Most

        if most.Pixels = 0L then
            0
        else
            (most.Depth - 1) * t.Plane + (most.Height - 1) * t.Row + most.Width

module internal PlaneRuns =

    /// Brings a block [rows, vectors] to the channels of a target, whose rows are phases of channels in turn: of each vector
    /// those pixels that the row has.
    [<AggressiveOptimization>]
    let put<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (t: PlaneTarget)
        (block: nativeptr<float32>)
        (first: int)
        (vectors: int)
        (rows: RowRange)
        (target: nativeptr<float32>)
        =
        let lanes = 'L.Count
        let phases = int t.Stride.Pixels
        let channel = t.Size.Pixels
        let perRow = t.PerRow lanes
        let wide = int64 (vectors * lanes)

        for r in rows.From .. rows.To - 1 do
            let phase = r % phases
            let px = phase % t.Stride.Width
            let py = phase / t.Stride.Width % t.Stride.Height
            let pz = phase / (t.Stride.Width * t.Stride.Height)
            let size = t.Of(Extent.of3 pz py px)
            let ofRow = Pointer.at block (int64 (r - rows.From) * wide)
            let ofChannel = Pointer.at target (int64 (r / phases) * channel)

            for v in 0 .. vectors - 1 do
                let row, x = (first + v) / perRow, t.InRow(lanes, first + v)
                let z, y = row / t.Most.Height, row % t.Most.Height
                let source = Pointer.at ofRow (int64 (v * lanes))
                let count = min lanes (size.Width - x)

                if z < size.Depth && y < size.Height && count > 0 then
                    let line =
                        int64 (z * t.Stride.Depth + pz) * int64 t.Size.Height
                        + int64 (y * t.Stride.Height + py)

                    let into = Pointer.at ofChannel (line * int64 t.Size.Width)

                    if t.Stride.Width = 1 then
                        Pixels.copy<'L, 'V> source count (Pointer.at into (int64 x))
                    else
                        for i in 0 .. count - 1 do
                            Pointer.set into ((x + i) * t.Stride.Width + px) (Pointer.get source i)

    /// The other way round, of a target without phases: channels laid out as runs of so many floats each, zeros between.
    [<AggressiveOptimization>]
    let spread<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (t: PlaneTarget)
        (channels: RowRange)
        (source: nativeptr<float32>)
        (apart: int)
        (runs: nativeptr<float32>)
        =
        let channel = t.Size.Pixels
        let width = t.Size.Width

        for c in channels.From .. channels.To - 1 do
            let from = Pointer.at source (int64 c * channel)
            let run = Pointer.at runs (int64 (c - channels.From) * int64 apart)
            let mutable filled = 0

            for z in 0 .. t.Size.Depth - 1 do
                for y in 0 .. t.Size.Height - 1 do
                    let at = z * t.Plane + y * t.Row
                    Pixels.clear (Pointer.at run (int64 filled)) (at - filled)
                    let row = (int64 z * int64 t.Size.Height + int64 y) * int64 width
                    Pixels.copy<'L, 'V> (Pointer.at from row) width (Pointer.at run (int64 at))
                    filled <- at + width

            Pixels.clear (Pointer.at run (int64 filled)) (apart - filled)
