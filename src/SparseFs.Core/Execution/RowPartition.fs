namespace SparseFs.Kernels

/// <summary>Which rows, samples, columns or slots each part of a call has; together the parts have all, in order.</summary>
[<RequireQualifiedAccess>]
module internal RowPartition =

    /// The first of count rows that a part has; that of part number parts is count.
    let inline private start (count: int) (part: int) (parts: int) : int =
        int (int64 count * int64 part / int64 parts)

    /// Rows in equal number, within one.
    let range (count: int) (part: int) (parts: int) : RowRange =
        { From = start count part parts
          To = start count (part + 1) parts }

    /// As range, but each part begins at a multiple of alignment, a power of 2.
    let aligned (alignment: int) (count: int) (part: int) (parts: int) : RowRange =
        let bound part =
            if part = parts then
                count
            else
                start count part parts &&& ~~~(alignment - 1)

        { From = bound part
          To = bound (part + 1) }

    /// Rows of equal work, in whole groups of so many: a slot and a row count alike.
    let ofWork (group: int) (rowPtr: int[]) (part: int) (parts: int) : RowRange =
        let rows = rowPtr.Length - 1

        let bound part =
            let target = (int64 rowPtr[rows] + int64 rows) * int64 part / int64 parts
            let mutable low = 0
            let mutable high = rows

            while low < high do
                let mid = (low + high) / 2

                if int64 rowPtr[mid] + int64 mid < target then
                    low <- mid + 1
                else
                    high <- mid

            if low = rows then low else low - low % group

        { From = bound part
          To = bound (part + 1) }

    /// As many groups of the parts of a batch, each with nnz sums of its own that are added in the end, as cost less than to pack
    /// the batch's floats does. It follows from shapes alone.
    let groupsOfSums (parts: int) (nnz: int) (packed: int64) : int =
        let affordable = packed / (2L * (int64 nnz + 1L))
        let mutable groups = 1

        while groups < 16 && 2 * groups <= parts && int64 (2 * groups) <= affordable do
            groups <- 2 * groups

        groups
