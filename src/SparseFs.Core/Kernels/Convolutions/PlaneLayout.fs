namespace SparseFs.Kernels

#nowarn "9"

open System.Runtime.CompilerServices
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

    /// A row of one phase, whose pixels come from every stride-th of a row of the sample, or zeros where there is none.
    [<AggressiveOptimization>]
    member private _.FillRow(source: nativeptr<float32>, phase: int, row: nativeptr<float32>) : unit =
        let step = stride.Width
        // The first pixel of the row in the sample, which may lie before it.
        let first = phase - before.Width
        let from = if first >= 0 then 0 else min split.Width ((step - 1 - first) / step)
        let until = max from (min split.Width ((size.Width - first + step - 1) / step))
        Pointer.clear row (int64 from)

        if step = 1 then
            let bytes = uint32 (4 * (until - from))
            Unsafe.CopyBlockUnaligned(
                NativePtr.toVoidPtr (Pointer.at row (int64 from)),
                NativePtr.toVoidPtr (Pointer.at source (int64 (first + from))),
                bytes
            )
        else
            for x in from .. until - 1 do
                Pointer.set row x (Pointer.get source (first + x * step))

        Pointer.clear (Pointer.at row (int64 until)) (int64 (split.Width - until))

    /// Lays a sample [channels, depth, height, width] out.
    [<AggressiveOptimization>]
    member layout.Fill(sample: nativeptr<float32>, planes: nativeptr<float32>) : unit =
        let mutable row = planes

        for channel in 0 .. channels - 1 do
            let ofChannel = Pointer.at sample (int64 channel * size.Pixels)

            for phase in 0 .. int phases - 1 do
                let px = phase % stride.Width
                let py = phase / stride.Width % stride.Height
                let pz = phase / (stride.Width * stride.Height)

                for z in 0 .. split.Depth - 1 do
                    let fromZ = z * stride.Depth + pz - before.Depth

                    for y in 0 .. split.Height - 1 do
                        let fromY = y * stride.Height + py - before.Height

                        if fromZ >= 0 && fromZ < size.Depth && fromY >= 0 && fromY < size.Height then
                            let at = (int64 fromZ * int64 size.Height + int64 fromY) * int64 size.Width
                            layout.FillRow(Pointer.at ofChannel at, px, row)
                        else
                            Pointer.clear row (int64 split.Width)

                        row <- Pointer.at row (int64 split.Width)

        Pointer.clear row (int64 PlaneLayout.Slack)

/// <summary>Outputs of a run of pixels, where each belongs.</summary>
/// <remarks>A run's pixel z · plane + y · row + x is the output (z, y, x) of one phase, if that has one: of each row, so many as the
/// phase is wide.</remarks>
[<Struct>]
type internal PlaneTarget =
    {
        /// Of a whole channel.
        Size: Extent
        /// From a phase's pixel to its next.
        Stride: Extent
        Row: int
        Plane: int
    }

    /// Pixels of a phase, each of which is 0 to stride − 1.
    member t.Of(phase: Extent) : Extent =
        Extent.map3 (fun size step p -> (size - p + step - 1) / step) t.Size t.Stride phase

    /// Pixels from the first of a phase to the last of its longest.
    member t.Run: int =
        let most = t.Of(Extent.all 0)

        if most.Pixels = 0L then
            0
        else
            (most.Depth - 1) * t.Plane + (most.Height - 1) * t.Row + most.Width

module internal PlaneRuns =

    /// Calls body for each piece of a row of pixels among count pixels of a phase's run from a first one: with the piece's
    /// first pixel, the number of its pixels, and z, y and x of the first.
    let inline private pieces
        (t: PlaneTarget)
        (ofPhase: Extent)
        (first: int)
        (count: int)
        ([<InlineIfLambda>] body: int -> int -> int -> int -> int -> unit)
        =
        let mutable q = first
        let last = first + count

        while q < last do
            let z = q / t.Plane
            let y = (q - z * t.Plane) / t.Row
            let x = q - z * t.Plane - y * t.Row
            let length = min (ofPhase.Width - x) (last - q)

            if z < ofPhase.Depth && y < ofPhase.Height && length > 0 then
                body (q - first) length z y x

            q <- q + t.Row - x

    /// Brings a block [rows, count] of pixels of a run to the channels of a target, whose rows are phases of channels in turn.
    [<AggressiveOptimization>]
    let put
        (t: PlaneTarget)
        (block: nativeptr<float32>)
        (apart: int)
        (first: int)
        (count: int)
        (rows: RowRange)
        (target: nativeptr<float32>)
        =
        let phases = int t.Stride.Pixels
        let channel = t.Size.Pixels

        if phases = 1 then
            pieces t t.Size first count (fun from length z y x ->
                let at = (int64 z * int64 t.Size.Height + int64 y) * int64 t.Size.Width + int64 x
                let mutable source = Pointer.at block (int64 from)
                let mutable into = Pointer.at target (at + int64 rows.From * channel)

                for _ in 1 .. rows.Count do
                    Unsafe.CopyBlockUnaligned(NativePtr.toVoidPtr into, NativePtr.toVoidPtr source, uint32 (4 * length))
                    source <- Pointer.at source (int64 apart)
                    into <- Pointer.at into channel)
        else
            for r in rows.From .. rows.To - 1 do
                let phase = r % phases
                let px = phase % t.Stride.Width
                let py = phase / t.Stride.Width % t.Stride.Height
                let pz = phase / (t.Stride.Width * t.Stride.Height)
                let source = Pointer.at block (int64 (r - rows.From) * int64 apart)
                let into = Pointer.at target (int64 (r / phases) * channel)

                pieces t (t.Of(Extent.of3 pz py px)) first count (fun from length z y x ->
                    let row =
                        (int64 (z * t.Stride.Depth + pz) * int64 t.Size.Height + int64 (y * t.Stride.Height + py))
                        * int64 t.Size.Width

                    for i in 0 .. length - 1 do
                        Pointer.set
                            (Pointer.at into row)
                            ((x + i) * t.Stride.Width + px)
                            (Pointer.get source (from + i)))

    /// The other way round, of a target without phases: channels laid out as runs of so many floats each, zeros between.
    [<AggressiveOptimization>]
    let spread (t: PlaneTarget) (channels: RowRange) (source: nativeptr<float32>) (apart: int) (runs: nativeptr<float32>) =
        let channel = t.Size.Pixels
        let width = int64 t.Size.Width

        for c in channels.From .. channels.To - 1 do
            let from = Pointer.at source (int64 c * channel)
            let run = Pointer.at runs (int64 (c - channels.From) * int64 apart)
            let mutable filled = 0L

            for z in 0 .. t.Size.Depth - 1 do
                for y in 0 .. t.Size.Height - 1 do
                    let at = int64 z * int64 t.Plane + int64 y * int64 t.Row
                    Pointer.clear (Pointer.at run filled) (at - filled)
                    let row = Pointer.at from ((int64 z * int64 t.Size.Height + int64 y) * width)

                    Unsafe.CopyBlockUnaligned(
                        NativePtr.toVoidPtr (Pointer.at run at),
                        NativePtr.toVoidPtr row,
                        uint32 (4L * width)
                    )

                    filled <- at + width

            Pointer.clear (Pointer.at run filled) (int64 apart - filled)
