namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop
open SparseFs

/// Sums over samples, and sums of sums.
module internal Reduce =

    /// <summary>sums[r] = Σ tile[r, i], or added to it, over the vectors · lanes samples of a tile [rows, samples].</summary>
    /// <remarks>Order of summation: the vectors of a row in turn, then over the lanes.</remarks>
    [<AggressiveOptimization>]
    let rowSums<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (tile: nativeptr<float32>)
        (vectors: int)
        (rows: int)
        (accumulate: bool)
        (sums: nativeptr<float32>)
        =
        let lanes = int64 'L.Count
        let mutable at = tile
        let mutable r = 0

        while r < rows do
            let mutable sum = 'L.Load at
            let mutable v = 1

            while v < vectors do
                sum <- 'L.Add(sum, 'L.Load(Pointer.at at (int64 v * lanes)))
                v <- v + 1

            let total = 'L.Sum4(sum, 'L.Zero, 'L.Zero, 'L.Zero).ToScalar()
            Pointer.set sums r (if accumulate then Pointer.get sums r + total else total)
            at <- Pointer.at at (int64 vectors * lanes)
            r <- r + 1

    /// total[i] = Σ partial[k · length + i] over the groups k in turn; total is overwritten.
    [<AggressiveOptimization>]
    let addGroups<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (groups: int)
        (length: int)
        (partial: nativeptr<float32>)
        (total: nativeptr<float32>)
        =
        let lanes = 'L.Count
        let stride = int64 length
        let mutable i = 0

        while i + lanes <= length do
            let mutable at = Pointer.at partial (int64 i)
            let mutable sum = 'L.Load at
            let mutable k = 1

            while k < groups do
                at <- Pointer.at at stride
                sum <- 'L.Add(sum, 'L.Load at)
                k <- k + 1

            'L.Store(Pointer.at total (int64 i), sum)
            i <- i + lanes

        while i < length do
            let mutable at = Pointer.at partial (int64 i)
            let mutable sum = NativePtr.read at
            let mutable k = 1

            while k < groups do
                at <- Pointer.at at stride
                sum <- sum + NativePtr.read at
                k <- k + 1

            Pointer.set total i sum
            i <- i + 1

    /// total[i] = Σ counts[part · stride + i] over the parts; total is overwritten.
    [<AggressiveOptimization>]
    let addParts (parts: int) (stride: int) (counts: nativeptr<int>) (n: int) (total: nativeptr<int>) =
        let mutable i = 0

        while i < n do
            let mutable sum = 0

            for part in 0 .. parts - 1 do
                sum <- sum + Pointer.get (Pointer.at counts (int64 part * int64 stride)) i

            Pointer.set total i sum
            i <- i + 1
