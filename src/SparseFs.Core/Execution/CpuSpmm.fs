namespace SparseFs.Kernels

#nowarn "9"

open System
open Microsoft.FSharp.NativeInterop
open SparseFs

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

    let widths: Width list = Widths.ofMachine

    let widest: Width = Widths.widest

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

    let cutOfGradients (machine: ExecutionPolicy) (pattern: Connectivity) (n: int) : BatchTiling =
        BatchTiling.joining (cutOf machine pattern n)

    /// A tile up to half of the second-level cache lies in it, beside what else is read; from a larger one, inputs are fetched
    /// ahead. Fetching for a tile of just that size costs a tenth (4096 × 4096, 95 %, 512-bit vectors).
    let private nearTileBytes = CacheLevels.second / 2L

    /// CsrView's FetchTo for a call.
    let fetchTo (c: BatchTiling) (pattern: Connectivity) : int64 =
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
        let own = RowPartition.ofWork s.Pattern.Group s.RowPtr group s.Groups

        if s.Cut.N = 1 then
            // One sample is its own tile, and its outputs lie as the rows do.
            let y = Pointer.at s.Y (int64 own.From)
            KernelTable.ofWidth(s.Cut.Width).Spmm(tile, s.Pattern, s.Values, s.Bias, s.X, own, y)
        else
            let scratch = ScratchPool.rent (s.Cut.Floats s.Cols)
            let x = { Data = s.X; Stride = s.Cols }

            let y =
                { Data = s.Y
                  Stride = s.RowPtr.Length - 1 }

            KernelTable.ofWidth(s.Cut.Width).Pack(tile, x, s.Cols, scratch.Floats)
            KernelTable.multiply s.Cut tile s.Pattern s.Values s.Bias scratch.Floats own y
            ScratchPool.giveBack scratch

    /// On threads, which takes a closure.
    let private spmmShared (machine: ExecutionPolicy) (s: SpmmCall) (parts: int) : unit =
        machine.Team.Run(machine.Threads, parts, (fun part -> spmmPart s part))

    let private spmmOf
        (machine: ExecutionPolicy)
        (c: BatchTiling)
        (pattern: Connectivity)
        (rowGroup: int)
        values
        bias
        (x: nativeptr<float32>)
        y
        =
        let tiles = c.Tiles
        let groups = groupsOfTile machine tiles

        CsrView.pinned pattern rowGroup (fetchTo c pattern) (fun p ->
            let s =
                { Cut = c
                  Groups = groups
                  RowPtr = pattern.RowPtrArray
                  Cols = pattern.Cols
                  Pattern = p
                  Values = values
                  Bias = bias
                  X = x
                  Y = y }

            if machine.Threads = 1 then
                // Allocates nothing.
                for part in 0 .. tiles * groups - 1 do
                    spmmPart s part
            else
                spmmShared machine s (tiles * groups))

    /// <summary>y [n, rows] = x [n, cols] · Wᵀ + bias, with W's values at the pattern; y is overwritten.</summary>
    /// <remarks>bias is [rows] or null. All are row-major, and the caller has checked every size.</remarks>
    let spmm (machine: ExecutionPolicy) (plan: SpmmPlan) values bias x n y =
        let pattern = plan.Connectivity
        spmmOf machine (cutOf machine pattern n) pattern plan.RowGroup values bias x y

    /// Adding to the columns, row by row, costs less than bringing the values into their order for one tile only, and
    /// than walking columns that hold hardly a slot. Rows that share their columns add four products at once.
    let scatters (c: BatchTiling) (plan: SpmmPlan) : bool =
        let pattern = plan.Connectivity
        plan.RowGroup > 1 || c.Tiles <= 1 || int64 pattern.Nnz < 2L * int64 pattern.Cols

    /// Some columns of one tile's product with W, added up row by row.
    let private scatterPart (c: BatchTiling) (tile: Tile) p values (g: MatrixView) (columns: RowRange) (x: MatrixView) =
        let kernels = KernelTable.ofWidth c.Width
        let rows, cols = g.Stride, x.Stride
        let own = x.From columns.From

        if c.N = 1 then
            Pointer.clear own.Data (int64 columns.Count)
            kernels.Scatter(tile, p, values, g.Data, rows, cols, columns, x.Data)
        else
            let wide = int64 (c.Wide tile)
            let scratch = ScratchPool.rent (wide * (int64 rows + int64 columns.Count))
            let packed = Pointer.at scratch.Floats (wide * int64 rows)
            Pointer.clear packed (wide * int64 columns.Count)
            kernels.Pack(tile, g, rows, scratch.Floats)
            // The kernel counts columns from 0; only the part's own are there.
            let packedOfAll = Pointer.at packed (-wide * int64 columns.From)
            kernels.Scatter(tile, p, values, scratch.Floats, rows, cols, columns, packedOfAll)
            kernels.Unpack(tile, packed, columns.Count, own)
            ScratchPool.giveBack scratch

    /// The values in the order of the transposed pattern: brought into it once a call, not once a tile.
    let transposedValues (machine: ExecutionPolicy) (plan: SpmmPlan) (values: nativeptr<float32>) : AlignedBuffer =
        let scratch = ScratchPool.rent (int64 plan.Connectivity.Nnz)
        plan.Order(machine, values, scratch.Floats)
        scratch

    /// Floats of a cache line: where parts of a row begin.
    [<Literal>]
    let private LineFloats = 16

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
        let c = cutOfGradients machine pattern n

        if scatters c plan then
            let groups = groupsOfTile machine c.Tiles
            let g = { Data = g; Stride = pattern.Rows }
            let x = { Data = x; Stride = pattern.Cols }

            CsrView.pinned pattern plan.RowGroup (fetchTo c pattern) (fun p ->
                machine.Team.Run(
                    machine.Threads,
                    c.Tiles * groups,
                    fun part ->
                        let columns = RowPartition.aligned LineFloats x.Stride (part % groups) groups
                        scatterPart c (c.Tile(part / groups)) p values g columns x
                ))
        else
            let valuesT = transposedValues machine plan values
            spmmOf machine c (plan.Transposed machine) 1 valuesT.Floats Pointer.nothing g x
            ScratchPool.giveBack valuesT
