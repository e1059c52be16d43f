namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>As Spmm, for groups of 'G rows that share their columns: each input is loaded once for all of them.</summary>
/// <remarks>One sum for each row and vector, in order of the slots: 'G times the vectors taken at once are enough not to wait
/// for each other. Oracle: the dense product in float64, Wanted.spmm of the tests.</remarks>
module internal SpmmRowGroups =

    /// One group and 'P of the tile's 'K vectors: as many as there are registers for their sums.
    [<AggressiveOptimization>]
    let private group<'L, 'V, 'K, 'G, 'P, 'I
        when 'L: struct
        and 'L :> ISimdVector<'V>
        and 'V: struct
        and 'K: struct
        and 'K :> ICount
        and 'G: struct
        and 'G :> ICount
        and 'P: struct
        and 'P :> ICount
        and 'I: struct
        and 'I :> IInputs>
        (g: inref<RowGroup>)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (y: nativeptr<float32>)
        (apart: int64)
        (tiles: PixelTiles)
        (isSecondHalf: bool)
        =
        let lanes = 'L.Count
        let width = 'I.Apart(int64 ('K.Count * lanes))
        let w0 = Pointer.at values g.First0
        let w1 = Pointer.at values g.First1
        let w2 = Pointer.at values g.First2
        let w3 = Pointer.at values g.First3
        let cols, count = g.Cols, g.Count
        let mutable t = 0

        while t < tiles.Count do
            let place =
                if 'I.AreTiles then
                    PixelTiles.behindEachOther lanes
                elif isSecondHalf then
                    PixelTiles.secondHalf (NativePtr.read (Pointer.at tiles.First (int64 t)))
                else
                    NativePtr.read (Pointer.at tiles.First (int64 t))

            let from, into = Pointer.at tile place.In0, Pointer.at y place.Out0

            let in1, in2, in3 =
                place.In1 - place.In0, place.In2 - place.In0, place.In3 - place.In0

            let out1, out2, out3 =
                place.Out1 - place.Out0, place.Out2 - place.Out0, place.Out3 - place.Out0

            let mutable a0 = 'L.Zero
            let mutable a1 = 'L.Zero
            let mutable a2 = 'L.Zero
            let mutable a3 = 'L.Zero
            let mutable b0 = 'L.Zero
            let mutable b1 = 'L.Zero
            let mutable b2 = 'L.Zero
            let mutable b3 = 'L.Zero
            let mutable c0 = 'L.Zero
            let mutable c1 = 'L.Zero
            let mutable c2 = 'L.Zero
            let mutable c3 = 'L.Zero
            let mutable d0 = 'L.Zero
            let mutable d1 = 'L.Zero
            let mutable d2 = 'L.Zero
            let mutable d3 = 'L.Zero

            // Sums that a narrow tile has not cost nothing.
            if not (Pointer.isNull bias) then
                a0 <- 'L.Broadcast(Pointer.get bias 0)
                a1 <- a0
                a2 <- a0
                a3 <- a0
                b0 <- 'L.Broadcast(Pointer.get bias 1)
                b1 <- b0
                b2 <- b0
                b3 <- b0

                if 'G.Count > 2 then
                    c0 <- 'L.Broadcast(Pointer.get bias 2)
                    c1 <- c0
                    c2 <- c0
                    c3 <- c0
                    d0 <- 'L.Broadcast(Pointer.get bias 3)
                    d1 <- d0
                    d2 <- d0
                    d3 <- d0

            let mutable k = 0

            while k < count do
                let x = Pointer.at from (int64 (Pointer.get cols k) * width)
                let x0 = 'L.Load x

                let x1 = if 'P.Count > 1 then 'L.Load(Pointer.at x in1) else x0

                let x2 = if 'P.Count > 2 then 'L.Load(Pointer.at x in2) else x0

                let x3 = if 'P.Count > 3 then 'L.Load(Pointer.at x in3) else x0

                let w = 'L.Broadcast(Pointer.get w0 k)
                a0 <- 'L.MultiplyAdd(w, x0, a0)

                if 'P.Count > 1 then
                    a1 <- 'L.MultiplyAdd(w, x1, a1)

                if 'P.Count > 2 then
                    a2 <- 'L.MultiplyAdd(w, x2, a2)

                if 'P.Count > 3 then
                    a3 <- 'L.MultiplyAdd(w, x3, a3)

                let w = 'L.Broadcast(Pointer.get w1 k)
                b0 <- 'L.MultiplyAdd(w, x0, b0)

                if 'P.Count > 1 then
                    b1 <- 'L.MultiplyAdd(w, x1, b1)

                if 'P.Count > 2 then
                    b2 <- 'L.MultiplyAdd(w, x2, b2)

                if 'P.Count > 3 then
                    b3 <- 'L.MultiplyAdd(w, x3, b3)

                if 'G.Count > 2 then
                    let w = 'L.Broadcast(Pointer.get w2 k)
                    c0 <- 'L.MultiplyAdd(w, x0, c0)

                    if 'P.Count > 1 then
                        c1 <- 'L.MultiplyAdd(w, x1, c1)

                    if 'P.Count > 2 then
                        c2 <- 'L.MultiplyAdd(w, x2, c2)

                    if 'P.Count > 3 then
                        c3 <- 'L.MultiplyAdd(w, x3, c3)

                if 'G.Count > 2 then
                    let w = 'L.Broadcast(Pointer.get w3 k)
                    d0 <- 'L.MultiplyAdd(w, x0, d0)

                    if 'P.Count > 1 then
                        d1 <- 'L.MultiplyAdd(w, x1, d1)

                    if 'P.Count > 2 then
                        d2 <- 'L.MultiplyAdd(w, x2, d2)

                    if 'P.Count > 3 then
                        d3 <- 'L.MultiplyAdd(w, x3, d3)

                k <- k + 1

            'L.Store(into, a0)

            if 'P.Count > 1 then
                'L.Store(Pointer.at into out1, a1)

            if 'P.Count > 2 then
                'L.Store(Pointer.at into out2, a2)

            if 'P.Count > 3 then
                'L.Store(Pointer.at into out3, a3)

            'L.Store(Pointer.at into (1L * apart), b0)

            if 'P.Count > 1 then
                'L.Store(Pointer.at into (1L * apart + out1), b1)

            if 'P.Count > 2 then
                'L.Store(Pointer.at into (1L * apart + out2), b2)

            if 'P.Count > 3 then
                'L.Store(Pointer.at into (1L * apart + out3), b3)

            if 'G.Count > 2 then
                'L.Store(Pointer.at into (2L * apart), c0)

            if 'G.Count > 2 && 'P.Count > 1 then
                'L.Store(Pointer.at into (2L * apart + out1), c1)

            if 'G.Count > 2 && 'P.Count > 2 then
                'L.Store(Pointer.at into (2L * apart + out2), c2)

            if 'G.Count > 2 && 'P.Count > 3 then
                'L.Store(Pointer.at into (2L * apart + out3), c3)

            if 'G.Count > 2 then
                'L.Store(Pointer.at into (3L * apart), d0)

            if 'G.Count > 2 && 'P.Count > 1 then
                'L.Store(Pointer.at into (3L * apart + out1), d1)

            if 'G.Count > 2 && 'P.Count > 2 then
                'L.Store(Pointer.at into (3L * apart + out2), d2)

            if 'G.Count > 2 && 'P.Count > 3 then
                'L.Store(Pointer.at into (3L * apart + out3), d3)

            t <- t + 1

    /// Whole groups of some rows, which begin with a group.
    [<AggressiveOptimization>]
    let rows<'L, 'V, 'K, 'G, 'I
        when 'L: struct
        and 'L :> ISimdVector<'V>
        and 'V: struct
        and 'K: struct
        and 'K :> ICount
        and 'G: struct
        and 'G :> ICount
        and 'I: struct
        and 'I :> IInputs>
        (p: CsrView)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (rows: RowRange)
        (y: nativeptr<float32>)
        (apart: int64)
        (tiles: PixelTiles)
        =
        let lanes = int64 'L.Count
        let fourAtOnce = 'L.Count >= 16 || 'G.Count < 4

        RowGroup.each<'G> p rows (fun row g ->
            let bias =
                if Pointer.isNull bias then
                    bias
                else
                    Pointer.at bias (int64 row)

            let y = Pointer.at y (int64 (row - rows.From) * apart)

            // Sixteen registers hold the sums of four rows by two vectors, or by three without another, thirty-two those of four by
            // four. One condition a branch: F# makes a method of its own of branches within branches.
            if 'K.Count = 1 then
                group<'L, 'V, 'K, 'G, One, 'I> &g values bias tile y apart tiles false

            if 'K.Count = 2 then
                group<'L, 'V, 'K, 'G, Two, 'I> &g values bias tile y apart tiles false

            if 'K.Count = 3 || 'K.Count = 5 then
                group<'L, 'V, 'K, 'G, Three, 'I> &g values bias tile y apart tiles false

            if 'K.Count = 5 then
                group<'L, 'V, 'K, 'G, Two, 'I>
                    &g
                    values
                    bias
                    (Pointer.at tile (3L * lanes))
                    (Pointer.at y (3L * lanes))
                    apart
                    tiles
                    false

            if 'K.Count = 4 && fourAtOnce then
                group<'L, 'V, 'K, 'G, Four, 'I> &g values bias tile y apart tiles false

            // Both halves of a tile before the next one: in narrow rows what a vector has too many is what the next one overwrites.
            if 'K.Count = 4 && not fourAtOnce then
                for t in 0 .. tiles.Count - 1 do
                    let one =
                        { First = Pointer.at tiles.First (int64 t)
                          Count = 1 }

                    group<'L, 'V, 'K, 'G, Two, 'I> &g values bias tile y apart one false

                    group<'L, 'V, 'K, 'G, Two, 'I>
                        &g
                        values
                        bias
                        (Pointer.at tile (if 'I.AreTiles then 2L * lanes else 0L))
                        (Pointer.at y (if 'I.AreTiles then 2L * lanes else 0L))
                        apart
                        one
                        true)
