namespace SparseFs.Kernels

#nowarn "9"

open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>A stencil's sums over planes of pixels, and the way back.</summary>
/// <remarks>Each sample is laid out once, by the thread that computes it. Results do not depend on the number of threads, to the
/// bit.</remarks>
module internal StencilProducts =

    /// Rows of output that are brought to their places together.
    let private rowBlock = 16

    /// Vectors of pixels that are summed at once.
    let private vectors = 4

    /// Places in place of columns.
    let inline pinned (stencil: Stencil) ([<InlineIfLambda>] body: CsrView -> unit) =
        use rowPtr = fixed stencil.RowPtr
        use places = fixed stencil.Places

        body
            { Begin = rowPtr
              End = Pointer.at rowPtr 1L
              ColIdx = places
              FetchTo = -1L
              Group = stencil.RowGroup }

    /// Asks for the lines that the next tile is written to: those of many channels, which no prefetcher follows.
    let private fetchLines (rows: int) (first: nativeptr<float32>) (apart: int64) =
        if Pointer.hasPrefetch () then
            let mutable line = first

            for _ in 1..rows do
                Pointer.prefetch line
                Pointer.prefetch (Pointer.at line 16L)
                line <- Pointer.at line apart

    /// <summary>Tiles whose sums a group of rows takes before the next one: long runs of its outputs are written, which the machine's own prefetch
    /// follows.</summary>
    /// <remarks>Other rows use each input too seldom to leave a tile before all of them have had it: for them the lines are asked for.</remarks>
    let private tilesOfGroup = 28

    /// A vector of each of some rows, to as many others; lanes are a multiple of four.
    let private copyVectors
        (lanes: int)
        (count: int)
        (source: nativeptr<float32>)
        (step: int64)
        (target: nativeptr<float32>)
        (apart: int64)
        =
        for row in 0 .. count - 1 do
            let source, target =
                Pointer.at source (int64 row * step), Pointer.at target (int64 row * apart)

            for i in 0..4 .. lanes - 4 do
                Vector128.Store(Vector128.Load(Pointer.at source (int64 i)), Pointer.at target (int64 i))

    /// Some rows of a sample's products.
    let private sumRows
        (kernels: TileKernels)
        (lanes: int)
        (target: PixelTarget)
        (tiles: TilePlaces[])
        (p: CsrView)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (planes: nativeptr<float32>)
        (rows: RowRange)
        (y: nativeptr<float32>)
        =
        let channel = target.Size.Pixels
        let last = tiles.Length - 1
        let ofLast = target.Vectors lanes - last * vectors
        let channels = Pointer.at y (int64 rows.From * channel)
        use places = fixed tiles

        // What a vector has too many in rows narrower than itself goes to the rows that follow, which come later. Behind the
        // last row of a channel is another's, or nobody's.
        let inline isInside (tile: int) =
            let place = tiles[tile]
            let last = max (max place.Out0 place.Out1) (max place.Out2 place.Out3)
            target.Phases = 1 && last + int64 lanes <= channel

        let mutable direct = tiles.Length

        while direct > 0 && not (isInside (direct - 1)) do
            direct <- direct - 1

        // Tiles before the last.
        let whole = max 0 (min direct last)

        // Rows whose last tile is written in place: what it has too many goes to the first pixels of the channel behind it, which
        // get their numbers back. The last rows have none behind them.
        let inline endOfDirect (tile: int) =
            if tile < last || target.Phases > 1 then
                rows.From
            elif isInside last then
                rows.To
            elif last > 0 && tiles[last].Out0 >= int64 lanes then
                rows.To - 1 - (rows.Count - 1) % max 1 p.Group
            else
                rows.From

        let together = if p.Group = 4 then tilesOfGroup else 1
        let mutable tile = 0

        while tile < whole do
            let count = min together (whole - tile)

            if together = 1 then
                fetchLines rows.Count (Pointer.at channels tiles[min (tile + 1) last].Out0) channel

            let tiles =
                { First = Pointer.at places (int64 tile)
                  Count = count }

            kernels.Convolve(vectors, p, values, bias, planes, rows, channels, channel, tiles)
            tile <- tile + count

        let room = NativePtr.stackalloc<float32>(rowBlock * vectors * lanes + 16)
        let block = NativePtr.ofNativeInt ((NativePtr.toNativeInt room + 63n) &&& ~~~63n)
        let place = NativePtr.stackalloc<TilePlaces> 1

        for tile in whole..last do
            let count = if tile = last then ofLast else vectors
            let inPlace = endOfDirect tile
            let mutable row = rows.From

            NativePtr.write place tiles[tile]

            while row < inPlace do
                let own =
                    { From = row
                      To = min inPlace (row + rowBlock) }

                let into = Pointer.at y (int64 row * channel)
                let behind = Pointer.at into channel

                if not (isInside tile) then
                    copyVectors lanes own.Count behind channel block (int64 lanes)

                kernels.Convolve(count, p, values, bias, planes, own, into, channel, { First = place; Count = 1 })

                if not (isInside tile) then
                    copyVectors lanes own.Count block (int64 lanes) behind channel

                row <- own.To

            NativePtr.write
                place
                { tiles[tile] with
                    Out0 = 0L
                    Out1 = int64 lanes
                    Out2 = int64 (2 * lanes)
                    Out3 = int64 (3 * lanes) }

            while row < rows.To do
                let own =
                    { From = row
                      To = min rows.To (row + rowBlock) }

                let wide = int64 (count * lanes)
                kernels.Convolve(count, p, values, bias, planes, own, block, wide, { First = place; Count = 1 })
                kernels.Put(target, block, tile * vectors, count, own, y)
                row <- own.To

    /// Into how many parts each of n samples is divided: one if there are samples enough.
    let sharesOf (machine: ExecutionPolicy) (n: int) : int =
        if n >= machine.Threads then 1 else machine.Threads

    /// A part of a sum: some rows of a sample.
    let private sumPart
        (machine: ExecutionPolicy)
        (stencil: Stencil)
        (p: CsrView)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (source: nativeptr<float32>)
        (target: nativeptr<float32>)
        (shares: int)
        (part: int)
        =
        let lanes, kernels = int machine.Width, KernelTable.ofWidth machine.Width
        let layout, ofRows = stencil.Source, stencil.Target.Merged
        let tiles = ofRows.Tiles lanes
        let sample, share = part / shares, part % shares
        let own = RowPartition.ofWork stencil.RowGroup stencil.RowPtr share shares
        let sourceFloats = int64 layout.Channels * layout.SamplePixels
        let targetFloats = int64 (stencil.Rows / ofRows.Phases) * stencil.Target.Size.Pixels
        let ofSample = Pointer.at source (int64 sample * sourceFloats)
        let into = Pointer.at target (int64 sample * targetFloats)

        // Vectors that fill their row read nothing behind the sample.
        if layout.IsSample && ofRows.Most.Width >= lanes then
            sumRows kernels lanes ofRows tiles p values bias ofSample own into
        else
            let scratch = ScratchPool.rent layout.Floats
            kernels.Fill(layout, ofSample, scratch.Floats)
            sumRows kernels lanes ofRows tiles p values bias scratch.Floats own into
            ScratchPool.giveBack scratch

    /// On threads, which takes a closure.
    let private sumShared (machine: ExecutionPolicy) stencil p values bias source target (shares: int) (n: int) =
        machine.Team.Run(
            machine.Threads,
            n * shares,
            fun part -> sumPart machine stencil p values bias source target shares part
        )

    /// <summary>target [n, channels of rows, ...] = the sums of each row, of source [n, channels of the layout, ...], + bias.</summary>
    /// <remarks>Values are in the order of the stencil's slots. One thread allocates nothing.</remarks>
    let sum
        (machine: ExecutionPolicy)
        (stencil: Stencil)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (source: nativeptr<float32>)
        (n: int)
        (target: nativeptr<float32>)
        =
        let shares = sharesOf machine n

        pinned stencil (fun p ->
            if machine.Threads = 1 then
                for part in 0 .. n * shares - 1 do
                    sumPart machine stencil p values bias source target shares part
            else
                sumShared machine stencil p values bias source target shares n)

    /// Adds a sample's runs of outputs' gradients to its planes, in some channels.
    let private scatterSample
        (kernels: TileKernels)
        (lanes: int)
        (stencil: Stencil)
        (p: CsrView)
        (values: nativeptr<float32>)
        (runs: nativeptr<float32>)
        (run: int)
        (channels: RowRange)
        (planes: nativeptr<float32>)
        =
        let apart = int stencil.Source.Apart

        let floats =
            { From = channels.From * apart
              To = channels.To * apart }

        let mutable first = 0

        while first < run do
            let count = min vectors ((run - first) / lanes)
            let from, into = Pointer.at runs (int64 first), Pointer.at planes (int64 first)
            let all = stencil.Source.Channels * apart
            kernels.ScatterPixels(count, p, values, from, int64 run, stencil.Rows, all, floats, into)
            first <- first + count * lanes

    /// <summary>x [n, channels of the layout, ...] = the sums of all rows' g [n, rows, ...] times their weights.</summary>
    /// <remarks>The same for a stencil as <c>sum</c> of its transpose; rows that share their places share a store. Values are in the
    /// order of the stencil's slots, which in each row must be that of places where a sample is divided into parts.</remarks>
    let scatter (machine: ExecutionPolicy) (stencil: Stencil) values (g: nativeptr<float32>) (n: int) x =
        let kernels, lanes = KernelTable.ofWidth machine.Width, int machine.Width
        let layout, target = stencil.Source, stencil.Target
        let run = (target.Run + lanes - 1) / lanes * lanes
        let shares = sharesOf machine n
        let all = { From = 0; To = stencil.Rows }

        pinned stencil (fun p ->
            machine.Team.Run(
                machine.Threads,
                n * shares,
                fun part ->
                    let sample, share = part / shares, part % shares
                    let own = RowPartition.range layout.Channels share shares

                    let scratch =
                        ScratchPool.rent (layout.Floats + int64 stencil.Rows * int64 run + int64 PixelLayout.Slack)

                    let runs = Pointer.at scratch.Floats layout.Floats
                    Pointer.clear scratch.Floats layout.Floats
                    let ofSample = Pointer.at g (int64 sample * int64 stencil.Rows * target.Size.Pixels)
                    kernels.Spread(target, all, ofSample, run, runs)
                    scatterSample kernels lanes stencil p values runs run own scratch.Floats
                    let into = Pointer.at x (int64 sample * int64 layout.Channels * layout.SamplePixels)
                    kernels.Unfill(layout, scratch.Floats, own, into)
                    ScratchPool.giveBack scratch
            ))
