namespace SparseFs

open System

/// <summary>Patterns to bytes and back, in the form that takes the fewest.</summary>
[<RequireQualifiedAccess>]
module internal CompactPattern =

    let private forms = [ PatternForm.Deltas; PatternForm.Offsets; PatternForm.Bitmap ]

    let private sizes (form: PatternForm) (group: int) (pattern: Connectivity) : struct (int64 * int64) =
        CompactGroups.check group pattern

        match form with
        | PatternForm.Deltas -> ColumnDeltas.sizes group pattern
        | PatternForm.Offsets -> ColumnOffsets.sizes group pattern
        | _ -> ColumnBitmap.sizes group pattern

    /// <summary>Bytes of a pattern in a form, exactly.</summary>
    /// <exception cref="T:System.ArgumentException">The pattern's rows do not share their columns in such groups.</exception>
    let size (form: PatternForm) (group: int) (pattern: Connectivity) : int64 =
        let struct (counts, columns) = sizes form group pattern
        counts + columns

    /// <summary>The form of the fewest bytes, and the rows of its groups: the most that share their columns, up to 16. Of equal forms the
    /// first.</summary>
    let choose (pattern: Connectivity) : struct (PatternForm * int) =
        let group = CompactGroups.sizeOf pattern
        struct (forms |> List.minBy (fun form -> size form group pattern), group)

    /// <summary>A pattern in a form.</summary>
    /// <exception cref="T:System.ArgumentException">The pattern's rows do not share their columns in such groups, or the form takes more
    /// bytes than an array has.</exception>
    let encode (form: PatternForm) (group: int) (pattern: Connectivity) : EncodedPattern =
        let struct (countBytes, columnBytes) = sizes form group pattern

        if max countBytes columnBytes > int64 Array.MaxLength then
            let message =
                invariant
                    $"expected a form of at most {Array.MaxLength} bytes, got {max countBytes columnBytes}: choose another"

            raise (ArgumentException(message, nameof form))

        let counts: byte[] = Array.zeroCreate (int countBytes)
        let columns: byte[] = Array.zeroCreate (int columnBytes)

        match form with
        | PatternForm.Deltas -> ColumnDeltas.write group pattern counts columns
        | PatternForm.Offsets -> ColumnOffsets.write group pattern counts columns
        | _ -> ColumnBitmap.write group pattern counts columns

        { Form = form
          Group = group
          Counts = counts
          Columns = columns }

    /// <summary>A pattern from bytes of a file, or what is wrong with them.</summary>
    /// <param name="rows">out_features, as the file says.</param>
    /// <param name="cols">in_features, as the file says.</param>
    /// <param name="nnz">Slots: as many as there are values.</param>
    /// <param name="encoded">What was read.</param>
    /// <returns>What was encoded.</returns>
    /// <remarks>Before memory is taken for columns, the counts are seen to make nnz slots, and the bytes to be as many as those need. A
    /// byte of the counts or of a bitmap stands for 16 rows at most, and one of the columns for 16 slots, or 128 of a bitmap.</remarks>
    let decode (rows: int) (cols: int) (nnz: int) (encoded: EncodedPattern) : Result<Connectivity, CompactError> =
        let refuse (expected: string) (got: string) =
            Error(CompactError.at "pattern" 0 expected got)

        if not (Sparsity.isSize rows && Sparsity.isSize cols) || nnz < 0 then
            refuse
                (invariant $"sizes in 0..{Sparsity.maxSize} and 0 slots or more")
                (invariant $"[{rows}, {cols}] with {nnz} slots")
        elif encoded.Group < 1 || encoded.Group > CompactGroups.Most then
            refuse (invariant $"1..{CompactGroups.Most} rows of a group") (invariant $"{encoded.Group}")
        else
            match encoded.Form with
            | PatternForm.Deltas -> ColumnDeltas.read rows cols nnz encoded
            | PatternForm.Offsets -> ColumnOffsets.read rows cols nnz encoded
            | PatternForm.Bitmap -> ColumnBitmap.read rows cols nnz encoded
            | other -> refuse "deltas, offsets or a bitmap" (invariant $"form {int other}")
