namespace SparseFs

open System

/// <summary>Connections that get rarer with distance.</summary>
/// <remarks>Cells with the same signed distance k, column − place of the row, form a class: a run of neighbouring rows, one
/// cell in each. So rows + cols classes stand for rows · cols cells.</remarks>
module internal SmallWorld =

    [<Struct>]
    type private Line =
        { Rows: int64
          Cols: int64
          Placement: Placement }

        /// The column that a row lies at.
        member l.Place(row: int64) : int64 =
            if l.Placement = Placement.Centred then
                row + ((l.Cols - l.Rows) >>> 1)
            else
                (2L * row + 1L) * l.Cols / (2L * l.Rows)

        /// The first row that lies at this column or behind it.
        member l.FirstRow(place: int64) : int64 =
            let row =
                if l.Placement = Placement.Centred then
                    place - ((l.Cols - l.Rows) >>> 1)
                else
                    // The least row with (2 row + 1) cols ≥ 2 rows place.
                    let over = 2L * l.Rows * place - l.Cols

                    if over <= 0L then
                        0L
                    else
                        (over + 2L * l.Cols - 1L) / (2L * l.Cols)

            max 0L (min l.Rows row)

        member l.Lowest = -(l.Place(l.Rows - 1L))
        member l.Highest = l.Cols - 1L - l.Place 0L

        /// The first row of a class, and how many rows it has.
        member l.Class(k: int64) : struct (int64 * int) =
            let first = l.FirstRow -k
            struct (first, int (max 0L (l.FirstRow(l.Cols - k) - first)))

    let checkPlacement (placement: Placement) =
        if not (Enum.IsDefined placement) then
            raise (ArgumentException((invariant $"expected Centred or Stretched, got {placement}"), nameof placement))

    /// The column that each row lies at; it may lie outside the columns.
    let placeOf (placement: Placement) (rows: int) (cols: int) : int -> int64 =
        checkPlacement placement

        let line =
            { Rows = int64 rows
              Cols = int64 cols
              Placement = placement }

        fun row -> line.Place(int64 row)

    /// Cells at each distance, from 0 to the largest.
    [<AggressiveOptimization>]
    let private sizes (line: Line) : float[] =
        let far = max (abs line.Lowest) (abs line.Highest)
        let count: float[] = Array.zeroCreate (int far + 1)

        for k in line.Lowest .. line.Highest do
            let struct (_, size) = line.Class k
            let distance = int (abs k)
            count[distance] <- count[distance] + float size

        count

    /// <summary>λ with Σ sizes[d] · (d + 1)^−λ = nnz.</summary>
    /// <remarks>Newton's method on the logarithm of the sum, which is convex and falls: from λ = 0 every step stays on
    /// the near side of the solution.</remarks>
    [<AggressiveOptimization>]
    let private solve (sizes: float[]) (logs: float[]) (nnz: float) : float =
        let mutable lambda = 0.0
        let mutable step = 1.0
        let mutable round = 0

        while abs step > 1e-13 * (1.0 + lambda) && round < 200 do
            let mutable sum = 0.0
            let mutable slope = 0.0

            for d in 0 .. sizes.Length - 1 do
                let term = sizes[d] * ReproducibleMath.exp (-lambda * logs[d])
                sum <- sum + term
                slope <- slope + term * logs[d]

            step <- ReproducibleMath.ln (sum / nnz) * sum / slope
            lambda <- max 0.0 (lambda + step)
            round <- round + 1

        lambda

    /// <summary>The chance of a cell at each distance: min(1, c · (d + 1)^−λ), with the c that makes their sum nnz.</summary>
    /// <remarks>Weights fall with distance, so those that would exceed 1 come first. All are relative to the first that does
    /// not, or a large λ would leave none above zero.</remarks>
    let private chances (sizes: float[]) (logs: float[]) (lambda: float) (nnz: float) : float[] =
        let relative d first =
            ReproducibleMath.exp (-lambda * (logs[d] - logs[first]))

        // rest[d] = the sum of all weights from d on, relative to that of d.
        let rest = Array.copy sizes

        for d in sizes.Length - 2 .. -1 .. 0 do
            rest[d] <- sizes[d] + rest[d + 1] * relative (d + 1) d

        let mutable certain = 0
        let mutable left = nnz

        while certain < sizes.Length && left > rest[certain] do
            left <- left - sizes[certain]
            certain <- certain + 1

        Array.init sizes.Length (fun d ->
            if d < certain then
                1.0
            else
                left / rest[certain] * relative d certain)

    /// <summary>Exactly nnz cells: how many of each class, then which.</summary>
    /// <remarks>Systematic sampling (one draw for all classes) of the classes' expected counts: each class gets its
    /// expected count rounded down or up, and every cell is drawn with exactly its chance.</remarks>
    [<AggressiveOptimization>]
    let private draw (line: Line) (chance: float[]) (nnz: int) (draws: Draws) : int64[] =
        let mutable expected = 0.0

        for k in line.Lowest .. line.Highest do
            let struct (_, size) = line.Class k
            expected <- expected + float size * chance[int (abs k)]

        // Rounding: the sum is nnz but for a part in 1e12, and may not lag behind by that.
        let scale = float nnz / expected

        let start =
            float (draws.Next() >>> 11) * (1.0 / 9007199254740992.0) + 1e-12 * float nnz

        let cells: int64[] = Array.zeroCreate nnz
        let mutable sum = 0.0
        let mutable drawn = 0

        for k in line.Lowest .. line.Highest do
            let struct (first, size) = line.Class k
            sum <- sum + float size * chance[int (abs k)] * scale

            let upTo =
                if k = line.Highest then
                    nnz
                else
                    min nnz (int (Math.Floor(sum + start)))

            // What a full class cannot take goes to the next.
            let count = max 0 (min size (upTo - drawn))

            for row in SampleWithoutReplacement.distinct (int64 size) count draws do
                let row = first + row
                cells[drawn] <- row * line.Cols + line.Place row + k
                drawn <- drawn + 1

        if drawn < nnz then
            invalidOp (invariant $"drew {drawn} of {nnz} cells") // cannot be: the chances add up to nnz, and none exceeds 1

        cells

    /// The pattern; lambda is solved where it is not given.
    let pattern (placement: Placement) (lambda: float voption) rows cols nnz (seed: Seed) : Connectivity =
        Sparsity.checkNnz rows cols nnz
        checkPlacement placement

        match lambda with
        | ValueSome value when not (value >= 0.0 && value <= 1000.0) ->
            raise (
                ArgumentOutOfRangeException(nameof lambda, value, (invariant $"expected λ in [0, 1000], got {value}"))
            )
        | _ -> ()

        if nnz = 0 || int64 nnz = Sparsity.cells rows cols then
            Connectivity.ofSortedCells rows cols (Array.init nnz int64)
        else
            let line =
                { Rows = int64 rows
                  Cols = int64 cols
                  Placement = placement }

            let sizes = sizes line

            if lambda.IsNone && float nnz < sizes[0] then
                let message =
                    (invariant
                        $"expected at least {sizes[0]} slots, the cells at distance 0, whose chance is 1 whatever λ is; got {nnz}")

                raise (ArgumentOutOfRangeException(nameof nnz, nnz, message))

            let chance =
                if lambda.IsNone && float nnz = sizes[0] then
                    Array.init sizes.Length (fun d -> if d = 0 then 1.0 else 0.0)
                else
                    let logs = Array.init sizes.Length (fun d -> ReproducibleMath.ln (float (d + 1)))

                    let lambda =
                        match lambda with
                        | ValueSome value -> value
                        | ValueNone -> solve sizes logs (float nnz)

                    chances sizes logs lambda (float nnz)

            draw line chance nnz (Draws seed)
            |> SampleWithoutReplacement.sorted (Sparsity.cells rows cols)
            |> Connectivity.ofSortedCells rows cols
