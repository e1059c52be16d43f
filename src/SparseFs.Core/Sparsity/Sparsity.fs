namespace SparseFs

open System

/// <summary>From a sparsity to an exact number of slots, once; from then on the integer travels.</summary>
[<RequireQualifiedAccess>]
module Sparsity =

    /// The number of cells of a [rows, cols] matrix; it may exceed 2^31.
    let internal cells (rows: int) (cols: int) : int64 = int64 rows * int64 cols

    /// An array holds a pointer a row, and one more.
    let internal maxSize = Array.MaxLength - 1

    let internal isSize (size: int) = size >= 0 && size <= maxSize

    let internal checkSize (name: string) (size: int) =
        if not (isSize size) then
            raise (ArgumentOutOfRangeException(name, size, (invariant $"expected a size in 0..{maxSize}, got {size}")))

    let internal checkShape (rows: int) (cols: int) =
        checkSize "rows" rows
        checkSize "cols" cols

    let internal checkNnz (rows: int) (cols: int) (nnz: int) =
        checkShape rows cols

        if nnz < 0 || int64 nnz > cells rows cols then
            let expected =
                (invariant $"expected 0..{cells rows cols} slots in a [{rows}, {cols}] matrix")

            raise (ArgumentOutOfRangeException("nnz", nnz, (invariant $"{expected}, got {nnz}")))

    /// Why a number is no sparsity; who wrote a percentage is told the fraction.
    let internal refusal (sparsity: float) : string =
        let got = invariant $"expected a sparsity in [0, 1), got {sparsity}"

        match Percentage.cure sparsity with
        | "" -> got
        | cure -> $"{got}; sparsity is a fraction: {cure}"

    /// <exception cref="T:System.ArgumentOutOfRangeException">The number is outside [0, 1); it goes by that name.</exception>
    let internal check (name: string) (sparsity: float) =
        if not (sparsity >= 0.0 && sparsity < 1.0) then
            raise (ArgumentOutOfRangeException(name, sparsity, refusal sparsity))

    /// <summary>The largest sparsity that leaves one weight a row, to six places: 1 − 1/cols, rounded down.</summary>
    /// <param name="cols">1 or more.</param>
    let internal mostWithRows (cols: int) : decimal =
        Math.Floor((1m - 1m / decimal cols) * 1_000_000m) / 1_000_000m

    /// The exact decimal that the caller wrote: 1 - 0.9 is 0.1 here, where binary floats make it less and miss the ties.
    let internal density (sparsity: float) : decimal =
        check "sparsity" sparsity
        1m - decimal sparsity

    /// nnz / cells; 0 where there is no cell.
    let internal densityOf (nnz: int64) (cells: int64) : float =
        if cells = 0L then 0.0 else float nnz / float cells

    /// 1 − nnz / cells; 1 where there is no cell.
    let internal ofCount (nnz: int64) (cells: int64) : float = 1.0 - densityOf nnz cells

    let internal toNnz (what: string) (count: bigint) : int =
        if count > bigint Int32.MaxValue then
            let message =
                (invariant $"expected at most {Int32.MaxValue} slots, got {count} in {what}")

            raise (ArgumentOutOfRangeException("sparsity", message))

        int count

    /// <summary>The number of slots of a [rows, cols] matrix at a sparsity.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="sparsity">The part of the cells that is absent, in [0, 1), read as a decimal of 15 digits.</param>
    /// <returns>(1 − sparsity) · rows · cols, rounded half to even.</returns>
    /// <exception cref="T:System.ArgumentOutOfRangeException">A size is negative, the sparsity is outside [0, 1), or the
    /// count exceeds 2^31 − 1.</exception>
    /// <example><code>Sparsity.nnz 300 784 0.9 // = 23520</code></example>
    [<CompiledName "Nnz">]
    let nnz (rows: int) (cols: int) (sparsity: float) : int =
        checkShape rows cols

        Rounding.part (density sparsity) (bigint (cells rows cols))
        |> toNnz (invariant $"a [{rows}, {cols}] matrix at sparsity {sparsity}")

    /// <summary>As <c>nnz</c>, for the weights of a layer: a sparsity that leaves none is refused.</summary>
    /// <exception cref="T:System.ArgumentOutOfRangeException">As <c>nnz</c>, or no weight is left of the cells that there
    /// are; the message has a sparsity that leaves some.</exception>
    let internal nnzOfLayer (rows: int) (cols: int) (sparsity: float) : int =
        let slots = nnz rows cols sparsity

        if slots = 0 && cells rows cols > 0L then
            let got =
                invariant
                    $"expected a sparsity that leaves weights, got {sparsity}, which leaves none of the {cells rows cols}"

            let cure =
                invariant
                    $" of a layer [out_features, in_features] = [{rows}, {cols}]: at most {mostWithRows cols} leaves one a row"

            raise (ArgumentOutOfRangeException(nameof sparsity, sparsity, got + cure))

        slots

    /// <summary>The sparsity of a [rows, cols] matrix that has <paramref name="nnz"/> slots; 1 where there is no cell.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="nnz">Slots, 0..rows·cols.</param>
    /// <exception cref="T:System.ArgumentOutOfRangeException">A size is negative or nnz is outside 0..rows·cols.</exception>
    /// <example><code>Sparsity.ofNnz 300 784 6000 &lt; 0.98 // = true</code></example>
    [<CompiledName "OfNnz">]
    let ofNnz (rows: int) (cols: int) (nnz: int) : float =
        checkNnz rows cols nnz

        ofCount (int64 nnz) (cells rows cols)
