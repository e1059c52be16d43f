namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536" // lanes are used as type arguments only

open System.Runtime.CompilerServices

/// <summary>Row-major to feature-major and back: transposes through registers.</summary>
module internal Pack =

    /// <summary>dst[j, i] = src[i, j] for i &lt; n, j &lt; m.</summary>
    /// <remarks>src is [n, m] with row stride lds, dst is [m, n] with row stride ldd, in floats; dst is overwritten and
    /// does not overlap src.</remarks>
    [<MethodImpl(MethodImplOptions.AggressiveOptimization)>]
    let transpose<'L, 'V when 'L: struct and 'L :> ILanes<'V> and 'V: struct>
        (src: nativeptr<float32>)
        (lds: int64)
        (n: int)
        (m: int)
        (dst: nativeptr<float32>)
        (ldd: int64)
        =
        let lanes = 'L.Count
        let fullN = n - n % lanes
        let fullM = m - m % lanes
        let mutable j = 0

        while j < fullM do
            let mutable i = 0

            while i < fullN do
                'L
                    .Transpose(
                        Pointer.at src (int64 i * lds + int64 j),
                        lds,
                        Pointer.at dst (int64 j * ldd + int64 i),
                        ldd
                    )

                i <- i + lanes

            j <- j + lanes

        // Two tails: the last columns of every row, the last rows of the full columns.
        let mutable i = 0

        while i < n do
            let mutable j = if i < fullN then fullM else 0

            while j < m do
                Pointer.set (Pointer.at dst (int64 j * ldd)) i (Pointer.get (Pointer.at src (int64 i * lds)) j)
                j <- j + 1

            i <- i + 1

    /// <summary>One tile: samples as lanes, tile[j, i] = x[i, j], and 0 for the samples from n to width.</summary>
    /// <remarks>x is [n, m] with row stride lds, tile is [m, width] with n ≤ width; tile is overwritten.</remarks>
    [<MethodImpl(MethodImplOptions.AggressiveOptimization)>]
    let tile<'L, 'V when 'L: struct and 'L :> ILanes<'V> and 'V: struct>
        (x: nativeptr<float32>)
        (lds: int64)
        (n: int)
        (m: int)
        (tile: nativeptr<float32>)
        (width: int)
        =
        transpose<'L, 'V> x lds n m tile (int64 width)

        if n < width then
            let mutable j = 0

            while j < m do
                let row = Pointer.at tile (int64 j * int64 width)
                let mutable i = n

                while i < width do
                    Pointer.set row i 0.0f
                    i <- i + 1

                j <- j + 1
