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
        (g: RowGroup)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (y: nativeptr<float32>)
        (apart: int64)
        (places: VectorPlaces)
        =
        let lanes = 'L.Count
        let in1 = if 'I.AreTiles then int64 (1 * lanes) else places.In1
        let in2 = if 'I.AreTiles then int64 (2 * lanes) else places.In2
        let in3 = if 'I.AreTiles then int64 (3 * lanes) else places.In3
        let out1 = if 'I.AreTiles then int64 (1 * lanes) else places.Out1
        let out2 = if 'I.AreTiles then int64 (2 * lanes) else places.Out2
        let out3 = if 'I.AreTiles then int64 (3 * lanes) else places.Out3
        let width = 'I.Apart(int64 ('K.Count * lanes))
        let w0 = Pointer.at values g.First0
        let w1 = Pointer.at values g.First1
        let w2 = Pointer.at values g.First2
        let w3 = Pointer.at values g.First3
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

        if not (Pointer.isNull bias) then
            a0 <- 'L.Broadcast(Pointer.get bias 0)

            if 'P.Count > 1 then
                a1 <- a0

            if 'P.Count > 2 then
                a2 <- a0

            if 'P.Count > 3 then
                a3 <- a0

            b0 <- 'L.Broadcast(Pointer.get bias 1)

            if 'P.Count > 1 then
                b1 <- b0

            if 'P.Count > 2 then
                b2 <- b0

            if 'P.Count > 3 then
                b3 <- b0

            if 'G.Count > 2 then
                c0 <- 'L.Broadcast(Pointer.get bias 2)

            if 'G.Count > 2 && 'P.Count > 1 then
                c1 <- c0

            if 'G.Count > 2 && 'P.Count > 2 then
                c2 <- c0

            if 'G.Count > 2 && 'P.Count > 3 then
                c3 <- c0

            if 'G.Count > 2 then
                d0 <- 'L.Broadcast(Pointer.get bias 3)

            if 'G.Count > 2 && 'P.Count > 1 then
                d1 <- d0

            if 'G.Count > 2 && 'P.Count > 2 then
                d2 <- d0

            if 'G.Count > 2 && 'P.Count > 3 then
                d3 <- d0

        let mutable k = 0

        while k < g.Count do
            let x = Pointer.at tile (int64 (Pointer.get g.Cols k) * width)
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

        'L.Store(y, a0)

        if 'P.Count > 1 then
            'L.Store(Pointer.at y out1, a1)

        if 'P.Count > 2 then
            'L.Store(Pointer.at y out2, a2)

        if 'P.Count > 3 then
            'L.Store(Pointer.at y out3, a3)

        'L.Store(Pointer.at y (1L * apart), b0)

        if 'P.Count > 1 then
            'L.Store(Pointer.at y (1L * apart + out1), b1)

        if 'P.Count > 2 then
            'L.Store(Pointer.at y (1L * apart + out2), b2)

        if 'P.Count > 3 then
            'L.Store(Pointer.at y (1L * apart + out3), b3)

        if 'G.Count > 2 then
            'L.Store(Pointer.at y (2L * apart), c0)

        if 'G.Count > 2 && 'P.Count > 1 then
            'L.Store(Pointer.at y (2L * apart + out1), c1)

        if 'G.Count > 2 && 'P.Count > 2 then
            'L.Store(Pointer.at y (2L * apart + out2), c2)

        if 'G.Count > 2 && 'P.Count > 3 then
            'L.Store(Pointer.at y (2L * apart + out3), c3)

        if 'G.Count > 2 then
            'L.Store(Pointer.at y (3L * apart), d0)

        if 'G.Count > 2 && 'P.Count > 1 then
            'L.Store(Pointer.at y (3L * apart + out1), d1)

        if 'G.Count > 2 && 'P.Count > 2 then
            'L.Store(Pointer.at y (3L * apart + out2), d2)

        if 'G.Count > 2 && 'P.Count > 3 then
            'L.Store(Pointer.at y (3L * apart + out3), d3)

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
        (places: VectorPlaces)
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
                group<'L, 'V, 'K, 'G, One, 'I> g values bias tile y apart places

            if 'K.Count = 2 then
                group<'L, 'V, 'K, 'G, Two, 'I> g values bias tile y apart places

            if 'K.Count = 3 || 'K.Count = 5 then
                group<'L, 'V, 'K, 'G, Three, 'I> g values bias tile y apart places

            if 'K.Count = 5 then
                group<'L, 'V, 'K, 'G, Two, 'I>
                    g
                    values
                    bias
                    (Pointer.at tile (3L * lanes))
                    (Pointer.at y (3L * lanes))
                    apart
                    places

            if 'K.Count = 4 && fourAtOnce then
                group<'L, 'V, 'K, 'G, Four, 'I> g values bias tile y apart places

            if 'K.Count = 4 && not fourAtOnce then
                group<'L, 'V, 'K, 'G, Two, 'I> g values bias tile y apart places

                group<'L, 'V, 'K, 'G, Two, 'I>
                    g
                    values
                    bias
                    (Pointer.at tile (if 'I.AreTiles then 2L * lanes else places.In2))
                    (Pointer.at y (if 'I.AreTiles then 2L * lanes else places.Out2))
                    apart
                    places.SecondHalf)
