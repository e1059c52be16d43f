namespace SparseFs.Tool

open System
open System.Runtime.InteropServices
open SparseFs

/// <summary>A dense weight of a file of which the largest numbers stay.</summary>
[<NoComparison>]
type internal CutLayer =
    {
        /// Its place in the model: the weight's name without ".weight".
        Layer: string
        Weight: TensorInfo
        /// [rows, rest]: the first dimension by all others.
        Pattern: Connectivity
        /// In slot order.
        Values: float32[]
    }

/// <summary>Cutting.</summary>
[<RequireQualifiedAccess>]
module internal CutLayer =

    /// The place in the model of the tensor of a weight.
    let layerOf (weight: string) : string =
        if weight = "weight" then
            ""
        else
            weight.Substring(0, weight.Length - ".weight".Length)

    /// The name of another tensor of that layer.
    let key (layer: string) (tensor: string) : string =
        if layer = "" then tensor else layer + "." + tensor

    /// First dimension, and the product of the others; a matrix of more cells than an array is refused.
    let private sizesOf (file: TensorFile) (t: TensorInfo) : struct (int * int) =
        if TensorFile.Count t > int64 Array.MaxLength then
            file.Refuse(CheckpointProblem.Shape, t.Name, invariant $"expected at most {Array.MaxLength} numbers")

        struct (int t.Shape[0], int (t.Shape[1..] |> Array.fold (*) 1L))

    /// <summary>Keeps the largest magnitudes of a weight, or the columns of row groups with the largest norms; ties go to the lower cell.</summary>
    /// <param name="rule">How many, and in which groups.</param>
    /// <param name="file">The file of the tensor.</param>
    /// <param name="t">A floating tensor of two dimensions or more.</param>
    /// <exception cref="T:SparseFs.CheckpointException">A weight is NaN.</exception>
    /// <exception cref="T:SparseFs.Tool.Refusal">The sparsity leaves none of its weights.</exception>
    let ofTensor (rule: ConvertRule) (file: TensorFile) (t: TensorInfo) : CutLayer =
        let struct (rows, cols) = sizesOf file t
        let numbers = file.Floats t

        match Array.tryFindIndex Single.IsNaN numbers with
        | Some index -> file.Refuse(CheckpointProblem.Value, t.Name, invariant $"expected numbers, got NaN at {index}")
        | None -> ()

        let matrix: float32[,] = Array2D.zeroCreate rows cols

        if numbers.Length > 0 then
            numbers.AsSpan().CopyTo(MemoryMarshal.CreateSpan(&matrix[0, 0], numbers.Length))

        let group =
            { SlotGroup.One with
                Rows = min rule.RowGroup (max 1 rows) }

        let pattern =
            try
                GroupMagnitude.ofLayer group (Sparsity.nnzOfLayer rows cols rule.Sparsity) matrix
            with :? ArgumentOutOfRangeException as e ->
                Refusal.because (invariant $"'{t.Name}': {Refusal.line e}")

        if pattern.Nnz = 0 && pattern.Cells > 0L then
            Refusal.because (
                invariant
                    $"'{t.Name}': sparsity {rule.Sparsity} leaves no column of a group of {group.Rows} rows: take smaller groups or a lower sparsity"
            )

        let rowPtr = pattern.RowPtr

        let values: float32[] = Array.zeroCreate pattern.Nnz

        for row in 0 .. rows - 1 do
            for slot in rowPtr[row] .. rowPtr[row + 1] - 1 do
                values[slot] <- matrix[row, pattern.ColIdx[slot]]

        { Layer = layerOf t.Name
          Weight = t
          Pattern = pattern
          Values = values }

    /// <summary>The tensors that a file has in the weight's place: names, dtypes and shapes, without places.</summary>
    let tensors (cut: CutLayer) : TensorInfo list =
        let tensor (name: string) (dtype: Dtype) (length: int64) =
            { Name = key cut.Layer name
              Dtype = dtype
              Shape = [| length |]
              Start = 0L
              Bytes = length * TensorInfo.size dtype }

        [ tensor "weight" Dtype.F32 (int64 cut.Pattern.Nnz)
          tensor "row_ptr" Dtype.I32 (int64 cut.Pattern.Rows + 1L)
          tensor "col_idx" Dtype.I32 (int64 cut.Pattern.Nnz)
          tensor "weight_fingerprint" Dtype.I64 1L ]

    /// <summary>The bytes of one of these tensors.</summary>
    let bytes (cut: CutLayer) (name: string) : ReadOnlySpan<byte> =
        let isOwn (tensor: string) = (name = key cut.Layer tensor)

        if isOwn "weight" then
            MemoryMarshal.AsBytes(ReadOnlySpan cut.Values)
        elif isOwn "row_ptr" then
            MemoryMarshal.AsBytes cut.Pattern.RowPtr
        elif isOwn "col_idx" then
            MemoryMarshal.AsBytes cut.Pattern.ColIdx
        else
            ReadOnlySpan(BitConverter.GetBytes(Fingerprint.ofPattern cut.Pattern))

    /// What the file says of the layer, where its sizes are all that there is to say: of a linear one.
    let tryText (hasBias: bool) (cut: CutLayer) : string voption =
        if cut.Weight.Shape.Length = 2 then
            let p = cut.Pattern

            ValueSome(
                invariant
                    $"SparseLinear(in_features={p.Cols}, out_features={p.Rows}, nnz={p.Nnz}, bias={MetadataFields.ofBool hasBias})"
            )
        else
            ValueNone
