namespace SparseFs.Torch

open System
open System.Runtime.InteropServices
open SparseFs

/// <summary>Patterns of the columns of row groups whose weights have the largest norms.</summary>
/// <remarks>Norms are summed in float64 and compared as float32; a tie keeps the lower layer, then the lower group, then the
/// lower column. Groups of one row are rows, whose norms are magnitudes.</remarks>
module internal GroupMagnitude =

    /// <exception cref="T:System.ArgumentException">A group of no row, or a norm that is none; by these names.</exception>
    let check (nameOfSize: string) (size: int) (nameOfNorm: string) (norm: RowGroupNorm) : unit =
        if size < 1 then
            raise (ArgumentException($"expected 1 row or more, got {size}", nameOfSize))

        if not (Enum.IsDefined norm) then
            raise (ArgumentException($"expected L1 or L2, got {norm}", nameOfNorm))

    /// The weights as scores, some rows at a time.
    let private rowsOf (weight: float32[,]) : CellScores =
        RowScores(fun first count ->
            let cols = Array2D.length2 weight

            if cols = 0 then
                [||]
            else
                MemoryMarshal.CreateSpan(&weight[first, 0], count * cols).ToArray())

    /// <summary>Norms of the columns of a weight's groups: those of whole groups, and those of a last group of fewer rows.</summary>
    /// <remarks>A column of the last group counts as one of a whole group whose weights are like its own in the mean: by what a
    /// slot of it is worth, whatever the number of its rows.</remarks>
    let private norms (size: int) (norm: RowGroupNorm) (weight: float32[,]) : struct (float32[,] * float32[,]) =
        let rows, cols = Array2D.length1 weight, Array2D.length2 weight
        let whole, left = rows / size, rows % size
        let source = rowsOf weight

        let ofGroups (first: int) (groups: int) (groupRows: int) =
            let result = Array2D.zeroCreate groups cols

            if groups > 0 then
                GroupScores(source, rows, first, groupRows, size, ValueSome norm)
                    .EachBlock(
                        "weight",
                        groups,
                        cols,
                        ScoreBlock(fun _ firstGroup count block stride ->
                            for group in 0 .. count - 1 do
                                for col in 0 .. cols - 1 do
                                    result[firstGroup + group, col] <- block[group * stride + col])
                    )

            result

        struct (ofGroups 0 whole size, ofGroups (rows - left) (min left 1) left)

    /// <summary>As Connectivity.ofMagnitude, in row groups: the pattern has the shape and the slots of the one that
    /// Topology.rowGroups draws for so many.</summary>
    /// <param name="size">Rows of a group, 1 or more.</param>
    /// <param name="norm">What a group's column is worth.</param>
    /// <param name="nnz">Slots that are wanted, 0..rows·cols.</param>
    /// <param name="weight">Shape [rows, cols].</param>
    /// <exception cref="T:System.ArgumentException">nnz is outside its range, or a weight is NaN.</exception>
    let ofLayer (size: int) (norm: RowGroupNorm) (nnz: int) (weight: float32[,]) : Connectivity =
        if size = 1 then
            Connectivity.ofMagnitude nnz weight
        else
            let rows = Array2D.length1 weight
            Sparsity.checkNnz rows (Array2D.length2 weight) nnz
            MagnitudeThreshold.checkNumbers (nameof weight) weight
            let struct (ofWhole, ofLast) = RowGroupCounts.cells size rows nnz
            let struct (whole, last) = norms size norm weight

            BlockSparse.ofGroups
                size
                rows
                (Connectivity.ofMagnitude ofWhole whole)
                (Connectivity.ofMagnitude ofLast last)

    /// <summary>As Connectivity.ofMagnitudes, in row groups: those of the largest norms of all layers, taken until the next
    /// one brings the number of slots no nearer to nnz.</summary>
    /// <param name="size">Rows of a group, 1 or more.</param>
    /// <param name="norm">What a group's column is worth.</param>
    /// <param name="nnz">Slots that are wanted in all layers, 0..(all cells).</param>
    /// <param name="weights">A layer each, without NaN.</param>
    /// <returns>A pattern a layer; all their slots are half a group away from nnz at most, and of two numbers that are as near
    /// the one of an even number of groups' columns.</returns>
    let ofLayers (size: int) (norm: RowGroupNorm) (nnz: int64) (weights: float32[,][]) : Connectivity[] =
        if size = 1 then
            Connectivity.ofMagnitudes nnz weights
        else
            let norms =
                weights
                |> Array.collect (fun weight ->
                    let struct (whole, last) = norms size norm weight
                    [| whole; last |])

            let rows = weights |> Array.map Array2D.length1
            let slots = rows |> Array.collect (fun rows -> [| size; rows % size |])
            let isLargest = MagnitudeThreshold.largest nnz slots norms

            let patterns =
                norms
                |> Array.mapi (fun list norms -> norms |> Array2D.map (isLargest list) |> Connectivity.ofMask)

            rows
            |> Array.mapi (fun layer rows -> BlockSparse.ofGroups size rows patterns[2 * layer] patterns[2 * layer + 1])
