namespace SparseFs

/// The rules of a pattern: each function looks for the first place that breaks one.
[<RequireQualifiedAccess>]
module internal CsrValidation =

    let rowPtrError (rows: int) (rowPtr: int[]) (nnz: int) : ConnectivityError option =
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

    let colIdxError (cols: int) (rowPtr: int[]) (colIdx: int[]) : ConnectivityError option =
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

    let pairError (rows: int) (cols: int) (rowIdx: int[]) (colIdx: int[]) : ConnectivityError option =
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
