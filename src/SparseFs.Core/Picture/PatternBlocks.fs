namespace SparseFs.Pictures

open System

/// <summary>How many slots lie in each block of a pattern's cells.</summary>
/// <remarks>All blocks are squares of one size, but for those at the right and the lower edge, so that a picture keeps the
/// pattern's proportions.</remarks>
type internal PatternBlocks =
    {
        /// Cells along the side of a block.
        Side: int
        Down: int
        Across: int
        /// Row by row, Down · Across of them.
        Counts: int[]
        /// Slots of a block that is as full as the pattern: what parts light from dark.
        Mean: float
    }

module internal PatternBlocks =

    let private ceilingOf (n: int) (by: int) =
        int ((int64 n + int64 by - 1L) / int64 by)

    /// <summary>The blocks of a CSR pattern, at most so many down and across. O(rows + nnz).</summary>
    let create (maxDown: int) (maxAcross: int) (cols: int) (rowPtr: int[]) (colIdx: int[]) : PatternBlocks =
        let rows = rowPtr.Length - 1
        let side = max 1 (max (ceilingOf rows maxDown) (ceilingOf cols maxAcross))
        let down, across = ceilingOf rows side, ceilingOf cols side
        let counts: int[] = Array.zeroCreate (down * across)

        for row in 0 .. rows - 1 do
            let first = row / side * across

            for slot in rowPtr[row] .. rowPtr[row + 1] - 1 do
                let block = first + colIdx[slot] / side
                counts[block] <- counts[block] + 1

        let cells = float rows * float cols

        { Side = side
          Down = down
          Across = across
          Counts = counts
          Mean =
            if cells = 0.0 then
                0.0
            else
                float colIdx.Length * float side * float side / cells }

    /// Whether a block is drawn: where it holds slots, and no fewer than its share of them.
    let isDrawn (b: PatternBlocks) (row: int) (col: int) : bool =
        row < b.Down
        && col < b.Across
        && (let count = b.Counts[row * b.Across + col]
            count > 0 && float count >= b.Mean)

    /// <summary>The kernels of a convolution's CSR pattern, boxes of height by width blocks that stand a block apart, at most so
    /// many down and across: where channels are more, neighbours lie over each other.</summary>
    let ofKernels (most: int) (height: int) (width: int) (cols: int) (rowPtr: int[]) (colIdx: int[]) : PatternBlocks =
        let rows, cells = rowPtr.Length - 1, height * width
        let inputs = cols / cells
        let ofRows, ofInputs = max 1 (ceilingOf rows most), max 1 (ceilingOf inputs most)
        let down = max 0 (ceilingOf rows ofRows * (height + 1) - 1)
        let across = max 0 (ceilingOf inputs ofInputs * (width + 1) - 1)
        let counts: int[] = Array.zeroCreate (down * across)

        for row in 0 .. rows - 1 do
            for slot in rowPtr[row] .. rowPtr[row + 1] - 1 do
                let input, cell = colIdx[slot] / cells, colIdx[slot] % cells
                let y = row / ofRows * (height + 1) + cell / width
                let x = input / ofInputs * (width + 1) + cell % width
                counts[y * across + x] <- counts[y * across + x] + 1

        { Side = 1
          Down = down
          Across = across
          Counts = counts
          Mean = 0.0 }
