namespace SparseFs

open System
open SparseFs.Pictures

[<CustomEquality; NoComparison; TypeFormatterSource(typeof<HtmlFormatterSource>)>]
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
    member c.Density = Sparsity.densityOf (int64 c.Nnz) c.Cells
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
            match b with
            | null -> false
            | b ->
                Object.ReferenceEquals(a, b)
                || (a.rows = b.rows
                    && a.cols = b.cols
                    && a.ColIdx.SequenceEqual b.ColIdx
                    && a.RowPtr.SequenceEqual b.RowPtr)

    override a.Equals(other) =
        match other with
        | :? Connectivity as b -> (a :> IEquatable<Connectivity>).Equals b
        | _ -> false

    override c.GetHashCode() = c.Fingerprint.GetHashCode()

    interface IShownAsHtml with
        member c.Html() =
            Svg.draw (string c) (PatternBlocks.create 96 96 c.cols c.rowPtr c.colIdx)

    override c.ToString() =
        invariant $"Connectivity(rows={c.rows}, cols={c.cols}, nnz={c.Nnz}, sparsity={c.Sparsity:G6})"

type ConnectivityDiff =
    { Added: Connectivity
      Removed: Connectivity }

    override d.ToString() =
        invariant $"{d.Added.Nnz} added, {d.Removed.Nnz} removed"

