namespace SparseFs

open System
open System.IO

/// <summary>The two formats of Matrix Market, read from where a stream stands to its end; a file is not trusted.</summary>
module internal MatrixReader =

    let banner = "%%MatrixMarket"

    /// The format, the field and the symmetry that the first line names.
    let private header (lines: LineReader) : struct (string * string * string) =
        if not (lines.TryRaw()) then
            raise (lines.RefuseAt(1L, (invariant $"{banner} matrix ..."), "the end of the file"))

        let next (allowed: string list) =
            let word = lines.Text()

            if
                allowed
                |> List.exists (fun a -> String.Equals(a, word, StringComparison.OrdinalIgnoreCase))
            then
                word.ToLowerInvariant()
            else
                let expected = String.Join(" or ", allowed)
                raise (lines.Refuse(expected, (if word = "" then "nothing" else ArrayFile.shown word)))

        next [ banner ] |> ignore
        next [ "matrix" ] |> ignore
        let format = next [ "coordinate"; "array" ]

        let field =
            next (
                if format = "coordinate" then
                    [ "real"; "integer"; "unsigned-integer"; "pattern" ]
                else
                    [ "real"; "integer"; "unsigned-integer" ]
            )

        let symmetry =
            next (
                // A half that is minus the other has signs.
                if field = "pattern" || field = "unsigned-integer" then
                    [ "general"; "symmetric" ]
                else
                    [ "general"; "symmetric"; "skew-symmetric" ]
            )

        lines.End()
        struct (format, field, symmetry)

    let private size (lines: LineReader) (what: string) : int =
        int (lines.Integer(what, 0L, int64 Sparsity.maxSize))

    let private nothingMore (lines: LineReader) (count: int64) =
        if lines.TryNext() then
            raise (lines.Refuse((invariant $"the end of the file after {count} entries"), "one more"))

    let private number (lines: LineReader) (field: string) : float =
        match field with
        | "pattern" -> 1.0
        | "integer" -> float (lines.Integer("an integer", -(1L <<< 53), 1L <<< 53))
        | "unsigned-integer" -> float (lines.Integer("an unsigned integer", 0L, 1L <<< 53))
        | _ -> lines.Finite()

    let private checkSquare (lines: LineReader) (symmetry: string) (rows: int) (cols: int) =
        if symmetry <> "general" && rows <> cols then
            raise (
                lines.Refuse(
                    (invariant $"as many rows as columns in a {symmetry} file"),
                    (invariant $"{rows} and {cols}")
                )
            )

    /// The reader behind the first line, and the field and the symmetry that it names.
    let private start (name: string) (stream: Stream) (wanted: string) : struct (LineReader * string * string) =
        ArgumentNullException.ThrowIfNull(name, nameof name)
        ArgumentNullException.ThrowIfNull(stream, nameof stream)
        let lines = LineReader(name, stream)
        let struct (format, field, symmetry) = header lines

        if format <> wanted then
            raise (lines.Refuse(wanted, format))

        struct (lines, field, symmetry)

    /// The cells of a coordinate file, in any order, and their values.
    let coordinate (name: string) (stream: Stream) : SparseMatrix =
        let struct (lines, field, symmetry) = start name stream "coordinate"
        lines.Next "rows, columns and entries"
        let rows = size lines "rows"
        let cols = size lines "columns"

        let nnz =
            lines.Integer("entries", 0L, min (int64 rows * int64 cols) (int64 Array.MaxLength))

        lines.End()
        checkSquare lines symmetry rows cols
        let sizesAt = lines.Number

        let cells, values, places =
            ResizeArray<int64>(), ResizeArray<float>(), ResizeArray<int64>()

        let add (row: int64) (col: int64) (value: float) =
            cells.Add(row * int64 cols + col)
            values.Add value
            places.Add lines.Number

        for entry in 1L .. nnz do
            lines.Next(invariant $"entry {entry} of {nnz}")
            let row = lines.Integer("a row", 1L, int64 rows) - 1L
            let col = lines.Integer("a column", 1L, int64 cols) - 1L

            if symmetry = "skew-symmetric" && row = col then
                raise (
                    lines.Refuse(
                        "no cell on the diagonal of a skew-symmetric file",
                        (invariant $"({row + 1L}, {col + 1L})")
                    )
                )

            let value = number lines field
            lines.End()

            if cells.Count > Array.MaxLength - 2 then
                raise (lines.Refuse((invariant $"at most {Array.MaxLength} cells"), "more"))

            add row col value

            // The half that the file leaves out.
            if symmetry <> "general" && row <> col then
                add col row (if symmetry = "symmetric" then value else -value)

        nothingMore lines nnz
        let most = lines.Consumed + 1048576L

        if int64 rows + int64 cols > most then
            let expected =
                (invariant $"at most {most} rows and columns in a file of {lines.Consumed} bytes")

            raise (lines.RefuseAt(sizesAt, expected, (invariant $"{rows} and {cols}")))

        // By cell, and by place within a cell, so that the second of two is the one to complain about.
        let order = Array.init cells.Count id
        let cells = cells.ToArray()
        Array.Sort(cells, order)

        for i in 1 .. cells.Length - 1 do
            if cells[i] = cells[i - 1] then
                let struct (row, col) = Math.DivRem(cells[i], int64 cols)
                let place = max places[order[i]] places[order[i - 1]]
                raise (lines.RefuseAt(place, "each cell at most once", (invariant $"({row + 1L}, {col + 1L}) again")))

        { Connectivity = Connectivity.ofSortedCells rows cols cells
          Values = order |> Array.map (fun i -> values[i]) }

    /// The numbers of an array file, a column after the other.
    let dense (name: string) (stream: Stream) : float[,] =
        let struct (lines, field, symmetry) = start name stream "array"
        lines.Next "rows and columns"
        let rows = size lines "rows"

        let cols =
            int (lines.Integer("columns", 0L, int64 Array.MaxLength / int64 (max 1 rows)))

        lines.End()
        checkSquare lines symmetry rows cols

        /// The first row of a column that the file holds: on the diagonal, or below it.
        let firstRow (col: int) : int =
            match symmetry with
            | "general" -> 0
            | "symmetric" -> col
            | _ -> col + 1

        let n = int64 rows

        let count =
            match symmetry with
            | "general" -> n * int64 cols
            | "symmetric" -> n * (n + 1L) / 2L
            | _ -> n * (n - 1L) / 2L

        let numbers = ResizeArray<float>()

        while int64 numbers.Count < count do
            lines.Next(invariant $"number {numbers.Count + 1} of {count}")
            numbers.Add(number lines field)
            lines.End()

        nothingMore lines count
        let matrix: float[,] = Array2D.zeroCreate rows cols
        let mutable at = 0

        for col in 0 .. cols - 1 do
            for row in firstRow col .. rows - 1 do
                matrix[row, col] <- numbers[at]

                if symmetry <> "general" && row <> col then
                    matrix[col, row] <- (if symmetry = "symmetric" then numbers[at] else -numbers[at])

                at <- at + 1

        matrix
