namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>As Sddmm, for groups of 'G rows that share their columns: each input is loaded once for several of them.</summary>
/// <remarks>Four slots by 'R rows at a time, whose sums are reduced row by row, so that four neighbours are stored together.
/// Order of summation: the vectors of a slot in turn, then over the lanes. Oracle: the dense product in float64,
/// Wanted.sddmm of the tests.</remarks>
module internal SddmmRowGroups =

    let inline private put (accumulate: bool) (at: nativeptr<float32>) (sum: float32) =
        if accumulate then
            NativePtr.write at (NativePtr.read at + sum)
        else
            NativePtr.write at sum

    let inline private put4 (accumulate: bool) (at: nativeptr<float32>) (sums: Vector128<float32>) =
        if accumulate then
            Vector128.Store(Vector128.Load at + sums, at)
        else
            Vector128.Store(sums, at)

    /// 'R rows of a group, the second two of four where it is said; upstream begins at the first of them.
    [<AggressiveOptimization>]
    let private some<'L, 'V, 'K, 'R
        when 'L: struct
        and 'L :> ISimdVector<'V>
        and 'V: struct
        and 'K: struct
        and 'K :> ICount
        and 'R: struct
        and 'R :> ICount>
        (g: RowGroup)
        (second: bool)
        (upstream: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (accumulate: bool)
        (d: nativeptr<float32>)
        =
        let cols, count = g.Cols, g.Count
        let d0 = Pointer.at d (if second then g.First2 else g.First0)
        let d1 = Pointer.at d (if second then g.First3 else g.First1)
        let d2, d3 = Pointer.at d g.First2, Pointer.at d g.First3
        let lanes = 'L.Count
        let width = int64 ('K.Count * lanes)
        let g1 = Pointer.at upstream width
        let g2 = Pointer.at upstream (2L * width)
        let g3 = Pointer.at upstream (3L * width)
        let mutable k = 0

        while k + 3 < count do
            let input0 = Pointer.at tile (int64 (Pointer.get cols k) * width)
            let input1 = Pointer.at tile (int64 (Pointer.get cols (k + 1)) * width)
            let input2 = Pointer.at tile (int64 (Pointer.get cols (k + 2)) * width)
            let input3 = Pointer.at tile (int64 (Pointer.get cols (k + 3)) * width)
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
            let mutable e0 = 'L.Zero
            let mutable e1 = 'L.Zero
            let mutable e2 = 'L.Zero
            let mutable e3 = 'L.Zero
            let x0 = 'L.Load input0
            let x1 = 'L.Load input1
            let x2 = 'L.Load input2
            let x3 = 'L.Load input3
            let u = 'L.Load upstream
            a0 <- 'L.Multiply(u, x0)
            a1 <- 'L.Multiply(u, x1)
            a2 <- 'L.Multiply(u, x2)
            a3 <- 'L.Multiply(u, x3)
            let u = 'L.Load g1
            b0 <- 'L.Multiply(u, x0)
            b1 <- 'L.Multiply(u, x1)
            b2 <- 'L.Multiply(u, x2)
            b3 <- 'L.Multiply(u, x3)

            if 'R.Count > 2 then
                let u = 'L.Load g2
                c0 <- 'L.Multiply(u, x0)
                c1 <- 'L.Multiply(u, x1)
                c2 <- 'L.Multiply(u, x2)
                c3 <- 'L.Multiply(u, x3)
                let u = 'L.Load g3
                e0 <- 'L.Multiply(u, x0)
                e1 <- 'L.Multiply(u, x1)
                e2 <- 'L.Multiply(u, x2)
                e3 <- 'L.Multiply(u, x3)

            if 'K.Count > 1 then
                let x0 = 'L.Load(Pointer.at input0 (int64 (1 * lanes)))
                let x1 = 'L.Load(Pointer.at input1 (int64 (1 * lanes)))
                let x2 = 'L.Load(Pointer.at input2 (int64 (1 * lanes)))
                let x3 = 'L.Load(Pointer.at input3 (int64 (1 * lanes)))
                let u = 'L.Load(Pointer.at upstream (int64 (1 * lanes)))
                a0 <- 'L.MultiplyAdd(u, x0, a0)
                a1 <- 'L.MultiplyAdd(u, x1, a1)
                a2 <- 'L.MultiplyAdd(u, x2, a2)
                a3 <- 'L.MultiplyAdd(u, x3, a3)
                let u = 'L.Load(Pointer.at g1 (int64 (1 * lanes)))
                b0 <- 'L.MultiplyAdd(u, x0, b0)
                b1 <- 'L.MultiplyAdd(u, x1, b1)
                b2 <- 'L.MultiplyAdd(u, x2, b2)
                b3 <- 'L.MultiplyAdd(u, x3, b3)

                if 'R.Count > 2 then
                    let u = 'L.Load(Pointer.at g2 (int64 (1 * lanes)))
                    c0 <- 'L.MultiplyAdd(u, x0, c0)
                    c1 <- 'L.MultiplyAdd(u, x1, c1)
                    c2 <- 'L.MultiplyAdd(u, x2, c2)
                    c3 <- 'L.MultiplyAdd(u, x3, c3)
                    let u = 'L.Load(Pointer.at g3 (int64 (1 * lanes)))
                    e0 <- 'L.MultiplyAdd(u, x0, e0)
                    e1 <- 'L.MultiplyAdd(u, x1, e1)
                    e2 <- 'L.MultiplyAdd(u, x2, e2)
                    e3 <- 'L.MultiplyAdd(u, x3, e3)

            if 'K.Count > 2 then
                let x0 = 'L.Load(Pointer.at input0 (int64 (2 * lanes)))
                let x1 = 'L.Load(Pointer.at input1 (int64 (2 * lanes)))
                let x2 = 'L.Load(Pointer.at input2 (int64 (2 * lanes)))
                let x3 = 'L.Load(Pointer.at input3 (int64 (2 * lanes)))
                let u = 'L.Load(Pointer.at upstream (int64 (2 * lanes)))
                a0 <- 'L.MultiplyAdd(u, x0, a0)
                a1 <- 'L.MultiplyAdd(u, x1, a1)
                a2 <- 'L.MultiplyAdd(u, x2, a2)
                a3 <- 'L.MultiplyAdd(u, x3, a3)
                let u = 'L.Load(Pointer.at g1 (int64 (2 * lanes)))
                b0 <- 'L.MultiplyAdd(u, x0, b0)
                b1 <- 'L.MultiplyAdd(u, x1, b1)
                b2 <- 'L.MultiplyAdd(u, x2, b2)
                b3 <- 'L.MultiplyAdd(u, x3, b3)

                if 'R.Count > 2 then
                    let u = 'L.Load(Pointer.at g2 (int64 (2 * lanes)))
                    c0 <- 'L.MultiplyAdd(u, x0, c0)
                    c1 <- 'L.MultiplyAdd(u, x1, c1)
                    c2 <- 'L.MultiplyAdd(u, x2, c2)
                    c3 <- 'L.MultiplyAdd(u, x3, c3)
                    let u = 'L.Load(Pointer.at g3 (int64 (2 * lanes)))
                    e0 <- 'L.MultiplyAdd(u, x0, e0)
                    e1 <- 'L.MultiplyAdd(u, x1, e1)
                    e2 <- 'L.MultiplyAdd(u, x2, e2)
                    e3 <- 'L.MultiplyAdd(u, x3, e3)

            if 'K.Count > 3 then
                let x0 = 'L.Load(Pointer.at input0 (int64 (3 * lanes)))
                let x1 = 'L.Load(Pointer.at input1 (int64 (3 * lanes)))
                let x2 = 'L.Load(Pointer.at input2 (int64 (3 * lanes)))
                let x3 = 'L.Load(Pointer.at input3 (int64 (3 * lanes)))
                let u = 'L.Load(Pointer.at upstream (int64 (3 * lanes)))
                a0 <- 'L.MultiplyAdd(u, x0, a0)
                a1 <- 'L.MultiplyAdd(u, x1, a1)
                a2 <- 'L.MultiplyAdd(u, x2, a2)
                a3 <- 'L.MultiplyAdd(u, x3, a3)
                let u = 'L.Load(Pointer.at g1 (int64 (3 * lanes)))
                b0 <- 'L.MultiplyAdd(u, x0, b0)
                b1 <- 'L.MultiplyAdd(u, x1, b1)
                b2 <- 'L.MultiplyAdd(u, x2, b2)
                b3 <- 'L.MultiplyAdd(u, x3, b3)

                if 'R.Count > 2 then
                    let u = 'L.Load(Pointer.at g2 (int64 (3 * lanes)))
                    c0 <- 'L.MultiplyAdd(u, x0, c0)
                    c1 <- 'L.MultiplyAdd(u, x1, c1)
                    c2 <- 'L.MultiplyAdd(u, x2, c2)
                    c3 <- 'L.MultiplyAdd(u, x3, c3)
                    let u = 'L.Load(Pointer.at g3 (int64 (3 * lanes)))
                    e0 <- 'L.MultiplyAdd(u, x0, e0)
                    e1 <- 'L.MultiplyAdd(u, x1, e1)
                    e2 <- 'L.MultiplyAdd(u, x2, e2)
                    e3 <- 'L.MultiplyAdd(u, x3, e3)

            if 'K.Count > 4 then
                let x0 = 'L.Load(Pointer.at input0 (int64 (4 * lanes)))
                let x1 = 'L.Load(Pointer.at input1 (int64 (4 * lanes)))
                let x2 = 'L.Load(Pointer.at input2 (int64 (4 * lanes)))
                let x3 = 'L.Load(Pointer.at input3 (int64 (4 * lanes)))
                let u = 'L.Load(Pointer.at upstream (int64 (4 * lanes)))
                a0 <- 'L.MultiplyAdd(u, x0, a0)
                a1 <- 'L.MultiplyAdd(u, x1, a1)
                a2 <- 'L.MultiplyAdd(u, x2, a2)
                a3 <- 'L.MultiplyAdd(u, x3, a3)
                let u = 'L.Load(Pointer.at g1 (int64 (4 * lanes)))
                b0 <- 'L.MultiplyAdd(u, x0, b0)
                b1 <- 'L.MultiplyAdd(u, x1, b1)
                b2 <- 'L.MultiplyAdd(u, x2, b2)
                b3 <- 'L.MultiplyAdd(u, x3, b3)

                if 'R.Count > 2 then
                    let u = 'L.Load(Pointer.at g2 (int64 (4 * lanes)))
                    c0 <- 'L.MultiplyAdd(u, x0, c0)
                    c1 <- 'L.MultiplyAdd(u, x1, c1)
                    c2 <- 'L.MultiplyAdd(u, x2, c2)
                    c3 <- 'L.MultiplyAdd(u, x3, c3)
                    let u = 'L.Load(Pointer.at g3 (int64 (4 * lanes)))
                    e0 <- 'L.MultiplyAdd(u, x0, e0)
                    e1 <- 'L.MultiplyAdd(u, x1, e1)
                    e2 <- 'L.MultiplyAdd(u, x2, e2)
                    e3 <- 'L.MultiplyAdd(u, x3, e3)

            put4 accumulate (Pointer.at d0 (int64 k)) ('L.Sum4(a0, a1, a2, a3))
            put4 accumulate (Pointer.at d1 (int64 k)) ('L.Sum4(b0, b1, b2, b3))

            if 'R.Count > 2 then
                put4 accumulate (Pointer.at d2 (int64 k)) ('L.Sum4(c0, c1, c2, c3))
                put4 accumulate (Pointer.at d3 (int64 k)) ('L.Sum4(e0, e1, e2, e3))

            k <- k + 4

        while k < count do
            let input0 = Pointer.at tile (int64 (Pointer.get cols k) * width)
            let mutable a0 = 'L.Zero
            let mutable b0 = 'L.Zero
            let mutable c0 = 'L.Zero
            let mutable e0 = 'L.Zero
            let mutable v = 0L

            while v < width do
                let x0 = 'L.Load(Pointer.at input0 v)
                a0 <- 'L.MultiplyAdd('L.Load(Pointer.at upstream v), x0, a0)
                b0 <- 'L.MultiplyAdd('L.Load(Pointer.at g1 v), x0, b0)

                if 'R.Count > 2 then
                    c0 <- 'L.MultiplyAdd('L.Load(Pointer.at g2 v), x0, c0)
                    e0 <- 'L.MultiplyAdd('L.Load(Pointer.at g3 v), x0, e0)

                v <- v + int64 lanes

            let sums = 'L.Sum4(a0, b0, c0, e0)
            put accumulate (Pointer.at d0 (int64 k)) (sums.GetElement 0)
            put accumulate (Pointer.at d1 (int64 k)) (sums.GetElement 1)

            if 'R.Count > 2 then
                put accumulate (Pointer.at d2 (int64 k)) (sums.GetElement 2)
                put accumulate (Pointer.at d3 (int64 k)) (sums.GetElement 3)

            k <- k + 1

    /// Whole groups of some rows, which begin with a group.
    [<AggressiveOptimization>]
    let rows<'L, 'V, 'K, 'G
        when 'L: struct
        and 'L :> ISimdVector<'V>
        and 'V: struct
        and 'K: struct
        and 'K :> ICount
        and 'G: struct
        and 'G :> ICount>
        (p: CsrView)
        (upstream: nativeptr<float32>)
        (tile: nativeptr<float32>)
        (rows: RowRange)
        (accumulate: bool)
        (d: nativeptr<float32>)
        =
        let width = int64 'K.Count * int64 'L.Count

        RowGroup.each<'G> p rows (fun row g ->
            let upstream = Pointer.at upstream (int64 (row - rows.From) * width)

            // Sixteen registers hold the sums of two rows by four slots, thirty-two those of four.
            if 'G.Count = 2 then
                some<'L, 'V, 'K, Two> g false upstream tile accumulate d
            elif 'L.Count >= 16 then
                some<'L, 'V, 'K, Four> g false upstream tile accumulate d
            else
                some<'L, 'V, 'K, Two> g false upstream tile accumulate d
                some<'L, 'V, 'K, Two> g true (Pointer.at upstream (2L * width)) tile accumulate d)
