namespace SparseFs

/// <summary>Patterns of convolutions that have all cells of a pair of channels, or none: blocks of one row by so many columns.</summary>
module internal WholeKernels =

    /// Whether each row's slots are whole kernels of so many cells.
    let has (cells: int) (rowPtr: int[]) (colIdx: int[]) : bool =
        let mutable row = 0
        let mutable isWhole = true

        while isWhole && row < rowPtr.Length - 1 do
            let from, until = rowPtr[row], rowPtr[row + 1]
            isWhole <- (until - from) % cells = 0
            let mutable slot = from

            // Columns rise: so a kernel's cells are there if its first and its last are, so far apart.
            while isWhole && slot < until do
                let first = colIdx[slot]
                isWhole <- first % cells = 0 && colIdx[slot + cells - 1] = first + cells - 1
                slot <- slot + cells

            row <- row + 1

        isWhole

    /// Why a pattern that has parts of kernels is not rewired by whole ones.
    let refusal (cells: int) (pattern: string) : string =
        invariant
            $"expected a pattern of whole kernels of {cells} cells, got parts of kernels in {pattern}: draw it with Topology.inKernels {cells} (C#: Topologies.InKernels), or leave the policy's WholeKernels at false"

    /// A pattern of pairs of channels, [rows, channels], with each of them a whole kernel: [rows, channels · cells].
    let expand (cells: int) (pairs: Connectivity) : Connectivity =
        if cells = 1 then
            pairs
        else
            let colIdx: int[] = Array.zeroCreate (Checked.(*) pairs.Nnz cells)

            for slot in 0 .. pairs.Nnz - 1 do
                for cell in 0 .. cells - 1 do
                    colIdx[slot * cells + cell] <- pairs.ColIdxArray[slot] * cells + cell

            Connectivity.ofTrusted
                pairs.Rows
                (pairs.Cols * cells)
                (pairs.RowPtrArray |> Array.map (fun from -> from * cells))
                colIdx

    /// Kernels for a number of slots, by the one rounding rule.
    let ofSlots (cells: int) (nnz: int) : int =
        int (Rounding.halfToEven (bigint nnz) (bigint cells))
