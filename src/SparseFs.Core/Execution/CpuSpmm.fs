namespace SparseFs.Kernels

#nowarn "9"

open System
open Microsoft.FSharp.NativeInterop
open SparseFs

/// Where the gradients of a product go: each is overwritten, or null where nobody wants it.
[<Struct>]
type internal Gradients =
    {
        /// [nnz]
        Values: nativeptr<float32>
        /// [rows]
        Bias: nativeptr<float32>
        /// [n, cols]
        Input: nativeptr<float32>
    }

/// What the parts of one spmm share.
[<Struct>]
type internal SpmmCall =
    {
        Cut: BatchTiling
        /// Shares of a tile's rows.
        Groups: int
        RowPtr: int[]
        Cols: int
        Pattern: CsrView
        Values: nativeptr<float32>
        Bias: nativeptr<float32>
        X: nativeptr<float32>
        Y: nativeptr<float32>
    }

/// <summary>The only place that chooses: width, tile, threads.</summary>
/// <remarks>
/// A call is cut into parts that own the outputs which they write, and pack their tiles for themselves, so that no thread
/// reads what another has written. Tiles, and the groups of tiles whose sums are added at the end, follow from shapes
/// alone: so results do not depend on the number of threads, to the bit.
/// </remarks>
module internal CpuSpmm =

    let widths: Width list = BatchTiling.widths

    let widest: Width = List.last widths

    /// Multiply-adds below which a second thread costs more than it brings.
    let private workOfThread = 100_000L

    /// The widest width, and as many of the threads as a product of nnz slots and n samples keeps busy.
    let machineFor (team: ParallelFor) (threads: int) (nnz: int) (n: int) : ExecutionPolicy =
        let busy = int64 nnz * int64 n / workOfThread

        { Width = widest
          Threads = int (max 1L (min (int64 threads) busy))
          Team = team }

    /// A width, on so many threads of the thread pool.
    let machineOf (width: Width) (threads: int) : ExecutionPolicy =
        { Width = width
          Threads = threads
          Team = ParallelFor.ThreadPool }

    let cutOf (machine: ExecutionPolicy) (pattern: Connectivity) (n: int) : BatchTiling =
        BatchTiling.ofBatch machine.Width n (max pattern.Rows pattern.Cols)

    /// A tile up to this size lies in the second-level cache; from a larger one, inputs are fetched ahead.
    let private nearTileBytes = 256L * 1024L

    let private fetchTo (c: BatchTiling) (pattern: Connectivity) : int64 =
        if c.Floats pattern.Cols * 4L > nearTileBytes then
            int64 pattern.Nnz - 1L
        else
            -1L

    /// Parts that tiles alone keep equally busy if there are many, or a round number; else each tile is shared.
    let private groupsOfTile (machine: ExecutionPolicy) (tiles: int) : int =
        if tiles % machine.Threads = 0 || tiles >= 4 * machine.Threads then
            1
        else
            machine.Threads

    /// A part of a product: some rows of a tile.
    let private spmmPart (s: SpmmCall) (part: int) : unit =
        let tile, group = s.Cut.Tile(part / s.Groups), part % s.Groups
        let rowFrom = BatchTiling.rowOfPart s.RowPtr group s.Groups
        let rowTo = BatchTiling.rowOfPart s.RowPtr (group + 1) s.Groups

        if s.Cut.N = 1 then
            // One sample is its own tile, and its outputs lie as the rows do.
            let y = Pointer.at s.Y (int64 rowFrom)
            TileKernels.ofWidth(s.Cut.Width).Spmm(tile, s.Pattern, s.Values, s.Bias, s.X, rowFrom, rowTo, y)
        else
            let rows = s.RowPtr.Length - 1
            let scratch = ScratchPool.rent (s.Cut.Floats s.Cols)
            TileKernels.ofWidth(s.Cut.Width).Pack(tile, s.X, s.Cols, s.Cols, scratch.Floats)
            TileKernels.multiply s.Cut tile s.Pattern s.Values s.Bias scratch.Floats rows rowFrom rowTo s.Y
            ScratchPool.giveBack scratch

    /// On threads, which takes a closure.
    let private spmmShared (machine: ExecutionPolicy) (s: SpmmCall) (parts: int) : unit =
        machine.Team.Run(machine.Threads, parts, (fun part -> spmmPart s part))

    let private spmmOf
        (machine: ExecutionPolicy)
        (pattern: Connectivity)
        values
        bias
        (x: nativeptr<float32>)
        (n: int)
        y
        =
        let rowPtr = pattern.RowPtrArray
        let c = cutOf machine pattern n
        use rowPtrPin = fixed rowPtr
        use colIdxPin = fixed pattern.ColIdxArray
        let tiles = c.Tiles
        let groups = groupsOfTile machine tiles

        let s =
            { Cut = c
              Groups = groups
              RowPtr = rowPtr
              Cols = pattern.Cols
              Pattern =
                { RowPtr = rowPtrPin
                  ColIdx = colIdxPin
                  FetchTo = fetchTo c pattern }
              Values = values
              Bias = bias
              X = x
              Y = y }

        if machine.Threads = 1 then
            // Allocates nothing.
            for part in 0 .. tiles * groups - 1 do
                spmmPart s part
        else
            spmmShared machine s (tiles * groups)

    /// <summary>y [n, rows] = x [n, cols] · Wᵀ + bias, with W's values at the pattern; y is overwritten.</summary>
    /// <remarks>bias is [rows] or null. All are row-major, and the caller has checked every size.</remarks>
    let spmm (machine: ExecutionPolicy) (plan: SpmmPlan) values bias x n y =
        spmmOf machine plan.Connectivity values bias x n y

    /// Adding to the columns, row by row, costs less than bringing the values into their order for one tile only, and
    /// than walking columns that hold hardly a slot.
    let private scatters (c: BatchTiling) (pattern: Connectivity) : bool =
        c.Tiles <= 1 || int64 pattern.Nnz < 2L * int64 pattern.Cols

    /// The columns of one tile's product with W, added up row by row.
    let private scatterPart (c: BatchTiling) (tile: Tile) p values (g: nativeptr<float32>) rows cols colFrom colTo x =
        let kernels = TileKernels.ofWidth c.Width
        let ownCols = colTo - colFrom

        if c.N = 1 then
            Pointer.clear (Pointer.at x (int64 colFrom)) (int64 ownCols)
            kernels.Scatter(tile, p, values, g, rows, cols, colFrom, colTo, x)
        else
            let wide = int64 (c.Wide tile)
            let scratch = ScratchPool.rent (wide * (int64 rows + int64 ownCols))
            let packed = Pointer.at scratch.Floats (wide * int64 rows)
            Pointer.clear packed (wide * int64 ownCols)
            kernels.Pack(tile, g, rows, rows, scratch.Floats)
            // The kernel counts columns from 0; only the part's own are there.
            let packedOfAll = Pointer.at packed (-wide * int64 colFrom)
            kernels.Scatter(tile, p, values, scratch.Floats, rows, cols, colFrom, colTo, packedOfAll)
            kernels.Unpack(tile, packed, ownCols, Pointer.at x (int64 colFrom), cols)
            ScratchPool.giveBack scratch

    /// The values in the order of the transposed pattern: brought into it once a call, not once a tile.
    let transposedValues (machine: ExecutionPolicy) (plan: SpmmPlan) (values: nativeptr<float32>) : AlignedBuffer =
        let scratch = ScratchPool.rent (int64 plan.Connectivity.Nnz)
        plan.Order(machine, values, scratch.Floats)
        scratch

    /// <summary>x [n, cols] = g [n, rows] · W; x is overwritten.</summary>
    let spmmT
        (machine: ExecutionPolicy)
        (plan: SpmmPlan)
        (values: nativeptr<float32>)
        (g: nativeptr<float32>)
        (n: int)
        x
        =
        let pattern = plan.Connectivity
        let rows, cols = pattern.Rows, pattern.Cols
        let c = cutOf machine pattern n

        if scatters c pattern then
            use rowPtrPin = fixed pattern.RowPtrArray
            use colIdxPin = fixed pattern.ColIdxArray

            let p =
                { RowPtr = rowPtrPin
                  ColIdx = colIdxPin
                  FetchTo = fetchTo c pattern }

            let groups = groupsOfTile machine c.Tiles

            // On the boundary of a cache line of the output.
            let bound group =
                if group = groups then
                    cols
                else
                    int (int64 cols * int64 group / int64 groups) &&& ~~~15

            machine.Team.Run(
                machine.Threads,
                c.Tiles * groups,
                fun part ->
                    let group = part % groups
                    let colFrom, colTo = bound group, bound (group + 1)
                    scatterPart c (c.Tile(part / groups)) p values g rows cols colFrom colTo x
            )
        else
            let valuesT = transposedValues machine plan values
            spmmOf machine (plan.Transposed machine) valuesT.Floats Pointer.nothing g n x
            ScratchPool.giveBack valuesT

    /// <summary>Groups of tiles that add up gradients of their own, which are added in the end.</summary>
    /// <remarks>As many as cost less than packing does: each adds nnz sums to the rows + cols of each sample.</remarks>
    let private groupsOfBatch (c: BatchTiling) (pattern: Connectivity) : int =
        let packed = int64 c.N * (int64 pattern.Rows + int64 pattern.Cols)
        let affordable = packed / (2L * (int64 pattern.Nnz + 1L))
        let mutable groups = 1

        while groups < 16 && 2 * groups <= c.Tiles && int64 (2 * groups) <= affordable do
            groups <- 2 * groups

        groups

    /// <summary>The gradients of y = x · Wᵀ + bias for an upstream g [n, rows].</summary>
    /// <remarks>values may be null where the input's gradient is not wanted, x where the values' is not. Where groups of
    /// tiles keep all threads busy, one pass packs each tile of g once for the three gradients.</remarks>
    let gradients
        (machine: ExecutionPolicy)
        (plan: SpmmPlan)
        (values: nativeptr<float32>)
        (g: nativeptr<float32>)
        (x: nativeptr<float32>)
        (n: int)
        (wanted: Gradients)
        =
        let pattern = plan.Connectivity

        let rowPtr, rows, cols, nnz =
            pattern.RowPtrArray, pattern.Rows, pattern.Cols, pattern.Nnz

        let wantsValues = not (Pointer.isNull wanted.Values)
        let wantsBias = not (Pointer.isNull wanted.Bias)
        let wantsInput = not (Pointer.isNull wanted.Input)
        let c = cutOf machine pattern n
        let groups = groupsOfBatch c pattern

        let inOnePass =
            wantsInput
            && (wantsValues || wantsBias)
            && not (scatters c pattern)
            && groups >= machine.Threads

        if wantsInput && not inOnePass then
            spmmT machine plan values g n wanted.Input

        if n = 0 then
            if wantsValues then
                Pointer.clear wanted.Values (int64 nnz)

            if wantsBias then
                Pointer.clear wanted.Bias (int64 rows)
        elif wantsValues || wantsBias then
            use rowPtrPin = fixed rowPtr
            use colIdxPin = fixed pattern.ColIdxArray

            let patternT = if inOnePass then plan.Transposed machine else pattern

            use rowPtrPinT = fixed patternT.RowPtrArray
            use colIdxPinT = fixed patternT.ColIdxArray

            let p =
                { RowPtr = rowPtrPin
                  ColIdx = colIdxPin
                  FetchTo = fetchTo c pattern }

            let pT =
                { RowPtr = rowPtrPinT
                  ColIdx = colIdxPinT
                  FetchTo = fetchTo c patternT }

            let valuesT =
                if inOnePass then
                    transposedValues machine plan values
                else
                    null

            // A group's sums, where there are several: of the values, behind them those of the bias.
            let partial =
                if groups > 1 then
                    ScratchPool.rent (int64 groups * (int64 nnz + int64 rows))
                else
                    null

            let valuesOf group =
                if groups > 1 then
                    Pointer.at partial.Floats (int64 group * int64 nnz)
                else
                    wanted.Values

            let biasOf group =
                if groups > 1 then
                    Pointer.at partial.Floats (int64 groups * int64 nnz + int64 group * int64 rows)
                else
                    wanted.Bias

            let kernels = TileKernels.ofWidth c.Width
            let shares = (machine.Threads + groups - 1) / groups

            machine.Team.Run(
                machine.Threads,
                groups * shares,
                fun part ->
                    let group, share = part / shares, part % shares
                    let rowFrom = BatchTiling.rowOfPart rowPtr share shares
                    let rowTo = BatchTiling.rowOfPart rowPtr (share + 1) shares
                    let ownRows = rowTo - rowFrom
                    let tileFrom = c.Tiles * group / groups

                    let scratch = ScratchPool.rent (c.Floats cols + c.Floats ownRows)
                    // One sample is its own tile.
                    let packedX = if n = 1 then x else scratch.Floats
                    let ownG = Pointer.at g (int64 rowFrom)

                    let packedG =
                        if n = 1 then
                            ownG
                        else
                            Pointer.at scratch.Floats (c.Floats cols)

                    for index in tileFrom .. c.Tiles * (group + 1) / groups - 1 do
                        let tile = c.Tile index
                        let accumulate = index > tileFrom

                        if n > 1 then
                            kernels.Pack(tile, ownG, rows, ownRows, packedG)

                        if wantsBias then
                            let sums = Pointer.at (biasOf group) (int64 rowFrom)
                            kernels.RowSums(tile, packedG, ownRows, accumulate, sums)

                        if inOnePass then
                            TileKernels.multiply
                                c
                                tile
                                pT
                                valuesT.Floats
                                Pointer.nothing
                                packedG
                                cols
                                0
                                cols
                                wanted.Input

                        if wantsValues then
                            if n > 1 then
                                kernels.Pack(tile, x, cols, cols, packedX)

                            kernels.Sddmm(tile, p, packedG, packedX, rowFrom, rowTo, accumulate, valuesOf group)

                    ScratchPool.giveBack scratch
            )

            if groups > 1 then
                if wantsValues then
                    Reduce.addGroups groups nnz (valuesOf 0) wanted.Values

                if wantsBias then
                    Reduce.addGroups groups rows (biasOf 0) wanted.Bias

                ScratchPool.giveBack partial

            if inOnePass then
                ScratchPool.giveBack valuesT

    /// <summary>d [nnz] = (gᵀ · x) at the pattern, for g [n, rows] and x [n, cols]; d is overwritten.</summary>
    let sddmm (machine: ExecutionPolicy) (plan: SpmmPlan) (g: nativeptr<float32>) (x: nativeptr<float32>) (n: int) d =
        gradients
            machine
            plan
            Pointer.nothing
            g
            x
            n
            { Values = d
              Bias = Pointer.nothing
              Input = Pointer.nothing }

    let private byRows (machine: ExecutionPolicy) (pattern: Connectivity) (body: CsrView -> int -> int -> unit) =
        use rowPtrPin = fixed pattern.RowPtrArray
        use colIdxPin = fixed pattern.ColIdxArray

        let p =
            { RowPtr = rowPtrPin
              ColIdx = colIdxPin
              FetchTo = -1L }

        machine.Team.Run(
            machine.Threads,
            machine.Threads,
            fun part ->
                let rowFrom = BatchTiling.rowOfPart pattern.RowPtrArray part machine.Threads
                let rowTo = BatchTiling.rowOfPart pattern.RowPtrArray (part + 1) machine.Threads
                body p rowFrom rowTo
        )

    /// w [rows, cols] = the values at the pattern, 0 elsewhere; w is overwritten.
    let spread (machine: ExecutionPolicy) (pattern: Connectivity) values w =
        byRows machine pattern (fun p rowFrom rowTo -> DenseConversion.spread p values rowFrom rowTo pattern.Cols w)

    /// values [nnz] = those of w [rows, cols] at the pattern; values is overwritten.
    let collect (machine: ExecutionPolicy) (pattern: Connectivity) w values =
        byRows machine pattern (fun p rowFrom rowTo -> DenseConversion.collect p w rowFrom rowTo pattern.Cols values)

    /// y [after] = the numbers of x [before, 1 or more] that slots continue, or the number of those that continue none.
    let carry (machine: ExecutionPolicy) (from: int[]) x (number: float32) y =
        use fromPin = fixed from
        let from, slots, parts = fromPin, from.Length, machine.Threads

        let bound part =
            int (int64 slots * int64 part / int64 parts)

        machine.Team.Run(parts, parts, fun part -> GatherSlots.constant from x number (bound part) (bound (part + 1)) y)
