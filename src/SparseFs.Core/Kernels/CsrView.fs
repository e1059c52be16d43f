namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open System.Runtime.Intrinsics.X86
open Microsoft.FSharp.NativeInterop
open SparseFs

/// A CSR pattern as addresses, for as long as its arrays are pinned.
[<Struct>]
type internal CsrView =
    {
        RowPtr: nativeptr<int>
        ColIdx: nativeptr<int>
        /// The last slot whose input is fetched ahead of its use, or −1 where tiles are near without that.
        FetchTo: int64
    }

    /// Calls body with each row and its slots, from and to.
    member inline p.ForRows(rowFrom: int, rowTo: int, [<InlineIfLambda>] body: int -> int64 -> int64 -> unit) =
        let mutable r = rowFrom

        while r < rowTo do
            body r (int64 (Pointer.get p.RowPtr r)) (int64 (Pointer.get p.RowPtr (r + 1)))
            r <- r + 1

    /// The row of a tile [cols, width] that a slot reads.
    member inline p.Input(tile: nativeptr<float32>, width: int64, slot: int64) : nativeptr<float32> =
        Pointer.at tile (int64 (NativePtr.read (Pointer.at p.ColIdx slot)) * width)

    /// Fetches the row of a tile that a later slot reads: four vectors.
    member inline p.Fetch<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (tile: nativeptr<float32>, slot: int64)
        =
        if Sse.IsSupported && p.FetchTo >= 0L then
            let x = p.Input(tile, 4L * int64 'L.Count, min (slot + 16L) p.FetchTo)
            Sse.Prefetch0(NativePtr.toVoidPtr x)

            if 'L.Count >= 8 then
                Sse.Prefetch0(NativePtr.toVoidPtr (Pointer.at x 16L))

            if 'L.Count >= 16 then
                Sse.Prefetch0(NativePtr.toVoidPtr (Pointer.at x 32L))
                Sse.Prefetch0(NativePtr.toVoidPtr (Pointer.at x 48L))
