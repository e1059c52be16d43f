namespace SparseFs

open System
open System.Collections.Generic

/// <summary>Absent cells, drawn one after the other with chances in proportion to (d + 1)^−λ, d the cell's distance.</summary>
/// <remarks>Chances are integers, so that the same seed gives the same cells everywhere. A row is drawn by the weight that
/// its absent cells have left, then a column by the weights of all, again until it is an absent one.</remarks>
module internal DistanceGrowth =

    /// Sums.[d] = the weights of distances below d; scaled so that the sum over all cells stays below 2^62.
    let private sums (farthest: int64) (lambda: float) (cells: int64) : int64[] =
        let bits =
            max 0 (min 32 (61 - (64 - Numerics.BitOperations.LeadingZeroCount(uint64 cells))))

        let scale = float (1L <<< bits)
        let sums: int64[] = Array.zeroCreate (int farthest + 2)

        for d in 0 .. int farthest do
            let weight = ReproducibleMath.exp (-lambda * ReproducibleMath.ln (float (d + 1)))
            sums[d + 1] <- sums[d] + max 1L (int64 (scale * weight))

        sums

    /// One row's cells: columns left of its place and from it on.
    [<Sealed>]
    type private Row(sums: int64[], cols: int, place: int64) =
        // The place may lie outside the columns.
        let upTo (column: int64) =
            if column <= place then
                // Columns 0 .. column − 1 are at distances place − column + 1 .. place.
                sums[int place + 1] - sums[int (place - column) + 1]
            else
                let left = if place > 0L then sums[int place + 1] - sums[1] else 0L
                // From the first column at or behind the place on.
                let first = max 0L -place
                left + sums[int (column - 1L - place) + 1] - sums[int first]

        /// The weights of the columns before one.
        member _.UpTo(column: int) : int64 =
            if column = 0 then 0L else upTo (int64 column)

        member r.Total = r.UpTo cols

        member r.Weight(column: int) = r.UpTo(column + 1) - r.UpTo column

        /// The column at which the sum of weights passes a number below Total.
        member r.Find(number: int64) : int =
            let mutable low = 0
            let mutable high = cols - 1

            while low < high do
                let middle = low + (high - low) / 2

                if r.UpTo(middle + 1) > number then
                    high <- middle
                else
                    low <- middle + 1

            low

    /// After so many columns that were taken, the row's absent ones are listed.
    let private patience = 64

    [<Sealed>]
    type private Drawer(placement: Placement, lambda: float, taken: Connectivity, draws: Draws) =
        let rows, cols = taken.Rows, taken.Cols
        let placeOf = SmallWorld.placeOf placement rows cols

        let farthest =
            if rows = 0 || cols = 0 then
                0L
            else
                [ for row in [ 0; rows - 1 ] do
                      for col in [ 0; cols - 1 ] -> abs (int64 col - placeOf row) ]
                |> List.max

        let sums = sums farthest lambda (max 1L taken.Cells)
        let drawn = HashSet<int64>()
        let cell row col = int64 row * int64 cols + int64 col

        let isTaken (row: int) (col: int) =
            let first = taken.RowPtrArray[row]

            drawn.Contains(cell row col)
            || Array.BinarySearch(taken.ColIdxArray, first, taken.RowPtrArray[row + 1] - first, col)
               >= 0

        member _.Row(row: int) = Row(sums, cols, placeOf row)

        /// The weight of a row's absent cells.
        member d.Left(row: int) : int64 =
            let line = d.Row row
            let mutable left = line.Total

            for slot in taken.RowPtrArray[row] .. taken.RowPtrArray[row + 1] - 1 do
                left <- left - line.Weight taken.ColIdxArray[slot]

            left

        /// Draws an absent cell of a row that has one, and gives its weight.
        member d.Draw(row: int) : int64 =
            let line = d.Row row
            let mutable col = line.Find(draws.Below line.Total)
            let mutable tries = 1

            while isTaken row col && tries < patience do
                col <- line.Find(draws.Below line.Total)
                tries <- tries + 1

            if isTaken row col then
                let absent = [| 0 .. cols - 1 |] |> Array.filter (isTaken row >> not)
                let until = absent |> Array.scan (fun sum col -> sum + line.Weight col) 0L
                let number = draws.Below(Array.last until)
                col <- absent[Array.FindIndex(until, (fun sum -> sum > number)) - 1]

            drawn.Add(cell row col) |> ignore
            line.Weight col

        member _.Cells() : int64[] =
            let cells = Seq.toArray drawn
            Array.sortInPlace cells
            cells

    /// Count cells of the layer.
    let ofLayer (placement: Placement) (lambda: float) (taken: Connectivity) (count: int) (draws: Draws) : int64[] =
        let drawer = Drawer(placement, lambda, taken, draws)
        let urn = FenwickTree taken.Rows

        if count > 0 then
            for row in 0 .. taken.Rows - 1 do
                urn.Add(row, drawer.Left row)

        for _ in 1..count do
            let row = urn.Draw draws
            urn.Add(row, -(drawer.Draw row))

        drawer.Cells()

    /// So many cells of each row.
    let ofRows (placement: Placement) (lambda: float) (taken: Connectivity) (wanted: int[]) (draws: Draws) : int64[] =
        let drawer = Drawer(placement, lambda, taken, draws)

        for row in 0 .. taken.Rows - 1 do
            for _ in 1 .. wanted[row] do
                drawer.Draw row |> ignore

        drawer.Cells()
