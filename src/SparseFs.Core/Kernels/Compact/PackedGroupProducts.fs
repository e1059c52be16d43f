namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>As PackedRowProducts, for groups of 'G rows that share their columns: each input is fetched once for all of them.</summary>
/// <remarks>Order of summation: in few rows, slots are dealt in turn to the parts of two or four vectors; in as many rows as a vector
/// has lanes, or more, to as many sums as four vectors hold. These are added at the end.</remarks>
module internal PackedGroupProducts =

    /// <summary>Groups of fewer rows than a vector has lanes: eight inputs are gathered, and each spread over its rows' lanes.</summary>
    [<AggressiveOptimization>]
    let few<'L, 'V, 'C, 'F, 'I, 'G
        when 'L: struct
        and 'L :> ISimdVector<'V>
        and 'V: struct
        and 'C: struct
        and 'C :> IPackedVector<'V>
        and 'F: struct
        and 'F :> IPackedValues
        and 'I: struct
        and 'I :> IColumns
        and 'G: struct
        and 'G :> ICount>
        (p: PackedView)
        (x: nativeptr<float32>)
        (groups: RowRange)
        (y: nativeptr<float32>)
        =
        let lanes = int64 'L.Count
        let sums = NativePtr.stackalloc<float32> 16
        let columns, values = p.Columns, p.Values
        let i0 = 'C.SpreadIndex('G.Count, 0)
        let i1 = 'C.SpreadIndex('G.Count, 1)
        let i2 = 'C.SpreadIndex('G.Count, 2)
        let i3 = 'C.SpreadIndex('G.Count, 3)

        for group in groups.From .. groups.To - 1 do
            let mutable s = p.First group
            let last = s + int64 (Pointer.get p.Counts group)
            let mutable a = 'L.Zero
            let mutable b = 'L.Zero
            let mutable c = 'L.Zero
            let mutable d = 'L.Zero

            while s < last do
                // As in PackedRowProducts, 0 in the lanes of no slot.
                let lanesOfSlots =
                    if s + 8L <= last then
                        EightInputs.all ()
                    else
                        EightInputs.first (int (last - s))

                let eight = 'I.Gather(x, columns, s, lanesOfSlots)
                let w = s * int64 'G.Count
                a <- 'L.MultiplyAdd('C.Spread(eight, i0), 'F.Load<'C, 'V>(values, w), a)
                b <- 'L.MultiplyAdd('C.Spread(eight, i1), 'F.Load<'C, 'V>(values, w + lanes), b)

                if 8 * 'G.Count > 2 * 'L.Count then
                    c <- 'L.MultiplyAdd('C.Spread(eight, i2), 'F.Load<'C, 'V>(values, w + 2L * lanes), c)
                    d <- 'L.MultiplyAdd('C.Spread(eight, i3), 'F.Load<'C, 'V>(values, w + 3L * lanes), d)

                s <- s + 8L

            'C.Fold('L.Add('L.Add(a, c), 'L.Add(b, d)), 'G.Count, sums)
            p.Put(group * 'G.Count, 'G.Count, sums, y)

    /// One slot's part of a group's rows: as many rows as there are lanes, from the first of them.
    let inline private next<'L, 'V, 'C, 'F, 'G
        when 'L: struct
        and 'L :> ISimdVector<'V>
        and 'V: struct
        and 'C: struct
        and 'C :> IPackedVector<'V>
        and 'F: struct
        and 'F :> IPackedValues
        and 'G: struct
        and 'G :> ICount>
        (values: nativeint)
        (slot: int64)
        (rows: int)
        (x: 'V)
        (sum: 'V)
        : 'V =
        'L.MultiplyAdd(x, 'F.Load<'C, 'V>(values, slot * int64 'G.Count + int64 rows), sum)

    let inline private input<'L, 'V, 'I
        when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct and 'I: struct and 'I :> IColumns>
        (x: nativeptr<float32>)
        (columns: nativeint)
        (slot: int64)
        : 'V =
        'L.Broadcast(Pointer.get x ('I.At(columns, slot)))

    /// <summary>Groups of as many rows as a vector has lanes, or more: each input is broadcast, up to four vectors of rows at once.</summary>
    [<AggressiveOptimization>]
    let many<'L, 'V, 'C, 'F, 'I, 'G
        when 'L: struct
        and 'L :> ISimdVector<'V>
        and 'V: struct
        and 'C: struct
        and 'C :> IPackedVector<'V>
        and 'F: struct
        and 'F :> IPackedValues
        and 'I: struct
        and 'I :> IColumns
        and 'G: struct
        and 'G :> ICount>
        (p: PackedView)
        (x: nativeptr<float32>)
        (groups: RowRange)
        (y: nativeptr<float32>)
        =
        let lanes = 'L.Count
        // Vectors of a group's rows: a power of 2.
        let vectors = 'G.Count / lanes
        let sums = NativePtr.stackalloc<float32> 16
        let columns, values = p.Columns, p.Values

        for group in groups.From .. groups.To - 1 do
            let first = p.First group
            let last = first + int64 (Pointer.get p.Counts group)
            // Four vectors of rows at a time, or all of fewer.
            let mutable row = 0

            while row < 'G.Count do
                let mutable s = first
                let mutable a = 'L.Zero
                let mutable b = 'L.Zero
                let mutable c = 'L.Zero
                let mutable d = 'L.Zero

                if vectors >= 4 then
                    while s < last do
                        let x0 = input<'L, 'V, 'I> x columns s
                        a <- next<'L, 'V, 'C, 'F, 'G> values s row x0 a
                        b <- next<'L, 'V, 'C, 'F, 'G> values s (row + lanes) x0 b
                        c <- next<'L, 'V, 'C, 'F, 'G> values s (row + 2 * lanes) x0 c
                        d <- next<'L, 'V, 'C, 'F, 'G> values s (row + 3 * lanes) x0 d
                        s <- s + 1L
                elif vectors = 2 then
                    while s + 2L <= last do
                        let x0 = input<'L, 'V, 'I> x columns s
                        a <- next<'L, 'V, 'C, 'F, 'G> values s 0 x0 a
                        b <- next<'L, 'V, 'C, 'F, 'G> values s lanes x0 b
                        let x1 = input<'L, 'V, 'I> x columns (s + 1L)
                        c <- next<'L, 'V, 'C, 'F, 'G> values (s + 1L) 0 x1 c
                        d <- next<'L, 'V, 'C, 'F, 'G> values (s + 1L) lanes x1 d
                        s <- s + 2L

                    if s < last then
                        let x0 = input<'L, 'V, 'I> x columns s
                        a <- next<'L, 'V, 'C, 'F, 'G> values s 0 x0 a
                        b <- next<'L, 'V, 'C, 'F, 'G> values s lanes x0 b
                else
                    while s + 4L <= last do
                        a <- next<'L, 'V, 'C, 'F, 'G> values s 0 (input<'L, 'V, 'I> x columns s) a
                        b <- next<'L, 'V, 'C, 'F, 'G> values (s + 1L) 0 (input<'L, 'V, 'I> x columns (s + 1L)) b
                        c <- next<'L, 'V, 'C, 'F, 'G> values (s + 2L) 0 (input<'L, 'V, 'I> x columns (s + 2L)) c
                        d <- next<'L, 'V, 'C, 'F, 'G> values (s + 3L) 0 (input<'L, 'V, 'I> x columns (s + 3L)) d
                        s <- s + 4L

                    while s < last do
                        a <- next<'L, 'V, 'C, 'F, 'G> values s 0 (input<'L, 'V, 'I> x columns s) a
                        s <- s + 1L

                let into = Pointer.at sums (int64 row)

                if vectors >= 4 then
                    'L.Store(into, a)
                    'L.Store(Pointer.at into (int64 lanes), b)
                    'L.Store(Pointer.at into (int64 (2 * lanes)), c)
                    'L.Store(Pointer.at into (int64 (3 * lanes)), d)
                elif vectors = 2 then
                    'L.Store(into, 'L.Add(a, c))
                    'L.Store(Pointer.at into (int64 lanes), 'L.Add(b, d))
                else
                    'L.Store(into, 'L.Add('L.Add(a, b), 'L.Add(c, d)))

                row <- row + min 'G.Count (4 * lanes)

            p.Put(group * 'G.Count, 'G.Count, sums, y)
