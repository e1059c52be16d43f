namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536" // lanes are used as type arguments only

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>Row-major to feature-major and back: transposes through registers.</summary>
module internal Pack =

    let inline private copy (src: nativeptr<float32>) lds (n: int) (m: int) (dst: nativeptr<float32>) ldd =
        let mutable i = 0

        while i < n do
            let from, into = Pointer.at src (int64 i * lds), Pointer.at dst (int64 i * ldd)
            let mutable j = 0

            while j < m do
                Pointer.set into j (Pointer.get from j)
                j <- j + 1

            i <- i + 1

    /// A block of less than lanes by lanes, by way of two whole ones; samples from n to lanes read as 0.
    [<AggressiveOptimization>]
    let private edge<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (src: nativeptr<float32>)
        (lds: int64)
        (n: int)
        (m: int)
        (dst: nativeptr<float32>)
        (ldd: int64)
        (writtenN: int)
        =
        let lanes = 'L.Count
        let room = NativePtr.stackalloc<float32>(2 * lanes * lanes)
        let turned = Pointer.at room (int64 (lanes * lanes))
        Pointer.clear room (int64 (lanes * lanes))
        copy src lds n m room (int64 lanes)
        'L.Transpose(room, int64 lanes, turned, int64 lanes)
        copy turned (int64 lanes) m writtenN dst ldd

    /// Lanes by lanes at row i and column j of src.
    let inline private block<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (src: nativeptr<float32>)
        (lds: int64)
        (n: int)
        (m: int)
        (dst: nativeptr<float32>)
        (ldd: int64)
        (width: int)
        (i: int)
        (j: int)
        =
        let lanes = 'L.Count
        let from = Pointer.at src (int64 i * lds + int64 j)
        let into = Pointer.at dst (int64 j * ldd + int64 i)

        if i + lanes <= n && j + lanes <= m then
            'L.Transpose(from, lds, into, ldd)
        else
            edge<'L, 'V> from lds (min lanes (n - i)) (min lanes (m - j)) into ldd (min lanes (width - i))

    /// Columns that are read in one go: four cache lines of a few rows at a time, so that the prefetcher can follow.
    let private run = 64

    /// <summary>A tile: packed[j, i] = x[i, j] for i &lt; n, j &lt; m, and 0 for i from n to width.</summary>
    /// <remarks>x is [n, m] with row stride lds, packed is [m, width], in floats; width is n made up to whole vectors.
    /// packed is overwritten and does not overlap x.</remarks>
    [<AggressiveOptimization>]
    let tile<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (x: nativeptr<float32>)
        (lds: int64)
        (n: int)
        (m: int)
        (packed: nativeptr<float32>)
        (width: int)
        =
        let lanes = 'L.Count
        let mutable first = 0

        while first < m do
            let next = min m (first + run)
            let mutable i = 0

            while i < n do
                let mutable j = first

                while j < next do
                    block<'L, 'V> x lds n m packed (int64 width) width i j
                    j <- j + lanes

                i <- i + lanes

            first <- next

    /// <summary>Back: y[j, i] = block[i, j] for i &lt; n, j &lt; m.</summary>
    /// <remarks>block is [n, m] with row stride lds, y is [m, n] with row stride ldy, in floats; y is overwritten and does
    /// not overlap block. A row of y is written in one go.</remarks>
    [<AggressiveOptimization>]
    let untile<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (rows: nativeptr<float32>)
        (lds: int64)
        (n: int)
        (m: int)
        (y: nativeptr<float32>)
        (ldy: int64)
        =
        let lanes = 'L.Count
        let mutable j = 0

        while j < m do
            let mutable i = 0

            while i < n do
                block<'L, 'V> rows lds n m y ldy n i j
                i <- i + lanes

            j <- j + lanes
