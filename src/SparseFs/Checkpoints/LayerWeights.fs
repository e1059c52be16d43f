namespace SparseFs.Torch

open System
open System.Runtime.InteropServices
open SparseFs
open TorchSharp

/// <summary>The tensors of a file that make up a sparse layer's weights.</summary>
[<RequireQualifiedAccess>]
type internal LayerParts =
    | Csr of weight: TensorInfo * rowPtr: TensorInfo * colIdx: TensorInfo
    | Coo of values: TensorInfo * indices: TensorInfo
    | Masked of weight: TensorInfo * mask: TensorInfo
    | Dense of weight: TensorInfo * sparsity: float voption

    member p.Weight =
        match p with
        | Csr(weight, _, _)
        | Coo(weight, _)
        | Masked(weight, _)
        | Dense(weight, _) -> weight

module internal LayerWeights =

    let checkForm (form: WeightForm) =
        match form with
        | WeightForm.Magnitude sparsity -> Sparsity.check (nameof sparsity) sparsity
        | _ -> ()

    /// The names that a form needs, the weight's first, where key gives the file's name of a layer's tensor.
    let names (form: WeightForm) (file: SafetensorsFile) (key: string -> string) : string list =
        let has (name: string) = file.TryFind(key name).IsSome

        match form with
        | WeightForm.SparseFs when has "values" || has "indices" -> [ "values"; "indices" ]
        | WeightForm.SparseFs -> [ "weight"; "row_ptr"; "col_idx" ]
        | WeightForm.SparseLinear -> [ "weights"; "indices" ]
        | WeightForm.Masked when has "weight_orig" -> [ "weight_orig"; "weight_mask" ]
        | WeightForm.Masked -> [ "weight"; "mask" ]
        | WeightForm.Zeros
        | WeightForm.Magnitude _ -> [ "weight" ]
        |> List.map key

    /// What the tensors of those names are.
    let parts (form: WeightForm) (found: TensorInfo list) : LayerParts =
        match form, found with
        | _, [ weight; rowPtr; colIdx ] -> LayerParts.Csr(weight, rowPtr, colIdx)
        | WeightForm.Masked, [ weight; mask ] -> LayerParts.Masked(weight, mask)
        | WeightForm.Magnitude sparsity, weight :: _ -> LayerParts.Dense(weight, ValueSome sparsity)
        | _, [ values; indices ] -> LayerParts.Coo(values, indices)
        | _, weight :: _ -> LayerParts.Dense(weight, ValueNone)
        | _, [] -> invalidOp "a form without names"

    let private describe (t: TensorInfo) = $"{t.Dtype} {Shape.text t.Shape}"

    /// What is wrong with shapes and dtypes for a layer of so many rows whose dense weight has a shape.
    let wrongs (rows: int64) (dense: int64[]) (parts: LayerParts) : string list =
        let differs (t: TensorInfo) (isDtype: Dtype -> bool) (dtype: string) (shape: int64[]) =
            [ if not (isDtype t.Dtype) || t.Shape <> shape then
                  $"'{t.Name}': expected {dtype} {Shape.text shape}, got {describe t}" ]

        let isIndex dtype = dtype = Dtype.I32 || dtype = Dtype.I64

        let numbers t shape =
            differs t TorchDtypes.isFloating "floats" shape

        let indices t shape = differs t isIndex "I32 or I64" shape

        let vector (weight: TensorInfo) : int64 =
            if weight.Shape.Length = 1 then weight.Shape[0] else 0L

        match parts with
        | LayerParts.Csr(weight, rowPtr, colIdx) ->
            let nnz = vector weight

            numbers weight [| nnz |]
            @ indices rowPtr [| rows + 1L |]
            @ indices colIdx [| nnz |]
        | LayerParts.Coo(values, pairs) ->
            let nnz = vector values
            numbers values [| nnz |] @ indices pairs [| 2L; nnz |]
        | LayerParts.Masked(weight, mask) -> numbers weight dense @ differs mask (fun _ -> true) "any dtype" dense
        | LayerParts.Dense(weight, _) -> numbers weight dense

    [<Literal>]
    let private FingerprintName = "weight_fingerprint"

    /// <summary>The tensor beside a layer's weight that says which pattern the weight belongs to.</summary>
    /// <remarks>Its name begins as the weight's does, so that whoever puts a file together from others takes both.</remarks>
    let fingerprint (key: string -> string) (c: Connectivity) : struct (string * torch.Tensor) =
        struct (key FingerprintName, torch.tensor ([| int64 (Fingerprint.ofPattern c) |], device = torch.CPU))

    /// <summary>What a file says of the pattern that a weight belongs to, if it says anything.</summary>
    let tryFingerprint (file: SafetensorsFile) (key: string -> string) : TensorInfo voption =
        file.TryFind(key FingerprintName)

    /// <exception cref="T:SparseFs.CheckpointException">The weight belongs to another pattern.</exception>
    let checkFingerprint (file: SafetensorsFile) (stored: TensorInfo) (weight: TensorInfo) (c: Connectivity) : unit =
        if stored.Dtype <> Dtype.I64 || stored.Shape <> [| 1L |] then
            let got = $"{stored.Dtype} {Shape.text stored.Shape}"
            file.Refuse(CheckpointProblem.Shape, stored.Name, $"expected I64 [1], got {got}")

        use _ = torch.NewDisposeScope()
        let expected = (file.Read stored).item<int64>()
        let found = int64 (Fingerprint.ofPattern c)

        if expected <> found then
            let reason =
                $"'{weight.Name}' and its pattern do not belong together: the weight was saved with the pattern of "
                + $"fingerprint {expected:x16}, the file's pattern has {found:x16}; take weight, pattern and "
                + "fingerprint from one file"

            file.Refuse(CheckpointProblem.Mismatch, stored.Name, reason)

    let private pattern (file: SafetensorsFile) (tensor: string) (result: Result<Connectivity, ConnectivityError>) =
        match result with
        | Ok c -> c
        | Error e -> file.Refuse(CheckpointProblem.Pattern, tensor, e.Message)

    let private ints (file: SafetensorsFile) (name: string) (t: torch.Tensor) : int[] =
        try
            TensorView.toInts name t
        with :? ArgumentException as e ->
            file.Refuse(CheckpointProblem.Pattern, name, e.Message)

    /// The pattern of two vectors in the file; shapes are checked.
    let readCsr (file: SafetensorsFile) (rows: int) (cols: int) (rowPtr: TensorInfo) (colIdx: TensorInfo) =
        let result =
            Connectivity.tryCreate
                rows
                cols
                (ints file rowPtr.Name (file.Read rowPtr))
                (ints file colIdx.Name (file.Read colIdx))

        match result with
        | Error e when e.ParamName = "rowPtr" -> pattern file rowPtr.Name result
        | _ -> pattern file colIdx.Name result

    /// Pairs may come in any order; their values are brought into the order of slots.
    let private readCoo (file: SafetensorsFile) (rows: int) (cols: int) (values: TensorInfo) (indices: TensorInfo) =
        let pairs = file.Read indices
        let rowIdx = ints file indices.Name (pairs.select (0L, 0L))
        let colIdx = ints file indices.Name (pairs.select (0L, 1L))
        let c = pattern file indices.Name (Connectivity.tryOfPairs rows cols rowIdx colIdx)
        let weight = file.Read values

        if
            ReadOnlySpan(colIdx).SequenceEqual(ReadOnlySpan c.ColIdxArray)
            && ReadOnlySpan(rowIdx).SequenceEqual(ReadOnlySpan(Connectivity.rowIndices c))
        then
            struct (c, weight)
        else
            let cells =
                Array.map2 (fun row col -> int64 row * int64 cols + int64 col) rowIdx colIdx

            let order = Array.init cells.Length int64
            Array.Sort(cells, order)
            struct (c, weight.index_select (0L, torch.tensor (order, device = torch.CPU)))

    /// Where a mask is true, and the weights there.
    let private ofMask
        (file: SafetensorsFile)
        (rows: int)
        (cols: int)
        (weight: TensorInfo)
        (numbers: torch.Tensor)
        (mask: torch.Tensor)
        =
        let cells = mask.nonzero ()

        let at (dimension: int64) =
            ints file weight.Name (cells.select(1L, dimension).contiguous())

        let c = pattern file weight.Name (Connectivity.tryOfPairs rows cols (at 0L) (at 1L))

        struct (c, numbers.masked_select mask)

    let private readMasked (file: SafetensorsFile) (rows: int) (cols: int) (weight: TensorInfo) (mask: TensorInfo) =
        let matrix (t: TensorInfo) =
            (file.Read t).reshape(int64 rows, int64 cols)

        let stored = matrix mask
        let isOne = stored.eq (Scalars.Of 1.0)

        if not (isOne.logical_or(stored.eq (Scalars.Of 0.0)).all().item<bool>()) then
            file.Refuse(CheckpointProblem.Value, mask.Name, "expected a mask of 0 and 1")

        ofMask file rows cols weight (matrix weight) isOne

    let private readLargest (file: SafetensorsFile) (rows: int) (cols: int) (weight: TensorInfo) (sparsity: float) =
        if Sparsity.cells rows cols > int64 Array.MaxLength then
            file.Refuse(CheckpointProblem.Shape, weight.Name, $"expected at most {Array.MaxLength} cells")

        let numbers = file.Read weight
        let flat: float32[] = Array.zeroCreate (rows * cols)
        TensorView.copyTo flat (numbers.to_type torch.ScalarType.Float32)

        if Array.exists Single.IsNaN flat then
            file.Refuse(CheckpointProblem.Value, weight.Name, "expected numbers, got NaN")

        let matrix: float32[,] = Array2D.zeroCreate rows cols

        if flat.Length > 0 then
            flat.AsSpan().CopyTo(MemoryMarshal.CreateSpan(&matrix[0, 0], flat.Length))

        let c = Connectivity.ofMagnitude (Sparsity.nnz rows cols sparsity) matrix

        let cells =
            Array.map2 (fun row col -> int64 row * int64 cols + int64 col) (Connectivity.rowIndices c) c.ColIdxArray

        struct (c, numbers.flatten().index_select(0L, torch.tensor (cells, device = torch.CPU)))

    /// <summary>The pattern, and the weights [nnz] in slot order, in the file's dtype, on the CPU; the open DisposeScope
    /// owns them. Shapes and dtypes are checked.</summary>
    /// <exception cref="T:SparseFs.CheckpointException">What should be a pattern is none, or the file fails.</exception>
    let read
        (file: SafetensorsFile)
        (rows: int)
        (cols: int)
        (parts: LayerParts)
        : struct (Connectivity * torch.Tensor) =
        match parts with
        | LayerParts.Csr(weight, rowPtr, colIdx) -> struct (readCsr file rows cols rowPtr colIdx, file.Read weight)
        | LayerParts.Coo(values, indices) -> readCoo file rows cols values indices
        | LayerParts.Masked(weight, mask) -> readMasked file rows cols weight mask
        | LayerParts.Dense(weight, ValueSome sparsity) -> readLargest file rows cols weight sparsity
        | LayerParts.Dense(weight, ValueNone) ->
            let numbers = (file.Read weight).reshape(int64 rows, int64 cols)
            ofMask file rows cols weight numbers (numbers.ne (Scalars.Of 0.0))

    /// <summary>What gives a layer a pattern, its weights and, if it is not null, a bias: what it needs is allocated before
    /// it runs, in the open DisposeScope. The parameters keep their identity; where the pattern changes, the weight's
    /// gradient, of other cells, becomes 0. Call without gradients.</summary>
    let give (layer: SparseLayer) (c: Connectivity) (values: torch.Tensor) (bias: torch.Tensor | null) : unit -> unit =
        let weight = layer.weight

        let zeros: torch.Tensor | null =
            use grad = TorchNulls.gradOf weight

            if layer.Connectivity = c || isNull grad then
                null
            else
                torch.zeros_like values

        fun () ->
            layer.Versions.Replace(c, values, bias)

            match zeros with
            | null -> ()
            | zeros ->
                // A backward or an optimizer on another thread may be in the middle of using it: it is written to, or freed
                // later, and never under their hands.
                match TorchNulls.gradOf weight with
                | null -> TorchNulls.setGrad weight zeros
                | grad when grad.shape = zeros.shape && grad.dtype = zeros.dtype ->
                    grad.zero_ () |> ignore
                    grad.Dispose()
                | grad ->
                    TorchNulls.setGrad weight zeros
                    Replaced.later (SharedTensors [| grad.DetachFromDisposeScope() |])
