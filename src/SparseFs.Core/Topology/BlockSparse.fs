namespace SparseFs

open System

/// <summary>Patterns of blocks: whole blocks at drawn places, groups of rows that share their columns, and N of every M columns.</summary>
/// <remarks>A row group's column is a block of size by 1, so blocks of b by b are row groups of b. N:M is of columns within a
/// row, and its rows share nothing.</remarks>
module internal BlockSparse =

    /// As Topology.block.
    let block (rows: int) (cols: int) (size: int) (blocks: int) (seed: Seed) : Connectivity =
        Sparsity.checkShape rows cols

        if size < 1 then
            raise (ArgumentOutOfRangeException(nameof size, size, (invariant $"expected 1 or more, got {size}")))

        for name, features in [ nameof rows, rows; nameof cols, cols ] do
            if features % size <> 0 then
                let message =
                    (invariant $"expected a multiple of the block's {size}, got {features}")

                raise (ArgumentOutOfRangeException(name, features, message))

        let gridRows, gridCols = rows / size, cols / size

        if blocks < 0 || int64 blocks > int64 gridRows * int64 gridCols then
            let message =
                (invariant
                    $"expected 0..{int64 gridRows * int64 gridCols} blocks of {size} by {size} in a [{rows}, {cols}] matrix, got {blocks}")

            raise (ArgumentOutOfRangeException(nameof blocks, blocks, message))

        if int64 blocks * int64 size * int64 size > int64 Int32.MaxValue then
            let message =
                (invariant $"expected at most {Int32.MaxValue} slots, got {blocks} blocks of {size} by {size}")

            raise (ArgumentOutOfRangeException(nameof blocks, blocks, message))

        let grid =
            SampleWithoutReplacement.distinct (Sparsity.cells gridRows gridCols) blocks (Draws seed)
            |> Connectivity.ofSortedCells gridRows gridCols

        let rowPtr: int[] = Array.zeroCreate (rows + 1)
        let colIdx: int[] = Array.zeroCreate (blocks * size * size)
        let mutable slot = 0

        for row in 0 .. rows - 1 do
            for gridSlot in grid.RowPtr[row / size] .. grid.RowPtr[row / size + 1] - 1 do
                for i in 0 .. size - 1 do
                    colIdx[slot] <- grid.ColIdx[gridSlot] * size + i
                    slot <- slot + 1

            rowPtr[row + 1] <- slot

        Connectivity.ofTrusted rows cols rowPtr colIdx

    /// <summary>Groups of so many rows, each with the columns of a row of a pattern.</summary>
    /// <param name="size">Rows of a group.</param>
    /// <param name="rows">All rows: those of the last group are fewer where they are no multiple of size.</param>
    /// <param name="whole">A row for each whole group.</param>
    /// <param name="last">The columns of the last group, a row if there is one.</param>
    let ofGroups (size: int) (rows: int) (whole: Connectivity) (last: Connectivity) : Connectivity =
        let nnz = whole.Nnz * size + last.Nnz * (rows % size)
        let rowPtr: int[] = Array.zeroCreate (rows + 1)
        let colIdx: int[] = Array.zeroCreate nnz
        let mutable slot = 0

        for row in 0 .. rows - 1 do
            let group = row / size

            let struct (from, group) =
                if group < whole.Rows then
                    struct (whole, group)
                else
                    struct (last, 0)

            let columns =
                from.ColIdx.Slice(from.RowPtr[group], from.RowPtr[group + 1] - from.RowPtr[group])

            columns.CopyTo(colIdx.AsSpan slot)
            slot <- slot + columns.Length
            rowPtr[row + 1] <- slot

        Connectivity.ofTrusted rows whole.Cols rowPtr colIdx

    /// As Topology.rowGroups.
    let rowGroups (size: int) (rows: int) (cols: int) (nnz: int) (seed: Seed) : Connectivity =
        Sparsity.checkNnz rows cols nnz

        if size < 1 then
            raise (ArgumentOutOfRangeException(nameof size, size, (invariant $"expected 1 or more rows, got {size}")))

        let struct (ofWhole, ofLast) = RowGroupCounts.cells size rows nnz

        let draw (groups: int) (count: int) (seed: Seed) =
            SampleWithoutReplacement.distinct (Sparsity.cells groups cols) count (Draws seed)
            |> Connectivity.ofSortedCells groups cols

        ofGroups
            size
            rows
            (draw (rows / size) ofWhole (Seed.child 0 seed))
            (draw (min (rows % size) 1) ofLast (Seed.child 1 seed))

    /// As Topology.inKernels.
    let inKernels
        (cells: int)
        (topology: int -> int -> int -> Seed -> Connectivity)
        (rows: int)
        (cols: int)
        (nnz: int)
        (seed: Seed)
        : Connectivity =
        if cells < 1 then
            raise (
                ArgumentOutOfRangeException(nameof cells, cells, (invariant $"expected 1 cell or more, got {cells}"))
            )

        Sparsity.checkNnz rows cols nnz

        if cols % cells <> 0 then
            raise (
                ArgumentOutOfRangeException(
                    nameof cols,
                    cols,
                    (invariant $"expected a multiple of the kernels' {cells} cells, got {cols} columns")
                )
            )

        topology rows (cols / cells) (WholeKernels.ofSlots cells nnz) seed
        |> WholeKernels.expand cells

    /// As Topology.nOfM.
    let nOfM (rows: int) (cols: int) (n: int) (m: int) (seed: Seed) : Connectivity =
        Sparsity.checkShape rows cols

        if m < 1 then
            raise (ArgumentOutOfRangeException(nameof m, m, (invariant $"expected 1 or more, got {m}")))

        DegreeSequence.checkAtMost (nameof n) m n "the group's columns"

        if cols % m <> 0 then
            raise (
                ArgumentOutOfRangeException(nameof cols, cols, (invariant $"expected a multiple of {m}, got {cols}"))
            )

        DegreeSequence.checkTotal (nameof n) rows (cols / m * n)
        let draws = Draws seed

        DegreeSequence.byRows rows cols (cols / m * n) (fun _ ->
            [| for group in 0 .. cols / m - 1 do
                   for place in SampleWithoutReplacement.distinct (int64 m) n draws -> group * m + int place |])
