namespace SparseFs

open System
open TorchSharp

/// <summary>Patterns as (2, nnz) tensors of rows and columns: SparseLinear's <c>connectivity</c> and <c>indices</c>, and the
/// indices of torch's COO tensors.</summary>
[<RequireQualifiedAccess>]
module Coo =

    let private wrong (message: string) =
        raise (ArgumentException(message, "indices"))

    let private index (value: int64) : int =
        if value < 0L || value >= int64 Int32.MaxValue then
            wrong $"expected indices in 0..{Int32.MaxValue - 1}, got {value}"

        int value

    /// <summary>The pattern of a (2, nnz) tensor, whose pairs may come in any order.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="indices">Shape [2, nnz], Int64 or Int32, on any device, contiguous or not: row 0 holds the rows, in
    /// 0..rows − 1, row 1 the columns, in 0..cols − 1. It is copied and stays the caller's.</param>
    /// <exception cref="T:System.ArgumentException">The shape or the dtype is not as said, an index is out of range, or a
    /// pair is repeated.</exception>
    /// <example><code>
    /// let indices = torch.tensor [| 0L; 1L; 1L; 3L; 0L; 2L |]
    /// let pattern = Coo.toConnectivity 2 4 (indices.reshape (2L, 3L))
    /// pattern.ColIdx.ToArray() // = [|3; 0; 2|]
    /// </code></example>
    [<CompiledName "ToConnectivity">]
    let toConnectivity (rows: int) (cols: int) (indices: torch.Tensor) : Connectivity =
        ArgumentNullException.ThrowIfNull(indices, nameof indices)

        if indices.dim () <> 2L || indices.shape[0] <> 2L then
            wrong $"expected shape [2, nnz], got {Shape.text indices.shape}"

        if
            indices.dtype <> torch.ScalarType.Int64
            && indices.dtype <> torch.ScalarType.Int32
        then
            wrong $"expected Int64 or Int32, got {indices.dtype}"

        use _ = torch.NewDisposeScope()
        let flat = indices.cpu().to_type(torch.ScalarType.Int64).flatten().data<int64>()
        let pairs = flat.ToArray() |> Array.map index
        let rowIdx, colIdx = Array.splitAt (pairs.Length / 2) pairs

        match Connectivity.tryOfPairs rows cols rowIdx colIdx with
        | Ok c -> c
        | Error(ConnectivityError.Shape _ as error) -> raise (ArgumentException(error.Message, error.ParamName))
        | Error error -> wrong error.Message

    /// <summary>The pairs of a pattern, in slot order.</summary>
    /// <param name="c">The pattern.</param>
    /// <returns>Shape [2, nnz], Int64, on the CPU: row 0 holds the rows, row 1 the columns. <c>toConnectivity</c> gives the
    /// pattern back.</returns>
    /// <example><code>
    /// let indices = Coo.ofConnectivity layer.Connectivity
    /// let coo = torch.sparse_coo_tensor (indices, layer.weight.detach (), [| 300L; 784L |])
    /// </code></example>
    [<CompiledName "OfConnectivity">]
    let ofConnectivity (c: Connectivity) : torch.Tensor =
        let both = Array.append (Connectivity.rowIndices c) (c.ColIdx.ToArray())
        use flat = torch.tensor (Array.map int64 both, device = torch.CPU)
        flat.reshape (2L, int64 c.Nnz)
