namespace SparseFs

open System

/// <summary>Watts and Strogatz's small worlds, with rows over a ring of columns.</summary>
module internal WattsStrogatz =

    /// As Topology.wattsStrogatz.
    let pattern (rows: int) (cols: int) (fanIn: int) (beta: float) (seed: Seed) : Connectivity =
        Sparsity.checkShape rows cols
        DegreeSequence.checkAtMost (nameof fanIn) cols fanIn "the columns"
        DegreeSequence.checkTotal (nameof fanIn) rows fanIn

        if not (beta >= 0.0 && beta <= 1.0) then
            raise (
                ArgumentOutOfRangeException(nameof beta, beta, (invariant $"expected a chance in [0, 1], got {beta}"))
            )

        let draws = Draws seed
        let certain = 1L <<< 53
        let limit = int64 (beta * float certain)

        DegreeSequence.byRows rows cols fanIn (fun row ->
            let first = int64 row * int64 cols / int64 rows - int64 (fanIn / 2)
            // Places on the ring, counted from the first of the row's nearest columns.
            let mutable moved = 0

            for _ in 1..fanIn do
                if draws.Below certain < limit then
                    moved <- moved + 1

            let kept = SampleWithoutReplacement.distinct (int64 fanIn) (fanIn - moved) draws

            let others =
                SampleWithoutReplacement.distinct (int64 (cols - kept.Length)) moved draws

            let places = Array.append kept others
            let mutable before = 0

            // The others are counted among the places that are not kept.
            for i in 0 .. others.Length - 1 do
                while before < kept.Length && kept[before] <= others[i] + int64 before do
                    before <- before + 1

                places[kept.Length + i] <- others[i] + int64 before

            let columns =
                places
                |> Array.map (fun place -> int (((first + place) % int64 cols + int64 cols) % int64 cols))

            Array.sortInPlace columns
            columns)
