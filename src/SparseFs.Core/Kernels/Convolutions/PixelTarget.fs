namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>Where outputs go that are computed row by row of pixels, in whole vectors.</summary>
[<Struct>]
type internal PixelTarget =
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
    member t.Merged: PixelTarget =
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

        if t.Most.Width < lanes then
            x
        else
            min x (t.Most.Width - lanes)

    /// Where a vector's inputs begin.
    member t.Input(lanes: int, vector: int) : int64 =
        let row = vector / t.PerRow lanes
        let z, y = row / t.Most.Height, row % t.Most.Height
        int64 z * int64 t.Plane + int64 y * int64 t.Row + int64 (t.InRow(lanes, vector))

    /// Where a vector's outputs begin in a channel, where there is one phase.
    member t.Output(lanes: int, vector: int) : int64 =
        int64 (vector / t.PerRow lanes) * int64 t.Size.Width
        + int64 (t.InRow(lanes, vector))

    /// Pixels from the first to the last, in inputs.
    member t.Run: int =
        let most = t.Most

        if most.Pixels = 0L then
            0
        else
            (most.Depth - 1) * t.Plane + (most.Height - 1) * t.Row + most.Width

module internal PixelRuns =

    /// Brings a block [rows, vectors] to the channels of a target, whose rows are phases of channels in turn: of each vector
    /// those pixels that the row has.
    [<AggressiveOptimization>]
    let put<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (t: PixelTarget)
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
        (t: PixelTarget)
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
