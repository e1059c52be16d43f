namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3535"
#nowarn "3536"

open System.Runtime.CompilerServices
open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop

/// The kernels at one width, for whole parts of a call: packed tiles in, rows of output out.
[<AbstractClass>]
type internal TileKernels() =

    /// packed [features, tile] from the tile's samples of x [n, stride], of which features are wanted.
    abstract Pack: tile: Tile * x: MatrixView * features: int * packed: nativeptr<float32> -> unit

    /// The tile's samples of some features of y [n, stride], from block [features, tile]; y begins at the first of them.
    abstract Unpack: tile: Tile * block: nativeptr<float32> * features: int * y: MatrixView -> unit

    /// sums[r] = Σ packed[r, i], or added to it.
    abstract RowSums:
        tile: Tile * packed: nativeptr<float32> * rows: int * accumulate: bool * sums: nativeptr<float32> -> unit

    /// As Spmm.
    abstract Spmm:
        tile: Tile *
        p: CsrView *
        values: nativeptr<float32> *
        bias: nativeptr<float32> *
        packed: nativeptr<float32> *
        rows: RowRange *
        block: nativeptr<float32> ->
            unit

    /// As Spmm over so many vectors of pixels, of planes in place of a tile.
    abstract Convolve:
        vectors: int *
        p: CsrView *
        values: nativeptr<float32> *
        bias: nativeptr<float32> *
        planes: nativeptr<float32> *
        rows: RowRange *
        y: nativeptr<float32> *
        apart: int64 *
        places: VectorPlaces ->
            unit

    /// As Sddmm.
    abstract Sddmm:
        tile: Tile *
        p: CsrView *
        g: nativeptr<float32> *
        packed: nativeptr<float32> *
        rows: RowRange *
        accumulate: bool *
        d: nativeptr<float32> ->
            unit

    /// As PlaneLayout.Fill.
    abstract Fill: layout: PlaneLayout * sample: nativeptr<float32> * planes: nativeptr<float32> -> unit

    /// As PlaneTarget.put.
    abstract Put:
        target: PlaneTarget *
        block: nativeptr<float32> *
        first: int *
        vectors: int *
        rows: RowRange *
        y: nativeptr<float32> ->
            unit

    /// As PlaneRuns.spread.
    abstract Spread:
        target: PlaneTarget *
        channels: RowRange *
        source: nativeptr<float32> *
        apart: int *
        runs: nativeptr<float32> ->
            unit

    /// As SddmmPlanes.
    abstract SddmmPlanes:
        p: CsrView *
        g: nativeptr<float32> *
        apart: int64 *
        planes: nativeptr<float32> *
        run: int *
        rows: RowRange *
        accumulate: bool *
        d: nativeptr<float32> ->
            unit

    /// As SpmmTranspose.
    abstract Scatter:
        tile: Tile *
        p: CsrView *
        values: nativeptr<float32> *
        g: nativeptr<float32> *
        rows: int *
        cols: int *
        columns: RowRange *
        packed: nativeptr<float32> ->
            unit

    /// As SparseActivations.multiply.
    abstract MultiplySparse:
        columns: CsrView *
        from: nativeptr<int> *
        values: nativeptr<float32> *
        bias: nativeptr<float32> *
        x: MatrixView *
        samples: RowRange *
        y: MatrixView ->
            unit

    /// As SparseActivations.gradient.
    abstract GradientOfSparse:
        columns: CsrView *
        from: nativeptr<int> *
        g: MatrixView *
        tile: MatrixView *
        samples: int *
        own: RowRange *
        d: nativeptr<float32> ->
            unit

    /// As Gemm.block.
    abstract Product:
        g: nativeptr<float32> * x: nativeptr<float32> * n: int * rows: int * ldc: int * c: nativeptr<float32> -> unit

    /// As Reduce.addGroups.
    abstract AddGroups: groups: int * length: int * partial: nativeptr<float32> * total: nativeptr<float32> -> unit

