namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>d[s] = Σ g[r, i] · planes[place(s) + i] over a run of pixels i, for the slots s of row r.</summary>
/// <remarks>
/// g is [rows, run], apart floats from row to row, planes are those of a PixelLayout. The run is whole vectors. d [nnz] is
/// overwritten or, with accumulate, added to, and overlaps nothing. Order of summation: the vectors of a run in turn, then over
/// the lanes. Oracle: the dense convolution in float64 of the tests.
/// </remarks>
module internal SddmmPixels =

    let inline private put (accumulate: bool) (d: nativeptr<float32>) (sum: float32) =
        if accumulate then
            NativePtr.write d (NativePtr.read d + sum)
        else
            NativePtr.write d sum

    /// The dot products of a run with those of four slots, the last of which may be the same.
    [<AggressiveOptimization>]
    let private four<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (g: nativeptr<float32>)
        (x0: nativeptr<float32>)
        (x1: nativeptr<float32>)
        (x2: nativeptr<float32>)
        (x3: nativeptr<float32>)
        (run: int)
        =
        let lanes = 'L.Count
        let mutable a0 = 'L.Zero
        let mutable a1 = 'L.Zero
        let mutable a2 = 'L.Zero
        let mutable a3 = 'L.Zero
        let mutable b0 = 'L.Zero
        let mutable b1 = 'L.Zero
        let mutable b2 = 'L.Zero
        let mutable b3 = 'L.Zero
        let mutable i = 0L
        let both = int64 (run - run % (2 * lanes))

        while i < both do
            let u = 'L.Load(Pointer.at g i)
            a0 <- 'L.MultiplyAdd(u, 'L.Load(Pointer.at x0 i), a0)
            a1 <- 'L.MultiplyAdd(u, 'L.Load(Pointer.at x1 i), a1)
            a2 <- 'L.MultiplyAdd(u, 'L.Load(Pointer.at x2 i), a2)
            a3 <- 'L.MultiplyAdd(u, 'L.Load(Pointer.at x3 i), a3)
            let j = i + int64 lanes
            let u = 'L.Load(Pointer.at g j)
            b0 <- 'L.MultiplyAdd(u, 'L.Load(Pointer.at x0 j), b0)
            b1 <- 'L.MultiplyAdd(u, 'L.Load(Pointer.at x1 j), b1)
            b2 <- 'L.MultiplyAdd(u, 'L.Load(Pointer.at x2 j), b2)
            b3 <- 'L.MultiplyAdd(u, 'L.Load(Pointer.at x3 j), b3)
            i <- j + int64 lanes

        if i < int64 run then
            let u = 'L.Load(Pointer.at g i)
            a0 <- 'L.MultiplyAdd(u, 'L.Load(Pointer.at x0 i), a0)
            a1 <- 'L.MultiplyAdd(u, 'L.Load(Pointer.at x1 i), a1)
            a2 <- 'L.MultiplyAdd(u, 'L.Load(Pointer.at x2 i), a2)
            a3 <- 'L.MultiplyAdd(u, 'L.Load(Pointer.at x3 i), a3)

        'L.Sum4('L.Add(a0, b0), 'L.Add(a1, b1), 'L.Add(a2, b2), 'L.Add(a3, b3))

    /// A run of pixels, of some rows; g begins at the first of them.
    [<AggressiveOptimization>]
    let rows<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (p: CsrView)
        (g: nativeptr<float32>)
        (apart: int64)
        (planes: nativeptr<float32>)
        (run: int)
        (rows: RowRange)
        (accumulate: bool)
        (d: nativeptr<float32>)
        =
        let rowFrom = rows.From

        p.ForRows(
            rows,
            fun r slotFrom slotTo ->
                let gRow = Pointer.at g (int64 (r - rowFrom) * apart)
                let last = slotTo - 1L
                let mutable s = slotFrom

                while s < slotTo do
                    let x0 = p.Input(planes, 1L, s)
                    let x1 = p.Input(planes, 1L, (min (s + 1L) last))
                    let x2 = p.Input(planes, 1L, (min (s + 2L) last))
                    let x3 = p.Input(planes, 1L, (min (s + 3L) last))
                    let sums = four<'L, 'V> gRow x0 x1 x2 x3 run

                    put accumulate (Pointer.at d s) (sums.ToScalar())

                    if s + 1L < slotTo then
                        put accumulate (Pointer.at d (s + 1L)) (sums.GetElement 1)

                    if s + 2L < slotTo then
                        put accumulate (Pointer.at d (s + 2L)) (sums.GetElement 2)

                    if s + 3L < slotTo then
                        put accumulate (Pointer.at d (s + 3L)) (sums.GetElement 3)

                    s <- s + 4L
        )

    /// The dot products of four rows' runs with those of two slots.
    [<AggressiveOptimization>]
    let private fourByTwo<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (g: nativeptr<float32>)
        (apart: int64)
        (x0: nativeptr<float32>)
        (x1: nativeptr<float32>)
        (run: int)
        =
        let g1 = Pointer.at g apart
        let g2 = Pointer.at g1 apart
        let g3 = Pointer.at g2 apart
        let mutable a0 = 'L.Zero
        let mutable a1 = 'L.Zero
        let mutable a2 = 'L.Zero
        let mutable a3 = 'L.Zero
        let mutable b0 = 'L.Zero
        let mutable b1 = 'L.Zero
        let mutable b2 = 'L.Zero
        let mutable b3 = 'L.Zero
        let mutable i = 0L

        while i < int64 run do
            let v0 = 'L.Load(Pointer.at x0 i)
            let v1 = 'L.Load(Pointer.at x1 i)
            let u = 'L.Load(Pointer.at g i)
            a0 <- 'L.MultiplyAdd(u, v0, a0)
            b0 <- 'L.MultiplyAdd(u, v1, b0)
            let u = 'L.Load(Pointer.at g1 i)
            a1 <- 'L.MultiplyAdd(u, v0, a1)
            b1 <- 'L.MultiplyAdd(u, v1, b1)
            let u = 'L.Load(Pointer.at g2 i)
            a2 <- 'L.MultiplyAdd(u, v0, a2)
            b2 <- 'L.MultiplyAdd(u, v1, b2)
            let u = 'L.Load(Pointer.at g3 i)
            a3 <- 'L.MultiplyAdd(u, v0, a3)
            b3 <- 'L.MultiplyAdd(u, v1, b3)
            i <- i + int64 'L.Count

        struct ('L.Sum4(a0, a1, a2, a3), 'L.Sum4(b0, b1, b2, b3))

    /// The same of whole groups of four rows that share their columns, which begin with a group.
    [<AggressiveOptimization>]
    let groups<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (p: CsrView)
        (g: nativeptr<float32>)
        (apart: int64)
        (planes: nativeptr<float32>)
        (run: int)
        (rows: RowRange)
        (accumulate: bool)
        (d: nativeptr<float32>)
        =
        RowGroup.each<Four> p rows (fun row group ->
            let gRows = Pointer.at g (int64 (row - rows.From) * apart)
            let d0 = Pointer.at d group.First0
            let d1 = Pointer.at d group.First1
            let d2 = Pointer.at d group.First2
            let d3 = Pointer.at d group.First3
            let mutable k = 0

            while k < group.Count do
                let next = min (k + 1) (group.Count - 1)
                let x0 = Pointer.at planes (int64 (Pointer.get group.Cols k))
                let x1 = Pointer.at planes (int64 (Pointer.get group.Cols next))
                let struct (a, b) = fourByTwo<'L, 'V> gRows apart x0 x1 run
                put accumulate (Pointer.at d0 (int64 k)) (a.ToScalar())
                put accumulate (Pointer.at d1 (int64 k)) (a.GetElement 1)
                put accumulate (Pointer.at d2 (int64 k)) (a.GetElement 2)
                put accumulate (Pointer.at d3 (int64 k)) (a.GetElement 3)

                if next > k then
                    put accumulate (Pointer.at d0 (int64 next)) (b.ToScalar())
                    put accumulate (Pointer.at d1 (int64 next)) (b.GetElement 1)
                    put accumulate (Pointer.at d2 (int64 next)) (b.GetElement 2)
                    put accumulate (Pointer.at d3 (int64 next)) (b.GetElement 3)

                k <- k + 2)
