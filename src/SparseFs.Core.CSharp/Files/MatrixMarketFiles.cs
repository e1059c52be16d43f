using System;
using System.IO;

namespace SparseFs.CSharp;

/// <summary>Matrix Market's .mtx files, as SciPy's mmread and mmwrite have them. A file is not trusted.</summary>
public static class MatrixMarketFiles
{
    /// <summary>Reads a coordinate file.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The pattern and its values; values are 1 where the file holds a pattern only.</returns>
    /// <exception cref="ArrayFileException">It is not such a file, or an entry is wrong or missing.</exception>
    /// <exception cref="IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read, or is no file.</exception>
    public static SparseMatrix Read(string path) => MatrixMarket.Read(path);

    /// <summary>Reads a coordinate file from where a stream stands to its end.</summary>
    /// <param name="stream">Any that can be read; it is not closed.</param>
    /// <param name="name">What errors call the stream.</param>
    /// <returns>The pattern and its values; values are 1 where the file holds a pattern only.</returns>
    /// <exception cref="ArrayFileException">It is not such a file, or an entry is wrong or missing.</exception>
    public static SparseMatrix ReadFrom(Stream stream, string name = "stream") => MatrixMarket.ReadFrom(name, stream);

    /// <summary>Reads an array file.</summary>
    /// <param name="path">The file.</param>
    /// <returns>Shape [rows, cols].</returns>
    /// <exception cref="ArrayFileException">It is not such a file, or a number is wrong or missing.</exception>
    /// <exception cref="IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read, or is no file.</exception>
    public static double[,] ReadDense(string path) => MatrixMarket.ReadDense(path);

    /// <summary>Reads an array file from where a stream stands to its end.</summary>
    /// <param name="stream">Any that can be read; it is not closed.</param>
    /// <param name="name">What errors call the stream.</param>
    /// <returns>Shape [rows, cols].</returns>
    /// <exception cref="ArrayFileException">It is not such a file, or a number is wrong or missing.</exception>
    public static double[,] ReadDenseFrom(Stream stream, string name = "stream") =>
        MatrixMarket.ReadDenseFrom(name, stream);

    /// <summary>Writes a coordinate real file; it is there whole, or as it was before.</summary>
    /// <param name="matrix">The pattern and nnz finite values.</param>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <exception cref="ArgumentException">An argument is null, a value is not finite, or there are more or fewer values
    /// than slots.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    public static void Write(SparseMatrix matrix, string path) => MatrixMarket.Write(path, matrix);

    /// <summary>Writes a coordinate real file to where a stream stands.</summary>
    /// <param name="matrix">The pattern and nnz finite values.</param>
    /// <param name="stream">Any that can be written; it is not closed.</param>
    /// <exception cref="ArgumentException">An argument is null, a value is not finite, or there are more or fewer values
    /// than slots.</exception>
    public static void WriteTo(SparseMatrix matrix, Stream stream) => MatrixMarket.WriteTo(stream, matrix);

    /// <summary>Writes a coordinate pattern file; it is there whole, or as it was before.</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <exception cref="ArgumentNullException">The pattern is null.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    public static void WritePattern(Connectivity connectivity, string path) =>
        MatrixMarket.WritePattern(path, connectivity);

    /// <summary>Writes a coordinate pattern file to where a stream stands.</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <param name="stream">Any that can be written; it is not closed.</param>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    public static void WritePatternTo(Connectivity connectivity, Stream stream) =>
        MatrixMarket.WritePatternTo(stream, connectivity);

    /// <summary>Writes an array real file; it is there whole, or as it was before.</summary>
    /// <param name="matrix">Shape [rows, cols], finite numbers.</param>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <exception cref="ArgumentException">The matrix is null, or a number is not finite.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    public static void WriteDense(double[,] matrix, string path) => MatrixMarket.WriteDense(path, matrix);

    /// <summary>Writes an array real file to where a stream stands.</summary>
    /// <param name="matrix">Shape [rows, cols], finite numbers.</param>
    /// <param name="stream">Any that can be written; it is not closed.</param>
    /// <exception cref="ArgumentException">An argument is null, or a number is not finite.</exception>
    public static void WriteDenseTo(double[,] matrix, Stream stream) => MatrixMarket.WriteDenseTo(stream, matrix);
}