/// The products at one width of tiles: rows that share their columns by groups, and the rows behind the last whole group.
[<AbstractClass; Sealed>]
type internal TileWidth<'L, 'V, 'K
    when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct and 'K: struct and 'K :> ICount> =

    /// The rows behind the last whole group; all of them where there are no groups.
    static member inline private Rest(p: CsrView, rows: RowRange) : RowRange =
        if p.Group = 1 then
            rows
        else
            { rows with
                From = rows.To - rows.Count % p.Group }

    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member Spmm<'I when 'I: struct and 'I :> IInputs>
        (p: CsrView, values, bias, inputs, rows: RowRange, y, apart: int64, places: VectorPlaces)
        =
        match p.Group with
        | 4 -> SpmmRowGroups.rows<'L, 'V, 'K, Four, 'I> p values bias inputs rows y apart places
        | 2 -> SpmmRowGroups.rows<'L, 'V, 'K, Two, 'I> p values bias inputs rows y apart places
        | _ -> ()

        let rest = TileWidth<'L, 'V, 'K>.Rest(p, rows)

        if rest.Count > 0 then
            let before = int64 (rest.From - rows.From) * apart
            Spmm.rows<'L, 'V, 'K, 'I> p values bias inputs rest (Pointer.at y before) apart places

    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member Sddmm(p: CsrView, g, packed, rows: RowRange, accumulate, d) =
        match p.Group with
        | 4 -> SddmmRowGroups.rows<'L, 'V, 'K, Four> p g packed rows accumulate d
        | 2 -> SddmmRowGroups.rows<'L, 'V, 'K, Two> p g packed rows accumulate d
        | _ -> ()

        let rest = TileWidth<'L, 'V, 'K>.Rest(p, rows)

        if rest.Count > 0 then
            let before = int64 (rest.From - rows.From) * int64 ('K.Count * 'L.Count)
            Sddmm.rows<'L, 'V, 'K> p (Pointer.at g before) packed rest accumulate d

    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member Scatter(p: CsrView, values, g, rows: int, cols, columns, packed) =
        let all = { From = 0; To = rows }

        match p.Group with
        | 4 -> SpmmTranspose.groups<'L, 'V, 'K, Four> p values g all cols columns packed
        | 2 -> SpmmTranspose.groups<'L, 'V, 'K, Two> p values g all cols columns packed
        | _ -> ()

        let rest = TileWidth<'L, 'V, 'K>.Rest(p, all)

        if rest.Count > 0 then
            SpmmTranspose.rows<'L, 'V, 'K> p values g rest cols columns packed

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
        let wide, none = int64 (tile.Vectors * 'L.Count), VectorPlaces.none

        match tile.Vectors with
        | 5 -> TileWidth<'L, 'V, Five>.Spmm<TileRows>(p, values, bias, packed, rows, block, wide, none)
        | 4 -> TileWidth<'L, 'V, Four>.Spmm<TileRows>(p, values, bias, packed, rows, block, wide, none)
        | 3 -> TileWidth<'L, 'V, Three>.Spmm<TileRows>(p, values, bias, packed, rows, block, wide, none)
        | 2 -> TileWidth<'L, 'V, Two>.Spmm<TileRows>(p, values, bias, packed, rows, block, wide, none)
        | _ -> TileWidth<'L, 'V, One>.Spmm<TileRows>(p, values, bias, packed, rows, block, wide, none)

    override _.Convolve(vectors, p, values, bias, planes, rows, y, apart, places) =
        match vectors with
        | 4 -> TileWidth<'L, 'V, Four>.Spmm<PlanePlaces>(p, values, bias, planes, rows, y, apart, places)
        | 3 -> TileWidth<'L, 'V, Three>.Spmm<PlanePlaces>(p, values, bias, planes, rows, y, apart, places)
        | 2 -> TileWidth<'L, 'V, Two>.Spmm<PlanePlaces>(p, values, bias, planes, rows, y, apart, places)
        | _ -> TileWidth<'L, 'V, One>.Spmm<PlanePlaces>(p, values, bias, planes, rows, y, apart, places)

    override _.Sddmm(tile, p, g, packed, rows, accumulate, d) =
        match tile.Vectors with
        | 5 -> TileWidth<'L, 'V, Five>.Sddmm(p, g, packed, rows, accumulate, d)
        | 4 -> TileWidth<'L, 'V, Four>.Sddmm(p, g, packed, rows, accumulate, d)
        | 3 -> TileWidth<'L, 'V, Three>.Sddmm(p, g, packed, rows, accumulate, d)
        | 2 -> TileWidth<'L, 'V, Two>.Sddmm(p, g, packed, rows, accumulate, d)
        | _ -> TileWidth<'L, 'V, One>.Sddmm(p, g, packed, rows, accumulate, d)

    override _.Fill(layout, sample, planes) = layout.Fill<'L, 'V>(sample, planes)

    override _.Put(target, block, first, vectors, rows, y) =
        PlaneRuns.put<'L, 'V> target block first vectors rows y

    override _.Spread(target, channels, source, apart, runs) =
        PlaneRuns.spread<'L, 'V> target channels source apart runs

    override _.SddmmPlanes(p, g, apart, planes, run, rows, accumulate, d) =
        let rest =
            if p.Group = 4 then
                SddmmPlanes.groups<'L, 'V> p g apart planes run rows accumulate d

                { rows with
                    From = rows.To - rows.Count % 4 }
            else
                rows

        if rest.Count > 0 then
            let before = int64 (rest.From - rows.From) * apart
            SddmmPlanes.rows<'L, 'V> p (Pointer.at g before) apart planes run rest accumulate d

    override _.Scatter(tile, p, values, g, rows, cols, columns, packed) =
        match tile.Vectors with
        | 5 -> TileWidth<'L, 'V, Five>.Scatter(p, values, g, rows, cols, columns, packed)
        | 4 -> TileWidth<'L, 'V, Four>.Scatter(p, values, g, rows, cols, columns, packed)
        | 3 -> TileWidth<'L, 'V, Three>.Scatter(p, values, g, rows, cols, columns, packed)
        | 2 -> TileWidth<'L, 'V, Two>.Scatter(p, values, g, rows, cols, columns, packed)
        | _ -> TileWidth<'L, 'V, One>.Scatter(p, values, g, rows, cols, columns, packed)

    override _.MultiplySparse(columns, from, values, bias, x, samples, y) =
        SparseActivations.multiply<'L, 'V> columns from values bias x samples y

    override _.GradientOfSparse(columns, from, g, tile, samples, own, d) =
        SparseActivations.gradient<'L, 'V> columns from g tile samples own d

    override _.Product(g, x, n, rows, ldc, c) = Gemm.block<'L, 'V> g x n rows ldc c

    override _.AddGroups(groups, length, partial, total) =
        Reduce.addGroups<'L, 'V> groups length partial total

/// The kernels of each width, and the pieces of a part that several operations share.
[<RequireQualifiedAccess>]
module internal TileKernels =

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
