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
    let private corner<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
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

    /// Some vectors, each a row of its matrix.
    let inline private copyVectors<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (src: nativeptr<float32>)
        (lds: int64)
        (count: int)
        (dst: nativeptr<float32>)
        (ldd: int64)
        =
        let mutable from = src
        let mutable into = dst

        for _ in 1..count do
            'L.Store(into, 'L.Load from)
            from <- Pointer.at from lds
            into <- Pointer.at into ldd

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
        let lanesApart, widthApart = int64 lanes, int64 width
        let whole = n - n % lanes
        // The last samples, where they fill no vector: zeros stand in for those that are missing.
        let room = NativePtr.stackalloc<float32>(lanes * lanes)
        Pointer.clear room (lanesApart * lanesApart)
        let mutable first = 0

        while first < m do
            let next = min m (first + run)
            let wholeColumns = next - next % lanes
            let mutable i = 0

            while i < whole do
                let row = Pointer.at x (int64 i * lds)
                let mutable j = first

                while j < wholeColumns do
                    'L
                        .Transpose(
                            Pointer.at row (int64 j),
                            lds,
                            Pointer.at packed (int64 j * widthApart + int64 i),
                            widthApart
                        )

                    j <- j + lanes

                i <- i + lanes

            if whole < n then
                let row = Pointer.at x (int64 whole * lds)
                let mutable j = first

                while j < wholeColumns do
                    copyVectors<'L, 'V> (Pointer.at row (int64 j)) lds (n - whole) room lanesApart
                    'L.Transpose(room, lanesApart, Pointer.at packed (int64 j * widthApart + int64 whole), widthApart)
                    j <- j + lanes

            if wholeColumns < next then
                let mutable i = 0

                while i < n do
                    let from = Pointer.at x (int64 i * lds + int64 wholeColumns)
                    let into = Pointer.at packed (int64 wholeColumns * widthApart + int64 i)
                    corner<'L, 'V> from lds (min lanes (n - i)) (next - wholeColumns) into widthApart lanes
                    i <- i + lanes

            first <- next

    /// <summary>Back: y[j, i] = block[i, j] for i &lt; n, j &lt; m.</summary>
    /// <remarks>block is [n, m] with row stride lds, m made up to whole vectors, y is [m, n] with row stride ldy, in floats; y
    /// is overwritten and does not overlap block.</remarks>
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
        let lanesApart = int64 lanes
        let wholeRows = n - n % lanes
        let room = NativePtr.stackalloc<float32>(lanes * lanes)
        let mutable j = 0

        while j < m do
            let count = min lanes (m - j)
            let into = Pointer.at y (int64 j * ldy)
            let mutable i = 0

            while i < wholeRows do
                let from = Pointer.at rows (int64 i * lds + int64 j)

                if count = lanes then
                    'L.Transpose(from, lds, Pointer.at into (int64 i), ldy)
                else
                    'L.Transpose(from, lds, room, lanesApart)
                    copyVectors<'L, 'V> room lanesApart count (Pointer.at into (int64 i)) ldy

                i <- i + lanes

            if i < n then
                let from = Pointer.at rows (int64 i * lds + int64 j)
                corner<'L, 'V> from lds (n - i) count (Pointer.at into (int64 i)) ldy (n - i)

            j <- j + lanes
