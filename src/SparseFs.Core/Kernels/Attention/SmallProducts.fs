namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536" // lanes are used as type arguments only

open Microsoft.FSharp.NativeInterop
open SparseFs

/// A dense matrix of which single numbers are read: row i and column k at i · Row + k · Column.
[<Struct>]
type internal StridedView =
    { Data: nativeptr<float32>
      Row: int64
      Column: int64 }

/// <summary>c = a · b, or that added to c, for matrices that stay in the near memory.</summary>
/// <remarks>a is [rows, depth], of any strides; b [depth, W] and c [rows, W] are whole vectors wide, and c overlaps nothing. Order of summation: along
/// the depth in turn. Oracle: the operations in float64, in the tests of attention.</remarks>
module internal SmallProducts =

    let inline private put<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (accumulate: bool)
        (c: nativeptr<float32>)
        (sum: 'V)
        =
        'L.Store(c, (if accumulate then 'L.Add('L.Load c, sum) else sum))

    /// Four rows, or one, by 'P vectors.
    [<AggressiveOptimization>]
    let private block<'L, 'V, 'G, 'P
        when 'L: struct
        and 'L :> ISimdVector<'V>
        and 'V: struct
        and 'G: struct
        and 'G :> ICount
        and 'P: struct
        and 'P :> ICount>
        (a: nativeptr<float32>)
        (aRow: int64)
        (aColumn: int64)
        (b: nativeptr<float32>)
        (bRow: int64)
        (depth: int)
        (accumulate: bool)
        (c: nativeptr<float32>)
        (cRow: int64)
        =
        let lanes = int64 'L.Count
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
        let mutable from = a
        let mutable x = b
        let mutable k = 0

        while k < depth do
            let x0 = 'L.Load x
            let x1 = if 'P.Count > 1 then 'L.Load(Pointer.at x lanes) else x0

            let x2 =
                if 'P.Count > 2 then
                    'L.Load(Pointer.at x (2L * lanes))
                else
                    x0

            let x3 =
                if 'P.Count > 3 then
                    'L.Load(Pointer.at x (3L * lanes))
                else
                    x0

            let w = 'L.Broadcast(NativePtr.read from)
            a0 <- 'L.MultiplyAdd(w, x0, a0)

            if 'P.Count > 1 then
                a1 <- 'L.MultiplyAdd(w, x1, a1)

            if 'P.Count > 2 then
                a2 <- 'L.MultiplyAdd(w, x2, a2)

            if 'P.Count > 3 then
                a3 <- 'L.MultiplyAdd(w, x3, a3)

            if 'G.Count > 1 then
                let w = 'L.Broadcast(NativePtr.read (Pointer.at from aRow))
                b0 <- 'L.MultiplyAdd(w, x0, b0)

                if 'P.Count > 1 then
                    b1 <- 'L.MultiplyAdd(w, x1, b1)

                if 'P.Count > 2 then
                    b2 <- 'L.MultiplyAdd(w, x2, b2)

                if 'P.Count > 3 then
                    b3 <- 'L.MultiplyAdd(w, x3, b3)

            if 'G.Count > 2 then
                let w = 'L.Broadcast(NativePtr.read (Pointer.at from (2L * aRow)))
                c0 <- 'L.MultiplyAdd(w, x0, c0)

                if 'P.Count > 1 then
                    c1 <- 'L.MultiplyAdd(w, x1, c1)

                if 'P.Count > 2 then
                    c2 <- 'L.MultiplyAdd(w, x2, c2)

                if 'P.Count > 3 then
                    c3 <- 'L.MultiplyAdd(w, x3, c3)

            if 'G.Count > 3 then
                let w = 'L.Broadcast(NativePtr.read (Pointer.at from (3L * aRow)))
                d0 <- 'L.MultiplyAdd(w, x0, d0)

                if 'P.Count > 1 then
                    d1 <- 'L.MultiplyAdd(w, x1, d1)

                if 'P.Count > 2 then
                    d2 <- 'L.MultiplyAdd(w, x2, d2)

                if 'P.Count > 3 then
                    d3 <- 'L.MultiplyAdd(w, x3, d3)

            from <- Pointer.at from aColumn
            x <- Pointer.at x bRow
            k <- k + 1

        put<'L, 'V> accumulate c a0

        if 'P.Count > 1 then
            put<'L, 'V> accumulate (Pointer.at c lanes) a1

        if 'P.Count > 2 then
            put<'L, 'V> accumulate (Pointer.at c (2L * lanes)) a2

        if 'P.Count > 3 then
            put<'L, 'V> accumulate (Pointer.at c (3L * lanes)) a3

        if 'G.Count > 1 then
            put<'L, 'V> accumulate (Pointer.at c cRow) b0

        if 'G.Count > 1 && 'P.Count > 1 then
            put<'L, 'V> accumulate (Pointer.at c (cRow + lanes)) b1

        if 'G.Count > 1 && 'P.Count > 2 then
            put<'L, 'V> accumulate (Pointer.at c (cRow + 2L * lanes)) b2

        if 'G.Count > 1 && 'P.Count > 3 then
            put<'L, 'V> accumulate (Pointer.at c (cRow + 3L * lanes)) b3

        if 'G.Count > 2 then
            put<'L, 'V> accumulate (Pointer.at c (2L * cRow)) c0

        if 'G.Count > 2 && 'P.Count > 1 then
            put<'L, 'V> accumulate (Pointer.at c (2L * cRow + lanes)) c1

        if 'G.Count > 2 && 'P.Count > 2 then
            put<'L, 'V> accumulate (Pointer.at c (2L * cRow + 2L * lanes)) c2

        if 'G.Count > 2 && 'P.Count > 3 then
            put<'L, 'V> accumulate (Pointer.at c (2L * cRow + 3L * lanes)) c3

        if 'G.Count > 3 then
            put<'L, 'V> accumulate (Pointer.at c (3L * cRow)) d0

        if 'G.Count > 3 && 'P.Count > 1 then
            put<'L, 'V> accumulate (Pointer.at c (3L * cRow + lanes)) d1

        if 'G.Count > 3 && 'P.Count > 2 then
            put<'L, 'V> accumulate (Pointer.at c (3L * cRow + 2L * lanes)) d2

        if 'G.Count > 3 && 'P.Count > 3 then
            put<'L, 'V> accumulate (Pointer.at c (3L * cRow + 3L * lanes)) d3

    /// All rows by 'P vectors.
    [<AggressiveOptimization>]
    let private columns<'L, 'V, 'P
        when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct and 'P: struct and 'P :> ICount>
        (a: StridedView)
        (b: nativeptr<float32>)
        (bRow: int64)
        (rows: int)
        (depth: int)
        (accumulate: bool)
        (c: nativeptr<float32>)
        (cRow: int64)
        =
        let mutable row = 0

        while row + 4 <= rows do
            let from, into =
                Pointer.at a.Data (int64 row * a.Row), Pointer.at c (int64 row * cRow)

            block<'L, 'V, Four, 'P> from a.Row a.Column b bRow depth accumulate into cRow
            row <- row + 4

        while row < rows do
            let from, into =
                Pointer.at a.Data (int64 row * a.Row), Pointer.at c (int64 row * cRow)

            block<'L, 'V, One, 'P> from a.Row a.Column b bRow depth accumulate into cRow
            row <- row + 1

    /// <summary>c [rows, vectors] = a [rows, depth] · b [depth, vectors], or added to it.</summary>
    let product<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (a: StridedView)
        (b: nativeptr<float32>)
        (bRow: int64)
        (rows: int)
        (depth: int)
        (vectors: int)
        (accumulate: bool)
        (c: nativeptr<float32>)
        (cRow: int64)
        : unit =
        // Sixteen registers hold the sums of four rows by two vectors, thirty-two those of four by four.
        let most = if 'L.Count >= 16 then 4 else 2
        let mutable v = 0

        while v < vectors do
            let count = min most (vectors - v)
            let b, c = Pointer.at b (int64 (v * 'L.Count)), Pointer.at c (int64 (v * 'L.Count))

            match count with
            | 4 -> columns<'L, 'V, Four> a b bRow rows depth accumulate c cRow
            | 3 -> columns<'L, 'V, Three> a b bRow rows depth accumulate c cRow
            | 2 -> columns<'L, 'V, Two> a b bRow rows depth accumulate c cRow
            | _ -> columns<'L, 'V, One> a b bRow rows depth accumulate c cRow

            v <- v + count
