namespace SparseFs

open System

/// One pass over two patterns of the same shape, cell by cell in order.
[<RequireQualifiedAccess>]
module internal SetOperations =

    /// Which slots stay: those of the first alone, of both, of the second alone.
    [<Struct>]
    type Keep =
        { OnlyA: bool; Both: bool; OnlyB: bool }

    let union =
        { OnlyA = true
          Both = true
          OnlyB = true }

    let intersection =
        { OnlyA = false
          Both = true
          OnlyB = false }

    let difference =
        { OnlyA = true
          Both = false
          OnlyB = false }

    /// <summary>Merges row by row. O(rows + nnz of both).</summary>
    /// <returns>Row pointers and columns of the slots that stay.</returns>
    /// <exception cref="T:System.ArgumentException">More slots stay than an array can hold.</exception>
    [<AggressiveOptimization>]
    let rows (keep: Keep) (rowPtrA: int[]) (colIdxA: int[]) (rowPtrB: int[]) (colIdxB: int[]) =
        let most =
            (if keep.OnlyA || keep.Both then colIdxA.LongLength else 0L)
            + (if keep.OnlyB then colIdxB.LongLength else 0L)

        let rowPtr: int[] = Array.zeroCreate rowPtrA.Length
        let kept: int[] = Array.zeroCreate (int (min most (int64 Array.MaxLength)))
        let mutable count = 0

        for row in 0 .. rowPtrA.Length - 2 do
            let mutable i = rowPtrA[row]
            let mutable j = rowPtrB[row]

            while i < rowPtrA[row + 1] || j < rowPtrB[row + 1] do
                let colA = if i < rowPtrA[row + 1] then colIdxA[i] else Int32.MaxValue
                let colB = if j < rowPtrB[row + 1] then colIdxB[j] else Int32.MaxValue

                if
                    (colA < colB && keep.OnlyA)
                    || (colA = colB && keep.Both)
                    || (colA > colB && keep.OnlyB)
                then
                    if count = Array.MaxLength then
                        raise (
                            ArgumentException(
                                (invariant $"expected a result of at most {Array.MaxLength} slots, got more"),
                                "b"
                            )
                        )

                    kept[count] <- min colA colB
                    count <- count + 1

                if colA <= colB then
                    i <- i + 1

                if colB <= colA then
                    j <- j + 1

            rowPtr[row + 1] <- count

        struct (rowPtr, (if count = kept.Length then kept else Array.sub kept 0 count))
