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

    /// <summary>Reads a coordinate file from where a stream stands to its end.</summary>
    /// <param name="name">What errors call the stream.</param>
    /// <param name="stream">Any that can be read; it is not closed.</param>
    /// <returns>The pattern and its values, entries being in any order in the file; values are 1 where the file holds a
    /// pattern only.</returns>
    /// <exception cref="T:SparseFs.ArrayFileException">It is not such a file, or an entry is wrong or missing.</exception>
    /// <example><code>
    /// use stream = new MemoryStream("%%MatrixMarket matrix coordinate real general\n2 4 1\n1 3 0.5\n"B)
    /// let matrix = MatrixMarket.readFrom "the example" stream
    /// matrix.Values // = [|0.5|]
    /// </code></example>
    [<CompiledName "ReadFrom">]
    let readFrom (name: string) (stream: Stream) : SparseMatrix = MatrixReader.coordinate name stream

    /// <summary>Reads an array file from where a stream stands to its end.</summary>
    /// <param name="name">What errors call the stream.</param>
    /// <param name="stream">Any that can be read; it is not closed.</param>
    /// <returns>Shape [rows, cols].</returns>
    /// <exception cref="T:SparseFs.ArrayFileException">It is not such a file, or a number is wrong or missing.</exception>
    /// <example><code>
    /// use stream = new MemoryStream("%%MatrixMarket matrix array real general\n2 2\n1\n2\n3\n4\n"B)
    /// MatrixMarket.readDenseFrom "the example" stream // = [[1.0; 3.0] [2.0; 4.0]]
    /// </code></example>
    [<CompiledName "ReadDenseFrom">]
    let readDenseFrom (name: string) (stream: Stream) : float[,] = MatrixReader.dense name stream

    /// <summary>Reads a coordinate file.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The pattern and its values; values are 1 where the file holds a pattern only.</returns>
    /// <exception cref="T:SparseFs.ArrayFileException">It is not such a file, or an entry is wrong or missing.</exception>
    /// <exception cref="T:System.IO.IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be read, or is no file.</exception>
    /// <example><code>
    /// MatrixMarket.writePattern "pattern.mtx" (Topology.banded 300 784 3000)
    /// let matrix = MatrixMarket.read "pattern.mtx"
    /// matrix.Connectivity.Nnz // = 3000
    /// </code></example>
    [<CompiledName "Read">]
    let read (path: string) : SparseMatrix = AtomicFile.read path (readFrom path)

    /// <summary>Reads an array file.</summary>
    /// <param name="path">The file.</param>
    /// <returns>Shape [rows, cols].</returns>
    /// <exception cref="T:SparseFs.ArrayFileException">It is not such a file, or a number is wrong or missing.</exception>
    /// <exception cref="T:System.IO.IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be read, or is no file.</exception>
    /// <example><code>
    /// MatrixMarket.writeDense "weight.mtx" (array2D [ [ 0.5; 0.0 ]; [ 0.0; 2.0 ] ])
    /// MatrixMarket.readDense "weight.mtx" // = [[0.5; 0.0] [0.0; 2.0]]
    /// </code></example>
    [<CompiledName "ReadDense">]
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
        writer.WriteLine(invariant $"{MatrixReader.banner} matrix coordinate {field} general")
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
    /// <example><code>
    /// use stream = new MemoryStream()
    /// MatrixMarket.writeTo stream { Connectivity = Topology.banded 2 2 2; Values = [| 0.5; 2.0 |] }
    /// </code></example>
    [<CompiledName "WriteTo">]
    let writeTo (stream: Stream) (matrix: SparseMatrix) : unit =
        if
            isNull (box matrix)
            || isNull (box matrix.Connectivity)
            || isNull (box matrix.Values)
        then
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
    /// <example><code>
    /// use file = File.Create "pattern.mtx"
    /// use zipped = new Compression.GZipStream(file, Compression.CompressionMode.Compress)
    /// MatrixMarket.writePatternTo zipped (Topology.uniform 300 784 2352 seed)
    /// </code></example>
    [<CompiledName "WritePatternTo">]
    let writePatternTo (stream: Stream) (connectivity: Connectivity) : unit =
        ArgumentNullException.ThrowIfNull(connectivity, nameof connectivity)
        writing stream (fun writer -> writeCells writer "pattern" connectivity (fun _ -> ""))

    /// <summary>Writes an array real file to where a stream stands.</summary>
    /// <param name="stream">Any that can be written; it is not closed.</param>
    /// <param name="matrix">Shape [rows, cols], finite numbers.</param>
    /// <exception cref="T:System.ArgumentException">An argument is null, or a number is not finite.</exception>
    /// <example><code>
    /// use stream = new MemoryStream()
    /// MatrixMarket.writeDenseTo stream (array2D [ [ 0.5; 0.0 ]; [ 0.0; 2.0 ] ])
    /// </code></example>
    [<CompiledName "WriteDenseTo">]
    let writeDenseTo (stream: Stream) (matrix: float[,]) : unit =
        ArgumentNullException.ThrowIfNull(matrix, nameof matrix)
        checkFinite (nameof matrix) (Seq.cast<float> matrix)
        let rows, cols = Array2D.length1 matrix, Array2D.length2 matrix

        writing stream (fun writer ->
            writer.WriteLine(invariant $"{MatrixReader.banner} matrix array real general")
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
    /// <example><code>
    /// let pattern = Topology.uniform 300 784 2352 seed
    /// MatrixMarket.write "weight.mtx" { Connectivity = pattern; Values = Array.create pattern.Nnz 0.05 }
    /// </code></example>
    [<CompiledName "Write">]
    let write (path: string) (matrix: SparseMatrix) : unit =
        AtomicFile.write path (fun stream -> writeTo stream matrix)

    /// <summary>Writes a coordinate pattern file; it is there whole, or as it was before.</summary>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <param name="connectivity">The pattern.</param>
    /// <exception cref="T:System.ArgumentNullException">The pattern is null.</exception>
    /// <exception cref="T:System.IO.IOException">The file cannot be written.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    /// <example><code>
    /// MatrixMarket.writePattern "pattern.mtx" layer.Connectivity // scipy.io.mmread "pattern.mtx"
    /// </code></example>
    [<CompiledName "WritePattern">]
    let writePattern (path: string) (connectivity: Connectivity) : unit =
        AtomicFile.write path (fun stream -> writePatternTo stream connectivity)

    /// <summary>Writes an array real file; it is there whole, or as it was before.</summary>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <param name="matrix">Shape [rows, cols], finite numbers.</param>
    /// <exception cref="T:System.ArgumentException">The matrix is null, or a number is not finite.</exception>
    /// <exception cref="T:System.IO.IOException">The file cannot be written.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    /// <example><code>
    /// let identity = Array2D.init 3 3 (fun row col -> if row = col then 1.0 else 0.0)
    /// MatrixMarket.writeDense "identity.mtx" identity
    /// </code></example>
    [<CompiledName "WriteDense">]
    let writeDense (path: string) (matrix: float[,]) : unit =
        AtomicFile.write path (fun stream -> writeDenseTo stream matrix)
