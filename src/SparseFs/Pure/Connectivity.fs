namespace SparseFs

open System

[<CustomEquality; NoComparison>]
type Connectivity =
    private
        { rows: int
          cols: int
          rowPtr: int[]
          colIdx: int[] }

    member c.Rows = c.rows
    member c.Cols = c.cols
    member c.Nnz = c.colIdx.Length
    member c.Cells = Sparsity.cells c.rows c.cols
    member c.Density = if c.Cells = 0L then 0.0 else float c.Nnz / float c.Cells
    member c.Sparsity = 1.0 - c.Density
    member c.RowPtr = ReadOnlySpan<int>(c.rowPtr)
    member c.ColIdx = ReadOnlySpan<int>(c.colIdx)
    member c.RowPtrArray = c.rowPtr
    member c.ColIdxArray = c.colIdx

    // FNV-1a over 32-bit words, Fowler, Noll and Vo: order matters, and no word of it depends on the runtime.
    member c.Fingerprint =
        let mutable hash = 0xCBF29CE484222325UL

        let inline add (word: int) =
            hash <- (hash ^^^ uint64 (uint32 word)) * 0x100000001B3UL

        add c.rows
        add c.cols

        for slot in c.rowPtr do
            add slot

        for col in c.colIdx do
            add col

        hash

    interface IEquatable<Connectivity> with
        member a.Equals(b) =
            Object.ReferenceEquals(a, b)
            || (not (isNull (box b))
                && a.rows = b.rows
                && a.cols = b.cols
                && a.ColIdx.SequenceEqual b.ColIdx
                && a.RowPtr.SequenceEqual b.RowPtr)

    override a.Equals(other) =
        match other with
        | :? Connectivity as b -> (a :> IEquatable<Connectivity>).Equals b
        | _ -> false

    override c.GetHashCode() = c.Fingerprint.GetHashCode()

    override c.ToString() =
        FormattableString.Invariant $"Connectivity(rows={c.rows}, cols={c.cols}, nnz={c.Nnz}, sparsity={c.Sparsity:G6})"

type ConnectivityDiff =
    { Added: Connectivity
      Removed: Connectivity }

