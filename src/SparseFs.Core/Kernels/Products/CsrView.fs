namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// Some of the rows of a matrix, the columns of a transposed one, or the slots of a pattern: From to To − 1.
[<Struct>]
type internal RowRange =
    { From: int
      To: int }

    member inline r.Count = r.To - r.From

/// A row-major matrix: the address of its first row, and the floats from there to the next.
[<Struct>]
type internal MatrixView =
    { Data: nativeptr<float32>
      Stride: int }

    /// The address of a row.
    member inline m.Row(row: int) : nativeptr<float32> =
        Pointer.at m.Data (int64 row * int64 m.Stride)

    /// The same rows from a column on.
    member inline m.From(col: int) : MatrixView =
        { Data = Pointer.at m.Data (int64 col)
          Stride = m.Stride }

/// A CSR pattern, or a block of its columns, as addresses, for as long as its arrays are pinned.
[<Struct>]
type internal CsrView =
    {
        /// The first slot of each row.
        Begin: nativeptr<int>
        /// The slot behind the last of each row.
        End: nativeptr<int>
        ColIdx: nativeptr<int>
        /// The last slot whose input is fetched ahead of its use, or −1 where tiles are near without that.
        FetchTo: int64
        /// Rows of a group that share their columns: 1, 2 or 4. Groups begin at multiples of it; a last one may be smaller.
        Group: int
    }

    /// Calls body with each row and its slots, from and to.
    member inline p.ForRows(rows: RowRange, [<InlineIfLambda>] body: int -> int64 -> int64 -> unit) =
        let last = rows.To
        let mutable r = rows.From

        while r < last do
            body r (int64 (Pointer.get p.Begin r)) (int64 (Pointer.get p.End r))
            r <- r + 1

    /// The row of a tile [cols, apart] that a slot reads.
    member inline p.Input(tile: nativeptr<float32>, apart: int64, slot: int64) : nativeptr<float32> =
        Pointer.at tile (int64 (NativePtr.read (Pointer.at p.ColIdx slot)) * apart)

    /// Fetches the row of a tile that a later slot reads, in tiles of four vectors or five; narrower ones are near. A row
    /// that is no whole number of cache lines may ask for one line more than it has; the fifth line of five is left to the machine.
    // Asked once: F# makes a method of its own of a branch that asks again, and sums no longer stay in registers.
    member inline p.Fetch<'L, 'V, 'K
        when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct and 'K: struct and 'K :> ICount>
        (tile: nativeptr<float32>, slot: int64)
        =
        if 'K.Count >= 4 && Pointer.hasPrefetch () && p.FetchTo >= 0L then
            let x = p.Input(tile, int64 ('K.Count * 'L.Count), min (slot + 16L) p.FetchTo)
            Pointer.prefetch x

            if 'L.Count >= 8 then
                Pointer.prefetch (Pointer.at x 16L)

            if 'K.Count * 'L.Count > 32 then
                Pointer.prefetch (Pointer.at x 32L)
                Pointer.prefetch (Pointer.at x 48L)

[<RequireQualifiedAccess>]
module internal CsrView =

    /// The result of body, during which the pattern's arrays stay where they are.
    let inline pinned
        (pattern: Connectivity)
        (group: int)
        (fetchTo: int64)
        ([<InlineIfLambda>] body: CsrView -> 'result)
        : 'result =
        use rowPtr = fixed pattern.RowPtrArray
        use colIdx = fixed pattern.ColIdxArray

        body
            { Begin = rowPtr
              End = Pointer.at rowPtr 1L
              ColIdx = colIdx
              FetchTo = fetchTo
              Group = group }
