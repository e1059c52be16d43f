namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>Where outputs go that are computed row by row of pixels, in whole vectors.</summary>
/// <remarks>Sizes that every vector and row asks for are numbers that stand ready: a tile is computed in less than a microsecond.</remarks>
/// <param name="size">Of a whole channel.</param>
/// <param name="stride">From a pixel of a phase to its next; all 1 where there is one phase only.</param>
/// <param name="row">Floats from an input row to the next.</param>
/// <param name="plane">Floats from an input plane to the next.</param>
[<Sealed>]
type internal PixelTarget(size: Extent, stride: Extent, row: int, plane: int) =
    let phases = int stride.Pixels

    // The first pixel of each phase, and how many it has.
    let firsts =
        Array.init phases (fun phase ->
            Extent.of3
                (phase / (stride.Width * stride.Height))
                (phase / stride.Width % stride.Height)
                (phase % stride.Width))

    let sizes =
        firsts
        |> Array.map (Extent.map3 (fun size step first -> (size - first + step - 1) / step) size stride)

    let isOneRow =
        phases = 1
        && (size.Height = 1 || row = size.Width)
        && (size.Depth = 1 || plane = size.Height * size.Width)

    // What calls ask for again and again; two that are the first ones make the same.
    let mutable merged: PixelTarget | null = null
    let tilesOfLanes: (TilePlaces[] | null)[] = Array.zeroCreate 17

    member _.Size: Extent = size
    member _.Stride: Extent = stride
    member _.Row: int = row
    member _.Plane: int = plane

    /// Phases of the stride, in the order of rows: the width's the fastest.
    member _.Phases: int = phases

    /// A phase's first pixel.
    member _.First(phase: int) : Extent = firsts[phase]

    /// Pixels of a phase.
    member _.Of(phase: int) : Extent = sizes[phase]

    /// Pixels of the largest phase.
    member _.Most: Extent = sizes[0]

    /// Whether all pixels follow each other in the inputs as they do in the outputs: then they are one row.
    member _.IsOneRow: bool = isOneRow

    /// The same pixels in as few rows as they have.
    member t.Merged: PixelTarget =
        match merged with
        | null ->
            let made =
                if isOneRow then
                    PixelTarget(Extent.of3 1 1 (int size.Pixels), stride, row, plane)
                else
                    t

            merged <- made
            made
        | merged -> merged

    member t.PerRow(lanes: int) : int = (t.Most.Width + lanes - 1) / lanes

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

    /// Where each vector's inputs begin, and where its outputs do in a channel, if there is one phase: four vectors a tile.
    member t.Tiles(lanes: int) : TilePlaces[] =
        match tilesOfLanes[lanes] with
        | null ->
            let made = t.MakeTiles lanes
            tilesOfLanes[lanes] <- made
            made
        | tiles -> tiles

    member private t.MakeTiles(lanes: int) : TilePlaces[] =
        let perRow = t.PerRow lanes
        let all = t.Vectors lanes

        let place (vector: int) : struct (int64 * int64) =
            let line = vector / perRow
            let z, y = int64 (line / t.Most.Height), int64 (line % t.Most.Height)
            let x = int64 (t.InRow(lanes, vector))

            struct (z * int64 plane + y * int64 row + x, (z * int64 size.Height + y) * int64 size.Width + x)

        Array.init ((all + 3) / 4) (fun tile ->
            let at k =
                place (if 4 * tile + k < all then 4 * tile + k else 4 * tile)

            let struct (in0, out0), struct (in1, out1) = at 0, at 1
            let struct (in2, out2), struct (in3, out3) = at 2, at 3

            { In0 = in0
              In1 = in1
              In2 = in2
              In3 = in3
              Out0 = out0
              Out1 = out1
              Out2 = out2
              Out3 = out3 })

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
        let phases = t.Phases
        let stride = t.Stride
        let channel = t.Size.Pixels
        let perRow = t.PerRow lanes
        let wide = int64 (vectors * lanes)

        for v in 0 .. vectors - 1 do
            let line, x = (first + v) / perRow, t.InRow(lanes, first + v)
            let z, y = line / t.Most.Height, line % t.Most.Height
            let mutable source = Pointer.at block (int64 (v * lanes))
            let mutable phase = rows.From % phases
            let mutable ofChannel = Pointer.at target (int64 (rows.From / phases) * channel)

            for _ in rows.From .. rows.To - 1 do
                let first, size = t.First phase, t.Of phase
                let count = min lanes (size.Width - x)

                if z < size.Depth && y < size.Height && count > 0 then
                    let line =
                        int64 (z * stride.Depth + first.Depth) * int64 t.Size.Height
                        + int64 (y * stride.Height + first.Height)

                    let into = Pointer.at ofChannel (line * int64 t.Size.Width)

                    if stride.Width = 1 then
                        Pixels.copy<'L, 'V> source count (Pointer.at into (int64 x))
                    else
                        for i in 0 .. count - 1 do
                            Pointer.set into ((x + i) * stride.Width + first.Width) (Pointer.get source i)

                source <- Pointer.at source wide
                phase <- phase + 1

                if phase = phases then
                    phase <- 0
                    ofChannel <- Pointer.at ofChannel channel

    /// The other way round, of a target without phases: channels laid out as runs of so many floats each, zeros between; behind the
    /// last one is room for a vector.
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

        // Written in order and in whole vectors: what one writes too many, those behind it write over, or the slack of the last run.
        let behind = Pointer.at source (int64 channels.To * channel)

        for c in channels.From .. channels.To - 1 do
            let from = Pointer.at source (int64 c * channel)
            let run = Pointer.at runs (int64 (c - channels.From) * int64 apart)
            let mutable filled = 0

            for z in 0 .. t.Size.Depth - 1 do
                for y in 0 .. t.Size.Height - 1 do
                    let at = z * t.Plane + y * t.Row
                    Pixels.clearVectors<'L, 'V> (Pointer.at run (int64 filled)) (at - filled)
                    let row = Pointer.at from ((int64 z * int64 t.Size.Height + int64 y) * int64 width)
                    Pixels.copyOver<'L, 'V> row behind width (Pointer.at run (int64 at))
                    filled <- at + width

            Pixels.clearVectors<'L, 'V> (Pointer.at run (int64 filled)) (apart - filled)