[<RequireQualifiedAccess>]
module Connectivity =

    let private orRaise (result: Result<Connectivity, ConnectivityError>) =
        match result with
        | Ok c -> c
        | Error e -> raise (ArgumentException(e.Message, e.ParamName))

    let private rowPtrError (rows: int) (rowPtr: int[]) (nnz: int) : ConnectivityError option =
        if rowPtr.Length <> rows + 1 then
            Some(ConnectivityError.RowPtrLength(rows + 1, rowPtr.Length))
        elif rowPtr[0] <> 0 then
            Some(ConnectivityError.RowPtr(0, rowPtr[0], nnz))
        else
            let mutable entry = 1

            while entry <= rows && rowPtr[entry] >= rowPtr[entry - 1] && rowPtr[entry] <= nnz do
                entry <- entry + 1

            if entry <= rows then
                Some(ConnectivityError.RowPtr(entry, rowPtr[entry], nnz))
            elif rowPtr[rows] <> nnz then
                Some(ConnectivityError.RowPtr(rows, rowPtr[rows], nnz))
            else
                None

    let private colIdxError (cols: int) (rowPtr: int[]) (colIdx: int[]) : ConnectivityError option =
        let mutable error = None
        let mutable row = 0

        while error.IsNone && row < rowPtr.Length - 1 do
            let mutable slot = rowPtr[row]
            let mutable previous = -1

            while error.IsNone && slot < rowPtr[row + 1] do
                let col = colIdx[slot]

                if col < 0 || col >= cols then
                    error <- Some(ConnectivityError.Column(row, col, cols))
                elif col = previous then
                    error <- Some(ConnectivityError.Duplicate(row, col))
                elif col < previous then
                    error <- Some(ConnectivityError.Order(row, col, previous))

                previous <- col
                slot <- slot + 1

            row <- row + 1

        error

    let private check (c: Connectivity) : Result<Connectivity, ConnectivityError> =
        if not (Sparsity.isSize c.rows && Sparsity.isSize c.cols) then
            Error(ConnectivityError.Shape(c.rows, c.cols))
        else
            rowPtrError c.rows c.rowPtr c.Nnz
            |> Option.orElseWith (fun () -> colIdxError c.cols c.rowPtr c.colIdx)
            |> Option.map Error
            |> Option.defaultValue (Ok c)

    let tryCreate (rows: int) (cols: int) (rowPtr: int[]) (colIdx: int[]) =
        ArgumentNullException.ThrowIfNull(rowPtr, nameof rowPtr)
        ArgumentNullException.ThrowIfNull(colIdx, nameof colIdx)

        // The copy is what is checked: the caller may change the arrays meanwhile.
        check
            { rows = rows
              cols = cols
              rowPtr = Array.copy rowPtr
              colIdx = Array.copy colIdx }

    let create (rows: int) (cols: int) (rowPtr: int[]) (colIdx: int[]) =
        tryCreate rows cols rowPtr colIdx |> orRaise

    /// rowPtr from the number of slots of each row.
    let private pointers (count: int[]) = Array.scan (+) 0 count

    [<FullyOptimized>]
    let transpose (c: Connectivity) =
        let count: int[] = Array.zeroCreate c.cols

        for col in c.colIdx do
            count[col] <- count[col] + 1

        let rowPtr = pointers count
        let next = Array.copy rowPtr // next free slot of each column
        let colIdx: int[] = Array.zeroCreate c.Nnz
        let from: int[] = Array.zeroCreate c.Nnz

        for row in 0 .. c.rows - 1 do
            for slot in c.rowPtr[row] .. c.rowPtr[row + 1] - 1 do
                let target = next[c.colIdx[slot]]
                next[c.colIdx[slot]] <- target + 1
                colIdx[target] <- row
                from[target] <- slot

        { rows = c.cols
          cols = c.rows
          rowPtr = rowPtr
          colIdx = colIdx },
        from

    let ofTrusted (rows: int) (cols: int) (rowPtr: int[]) (colIdx: int[]) =
        { rows = rows
          cols = cols
          rowPtr = rowPtr
          colIdx = colIdx }

    let private pairError (rows: int) (cols: int) (rowIdx: int[]) (colIdx: int[]) : ConnectivityError option =
        if not (Sparsity.isSize rows && Sparsity.isSize cols) then
            Some(ConnectivityError.Shape(rows, cols))
        elif rowIdx.Length <> colIdx.Length then
            Some(ConnectivityError.Lengths(rowIdx.Length, colIdx.Length))
        else
            let mutable pair = 0

            while pair < rowIdx.Length
                  && uint32 rowIdx[pair] < uint32 rows
                  && uint32 colIdx[pair] < uint32 cols do
                pair <- pair + 1

            if pair = rowIdx.Length then
                None
            elif uint32 rowIdx[pair] >= uint32 rows then
                Some(ConnectivityError.Row(pair, rowIdx[pair], rows))
            else
                Some(ConnectivityError.Column(rowIdx[pair], colIdx[pair], cols))

    let tryOfPairs (rows: int) (cols: int) (rowIdx: int[]) (colIdx: int[]) =
        ArgumentNullException.ThrowIfNull(rowIdx, nameof rowIdx)
        ArgumentNullException.ThrowIfNull(colIdx, nameof colIdx)
        let rowIdx = Array.copy rowIdx
        let colIdx = Array.copy colIdx

        match pairError rows cols rowIdx colIdx with
        | Some error -> Error error
        | None ->
            // Two counting sorts: rows gathered under their columns, then turned over. The second is a transpose, which
            // visits columns in rising order, so that the columns of each row rise too.
            let count: int[] = Array.zeroCreate cols

            for col in colIdx do
                count[col] <- count[col] + 1

            let columnPtr = pointers count
            let next = Array.copy columnPtr
            let rowOf: int[] = Array.zeroCreate rowIdx.Length

            for pair in 0 .. rowIdx.Length - 1 do
                let col = colIdx[pair]
                rowOf[next[col]] <- rowIdx[pair]
                next[col] <- next[col] + 1

            let byColumn =
                { rows = cols
                  cols = rows
                  rowPtr = columnPtr
                  colIdx = rowOf }

            check (fst (transpose byColumn))

    let ofPairs (rows: int) (cols: int) (rowIdx: int[]) (colIdx: int[]) =
        tryOfPairs rows cols rowIdx colIdx |> orRaise

    [<FullyOptimized>]
    let ofSortedCells (rows: int) (cols: int) (cells: int64[]) =
        let count: int[] = Array.zeroCreate rows
        let colIdx: int[] = Array.zeroCreate cells.Length

        for slot in 0 .. cells.Length - 1 do
            let struct (row, col) = Math.DivRem(cells[slot], int64 cols)
            count[int row] <- count[int row] + 1
            colIdx[slot] <- int col

        { rows = rows
          cols = cols
          rowPtr = pointers count
          colIdx = colIdx }

    /// The cells of a dense matrix that a test keeps, row by row.
    let private ofDense (values: 'a[,]) (keep: int -> int -> 'a -> bool) =
        let rows, cols = Array2D.length1 values, Array2D.length2 values
        let rowPtr: int[] = Array.zeroCreate (rows + 1)
        let kept = ResizeArray<int>()

        for row in 0 .. rows - 1 do
            for col in 0 .. cols - 1 do
                if keep row col values[row, col] then
                    kept.Add col

            rowPtr[row + 1] <- kept.Count

        { rows = rows
          cols = cols
          rowPtr = rowPtr
          colIdx = kept.ToArray() }

    let ofMask (mask: bool[,]) =
        ArgumentNullException.ThrowIfNull(mask, nameof mask)
        ofDense mask (fun _ _ isSet -> isSet)

    let ofMagnitude (nnz: int) (weight: float32[,]) =
        ArgumentNullException.ThrowIfNull(weight, nameof weight)
        Sparsity.checkNnz (Array2D.length1 weight) (Array2D.length2 weight) nnz

        let magnitudes = Seq.cast<float32> weight |> Seq.map abs |> Array.ofSeq
        Array.Sort magnitudes // NaN comes first

        if magnitudes.Length > 0 && Single.IsNaN magnitudes[0] then
            raise (ArgumentException("expected numbers, got NaN", nameof weight))

        // All above the threshold stay; of those that equal it, the lower cells, as many as are left.
        let threshold =
            if nnz = 0 then
                Single.PositiveInfinity
            else
                magnitudes[magnitudes.Length - nnz]

        let above =
            magnitudes.Length
            - Array.FindLastIndex(magnitudes, (fun m -> m <= threshold))
            - 1

        let mutable tied = nnz - above

        let keepTie () =
            tied <- tied - 1
            tied >= 0

        ofDense weight (fun _ _ value -> abs value > threshold || (abs value = threshold && keepTie ()))

    let empty (rows: int) (cols: int) =
        Sparsity.checkShape rows cols
        ofSortedCells rows cols [||]

    let full (rows: int) (cols: int) =
        Sparsity.checkShape rows cols
        let cells = Sparsity.cells rows cols

        if cells > int64 Int32.MaxValue then
            let message = $"expected at most {Int32.MaxValue} cells, got [{rows}, {cols}]"
            raise (ArgumentOutOfRangeException(nameof cols, cols, message))

        { rows = rows
          cols = cols
          rowPtr = Array.init (rows + 1) (fun row -> row * cols)
          colIdx = Array.init (int cells) (fun slot -> slot % cols) }

    let rowIndices (c: Connectivity) =
        let rowIdx: int[] = Array.zeroCreate c.Nnz

        for row in 0 .. c.rows - 1 do
            Array.Fill(rowIdx, row, c.rowPtr[row], c.rowPtr[row + 1] - c.rowPtr[row])

        rowIdx

    let toMask (connectivity: Connectivity) =
        let c = connectivity

        if c.Cells > int64 Int32.MaxValue then
            let message =
                $"expected at most {Int32.MaxValue} cells for a dense mask, got {c.Cells}"

            raise (ArgumentException(message, nameof connectivity))

        let mask = Array2D.zeroCreate c.rows c.cols
        let rowIdx = rowIndices c

        for slot in 0 .. c.Nnz - 1 do
            mask[rowIdx[slot], c.colIdx[slot]] <- true

        mask

    let tryFindSlot (row: int) (col: int) (c: Connectivity) =
        if uint32 row >= uint32 c.rows then
            raise (ArgumentOutOfRangeException(nameof row, row, $"expected 0..{c.rows - 1}, got {row}"))

        if uint32 col >= uint32 c.cols then
            raise (ArgumentOutOfRangeException(nameof col, col, $"expected 0..{c.cols - 1}, got {col}"))

        let slot =
            Array.BinarySearch(c.colIdx, c.rowPtr[row], c.rowPtr[row + 1] - c.rowPtr[row], col)

        if slot >= 0 then Some slot else None

    let fanIn (c: Connectivity) =
        Array.init c.rows (fun row -> c.rowPtr[row + 1] - c.rowPtr[row])

    let fanOut (c: Connectivity) =
        let count: int[] = Array.zeroCreate c.cols

        for col in c.colIdx do
            count[col] <- count[col] + 1

        count

    let private checkSameShape (a: Connectivity) (b: Connectivity) (nameOfB: string) =
        if a.rows <> b.rows || a.cols <> b.cols then
            let message = $"expected shape [{a.rows}, {a.cols}], got [{b.rows}, {b.cols}]"
            raise (ArgumentException(message, nameOfB))

    /// One merge of two patterns of the same shape, cell by cell in order; keeps the slots that the flags say.
    let private merge (onlyA: bool) (both: bool) (onlyB: bool) (a: Connectivity) (b: Connectivity) =
        let rowPtr: int[] = Array.zeroCreate (a.rows + 1)
        let kept = ResizeArray<int>(if onlyB then max a.Nnz b.Nnz else a.Nnz)

        for row in 0 .. a.rows - 1 do
            let mutable i = a.rowPtr[row]
            let mutable j = b.rowPtr[row]

            while i < a.rowPtr[row + 1] || j < b.rowPtr[row + 1] do
                let colA =
                    if i < a.rowPtr[row + 1] then
                        a.colIdx[i]
                    else
                        Int32.MaxValue

                let colB =
                    if j < b.rowPtr[row + 1] then
                        b.colIdx[j]
                    else
                        Int32.MaxValue

                if (colA < colB && onlyA) || (colA = colB && both) || (colA > colB && onlyB) then
                    if kept.Count = Array.MaxLength then
                        raise (
                            ArgumentException($"expected a result of at most {Array.MaxLength} slots, got more", "b")
                        )

                    kept.Add(min colA colB)

                if colA <= colB then
                    i <- i + 1

                if colB <= colA then
                    j <- j + 1

            rowPtr[row + 1] <- kept.Count

        { rows = a.rows
          cols = a.cols
          rowPtr = rowPtr
          colIdx = kept.ToArray() }

    let union (a: Connectivity) (b: Connectivity) =
        checkSameShape a b (nameof b)
        merge true true true a b

    let intersect (a: Connectivity) (b: Connectivity) =
        checkSameShape a b (nameof b)
        merge false true false a b

    let difference (a: Connectivity) (b: Connectivity) =
        checkSameShape a b (nameof b)
        merge true false false a b

    let diff (before: Connectivity) (after: Connectivity) =
        checkSameShape before after (nameof after)

        { Added = difference after before
          Removed = difference before after }

    let isSubset (inner: Connectivity) (outer: Connectivity) =
        checkSameShape inner outer (nameof outer)
        (difference inner outer).Nnz = 0
