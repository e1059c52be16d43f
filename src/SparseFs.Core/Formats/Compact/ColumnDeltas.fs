namespace SparseFs

/// <summary>Ascending columns as the cells that are empty before each: a byte for 0 to 254, and 255 for 255 empty cells and more to come.</summary>
/// <remarks>A group's columns begin anew at the left edge. Each number has one form: 255 empty cells are the bytes 255, 0.</remarks>
[<RequireQualifiedAccess>]
module internal ColumnDeltas =

    [<Literal>]
    let private Escape = 255

    /// Bytes of the counts and of the columns.
    [<AggressiveOptimization>]
    let sizes (group: int) (pattern: Connectivity) : struct (int64 * int64) =
        let rowPtr, colIdx = pattern.RowPtrArray, pattern.ColIdxArray
        let mutable counts = 0L
        let mutable columns = 0L

        for index in 0 .. CompactGroups.count group pattern.Rows - 1 do
            let first, last = rowPtr[index * group], rowPtr[index * group + 1]
            counts <- counts + RowCounts.size (last - first)
            columns <- columns + int64 (last - first)
            let mutable next = 0

            for slot in first .. last - 1 do
                columns <- columns + int64 ((colIdx[slot] - next) / Escape)
                next <- colIdx[slot] + 1

        struct (counts, columns)

    /// Writes the columns of some slots; returns the place behind them.
    [<AggressiveOptimization>]
    let private put (into: byte[]) (at: int) (colIdx: int[]) (first: int) (last: int) : int =
        let mutable at = at
        let mutable next = 0

        for slot in first .. last - 1 do
            let mutable gap = colIdx[slot] - next

            while gap >= Escape do
                into[at] <- byte Escape
                at <- at + 1
                gap <- gap - Escape

            into[at] <- byte gap
            at <- at + 1
            next <- colIdx[slot] + 1

        at

    /// Fills arrays of those sizes.
    let write (group: int) (pattern: Connectivity) (counts: byte[]) (columns: byte[]) =
        let rowPtr = pattern.RowPtrArray
        let mutable countAt = 0
        let mutable at = 0

        for index in 0 .. CompactGroups.count group pattern.Rows - 1 do
            let first, last = rowPtr[index * group], rowPtr[index * group + 1]
            countAt <- RowCounts.write counts countAt (last - first)
            at <- put columns at pattern.ColIdxArray first last

    /// Reads so many columns below cols; returns the place behind them, or the complement of the place of a byte that leads beyond the
    /// last column, or of the end.
    [<AggressiveOptimization>]
    let private take (bytes: byte[]) (at: int) (cols: int) (colIdx: int[]) (first: int) (last: int) : int =
        let mutable at = at
        let mutable column = 0L
        let mutable slot = first
        let mutable isRight = true

        while isRight && slot < last do
            if at >= bytes.Length then
                isRight <- false
            else
                let gap = int bytes[at]
                column <- column + int64 gap

                if column >= int64 cols then
                    isRight <- false
                else
                    at <- at + 1

                    if gap < Escape then
                        colIdx[slot] <- int column
                        column <- column + 1L
                        slot <- slot + 1

        if isRight then at else ~~~at

    let private columns (rows: int) (cols: int) (nnz: int) (group: int) (counts: int[]) (bytes: byte[]) =
        let rowPtr = CompactGroups.pointers rows group counts
        let colIdx: int[] = Array.zeroCreate nnz
        let mutable at = 0
        let mutable index = 0

        while at >= 0 && index < counts.Length do
            let first = rowPtr[index * group]
            at <- take bytes at cols colIdx first (first + counts[index])
            CompactGroups.share rowPtr colIdx group index
            index <- index + 1

        if at < 0 then
            let place = ~~~at

            let got =
                if place = bytes.Length then
                    "the end"
                else
                    string bytes[place]

            Error(CompactError.at "columns" place (invariant $"a step to a column below {cols}") got)
        elif at < bytes.Length then
            Error(CompactError.behind "columns" at bytes)
        else
            Ok(Connectivity.ofTrusted rows cols rowPtr colIdx)

    /// The pattern, or what is wrong; group is in range.
    let read (rows: int) (cols: int) (nnz: int) (e: EncodedPattern) : Result<Connectivity, CompactError> =
        match RowCounts.read e.Counts (int64 (CompactGroups.count e.Group rows)) cols with
        | Error error -> Error error
        | Ok counts ->
            let slots = CompactGroups.slots rows e.Group counts
            let stored = counts |> Array.sumBy int64

            if slots <> int64 nnz then
                Error(CompactError.slots nnz slots)
            elif e.Columns.LongLength < stored then
                Error(CompactError.bytes "columns" (invariant $"{stored} or more") e.Columns)
            else
                columns rows cols nnz e.Group counts e.Columns
