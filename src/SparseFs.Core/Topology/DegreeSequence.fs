namespace SparseFs

open System

/// Patterns by their fan-ins and fan-outs.
module internal DegreeSequence =

    let checkAtMost (name: string) (most: int) (value: int) (what: string) =
        if value < 0 || value > most then
            raise (ArgumentOutOfRangeException(name, value, (invariant $"expected 0..{most} ({what}), got {value}")))

    let checkTotal (name: string) (lines: int) (each: int) =
        if int64 lines * int64 each > int64 Int32.MaxValue then
            let message =
                (invariant $"expected at most {Int32.MaxValue} slots, got {lines} times {each}")

            raise (ArgumentOutOfRangeException(name, each, message))

    /// Columns of all rows, one row after the other, fanIn of each.
    let private columnsOf (rows: int) (fanIn: int) (columns: int -> int[]) : int[] =
        let colIdx: int[] = Array.zeroCreate (rows * fanIn)

        for row in 0 .. rows - 1 do
            (columns row).CopyTo(colIdx, row * fanIn)

        colIdx

    /// A pattern of such columns, rising in each row; the array becomes the pattern's.
    let private ofColumns (rows: int) (cols: int) (fanIn: int) (colIdx: int[]) : Connectivity =
        Connectivity.ofTrusted rows cols (Array.init (rows + 1) (fun row -> row * fanIn)) colIdx

    /// Each row's columns, rising, fanIn of them.
    let byRows (rows: int) (cols: int) (fanIn: int) (columns: int -> int[]) : Connectivity =
        ofColumns rows cols fanIn (columnsOf rows fanIn columns)

    /// As Topology.biregular.
    let biregular (rows: int) (cols: int) (fanIn: int) (seed: Seed) : Connectivity =
        Sparsity.checkShape rows cols
        checkAtMost (nameof fanIn) cols fanIn "the columns"
        checkTotal (nameof fanIn) rows fanIn

        if cols > 0 && int64 rows * int64 fanIn % int64 cols <> 0L then
            let message =
                (invariant $"expected {rows} times fanIn to be a multiple of the {cols} columns, got {fanIn}")

            raise (ArgumentOutOfRangeException(nameof fanIn, fanIn, message))

        let draws = Draws seed
        let order = Curveball.permutation cols draws

        // Dealt round the ring of columns, each gets its share and no row the same twice.
        let colIdx =
            columnsOf rows fanIn (fun row ->
                let first = int64 row * int64 fanIn

                Array.init fanIn (fun i -> order[int ((first + int64 i) % int64 cols)])
                |> Array.sort)

        Curveball.shuffle rows fanIn colIdx draws
        ofColumns rows cols fanIn colIdx

    /// Weights of the urn are multiples of 2^-16, so that only integers decide.
    let private urnScale = 65536.0

    /// <summary>Fan-outs by preferential attachment: few columns have many slots, most have few.</summary>
    /// <remarks>Columns come in one by one, evenly over the slots, each with one slot; every other slot falls on a column
    /// that is there with a chance in proportion to fan-out + attraction, unless it is full.</remarks>
    let private attached (rows: int) (cols: int) (nnz: int) (attraction: float) (draws: Draws) : int[] =
        let fanOut: int[] = Array.zeroCreate cols
        let order = Curveball.permutation cols draws
        let urn = FenwickTree cols
        let mutable entered = 0

        for slot in 0 .. nnz - 1 do
            // Column number i comes in with slot number ⌊i · nnz / cols⌋, or earlier if all others are full.
            let isDue = entered < cols && int64 slot * int64 cols >= int64 entered * int64 nnz

            let col =
                if isDue || urn.Total = 0L then
                    entered <- entered + 1
                    let col = order[entered - 1]
                    urn.Add(col, int64 ((1.0 + attraction) * urnScale))
                    col
                else
                    let col = urn.Draw draws
                    urn.Add(col, int64 urnScale)
                    col

            fanOut[col] <- fanOut[col] + 1

            if fanOut[col] = rows then
                let own = int64 ((1.0 + attraction) * urnScale) + int64 (rows - 1) * int64 urnScale
                urn.Add(col, -own)

        fanOut

    /// As Topology.scaleFree.
    let scaleFree (rows: int) (cols: int) (nnz: int) (exponent: float) (seed: Seed) : Connectivity =
        Sparsity.checkNnz rows cols nnz

        if nnz > 0 && nnz < cols then
            let message =
                (invariant $"expected 0, or at least one slot for each of the {cols} columns, got {nnz}")

            raise (ArgumentOutOfRangeException(nameof nnz, nnz, message))

        if not (exponent > 2.0 && exponent <= 100.0) then
            raise (
                ArgumentOutOfRangeException(
                    nameof exponent,
                    exponent,
                    (invariant $"expected γ in (2, 100], got {exponent}")
                )
            )

        if nnz = 0 then
            Connectivity.empty rows cols
        else
            let draws = Draws seed
            let attraction = (exponent - 2.0) * (float nnz / float cols - 1.0) - 1.0
            let fanOut = attached rows cols nnz attraction draws
            let columnPtr = Array.scan (+) 0 fanOut
            let rowIdx: int[] = Array.zeroCreate nnz

            for col in 0 .. cols - 1 do
                let ofColumn = SampleWithoutReplacement.distinct (int64 rows) fanOut[col] draws

                for i in 0 .. ofColumn.Length - 1 do
                    rowIdx[columnPtr[col] + i] <- int ofColumn[i]

            fst (Connectivity.transpose (Connectivity.ofTrusted cols rows columnPtr rowIdx))
