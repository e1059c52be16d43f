using System;
using System.IO;

namespace SparseFs.CSharp;

/// <summary>NumPy's .npy files: versions 1.0, 2.0 and 3.0 are read, 1.0 is written. A file is not trusted.</summary>
public static class NpyFiles
{
    /// <summary>Reads a file that holds one array.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The array, in C order.</returns>
    /// <exception cref="ArrayFileException">It is not such a file, a part is missing, or something follows.</exception>
    /// <exception cref="IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read, or is no file.</exception>
    public static NpyArray Read(string path) => Npy.Read(path);

    /// <summary>Reads an array from where a stream stands; the stream then stands behind it.</summary>
    /// <param name="stream">Any that can be read; it is not closed.</param>
    /// <param name="name">What errors call the stream.</param>
    /// <returns>The array, in C order.</returns>
    /// <exception cref="ArrayFileException">It is not such a file, or a part is missing.</exception>
    public static NpyArray ReadFrom(Stream stream, string name = "stream") => Npy.ReadFrom(name, stream);

    /// <summary>Writes a file; it is there whole, or as it was before.</summary>
    /// <param name="array">The array.</param>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <exception cref="ArgumentException">An argument is null, or the array has more than 2^31 bytes.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    public static void Write(NpyArray array, string path) => Npy.Write(path, array);

    /// <summary>Writes an array to where a stream stands.</summary>
    /// <param name="array">The array.</param>
    /// <param name="stream">Any that can be written; it is not closed.</param>
    /// <exception cref="ArgumentException">An argument is null, or the array has more than 2^31 bytes.</exception>
    public static void WriteTo(NpyArray array, Stream stream) => Npy.WriteTo(stream, array);
}
