using System;
using System.IO;
using static TorchSharp.torch;

namespace SparseFs.CSharp;

/// <summary>Tensors and sparse layers in NumPy's .npy files and Matrix Market's .mtx files.</summary>
/// <remarks>A layer's COO form in .npy is two files: <c>layer.Connectivity.ToIndices()</c>, shape [2, nnz], and
/// <c>layer.weight</c>, shape [nnz]; <c>Connectivity.FromIndices</c> and <c>Conversions.FromValues</c> make a layer of them
/// again. Its dense weight is <c>layer.weightMatrix()</c>.</remarks>
public static class TensorFiles
{
    /// <summary>The numbers and the shape of a tensor.</summary>
    /// <param name="tensor">Float16, Float32, Float64, Int8, Int16, Int32, Int64, Byte or Bool, on any device, contiguous or not.</param>
    /// <returns>A copy, in C order.</returns>
    /// <exception cref="ArgumentException">The tensor is null or of another dtype.</exception>
    public static NpyArray ToNpyArray(this Tensor tensor) => TensorFile.ToNpyArray(tensor);

    /// <summary>A tensor of the numbers and the shape of an array.</summary>
    /// <param name="array">Any; unsigned integers of 16, 32 and 64 bits, which torch has not, become Int32, Int64 and
    /// Int64.</param>
    /// <returns>A new tensor on the CPU; the caller's, or the open DisposeScope's.</returns>
    /// <exception cref="ArgumentException">The array is null, or a number is 2^63 or more.</exception>
    public static Tensor ToTensor(this NpyArray array) => TensorFile.OfNpyArray(array);

    /// <summary>Writes a tensor as a .npy file; it is there whole, or as it was before.</summary>
    /// <param name="tensor">Float16, Float32, Float64, Int8, Int16, Int32, Int64, Byte or Bool, on any device.</param>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <exception cref="ArgumentException">An argument is null, or the tensor is of another dtype.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    public static void WriteNpy(this Tensor tensor, string path) => TensorFile.ToNpy(path, tensor);

    /// <summary>Reads a .npy file as a tensor.</summary>
    /// <param name="path">The file.</param>
    /// <returns>A new tensor on the CPU; the caller's, or the open DisposeScope's; dtypes as <c>ToTensor</c>.</returns>
    /// <exception cref="ArrayFileException">It is not such a file, a part is missing, something follows, or a number is 2^63
    /// or more.</exception>
    /// <exception cref="IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read, or is no file.</exception>
    public static Tensor ReadNpy(string path) => TensorFile.OfNpy(path);

    /// <summary>Writes a layer's pattern and weights as a coordinate real .mtx file; the bias is left out.</summary>
    /// <param name="layer">Any sparse layer; its weights are written so that they come back to the bit.</param>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <exception cref="ArgumentException">An argument is null, or a weight is not finite.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    public static void WriteMtx(this SparseLinear layer, string path) => TensorFile.ToMtx(path, layer);

    /// <summary>Reads a coordinate .mtx file as a layer without a bias.</summary>
    /// <param name="path">The file; where it holds a pattern only, all weights are 1.</param>
    /// <param name="dtype">Of the weights, a real floating one.</param>
    /// <returns>A new layer on the CPU.</returns>
    /// <exception cref="ArrayFileException">It is not such a file, an entry is wrong or missing, or the dtype cannot hold a
    /// number.</exception>
    /// <exception cref="ArgumentException">The dtype is not a real floating one.</exception>
    /// <exception cref="IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read, or is no file.</exception>
    public static SparseLinear ReadMtx(string path, ScalarType dtype = ScalarType.Float32) => TensorFile.OfMtx(dtype, path);

    /// <summary>Writes a matrix as an array real .mtx file, such as a dense layer's weight.</summary>
    /// <param name="matrix">Shape [rows, cols], a real floating dtype, finite numbers.</param>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <exception cref="ArgumentException">An argument is null, the shape or the dtype is another, or a number is not
    /// finite.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    public static void WriteDenseMtx(this Tensor matrix, string path) => TensorFile.ToDenseMtx(path, matrix);

    /// <summary>Reads an array .mtx file as a matrix.</summary>
    /// <param name="path">The file.</param>
    /// <param name="dtype">A real floating one.</param>
    /// <returns>A new tensor [rows, cols] on the CPU; the caller's, or the open DisposeScope's.</returns>
    /// <exception cref="ArrayFileException">It is not such a file, a number is wrong or missing, or the dtype cannot hold
    /// it.</exception>
    /// <exception cref="ArgumentException">The dtype is not a real floating one.</exception>
    /// <exception cref="IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read, or is no file.</exception>
    public static Tensor ReadDenseMtx(string path, ScalarType dtype = ScalarType.Float32) =>
        TensorFile.OfDenseMtx(dtype, path);
}
