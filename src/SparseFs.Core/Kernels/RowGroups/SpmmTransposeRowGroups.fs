namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>As SpmmTranspose, for groups of 'G rows that share their columns: a store for 'G multiply-adds.</summary>
/// <remarks>Order of summation: the rows in turn. Oracle: the dense product in float64, Wanted.spmmT of the tests.</remarks>
module internal SpmmTransposeRowGroups =

    /// One group, some of its slots, and 'P of the tile's 'K vectors.
    [<AggressiveOptimization>]
    let group<'L, 'V, 'K, 'G, 'P, 'I
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
        (slots: RowRange)
        (values: nativeptr<float32>)
        (upstream: nativeptr<float32>)
        (apart: int64)
        (x: nativeptr<float32>)
        =
        let lanes = 'L.Count
        let width = 'I.Apart(int64 ('K.Count * lanes))
        let w0 = Pointer.at values g.First0
        let w1 = Pointer.at values g.First1
        let w2 = Pointer.at values g.First2
        let w3 = Pointer.at values g.First3
        let a0 = 'L.Load upstream

        let a1 =
            if 'P.Count > 1 then
                'L.Load(Pointer.at upstream (int64 (1 * lanes)))
            else
                'L.Zero

        let a2 =
            if 'P.Count > 2 then
                'L.Load(Pointer.at upstream (int64 (2 * lanes)))
            else
                'L.Zero

        let a3 =
            if 'P.Count > 3 then
                'L.Load(Pointer.at upstream (int64 (3 * lanes)))
            else
                'L.Zero

        let b0 = 'L.Load(Pointer.at upstream (1L * apart))

        let b1 =
            if 'P.Count > 1 then
                'L.Load(Pointer.at upstream (1L * apart + int64 (1 * lanes)))
            else
                'L.Zero

        let b2 =
            if 'P.Count > 2 then
                'L.Load(Pointer.at upstream (1L * apart + int64 (2 * lanes)))
            else
                'L.Zero

        let b3 =
            if 'P.Count > 3 then
                'L.Load(Pointer.at upstream (1L * apart + int64 (3 * lanes)))
            else
                'L.Zero

        let c0 =
            if 'G.Count > 2 then
                'L.Load(Pointer.at upstream (2L * apart))
            else
                'L.Zero

        let c1 =
            if 'G.Count > 2 && 'P.Count > 1 then
                'L.Load(Pointer.at upstream (2L * apart + int64 (1 * lanes)))
            else
                'L.Zero

        let c2 =
            if 'G.Count > 2 && 'P.Count > 2 then
                'L.Load(Pointer.at upstream (2L * apart + int64 (2 * lanes)))
            else
                'L.Zero

        let c3 =
            if 'G.Count > 2 && 'P.Count > 3 then
                'L.Load(Pointer.at upstream (2L * apart + int64 (3 * lanes)))
            else
                'L.Zero

        let d0 =
            if 'G.Count > 2 then
                'L.Load(Pointer.at upstream (3L * apart))
            else
                'L.Zero

        let d1 =
            if 'G.Count > 2 && 'P.Count > 1 then
                'L.Load(Pointer.at upstream (3L * apart + int64 (1 * lanes)))
            else
                'L.Zero

        let d2 =
            if 'G.Count > 2 && 'P.Count > 2 then
                'L.Load(Pointer.at upstream (3L * apart + int64 (2 * lanes)))
            else
                'L.Zero

        let d3 =
            if 'G.Count > 2 && 'P.Count > 3 then
                'L.Load(Pointer.at upstream (3L * apart + int64 (3 * lanes)))
            else
                'L.Zero

        let last = slots.To
        let mutable k = slots.From

        while k < last do
            let u0 = 'L.Broadcast(Pointer.get w0 k)
            let u1 = 'L.Broadcast(Pointer.get w1 k)

            let u2 =
                if 'G.Count > 2 then
                    'L.Broadcast(Pointer.get w2 k)
                else
                    'L.Zero

            let u3 =
                if 'G.Count > 2 then
                    'L.Broadcast(Pointer.get w3 k)
                else
                    'L.Zero

            let x = Pointer.at x (int64 (Pointer.get g.Cols k) * width)
            let sum = 'L.MultiplyAdd(u1, b0, 'L.MultiplyAdd(u0, a0, 'L.Load x))

            'L
                .Store(
                    x,
                    (if 'G.Count > 2 then
                         'L.MultiplyAdd(u3, d0, 'L.MultiplyAdd(u2, c0, sum))
                     else
                         sum)
                )

            if 'P.Count > 1 then
                let at = Pointer.at x (int64 (1 * lanes))
                let sum = 'L.MultiplyAdd(u1, b1, 'L.MultiplyAdd(u0, a1, 'L.Load at))

                'L
                    .Store(
                        at,
                        (if 'G.Count > 2 then
                             'L.MultiplyAdd(u3, d1, 'L.MultiplyAdd(u2, c1, sum))
                         else
                             sum)
                    )

            if 'P.Count > 2 then
                let at = Pointer.at x (int64 (2 * lanes))
                let sum = 'L.MultiplyAdd(u1, b2, 'L.MultiplyAdd(u0, a2, 'L.Load at))

                'L
                    .Store(
                        at,
                        (if 'G.Count > 2 then
                             'L.MultiplyAdd(u3, d2, 'L.MultiplyAdd(u2, c2, sum))
                         else
                             sum)
                    )

            if 'P.Count > 3 then
                let at = Pointer.at x (int64 (3 * lanes))
                let sum = 'L.MultiplyAdd(u1, b3, 'L.MultiplyAdd(u0, a3, 'L.Load at))

                'L
                    .Store(
                        at,
                        (if 'G.Count > 2 then
                             'L.MultiplyAdd(u3, d3, 'L.MultiplyAdd(u2, c3, sum))
                         else
                             sum)
                    )

            k <- k + 1

    /// Whole groups of some rows, which begin with a group; slotsOf gives the slots of a group in the wanted columns, counted
    /// from its first.
    let inline rows<'L, 'V, 'K, 'G, 'I
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
        (upstream: nativeptr<float32>)
        (apart: int64)
        (rows: RowRange)
        (x: nativeptr<float32>)
        ([<InlineIfLambda>] slotsOf: RowGroup -> RowRange)
        =
        let lanes = int64 'L.Count
        let width = int64 'K.Count * lanes
        let last = width - lanes
        let odd = 'K.Count = 3 || 'K.Count = 5
        let threeAtOnce = odd && ('L.Count >= 16 || 'G.Count = 2)
        let byTwo = not threeAtOnce && ('L.Count < 16 || 'K.Count = 2)

        RowGroup.each<'G> p rows (fun row g ->
            let slots = slotsOf g
            let upstream = Pointer.at upstream (int64 row * apart)

            // Sixteen registers hold four rows by two vectors, thirty-two four by four. One condition a branch: F# makes a method of
            // its own of branches within branches.
            if 'K.Count = 1 then
                group<'L, 'V, 'K, 'G, One, 'I> g slots values upstream apart x

            if threeAtOnce then
                group<'L, 'V, 'K, 'G, Three, 'I> g slots values upstream apart x

            if 'K.Count = 4 && 'L.Count >= 16 then
                group<'L, 'V, 'K, 'G, Four, 'I> g slots values upstream apart x

            if 'K.Count >= 2 && byTwo then
                group<'L, 'V, 'K, 'G, Two, 'I> g slots values upstream apart x

            if 'K.Count >= 4 && byTwo then
                group<'L, 'V, 'K, 'G, Two, 'I>
                    g
                    slots
                    values
                    (Pointer.at upstream (2L * lanes))
                    apart
                    (Pointer.at x (2L * lanes))

            if 'K.Count = 5 && threeAtOnce then
                group<'L, 'V, 'K, 'G, Two, 'I>
                    g
                    slots
                    values
                    (Pointer.at upstream (3L * lanes))
                    apart
                    (Pointer.at x (3L * lanes))

            if odd && byTwo then
                group<'L, 'V, 'K, 'G, One, 'I> g slots values (Pointer.at upstream last) apart (Pointer.at x last))
