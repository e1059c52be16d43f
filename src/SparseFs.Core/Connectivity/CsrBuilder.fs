namespace SparseFs

open System

/// <summary>Buffers of a CSR pattern from pairs, cells and dense matrices, which the caller has checked.</summary>
module internal CsrBuilder =

    /// rowPtr from the number of slots of each row.
    let private pointers (count: int[]) : int[] = Array.scan (+) 0 count

    /// How often each number stands among the indices.
    let countOf (size: int) (indices: int[]) : int[] =
        let count: int[] = Array.zeroCreate size

        for index in indices do
            count[index] <- count[index] + 1

        count

    /// rowPtr and colIdx of the transpose of [rows, cols], and the slot from which each of its slots comes.
    [<AggressiveOptimization>]
    let transpose (rows: int) (cols: int) (rowPtr: int[]) (colIdx: int[]) : struct (int[] * int[] * int[]) =
        let columnPtr = pointers (countOf cols colIdx)
        let next = Array.copy columnPtr // next free slot of each column
        let rowIdx: int[] = Array.zeroCreate colIdx.Length
        let from: int[] = Array.zeroCreate colIdx.Length

        for row in 0 .. rows - 1 do
            for slot in rowPtr[row] .. rowPtr[row + 1] - 1 do
                let target = next[colIdx[slot]]
                next[colIdx[slot]] <- target + 1
                rowIdx[target] <- row
                from[target] <- slot

        struct (columnPtr, rowIdx, from)

    /// <summary>rowPtr and colIdx of pairs in any order.</summary>
    /// <remarks>Two counting sorts: rows gathered under their columns, then turned over. The second is a transpose, which
    /// visits columns in rising order, so that the columns of each row rise too.</remarks>
    let ofPairs (rows: int) (cols: int) (rowIdx: int[]) (colIdx: int[]) : struct (int[] * int[]) =
        let columnPtr = pointers (countOf cols colIdx)
        let next = Array.copy columnPtr
        let rowOf: int[] = Array.zeroCreate rowIdx.Length

        for pair in 0 .. rowIdx.Length - 1 do
            let col = colIdx[pair]
            rowOf[next[col]] <- rowIdx[pair]
            next[col] <- next[col] + 1

        let struct (rowPtr, colIdx, _) = transpose cols rows columnPtr rowOf
        struct (rowPtr, colIdx)

    /// rowPtr and colIdx of rising cells.
    [<AggressiveOptimization>]
    let ofSortedCells (rows: int) (cols: int) (cells: int64[]) : struct (int[] * int[]) =
        let count: int[] = Array.zeroCreate rows
        let colIdx: int[] = Array.zeroCreate cells.Length

        for slot in 0 .. cells.Length - 1 do
            let struct (row, col) = Math.DivRem(cells[slot], int64 cols)
            count[int row] <- count[int row] + 1
            colIdx[slot] <- int col

        struct (pointers count, colIdx)

    /// rowPtr and colIdx of the cells of a dense matrix that a test keeps; it is asked row by row.
    let ofDense (keep: 'a -> bool) (values: 'a[,]) : struct (int[] * int[]) =
        let rows, cols = Array2D.length1 values, Array2D.length2 values
        let rowPtr: int[] = Array.zeroCreate (rows + 1)
        let kept = ResizeArray<int>()

        for row in 0 .. rows - 1 do
            for col in 0 .. cols - 1 do
                if keep values[row, col] then
                    kept.Add col

            rowPtr[row + 1] <- kept.Count

        struct (rowPtr, kept.ToArray())
