namespace SparseFs.Kernels

#nowarn "9"

open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop
open SparseFs

/// The size of gradients, and what brings it down.
module internal GradientNorm =

    /// Slots whose sum is one number of the whole: so that sums do not depend on threads.
    [<Literal>]
    let private Block = 16_384

    [<AggressiveOptimization>]
    let private ofBlock (g: nativeptr<float32>) (from: int) (until: int) : float =
        let mutable a = Vector256<float>.Zero
        let mutable b = Vector256<float>.Zero
        let mutable s = from

        while s <= until - 8 do
            let x = Vector256.Load(Pointer.at g (int64 s))
            let low, high = Vector256.WidenLower x, Vector256.WidenUpper x
            a <- a + low * low
            b <- b + high * high
            s <- s + 8

        let mutable sum = Vector256.Sum(a + b)

        while s < until do
            let x = float (Pointer.get g s)
            sum <- sum + x * x
            s <- s + 1

        sum

    /// <summary>The sum of the squares of so many floats, in float64: no float32's square is lost.</summary>
    let squares (team: ParallelFor) (threads: int) (slots: int) (g: nativeptr<float32>) : float =
        let blocks = (slots + Block - 1) / Block
        let sums: float[] = Array.zeroCreate blocks

        // A part may end within a block: whole blocks are counted off by their first slots.
        SlotParts.each team threads slots (fun part ->
            for block in (part.From + Block - 1) / Block .. (part.To + Block - 1) / Block - 1 do
                sums[block] <- ofBlock g (block * Block) (min slots ((block + 1) * Block)))

        Array.sum sums

    [<AggressiveOptimization>]
    let private scaleRange (g: nativeptr<float32>) (factor: float32) (slots: RowRange) : unit =
        let last = slots.To
        let factors = Vector256.Create factor
        let mutable s = slots.From

        while s <= last - 8 do
            let at = Pointer.at g (int64 s)
            Vector256.Store(Vector256.Load at * factors, at)
            s <- s + 8

        while s < last do
            Pointer.set g s (Pointer.get g s * factor)
            s <- s + 1

    /// g = factor · g.
    let scale (team: ParallelFor) (threads: int) (slots: int) (g: nativeptr<float32>) (factor: float32) : unit =
        SlotParts.each team threads slots (scaleRange g factor)