[<RequireQualifiedAccess>]
module Connectivity =

    let private orRaise (result: Result<Connectivity, ConnectivityError>) =
        match result with
        | Ok c -> c
        | Error e -> raise (ArgumentException(e.Message, e.ParamName))

    let private check (c: Connectivity) : Result<Connectivity, ConnectivityError> =
        if not (Sparsity.isSize c.rows && Sparsity.isSize c.cols) then
            Error(ConnectivityError.Shape(c.rows, c.cols))
        else
            CsrValidation.rowPtrError c.rows c.rowPtr c.Nnz
            |> Option.orElseWith (fun () -> CsrValidation.colIdxError c.cols c.rowPtr c.colIdx)
            |> Option.map Error
            |> Option.defaultValue (Ok c)

    [<CompiledName "TryCreate">]
    let tryCreate (rows: int) (cols: int) (rowPtr: int[]) (colIdx: int[]) =
        ArgumentNullException.ThrowIfNull(rowPtr, nameof rowPtr)
        ArgumentNullException.ThrowIfNull(colIdx, nameof colIdx)

        // The copy is what is checked: the caller may change the arrays meanwhile.
        check
            { rows = rows
              cols = cols
              rowPtr = Array.copy rowPtr
              colIdx = Array.copy colIdx }

    [<CompiledName "Create">]
    let create (rows: int) (cols: int) (rowPtr: int[]) (colIdx: int[]) =
        tryCreate rows cols rowPtr colIdx |> orRaise

    let ofTrusted (rows: int) (cols: int) (rowPtr: int[]) (colIdx: int[]) =
        { rows = rows
          cols = cols
          rowPtr = rowPtr
          colIdx = colIdx }

    let private ofBuffers (rows: int) (cols: int) (struct (rowPtr, colIdx): struct (int[] * int[])) =
        ofTrusted rows cols rowPtr colIdx

    [<CompiledName "Transpose">]
    let transpose (c: Connectivity) =
        let struct (rowPtr, colIdx, from) =
            CsrBuilder.transpose c.rows c.cols c.rowPtr c.colIdx

        ofTrusted c.cols c.rows rowPtr colIdx, from

    [<CompiledName "TryOfPairs">]
    let tryOfPairs (rows: int) (cols: int) (rowIdx: int[]) (colIdx: int[]) =
        ArgumentNullException.ThrowIfNull(rowIdx, nameof rowIdx)
        ArgumentNullException.ThrowIfNull(colIdx, nameof colIdx)
        let rowIdx = Array.copy rowIdx
        let colIdx = Array.copy colIdx

        match CsrValidation.pairError rows cols rowIdx colIdx with
        | Some error -> Error error
        | None -> CsrBuilder.ofPairs rows cols rowIdx colIdx |> ofBuffers rows cols |> check

    [<CompiledName "OfPairs">]
    let ofPairs (rows: int) (cols: int) (rowIdx: int[]) (colIdx: int[]) =
        tryOfPairs rows cols rowIdx colIdx |> orRaise

    let ofSortedCells (rows: int) (cols: int) (cells: int64[]) =
        CsrBuilder.ofSortedCells rows cols cells |> ofBuffers rows cols

    let private ofDense (keep: 'a -> bool) (values: 'a[,]) =
        CsrBuilder.ofDense keep values
        |> ofBuffers (Array2D.length1 values) (Array2D.length2 values)

    [<CompiledName "OfMask">]
    let ofMask (mask: bool[,]) =
        ArgumentNullException.ThrowIfNull(mask, nameof mask)
        ofDense id mask

    /// The largest magnitudes of several layers; the caller has checked the count.
    let private largest (nnz: int64) (weights: float32[,][]) =
        let isLargest =
            MagnitudeThreshold.largest nnz (Array.create weights.Length 1) weights

        weights |> Array.mapi (fun layer weight -> ofDense (isLargest layer) weight)

    [<CompiledName "OfMagnitude">]
    let ofMagnitude (nnz: int) (weight: float32[,]) =
        ArgumentNullException.ThrowIfNull(weight, nameof weight)
        Sparsity.checkNnz (Array2D.length1 weight) (Array2D.length2 weight) nnz
        MagnitudeThreshold.checkNumbers (nameof weight) weight
        Array.exactlyOne (largest nnz [| weight |])

    [<CompiledName "OfMagnitudes">]
    let ofMagnitudes (nnz: int64) (weights: float32[,][]) =
        ArgumentNullException.ThrowIfNull(weights, nameof weights)

        for weight in weights do
            ArgumentNullException.ThrowIfNull(weight, nameof weights)
            MagnitudeThreshold.checkNumbers (nameof weights) weight

        let cells = weights |> Array.sumBy _.LongLength

        if nnz < 0L || nnz > cells then
            raise (ArgumentOutOfRangeException(nameof nnz, nnz, (invariant $"expected 0..{cells} slots, got {nnz}")))

        largest nnz weights

    [<CompiledName "Empty">]
    let empty (rows: int) (cols: int) =
        Sparsity.checkShape rows cols
        ofSortedCells rows cols [||]

    [<CompiledName "Full">]
    let full (rows: int) (cols: int) =
        Sparsity.checkShape rows cols
        let cells = Sparsity.cells rows cols

        if cells > int64 Int32.MaxValue then
            let message =
                (invariant $"expected at most {Int32.MaxValue} cells, got [{rows}, {cols}]")

            raise (ArgumentOutOfRangeException(nameof cols, cols, message))

        { rows = rows
          cols = cols
          rowPtr = Array.init (rows + 1) (fun row -> row * cols)
          colIdx = Array.init (int cells) (fun slot -> slot % cols) }

    [<CompiledName "RowIndices">]
    let rowIndices (c: Connectivity) =
        let rowIdx: int[] = Array.zeroCreate c.Nnz

        for row in 0 .. c.rows - 1 do
            Array.Fill(rowIdx, row, c.rowPtr[row], c.rowPtr[row + 1] - c.rowPtr[row])

        rowIdx

    [<CompiledName "ToMask">]
    let toMask (connectivity: Connectivity) =
        let c = connectivity

        if c.Cells > int64 Int32.MaxValue then
            let message =
                (invariant $"expected at most {Int32.MaxValue} cells for a dense mask, got {c.Cells}")

            raise (ArgumentException(message, nameof connectivity))

        let mask = Array2D.zeroCreate c.rows c.cols
        let rowIdx = rowIndices c

        for slot in 0 .. c.Nnz - 1 do
            mask[rowIdx[slot], c.colIdx[slot]] <- true

        mask

    [<CompiledName "TryFindSlot">]
    let tryFindSlot (row: int) (col: int) (c: Connectivity) =
        if uint32 row >= uint32 c.rows then
            raise (ArgumentOutOfRangeException(nameof row, row, (invariant $"expected 0..{c.rows - 1}, got {row}")))

        if uint32 col >= uint32 c.cols then
            raise (ArgumentOutOfRangeException(nameof col, col, (invariant $"expected 0..{c.cols - 1}, got {col}")))

        let slot =
            Array.BinarySearch(c.colIdx, c.rowPtr[row], c.rowPtr[row + 1] - c.rowPtr[row], col)

        if slot >= 0 then Some slot else None

    [<CompiledName "FanIn">]
    let fanIn (c: Connectivity) =
        Array.init c.rows (fun row -> c.rowPtr[row + 1] - c.rowPtr[row])

    [<CompiledName "FanOut">]
    let fanOut (c: Connectivity) = CsrBuilder.countOf c.cols c.colIdx

    let private checkSameShape (a: Connectivity) (b: Connectivity) (nameOfB: string) =
        if a.rows <> b.rows || a.cols <> b.cols then
            let message =
                (invariant $"expected shape [{a.rows}, {a.cols}], got [{b.rows}, {b.cols}]")

            raise (ArgumentException(message, nameOfB))

    let private merge (keep: SetOperations.Keep) (a: Connectivity) (b: Connectivity) =
        checkSameShape a b "b"

        SetOperations.rows keep a.rowPtr a.colIdx b.rowPtr b.colIdx
        |> ofBuffers a.rows a.cols

    [<CompiledName "Union">]
    let union (a: Connectivity) (b: Connectivity) = merge SetOperations.union a b

    [<CompiledName "Intersect">]
    let intersect (a: Connectivity) (b: Connectivity) = merge SetOperations.intersection a b

    [<CompiledName "Difference">]
    let difference (a: Connectivity) (b: Connectivity) = merge SetOperations.difference a b

    [<CompiledName "Diff">]
    let diff (before: Connectivity) (after: Connectivity) =
        checkSameShape before after (nameof after)

        { Added = difference after before
          Removed = difference before after }

    [<CompiledName "IsSubset">]
    let isSubset (inner: Connectivity) (outer: Connectivity) =
        checkSameShape inner outer (nameof outer)
        (difference inner outer).Nnz = 0

    [<CompiledName "RowGroupSize">]
    let rowGroupSize (c: Connectivity) : int = RowGroups.size c.rowPtr c.colIdx
