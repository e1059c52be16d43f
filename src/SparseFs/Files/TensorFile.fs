namespace SparseFs

open System
open TorchSharp
open SparseFs.Torch

/// <summary>Tensors and sparse layers in NumPy's .npy files and Matrix Market's .mtx files.</summary>
/// <remarks>A layer's COO form in .npy is two files: <c>Coo.ofConnectivity layer.Connectivity</c>, shape [2, nnz], and
/// <c>layer.weight</c>, shape [nnz]; <c>Coo.toConnectivity</c> and <c>Conversion.ofValues</c> make a layer of them again.
/// Its dense weight is <c>layer.weightMatrix ()</c>.</remarks>
[<RequireQualifiedAccess>]
module TensorFile =

    let private checkSize (t: torch.Tensor) (name: string) =
        for size in t.shape do
            if size > int64 Int32.MaxValue then
                raise (ArgumentException($"expected sizes below 2^31, got {size}", name))

    /// <summary>The numbers and the shape of a tensor.</summary>
    /// <param name="tensor">Float16, Float32, Float64, Int8, Int16, Int32, Int64, Byte or Bool, on any device, contiguous or not.</param>
    /// <returns>A copy, in C order.</returns>
    /// <exception cref="T:System.ArgumentException">The tensor is null or of another dtype.</exception>
    /// <example><code>
    /// let array = TensorFile.toNpyArray (layer.weightMatrix ())
    /// array.Shape // = [|300; 784|]
    /// </code></example>
    [<CompiledName "ToNpyArray">]
    let toNpyArray (tensor: torch.Tensor) : NpyArray =
        ArgumentNullException.ThrowIfNull(tensor, nameof tensor)
        checkSize tensor (nameof tensor)
        let shape = tensor.shape |> Array.map int

        let numbers: Array =
            match tensor.dtype with
            | torch.ScalarType.Float32 -> TensorArrays.copy<float32> tensor.dtype tensor
            | torch.ScalarType.Float64 -> TensorArrays.copy<float> tensor.dtype tensor
            | torch.ScalarType.Int32 -> TensorArrays.copy<int> tensor.dtype tensor
            | torch.ScalarType.Int64 -> TensorArrays.copy<int64> tensor.dtype tensor
            | torch.ScalarType.Bool -> TensorArrays.copy<bool> tensor.dtype tensor
            | torch.ScalarType.Float16 -> TensorArrays.copy<Half> tensor.dtype tensor
            | torch.ScalarType.Int16 -> TensorArrays.copy<int16> tensor.dtype tensor
            | torch.ScalarType.Int8 -> TensorArrays.copy<sbyte> tensor.dtype tensor
            | torch.ScalarType.Byte -> TensorArrays.copy<byte> tensor.dtype tensor
            | other ->
                let expected =
                    "expected Float16, Float32, Float64, Int8, Int16, Int32, Int64, Byte or Bool"

                raise (ArgumentException($"{expected}, got {other}", nameof tensor))

        NpyArray(shape, numbers)

    /// <summary>A tensor of the numbers and the shape of an array.</summary>
    /// <param name="array">Any; unsigned integers of 16, 32 and 64 bits, which torch has not, become Int32, Int64 and
    /// Int64.</param>
    /// <returns>A new tensor on the CPU; the caller's, or the open DisposeScope's.</returns>
    /// <exception cref="T:System.ArgumentException">The array is null, or a number is 2^63 or more.</exception>
    /// <example><code>
    /// let tensor = TensorFile.ofNpyArray (NpyArray([| 2; 2 |], [| 1.0f; 2.0f; 3.0f; 4.0f |]))
    /// tensor.t().reshape(-1L).data&lt;float32>().ToArray() // = [|1.0f; 3.0f; 2.0f; 4.0f|]
    /// </code></example>
    [<CompiledName "OfNpyArray">]
    let ofNpyArray (array: NpyArray) : torch.Tensor =
        ArgumentNullException.ThrowIfNull(array, nameof array)

        let numbers: Array =
            match array.Data.GetType().GetElementType() with
            | t when t = typeof<uint16> -> Array.map int (array.Data :?> uint16[])
            | t when t = typeof<uint32> -> Array.map int64 (array.Data :?> uint32[])
            | t when t = typeof<uint64> ->
                let wide = array.Data :?> uint64[]

                match wide |> Array.tryFind (fun number -> number > uint64 Int64.MaxValue) with
                | Some number -> raise (ArgumentException($"expected numbers below 2^63, got {number}", nameof array))
                | None -> Array.map int64 wide
            | _ -> array.Data.Clone() :?> Array // the tensor lives in the array that it is made of

        use flat = torch.from_array (numbers, device = torch.CPU)
        flat.reshape (array.Shape |> Array.map int64)

    /// <summary>Writes a tensor as a .npy file; it is there whole, or as it was before.</summary>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <param name="tensor">Float16, Float32, Float64, Int8, Int16, Int32, Int64, Byte or Bool, on any device.</param>
    /// <exception cref="T:System.ArgumentException">An argument is null, or the tensor is of another dtype.</exception>
    /// <exception cref="T:System.IO.IOException">The file cannot be written.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    /// <example><code>
    /// TensorFile.toNpy "indices.npy" (Coo.ofConnectivity layer.Connectivity)
    /// TensorFile.toNpy "values.npy" layer.weight // numpy.load reads both
    /// </code></example>
    [<CompiledName "ToNpy">]
    let toNpy (path: string) (tensor: torch.Tensor) : unit = Npy.write path (toNpyArray tensor)

    /// <summary>Reads a .npy file as a tensor.</summary>
    /// <param name="path">The file.</param>
    /// <returns>A new tensor on the CPU; the caller's, or the open DisposeScope's; dtypes as <c>ofNpyArray</c>.</returns>
    /// <exception cref="T:SparseFs.ArrayFileException">It is not such a file, a part is missing, something follows, or a
    /// number is 2^63 or more.</exception>
    /// <exception cref="T:System.IO.IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be read, or is no file.</exception>
    /// <example><code>
    /// TensorFile.toNpy "weight.npy" linear.weight
    /// let pruned = Conversion.ofDenseMask ((TensorFile.ofNpy "weight.npy").abs().gt(0.03.ToScalar())) linear
    /// </code></example>
    [<CompiledName "OfNpy">]
    let ofNpy (path: string) : torch.Tensor =
        let array = Npy.read path

        try
            ofNpyArray array
        with :? ArgumentException as e ->
            raise (ArrayFileException(path, "its numbers", "numbers below 2^63", e.Message))

    let private doubles (t: torch.Tensor) : float[] =
        TensorArrays.copy<float> torch.ScalarType.Float64 t

    /// In a dtype that may be narrower than the file's numbers.
    let private narrowed (path: string) (dtype: torch.ScalarType) (wide: torch.Tensor) : torch.Tensor =
        use wide = wide
        let narrow = wide.to_type (dtype, copy = true)

        if narrow.isfinite().all().item<bool>() then
            narrow
        else
            narrow.Dispose()
            raise (ArrayFileException(path, "its numbers", $"numbers that {dtype} can hold", "a larger one"))

    /// <summary>Writes a layer's pattern and weights as a coordinate real .mtx file; the bias is left out.</summary>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <param name="layer">Any sparse layer; its weights are written so that they come back to the bit.</param>
    /// <exception cref="T:System.ArgumentException">An argument is null, or a weight is not finite.</exception>
    /// <exception cref="T:System.IO.IOException">The file cannot be written.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    /// <example><code>TensorFile.toMtx "weight.mtx" layer // scipy.io.mmread "weight.mtx"</code></example>
    [<CompiledName "ToMtx">]
    let toMtx (path: string) (layer: SparseLinear) : unit =
        ArgumentNullException.ThrowIfNull(layer, nameof layer)

        let matrix =
            layer.Versions.Read(fun version ->
                { Connectivity = version.Connectivity
                  Values = doubles version.Numbers.Values })

        MatrixMarket.write path matrix

    /// <summary>Reads a coordinate .mtx file as a layer without a bias.</summary>
    /// <param name="dtype">Of the weights, a real floating one.</param>
    /// <param name="path">The file; where it holds a pattern only, all weights are 1.</param>
    /// <returns>A new layer on the CPU.</returns>
    /// <exception cref="T:SparseFs.ArrayFileException">It is not such a file, an entry is wrong or missing, or the dtype
    /// cannot hold a number.</exception>
    /// <exception cref="T:System.ArgumentException">The dtype is not a real floating one.</exception>
    /// <exception cref="T:System.IO.IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be read, or is no file.</exception>
    /// <example><code>
    /// TensorFile.toMtx "weight.mtx" layer
    /// let again = TensorFile.ofMtx torch.float32 "weight.mtx"
    /// again.weight.equal(layer.weight).all().item&lt;bool>() // = true
    /// </code></example>
    [<CompiledName "OfMtx">]
    let ofMtx (dtype: torch.ScalarType) (path: string) : SparseLinear =
        TensorView.checkDtype (nameof dtype) dtype
        let matrix = MatrixMarket.read path
        use _ = torch.NewDisposeScope()

        Conversion.ofValues
            matrix.Connectivity
            (narrowed path dtype (torch.tensor (matrix.Values, device = torch.CPU)))
            null

    /// <summary>Writes a matrix as an array real .mtx file, such as a dense layer's weight.</summary>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <param name="matrix">Shape [rows, cols], a real floating dtype, finite numbers.</param>
    /// <exception cref="T:System.ArgumentException">An argument is null, the shape or the dtype is another, or a number is
    /// not finite.</exception>
    /// <exception cref="T:System.IO.IOException">The file cannot be written.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    /// <example><code>TensorFile.toDenseMtx "weight.mtx" linear.weight</code></example>
    [<CompiledName "ToDenseMtx">]
    let toDenseMtx (path: string) (matrix: torch.Tensor) : unit =
        TensorView.checkFloating (nameof matrix) matrix

        if matrix.dim () <> 2L then
            raise (ArgumentException($"expected shape [rows, cols], got {Shape.text matrix.shape}", nameof matrix))

        checkSize matrix (nameof matrix)
        let numbers = doubles matrix
        let cols = int matrix.shape[1]

        Array2D.init (int matrix.shape[0]) cols (fun row col -> numbers[row * cols + col])
        |> MatrixMarket.writeDense path

    /// <summary>Reads an array .mtx file as a matrix.</summary>
    /// <param name="dtype">A real floating one.</param>
    /// <param name="path">The file.</param>
    /// <returns>A new tensor [rows, cols] on the CPU; the caller's, or the open DisposeScope's.</returns>
    /// <exception cref="T:SparseFs.ArrayFileException">It is not such a file, a number is wrong or missing, or the dtype
    /// cannot hold it.</exception>
    /// <exception cref="T:System.ArgumentException">The dtype is not a real floating one.</exception>
    /// <exception cref="T:System.IO.IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be read, or is no file.</exception>
    /// <example><code>
    /// TensorFile.toDenseMtx "weight.mtx" (layer.weightMatrix ())
    /// (TensorFile.ofDenseMtx torch.float64 "weight.mtx").shape // = [|300L; 784L|]
    /// </code></example>
    [<CompiledName "OfDenseMtx">]
    let ofDenseMtx (dtype: torch.ScalarType) (path: string) : torch.Tensor =
        TensorView.checkDtype (nameof dtype) dtype
        let matrix = MatrixMarket.readDense path
        let rows, cols = Array2D.length1 matrix, Array2D.length2 matrix
        use _ = torch.NewDisposeScope()

        let numbers = torch.tensor (matrix, device = torch.CPU)
        (narrowed path dtype (numbers.reshape (int64 rows, int64 cols))).MoveToOuterDisposeScope()
