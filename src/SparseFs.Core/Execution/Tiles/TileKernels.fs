namespace SparseFs.Kernels

#nowarn "9"

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
        tiles: PixelTiles ->
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

    /// As PixelLayout.Fill.
    abstract Fill: layout: PixelLayout * sample: nativeptr<float32> * planes: nativeptr<float32> -> unit

    /// As PixelRuns.put.
    abstract Put:
        target: PixelTarget *
        block: nativeptr<float32> *
        first: int *
        vectors: int *
        rows: RowRange *
        y: nativeptr<float32> ->
            unit

    /// As PixelRuns.spread.
    abstract Spread:
        target: PixelTarget * channels: RowRange * source: nativeptr<float32> * apart: int * runs: nativeptr<float32> ->
            unit

    /// As SddmmPixels.
    abstract SddmmPixels:
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

    /// As SpmmTranspose over so many vectors of runs of pixels, to planes in place of a tile: channels from one float to another.
    abstract ScatterPixels:
        vectors: int *
        p: CsrView *
        values: nativeptr<float32> *
        g: nativeptr<float32> *
        apart: int64 *
        rows: int *
        floats: int *
        channels: RowRange *
        planes: nativeptr<float32> ->
            unit

    /// As PixelLayout.Unfill.
    abstract Unfill:
        layout: PixelLayout * planes: nativeptr<float32> * channels: RowRange * sample: nativeptr<float32> -> unit

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
