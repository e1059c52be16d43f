namespace SparseFs

open System
open System.Runtime.InteropServices

/// <summary>What of a layer stays or goes together.</summary>
type internal SlotGroup =
    {
        /// Rows of a group, 1 or more.
        Rows: int
        /// Columns of a whole kernel; 1 where each is by itself.
        Cells: int
        /// What their weights are worth together.
        Norm: RowGroupNorm
    }

    /// Each slot by itself.
    static member One: SlotGroup =
        { Rows = 1
          Cells = 1
          Norm = RowGroupNorm.L2 }

    /// Slots of a whole group's column or kernel.
    member g.Slots: int = g.Rows * g.Cells

/// <summary>Patterns of the columns of row groups, and of the kernels in them, whose weights have the largest norms.</summary>
/// <remarks>Norms are summed in float64 and compared as float32; a tie keeps the lower layer, then the lower group, then the
/// lower column. Groups of one row are rows, whose norms are magnitudes.</remarks>
module internal GroupMagnitude =

    /// <exception cref="T:System.ArgumentException">A group of no row, or a norm that is none; by these names.</exception>
    let check (nameOfSize: string) (size: int) (nameOfNorm: string) (norm: RowGroupNorm) : unit =
        if size < 1 then
            raise (ArgumentException(invariant $"expected 1 row or more, got {size}", nameOfSize))

        if not (Enum.IsDefined norm) then
            raise (ArgumentException(invariant $"expected L1 or L2, got {norm}", nameOfNorm))

    /// The weights as scores, some rows at a time.
    let private rowsOf (weight: float32[,]) : CellScores =
        RowScores(fun first count ->
            let cols = Array2D.length2 weight

            if cols = 0 then
                [||]
            else
                MemoryMarshal.CreateSpan(&weight[first, 0], count * cols).ToArray())

    /// <summary>Norms of the columns of a weight's groups, or of their kernels: those of whole groups, and those of a last group of
    /// fewer rows.</summary>
    /// <remarks>Each is that of so many slots as comparedTo says: one of the last group, or of a layer of other kernels, counts by what
    /// a slot of it is worth in the mean.</remarks>
    let private norms (group: SlotGroup) (comparedTo: int) (weight: float32[,]) : struct (float32[,] * float32[,]) =
        let rows, cols = Array2D.length1 weight, Array2D.length2 weight / group.Cells
        let whole, left = rows / group.Rows, rows % group.Rows
        let source = rowsOf weight

        let ofGroups (first: int) (groups: int) (groupRows: int) =
            let result = Array2D.zeroCreate groups cols

            if groups > 0 then
                GroupScores(source, rows, first, groupRows, group.Cells, comparedTo, ValueSome group.Norm)
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

        struct (ofGroups 0 whole group.Rows, ofGroups (rows - left) (min left 1) left)

    /// The pattern of groups' columns, or kernels, as that of their slots.
    let private slotsOf (group: SlotGroup) (rows: int) (whole: Connectivity) (last: Connectivity) : Connectivity =
        BlockSparse.ofGroups group.Rows rows whole last
        |> WholeKernels.expand group.Cells

    /// The slots of whole groups and kernels that are nearest to so many, and stay what they are.
    let count (group: SlotGroup) (rows: int) (nnz: int) : int =
        RowGroupCounts.settled group.Rows rows (WholeKernels.ofSlots group.Cells nnz)
        * group.Cells

    /// <summary>As Connectivity.ofMagnitude, in groups: the pattern has the shape and the slots of the one that
    /// Topology.rowGroups, or Topology.inKernels of it, draws for so many.</summary>
    /// <param name="group">What stays or goes together.</param>
    /// <param name="nnz">Slots that are wanted, 0..rows·cols.</param>
    /// <param name="weight">Shape [rows, cols].</param>
    /// <exception cref="T:System.ArgumentException">nnz is outside its range, or a weight is NaN.</exception>
    let ofLayer (group: SlotGroup) (nnz: int) (weight: float32[,]) : Connectivity =
        if group.Slots = 1 then
            Connectivity.ofMagnitude nnz weight
        else
            let rows = Array2D.length1 weight
            Sparsity.checkNnz rows (Array2D.length2 weight) nnz
            MagnitudeThreshold.checkNumbers (nameof weight) weight

            let struct (ofWhole, ofLast) =
                RowGroupCounts.cells group.Rows rows (WholeKernels.ofSlots group.Cells nnz)

            let struct (whole, last) = norms group group.Slots weight
            slotsOf group rows (Connectivity.ofMagnitude ofWhole whole) (Connectivity.ofMagnitude ofLast last)

    /// <summary>As Connectivity.ofMagnitudes, in groups: those of the largest norms of all layers, taken until the next
    /// one brings the number of slots no nearer to nnz.</summary>
    /// <param name="groups">Of each layer, what stays or goes together.</param>
    /// <param name="nnz">Slots that are wanted in all layers, 0..(all cells).</param>
    /// <param name="weights">A layer each, without NaN.</param>
    /// <returns>A pattern a layer; all their slots are half a group away from nnz at most, and of two numbers that are as near
    /// the one of an even number of groups' columns.</returns>
    let ofLayers (groups: SlotGroup[]) (nnz: int64) (weights: float32[,][]) : Connectivity[] =
        if groups |> Array.forall (fun group -> group.Slots = 1) then
            Connectivity.ofMagnitudes nnz weights
        else
            // The same for all layers: norms of unlike groups are told apart by what a slot is worth.
            let comparedTo = groups |> Array.map _.Slots |> Array.max

            let norms =
                Array.map2
                    (fun group weight ->
                        let struct (whole, last) = norms group comparedTo weight
                        [| whole; last |])
                    groups
                    weights
                |> Array.concat

            let rows = weights |> Array.map Array2D.length1

            let slots =
                Array.map2
                    (fun (group: SlotGroup) rows -> [| group.Slots; rows % group.Rows * group.Cells |])
                    groups
                    rows
                |> Array.concat

            let isLargest = MagnitudeThreshold.largest nnz slots norms

            let patterns =
                norms
                |> Array.mapi (fun list norms -> norms |> Array2D.map (isLargest list) |> Connectivity.ofMask)

            Array.mapi2
                (fun layer (group: SlotGroup) rows -> slotsOf group rows patterns[2 * layer] patterns[2 * layer + 1])
                groups
                rows
