namespace SparseFs

open System
open System.Globalization
open System.IO
open System.Text

/// <summary>Matrix Market's .mtx files, as SciPy's mmread and mmwrite have them.</summary>
/// <remarks>
/// <c>coordinate</c> files hold the cells of a sparse matrix, counted from 1, and <c>array</c> files all cells of a dense
/// one, a column after the other. Fields real (exponents with E, or with D as Fortran has them), integer and SciPy's
/// unsigned-integer (within ± 2^53), and (coordinate only) pattern are read, symmetries general, symmetric and
/// skew-symmetric, whose other half is filled in; general is written. Comments, indented or not, and blank lines are
/// skipped. Numbers are read and written in the invariant culture and come back to the bit.
/// A file is not trusted: every entry is checked, memory grows with what is really there, and rows + cols of a coordinate
/// file may exceed its bytes by 2^20 at most, so that a line cannot ask for gigabytes.
/// Format: Boisvert, Pozo and Remington, "The Matrix Market exchange formats", NISTIR 5935, 1996.
/// </remarks>
[<RequireQualifiedAccess>]
module MatrixMarket =

    let private banner = "%%MatrixMarket"

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

    let private open' (name: string) (stream: Stream) (wanted: string) : struct (LineReader * string * string) =
        ArgumentNullException.ThrowIfNull(name, nameof name)
        ArgumentNullException.ThrowIfNull(stream, nameof stream)
        let lines = LineReader(name, stream)
        let struct (format, field, symmetry) = header lines

        if format <> wanted then
            raise (lines.Refuse(wanted, format))

        struct (lines, field, symmetry)

    /// <summary>Reads a coordinate file from where a stream stands to its end.</summary>
    /// <param name="name">What errors call the stream.</param>
    /// <param name="stream">Any that can be read; it is not closed.</param>
    /// <returns>The pattern and its values, entries being in any order in the file; values are 1 where the file holds a
    /// pattern only.</returns>
    /// <exception cref="T:SparseFs.ArrayFileException">It is not such a file, or an entry is wrong or missing.</exception>
    let readFrom (name: string) (stream: Stream) : SparseMatrix =
        let struct (lines, field, symmetry) = open' name stream "coordinate"
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

    /// <summary>Reads an array file from where a stream stands to its end.</summary>
    /// <param name="name">What errors call the stream.</param>
    /// <param name="stream">Any that can be read; it is not closed.</param>
    /// <returns>Shape [rows, cols].</returns>
    /// <exception cref="T:SparseFs.ArrayFileException">It is not such a file, or a number is wrong or missing.</exception>
    let readDenseFrom (name: string) (stream: Stream) : float[,] =
        let struct (lines, field, symmetry) = open' name stream "array"
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

    /// <summary>Reads a coordinate file.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The pattern and its values; values are 1 where the file holds a pattern only.</returns>
    /// <exception cref="T:SparseFs.ArrayFileException">It is not such a file, or an entry is wrong or missing.</exception>
    /// <exception cref="T:System.IO.IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be read, or is no file.</exception>
    let read (path: string) : SparseMatrix = AtomicFile.read path (readFrom path)

    /// <summary>Reads an array file.</summary>
    /// <param name="path">The file.</param>
    /// <returns>Shape [rows, cols].</returns>
    /// <exception cref="T:SparseFs.ArrayFileException">It is not such a file, or a number is wrong or missing.</exception>
    /// <exception cref="T:System.IO.IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be read, or is no file.</exception>
    let readDense (path: string) : float[,] =
        AtomicFile.read path (readDenseFrom path)

    let private text (value: float) : string =
        value.ToString("R", CultureInfo.InvariantCulture)

    let private whole (value: int) : string =
        value.ToString CultureInfo.InvariantCulture

    let private checkFinite (name: string) (values: seq<float>) =
        for value in values do
            if not (Double.IsFinite value) then
                raise (ArgumentException((invariant $"expected finite numbers, got {text value}"), name))

    let private writing (stream: Stream) (work: TextWriter -> unit) =
        ArgumentNullException.ThrowIfNull(stream, nameof stream)
        use writer = new StreamWriter(stream, ASCIIEncoding(), 65536, leaveOpen = true)
        writer.NewLine <- "\n"
        work writer

    let private writeCells (writer: TextWriter) (field: string) (c: Connectivity) (valueOf: int -> string) =
        writer.WriteLine(invariant $"{banner} matrix coordinate {field} general")
        writer.WriteLine(invariant $"{whole c.Rows} {whole c.Cols} {whole c.Nnz}")

        for row in 0 .. c.Rows - 1 do
            for slot in c.RowPtrArray[row] .. c.RowPtrArray[row + 1] - 1 do
                writer.Write(whole (row + 1))
                writer.Write ' '
                writer.Write(whole (c.ColIdxArray[slot] + 1))
                writer.WriteLine(valueOf slot)

    /// <summary>Writes a coordinate real file to where a stream stands, in slot order.</summary>
    /// <param name="stream">Any that can be written; it is not closed.</param>
    /// <param name="matrix">The pattern and nnz finite values.</param>
    /// <exception cref="T:System.ArgumentException">An argument is null, a value is not finite, or there are more or fewer
    /// values than slots.</exception>
    let writeTo (stream: Stream) (matrix: SparseMatrix) : unit =
        if isNull (box matrix) || isNull (box matrix.Connectivity) || isNull matrix.Values then
            nullArg (nameof matrix)

        if matrix.Values.Length <> matrix.Connectivity.Nnz then
            let message =
                (invariant $"expected {matrix.Connectivity.Nnz} values, one a slot, got {matrix.Values.Length}")

            raise (ArgumentException(message, nameof matrix))

        checkFinite (nameof matrix) matrix.Values

        writing stream (fun writer ->
            writeCells writer "real" matrix.Connectivity (fun slot -> " " + text matrix.Values[slot]))

    /// <summary>Writes a coordinate pattern file to where a stream stands, in slot order.</summary>
    /// <param name="stream">Any that can be written; it is not closed.</param>
    /// <param name="connectivity">The pattern.</param>
    /// <exception cref="T:System.ArgumentNullException">An argument is null.</exception>
    let writePatternTo (stream: Stream) (connectivity: Connectivity) : unit =
        ArgumentNullException.ThrowIfNull(connectivity, nameof connectivity)
        writing stream (fun writer -> writeCells writer "pattern" connectivity (fun _ -> ""))

    /// <summary>Writes an array real file to where a stream stands.</summary>
    /// <param name="stream">Any that can be written; it is not closed.</param>
    /// <param name="matrix">Shape [rows, cols], finite numbers.</param>
    /// <exception cref="T:System.ArgumentException">An argument is null, or a number is not finite.</exception>
    let writeDenseTo (stream: Stream) (matrix: float[,]) : unit =
        ArgumentNullException.ThrowIfNull(matrix, nameof matrix)
        checkFinite (nameof matrix) (Seq.cast<float> matrix)
        let rows, cols = Array2D.length1 matrix, Array2D.length2 matrix

        writing stream (fun writer ->
            writer.WriteLine(invariant $"{banner} matrix array real general")
            writer.WriteLine(invariant $"{whole rows} {whole cols}")

            for col in 0 .. cols - 1 do
                for row in 0 .. rows - 1 do
                    writer.WriteLine(text matrix[row, col]))

    /// <summary>Writes a coordinate real file; it is there whole, or as it was before.</summary>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <param name="matrix">The pattern and nnz finite values.</param>
    /// <exception cref="T:System.ArgumentException">As writeTo.</exception>
    /// <exception cref="T:System.IO.IOException">The file cannot be written.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    let write (path: string) (matrix: SparseMatrix) : unit =
        AtomicFile.write path (fun stream -> writeTo stream matrix)

    /// <summary>Writes a coordinate pattern file; it is there whole, or as it was before.</summary>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <param name="connectivity">The pattern.</param>
    /// <exception cref="T:System.ArgumentNullException">The pattern is null.</exception>
    /// <exception cref="T:System.IO.IOException">The file cannot be written.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    let writePattern (path: string) (connectivity: Connectivity) : unit =
        AtomicFile.write path (fun stream -> writePatternTo stream connectivity)

    /// <summary>Writes an array real file; it is there whole, or as it was before.</summary>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <param name="matrix">Shape [rows, cols], finite numbers.</param>
    /// <exception cref="T:System.ArgumentException">The matrix is null, or a number is not finite.</exception>
    /// <exception cref="T:System.IO.IOException">The file cannot be written.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    let writeDense (path: string) (matrix: float[,]) : unit =
        AtomicFile.write path (fun stream -> writeDenseTo stream matrix)
