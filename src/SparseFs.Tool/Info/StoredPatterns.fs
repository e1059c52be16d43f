namespace SparseFs.Tool

open System
open System.Globalization
open System.Text.RegularExpressions
open SparseFs

/// <summary>The patterns of a file, by the names that checkpoints give them: row_ptr and col_idx beside weight, or indices beside values.</summary>
module internal StoredPatterns =

    [<Literal>]
    let LayerKey = "sparsefs.layer."

    let private sizeOf (text: string) (name: string) : int64 voption =
        let found =
            Regex.Match(text, name + "=([0-9]{1,9})(?![0-9])", RegexOptions.CultureInvariant)

        if found.Success then
            ValueSome(Int64.Parse(found.Groups[1].Value, CultureInfo.InvariantCulture))
        else
            ValueNone

    /// The cells of a convolution's kernel: kernel_size=(3, 3), or one number.
    let private cellsOf (text: string) : int64 voption =
        let found =
            Regex.Match(text, @"kernel_size=\(?([0-9, ]{1,40})", RegexOptions.CultureInvariant)

        if not found.Success then
            ValueNone
        else
            let sizes =
                found.Groups[1]
                    .Value.Split(',', StringSplitOptions.RemoveEmptyEntries ||| StringSplitOptions.TrimEntries)
                |> Array.map (fun size -> Int64.TryParse(size, NumberStyles.None, CultureInfo.InvariantCulture))

            if
                sizes |> Array.forall (fun (isNumber, size) -> isNumber && size < 65536L)
                && sizes.Length <= 3
            then
                ValueSome(sizes |> Array.fold (fun product (_, size) -> product * size) 1L)
            else
                ValueNone

    /// <summary>Columns of a layer's pattern by the text that a file has of it: SparseLinear(in_features=784, …) or SparseConv2d(…).</summary>
    let tryCols (text: string) : int voption =
        let channels =
            if text.StartsWith("SparseConvTranspose", StringComparison.Ordinal) then
                sizeOf text "out_channels"
            else
                sizeOf text "in_channels"

        let cols =
            match sizeOf text "in_features", channels, cellsOf text with
            | ValueSome inputs, _, _ -> ValueSome inputs
            | _, ValueSome channels, ValueSome cells ->
                let groups = max 1L (sizeOf text "groups" |> ValueOption.defaultValue 1L)
                ValueSome(channels / groups * cells)
            | _ -> ValueNone

        cols
        |> ValueOption.bind (fun cols ->
            if Sparsity.maxSize |> int64 >= cols then
                ValueSome(int cols)
            else
                ValueNone)

    /// What the file says of the layer whose weights have a name.
    let private tryColsOf (file: TensorFile) (weight: string) : int voption =
        let layer =
            match weight.LastIndexOf '.' with
            | -1 -> ""
            | at -> weight.Substring(0, at)

        match file.Metadata.TryGetValue(LayerKey + layer) with
        | true, text -> tryCols text
        | _ -> ValueNone

    /// One more than the largest of some columns: the least that a pattern can have.
    let private leastCols (colIdx: int[]) : int =
        (if colIdx.Length = 0 then 0 else Array.max colIdx)
        |> min (Sparsity.maxSize - 1)
        |> (+) 1

    let private checked'
        (file: TensorFile)
        (tensor: string)
        (result: Result<Connectivity, ConnectivityError>)
        : Connectivity =
        match result with
        | Ok pattern -> pattern
        | Error e -> file.Refuse(CheckpointProblem.Pattern, tensor, e.Message)

    /// Tensors of a pattern by the name of one of them, where the others are there.
    let private beside (file: TensorFile) (name: string) (own: string) (others: string list) : TensorInfo list voption =
        let at = name.LastIndexOf(own, StringComparison.Ordinal)

        let named (role: string) =
            name.Substring(0, at) + role + name.Substring(at + own.Length)

        let found = others |> List.map (named >> file.TryFind)

        if found |> List.forall _.IsSome then
            ValueSome(found |> List.map _.Value)
        else
            ValueNone

    let private isVector (t: TensorInfo) = t.Shape.Length = 1

    let private csr (file: TensorFile) (rowPtr: TensorInfo) : StoredPattern voption =
        match beside file rowPtr.Name "row_ptr" [ "weight"; "col_idx" ] with
        | ValueSome [ weight; colIdx ] when
            isVector rowPtr
            && isVector weight
            && weight.Shape = colIdx.Shape
            && rowPtr.Shape[0] > 0L
            ->
            let cols = tryColsOf file weight.Name
            let columns = file.Ints colIdx
            let known = cols |> ValueOption.defaultWith (fun () -> leastCols columns)

            let pattern =
                Connectivity.tryCreate (int rowPtr.Shape[0] - 1) known (file.Ints rowPtr) columns
                |> checked' file colIdx.Name

            ValueSome
                { Weight = weight.Name
                  Dtype = weight.Dtype
                  Rows = pattern.Rows
                  Cols = cols
                  Nnz = pattern.Nnz
                  Bytes = weight.Bytes + rowPtr.Bytes + colIdx.Bytes
                  Tensors = [ weight.Name; rowPtr.Name; colIdx.Name ] }
        | _ -> ValueNone

    let private coo (file: TensorFile) (indices: TensorInfo) : StoredPattern voption =
        match beside file indices.Name "indices" [ "values" ] with
        | ValueSome [ values ] when isVector values && indices.Shape = [| 2L; values.Shape[0] |] ->
            let numbers = file.Ints indices
            let rowIdx, colIdx = Array.splitAt (numbers.Length / 2) numbers
            let cols = tryColsOf file values.Name
            let known = cols |> ValueOption.defaultWith (fun () -> leastCols colIdx)

            let pattern =
                Connectivity.tryOfPairs (leastCols rowIdx) known rowIdx colIdx
                |> checked' file indices.Name

            ValueSome
                { Weight = values.Name
                  Dtype = values.Dtype
                  Rows = pattern.Rows
                  Cols = cols
                  Nnz = pattern.Nnz
                  Bytes = values.Bytes + indices.Bytes
                  Tensors = [ values.Name; indices.Name ] }
        | _ -> ValueNone

    /// <summary>The patterns of a file, checked, by the names of their weights.</summary>
    /// <exception cref="T:SparseFs.CheckpointException">What has a pattern's names and shapes is no pattern.</exception>
    let ofFile (file: TensorFile) : StoredPattern list =
        [ for t in file.Tensors do
              let found =
                  if t.Name.Contains("row_ptr", StringComparison.Ordinal) then
                      csr file t
                  elif t.Name.Contains("indices", StringComparison.Ordinal) then
                      coo file t
                  else
                      ValueNone

              match found with
              | ValueSome pattern -> pattern
              | ValueNone -> () ]
        |> List.sortWith (fun a b -> String.CompareOrdinal(a.Weight, b.Weight))
