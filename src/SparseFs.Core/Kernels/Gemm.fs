namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536" // lanes are used as type arguments only

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>c = gᵀ · x as a dense matrix, some rows at a time: the gradient of every cell.</summary>
/// <remarks>
/// g is [n, rows] and x is [n, cols], row-major. Both are brought into strips of 4 rows and of two vectors of columns,
/// whose samples follow each other; a strip of each gives 4 · 2 vectors of sums that stay in registers. Order of
/// summation: the samples in turn, a run of them at a time. Oracle: the product in float64, in the tests of CpuGrowthScores.
/// </remarks>
module internal Gemm =

    /// Rows of a strip of g.
    [<Literal>]
    let Rows = 4

    /// Vectors of a strip of x.
    [<Literal>]
    let Vectors = 2

    /// Samples that are summed up in one go: a strip of x stays near.
    [<Literal>]
    let Run = 512

    /// <summary>strips[s, k, i] = source[k, columns.From + s · width + i] for i below width, 0 beyond the columns.</summary>
    /// <remarks>source is [n, stride]; strips is [strips, n, width] and overwritten.</remarks>
    [<AggressiveOptimization>]
    let pack (source: MatrixView) (n: int) (columns: RowRange) (width: int) (strips: nativeptr<float32>) =
        let count = (columns.Count + width - 1) / width

        for strip in 0 .. count - 1 do
            let own = min width (columns.Count - strip * width)
            let into = Pointer.at strips (int64 strip * int64 n * int64 width)

            for k in 0 .. n - 1 do
                let src = Pointer.at (source.Row k) (int64 (columns.From + strip * width))
                let dst = Pointer.at into (int64 k * int64 width)

                for i in 0 .. own - 1 do
                    Pointer.set dst i (Pointer.get src i)

                for i in own .. width - 1 do
                    Pointer.set dst i 0.0f

    let inline private put<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (accumulate: bool)
        (c: nativeptr<float32>)
        (sum: 'V)
        =
        'L.Store(c, (if accumulate then 'L.Add('L.Load c, sum) else sum))

    /// <summary>c[i, j] = Σ g[k, i] · x[k, j] over the samples of two strips, or added to it.</summary>
    /// <remarks>g is [n, 4], x is [n, two vectors]; c has 4 rows, ldc floats apart, and overlaps nothing.</remarks>
    [<AggressiveOptimization>]
    let strip<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (g: nativeptr<float32>)
        (x: nativeptr<float32>)
        (n: int)
        (accumulate: bool)
        (c: nativeptr<float32>)
        (ldc: int64)
        =
        let lanes = int64 'L.Count
        let mutable a0 = 'L.Zero
        let mutable a1 = 'L.Zero
        let mutable b0 = 'L.Zero
        let mutable b1 = 'L.Zero
        let mutable c0 = 'L.Zero
        let mutable c1 = 'L.Zero
        let mutable d0 = 'L.Zero
        let mutable d1 = 'L.Zero
        let mutable gAt = g
        let mutable xAt = x
        let mutable k = 0

        while k < n do
            let x0 = 'L.Load xAt
            let x1 = 'L.Load(Pointer.at xAt lanes)
            let w = 'L.Broadcast(Pointer.get gAt 0)
            a0 <- 'L.MultiplyAdd(w, x0, a0)
            a1 <- 'L.MultiplyAdd(w, x1, a1)
            let w = 'L.Broadcast(Pointer.get gAt 1)
            b0 <- 'L.MultiplyAdd(w, x0, b0)
            b1 <- 'L.MultiplyAdd(w, x1, b1)
            let w = 'L.Broadcast(Pointer.get gAt 2)
            c0 <- 'L.MultiplyAdd(w, x0, c0)
            c1 <- 'L.MultiplyAdd(w, x1, c1)
            let w = 'L.Broadcast(Pointer.get gAt 3)
            d0 <- 'L.MultiplyAdd(w, x0, d0)
            d1 <- 'L.MultiplyAdd(w, x1, d1)
            gAt <- Pointer.at gAt 4L
            xAt <- Pointer.at xAt (2L * lanes)
            k <- k + 1

        put<'L, 'V> accumulate c a0
        put<'L, 'V> accumulate (Pointer.at c lanes) a1
        put<'L, 'V> accumulate (Pointer.at c ldc) b0
        put<'L, 'V> accumulate (Pointer.at c (ldc + lanes)) b1
        put<'L, 'V> accumulate (Pointer.at c (2L * ldc)) c0
        put<'L, 'V> accumulate (Pointer.at c (2L * ldc + lanes)) c1
        put<'L, 'V> accumulate (Pointer.at c (3L * ldc)) d0
        put<'L, 'V> accumulate (Pointer.at c (3L * ldc + lanes)) d1

    /// <summary>c [rows, ldc] from the strips of some rows of g and those of all of x; c is overwritten.</summary>
    /// <remarks>rows is a multiple of 4, ldc one of two vectors.</remarks>
    [<AggressiveOptimization>]
    let block<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (g: nativeptr<float32>)
        (x: nativeptr<float32>)
        (n: int)
        (rows: int)
        (ldc: int)
        (c: nativeptr<float32>)
        =
        let width = Vectors * 'L.Count
        let mutable from = 0

        while from < n || from = 0 do
            let own = min Run (n - from)

            for column in 0 .. ldc / width - 1 do
                let xStrip = Pointer.at x ((int64 column * int64 n + int64 from) * int64 width)

                for group in 0 .. rows / Rows - 1 do
                    let gStrip = Pointer.at g ((int64 group * int64 n + int64 from) * int64 Rows)

                    let target =
                        Pointer.at c (int64 group * int64 Rows * int64 ldc + int64 (column * width))

                    strip<'L, 'V> gStrip xStrip own (from > 0) target (int64 ldc)

            from <- from + Run
