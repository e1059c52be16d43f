namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3535"
#nowarn "3536"

open System.Runtime.Intrinsics
open System.Runtime.Intrinsics.X86
open Microsoft.FSharp.NativeInterop

/// The kernels at one width, for whole parts of a call: packed tiles in, rows of output out.
[<AbstractClass>]
type internal TileKernels() =

    /// packed [features, tile] from the tile's samples of x [n, stride], of which features are wanted.
    abstract Pack: tile: Tile * x: nativeptr<float32> * stride: int * features: int * packed: nativeptr<float32> -> unit

    /// The tile's samples of some features of y [n, stride], from block [features, tile]; y points at the first of them.
    abstract Unpack:
        tile: Tile * block: nativeptr<float32> * features: int * y: nativeptr<float32> * stride: int -> unit

    /// sums[r] = Σ packed[r, i], or added to it.
    abstract RowSums:
        tile: Tile * packed: nativeptr<float32> * rows: int * accumulate: bool * sums: nativeptr<float32> -> unit

    /// As Spmm, for rows from and to.
    abstract Spmm:
        tile: Tile *
        p: CsrView *
        values: nativeptr<float32> *
        bias: nativeptr<float32> *
        packed: nativeptr<float32> *
        rowFrom: int *
        rowTo: int *
        block: nativeptr<float32> ->
            unit

    /// As Sddmm, for rows from and to.
    abstract Sddmm:
        tile: Tile *
        p: CsrView *
        g: nativeptr<float32> *
        packed: nativeptr<float32> *
        rowFrom: int *
        rowTo: int *
        accumulate: bool *
        d: nativeptr<float32> ->
            unit

    /// As Scatter, for columns from and to.
    abstract Scatter:
        tile: Tile *
        p: CsrView *
        values: nativeptr<float32> *
        g: nativeptr<float32> *
        rows: int *
        cols: int *
        colFrom: int *
        colTo: int *
        packed: nativeptr<float32> ->
            unit

    /// As Product.block.
    abstract Product:
        g: nativeptr<float32> * x: nativeptr<float32> * n: int * rows: int * ldc: int * c: nativeptr<float32> -> unit

[<Sealed>]
type internal TileKernels<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>() =
    inherit TileKernels()

    override _.Pack(tile, x, stride, features, packed) =
        let wide = tile.Vectors * 'L.Count
        let x = Pointer.at x (int64 tile.Sample * int64 stride)
        Pack.tile<'L, 'V> x (int64 stride) tile.Samples features packed wide

    override _.Unpack(tile, block, features, y, stride) =
        let wide = int64 (tile.Vectors * 'L.Count)
        let y = Pointer.at y (int64 tile.Sample * int64 stride)
        Pack.untile<'L, 'V> block wide features tile.Samples y (int64 stride)

    override _.RowSums(tile, packed, rows, accumulate, sums) =
        Reduce.rowSums<'L, 'V> packed tile.Vectors rows accumulate sums

    override _.Spmm(tile, p, values, bias, packed, rowFrom, rowTo, block) =
        match tile.Vectors with
        | 4 -> Spmm.rows4<'L, 'V> p values bias packed rowFrom rowTo block
        | 2 -> Spmm.rows2<'L, 'V> p values bias packed rowFrom rowTo block
        | _ -> Spmm.rows1<'L, 'V> p values bias packed rowFrom rowTo block

    override _.Sddmm(tile, p, g, packed, rowFrom, rowTo, accumulate, d) =
        match tile.Vectors with
        | 4 -> Sddmm.rows4<'L, 'V> p g packed rowFrom rowTo accumulate d
        | 2 -> Sddmm.rows2<'L, 'V> p g packed rowFrom rowTo accumulate d
        | _ -> Sddmm.rows1<'L, 'V> p g packed rowFrom rowTo accumulate d

    override _.Scatter(tile, p, values, g, rows, cols, colFrom, colTo, packed) =
        match tile.Vectors with
        | 4 -> SpmmTranspose.rows4<'L, 'V> p values g rows cols colFrom colTo packed
        | 2 -> SpmmTranspose.rows2<'L, 'V> p values g rows cols colFrom colTo packed
        | _ -> SpmmTranspose.rows1<'L, 'V> p values g rows cols colFrom colTo packed

    override _.Product(g, x, n, rows, ldc, c) = Gemm.block<'L, 'V> g x n rows ldc c

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

    /// Rows of output that are transposed back together: a cache line of floats.
    let private rowBlock = 16

    /// An output beyond this size is fetched while its sums are computed; a smaller one is near already.
    let private nearBytes = 2L * 1024L * 1024L

    let private fetchLines (count: int) (first: nativeptr<float32>) (stride: int) =
        if Sse.IsSupported then
            let mutable line = first

            for _ in 1..count do
                Sse.Prefetch0(NativePtr.toVoidPtr line)
                line <- Pointer.at line (int64 stride)

    /// Rows from and to of a packed tile's product, into y [n, rows].
    let multiply
        (c: BatchTiling)
        (tile: Tile)
        (p: CsrView)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (packed: nativeptr<float32>)
        (rows: int)
        (rowFrom: int)
        (rowTo: int)
        (y: nativeptr<float32>)
        =
        let kernels = ofWidth c.Width
        // On a cache line's boundary.
        let room = NativePtr.stackalloc<float32>(rowBlock * c.Wide tile + 16)
        let block = NativePtr.ofNativeInt ((NativePtr.toNativeInt room + 63n) &&& ~~~63n)
        let fetchesAhead = int64 c.N * int64 rows * 4L > nearBytes
        let mutable row = rowFrom

        while row < rowTo do
            let next = min rowTo (row + rowBlock)

            if fetchesAhead then
                fetchLines tile.Samples (Pointer.at y (int64 tile.Sample * int64 rows + int64 row)) rows

            kernels.Spmm(tile, p, values, bias, packed, row, next, block)
            kernels.Unpack(tile, block, next - row, Pointer.at y (int64 row), rows)
            row <- next
