namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop

[<Sealed>]
type internal TileKernels<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>() =
    inherit TileKernels()

    override _.Pack(tile, x, features, packed) =
        let wide = tile.Vectors * 'L.Count
        Pack.tile<'L, 'V> (x.Row tile.Sample) (int64 x.Stride) tile.Samples features packed wide

    override _.Unpack(tile, block, features, y) =
        let wide = int64 (tile.Vectors * 'L.Count)
        Pack.untile<'L, 'V> block wide features tile.Samples (y.Row tile.Sample) (int64 y.Stride)

    override _.RowSums(tile, packed, rows, accumulate, sums) =
        Reduce.rowSums<'L, 'V> packed tile.Vectors rows accumulate sums

    override _.Spmm(tile, p, values, bias, packed, rows, block) =
        let wide, one = int64 (tile.Vectors * 'L.Count), PixelTiles.packed

        match tile.Vectors with
        | 5 -> TileWidth<'L, 'V, Five>.Spmm<TileRows>(p, values, bias, packed, rows, block, wide, one)
        | 4 -> TileWidth<'L, 'V, Four>.Spmm<TileRows>(p, values, bias, packed, rows, block, wide, one)
        | 3 -> TileWidth<'L, 'V, Three>.Spmm<TileRows>(p, values, bias, packed, rows, block, wide, one)
        | 2 -> TileWidth<'L, 'V, Two>.Spmm<TileRows>(p, values, bias, packed, rows, block, wide, one)
        | _ -> TileWidth<'L, 'V, One>.Spmm<TileRows>(p, values, bias, packed, rows, block, wide, one)

    override _.Convolve(vectors, p, values, bias, planes, rows, y, apart, tiles) =
        match vectors with
        | 4 -> TileWidth<'L, 'V, Four>.Spmm<PixelPlaces>(p, values, bias, planes, rows, y, apart, tiles)
        | 3 -> TileWidth<'L, 'V, Three>.Spmm<PixelPlaces>(p, values, bias, planes, rows, y, apart, tiles)
        | 2 -> TileWidth<'L, 'V, Two>.Spmm<PixelPlaces>(p, values, bias, planes, rows, y, apart, tiles)
        | _ -> TileWidth<'L, 'V, One>.Spmm<PixelPlaces>(p, values, bias, planes, rows, y, apart, tiles)

    override _.Sddmm(tile, p, g, packed, rows, accumulate, d) =
        match tile.Vectors with
        | 5 -> TileWidth<'L, 'V, Five>.Sddmm(p, g, packed, rows, accumulate, d)
        | 4 -> TileWidth<'L, 'V, Four>.Sddmm(p, g, packed, rows, accumulate, d)
        | 3 -> TileWidth<'L, 'V, Three>.Sddmm(p, g, packed, rows, accumulate, d)
        | 2 -> TileWidth<'L, 'V, Two>.Sddmm(p, g, packed, rows, accumulate, d)
        | _ -> TileWidth<'L, 'V, One>.Sddmm(p, g, packed, rows, accumulate, d)

    override _.Fill(layout, sample, planes) = layout.Fill<'L, 'V>(sample, planes)

    override _.Put(target, block, first, vectors, rows, y) =
        PixelRuns.put<'L, 'V> target block first vectors rows y

    override _.Spread(target, channels, source, apart, runs) =
        PixelRuns.spread<'L, 'V> target channels source apart runs

    override _.SddmmPixels(p, g, apart, planes, run, rows, accumulate, d) =
        let rest =
            if p.Group = 4 then
                SddmmPixels.groups<'L, 'V> p g apart planes run rows accumulate d

                { rows with
                    From = rows.To - rows.Count % 4 }
            else
                rows

        if rest.Count > 0 then
            let before = int64 (rest.From - rows.From) * apart
            SddmmPixels.rows<'L, 'V> p (Pointer.at g before) apart planes run rest accumulate d

    override _.Scatter(tile, p, values, g, rows, cols, columns, packed) =
        let wide = int64 (tile.Vectors * 'L.Count)

        match tile.Vectors with
        | 5 -> TileWidth<'L, 'V, Five>.Scatter<TileRows>(p, values, g, wide, rows, cols, columns, packed)
        | 4 -> TileWidth<'L, 'V, Four>.Scatter<TileRows>(p, values, g, wide, rows, cols, columns, packed)
        | 3 -> TileWidth<'L, 'V, Three>.Scatter<TileRows>(p, values, g, wide, rows, cols, columns, packed)
        | 2 -> TileWidth<'L, 'V, Two>.Scatter<TileRows>(p, values, g, wide, rows, cols, columns, packed)
        | _ -> TileWidth<'L, 'V, One>.Scatter<TileRows>(p, values, g, wide, rows, cols, columns, packed)

    override _.ScatterPixels(vectors, p, values, g, apart, rows, floats, channels, planes) =
        match vectors with
        | 4 -> TileWidth<'L, 'V, Four>.Scatter<PixelPlaces>(p, values, g, apart, rows, floats, channels, planes)
        | 3 -> TileWidth<'L, 'V, Three>.Scatter<PixelPlaces>(p, values, g, apart, rows, floats, channels, planes)
        | 2 -> TileWidth<'L, 'V, Two>.Scatter<PixelPlaces>(p, values, g, apart, rows, floats, channels, planes)
        | _ -> TileWidth<'L, 'V, One>.Scatter<PixelPlaces>(p, values, g, apart, rows, floats, channels, planes)

    override _.Unfill(layout, planes, channels, sample) =
        layout.Unfill<'L, 'V>(planes, channels, sample)

    override _.MultiplySparse(columns, from, values, bias, x, samples, y) =
        SparseActivations.multiply<'L, 'V> columns from values bias x samples y

    override _.GradientOfSparse(columns, from, g, tile, samples, own, d) =
        SparseActivations.gradient<'L, 'V> columns from g tile samples own d

    override _.Product(g, x, n, rows, ldc, c) = Gemm.block<'L, 'V> g x n rows ldc c

    override _.AddGroups(groups, length, partial, total) =
        Reduce.addGroups<'L, 'V> groups length partial total

/// The kernels of each width, and the pieces of a part that several operations share.
[<RequireQualifiedAccess>]
module internal KernelTable =

    let private scalar = TileKernels<SimdScalar, float32>()
    let private v128 = TileKernels<Simd128, Vector128<float32>>()
    let private v256 = TileKernels<Simd256, Vector256<float32>>()
    let private v512 = TileKernels<Simd512, Vector512<float32>>()

    let ofWidth (width: Width) : TileKernels =
        match width with
        | Width.Scalar -> scalar
        | Width.V128 -> v128
        | Width.V256 -> v256
        | _ -> v512

    /// Rows of output that are transposed back together, four cache lines of floats: a sample's lines follow each other.
    let private rowBlock = 64

    /// The same where they are fetched ahead, which asks for one line of each sample.
    let private rowBlockFetched = 16

    /// An output beyond this size is fetched while its sums are computed; a smaller one is near already.
    let private nearBytes = 2L * 1024L * 1024L

    let private fetchLines (count: int) (first: nativeptr<float32>) (stride: int) =
        if Pointer.hasPrefetch () then
            let mutable line = first

            for _ in 1..count do
                Pointer.prefetch line
                line <- Pointer.at line (int64 stride)

    /// Some rows of a packed tile's product, into y [n, rows].
    let multiply
        (c: BatchTiling)
        (tile: Tile)
        (p: CsrView)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (packed: nativeptr<float32>)
        (rows: RowRange)
        (y: MatrixView)
        =
        let kernels = ofWidth c.Width
        let fetchesAhead = int64 c.N * int64 y.Stride * 4L > nearBytes
        let rowBlock = if fetchesAhead then rowBlockFetched else rowBlock
        // On a cache line's boundary.
        let room = NativePtr.stackalloc<float32>(rowBlock * c.Wide tile + 16)
        let block = NativePtr.ofNativeInt ((NativePtr.toNativeInt room + 63n) &&& ~~~63n)
        let mutable row = rows.From

        while row < rows.To do
            let next = min rows.To (row + rowBlock)
            let own = y.From row

            if fetchesAhead then
                fetchLines tile.Samples (own.Row tile.Sample) y.Stride

            kernels.Spmm(tile, p, values, bias, packed, { From = row; To = next }, block)
            kernels.Unpack(tile, block, next - row, own)
            row <- next
