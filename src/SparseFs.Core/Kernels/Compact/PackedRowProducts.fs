namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>y[r] = bias[r] + scale[r] · Σ values[s] · x[column s] over the slots s of row r, for one sample.</summary>
/// <remarks>x is [cols], y is [rows]: overwritten in the rows that are asked for, and overlaps nothing. Order of summation: the slots
/// of a row are dealt to the lanes of two vectors, which are added at the end, then their lanes. Oracle: PackedProductsTests.</remarks>
module internal PackedRowProducts =

    /// Bytes that the streams of columns and values are asked for before they are read: the processor's own fetching ends at each
    /// page. 0.5 and 2 KB are as good.
    [<Literal>]
    let private Ahead = 1024L

    let inline private fetch (address: nativeint) (bytes: int64) =
        if Pointer.hasPrefetch () then
            Pointer.prefetch (NativePtr.ofNativeInt (address + nativeint Ahead))

            if bytes > 64L then
                Pointer.prefetch (NativePtr.ofNativeInt (address + nativeint (Ahead + 64L)))

    /// Some rows, of groups of one.
    [<AggressiveOptimization>]
    let rows<'L, 'V, 'C, 'F, 'I
        when 'L: struct
        and 'L :> ISimdVector<'V>
        and 'V: struct
        and 'C: struct
        and 'C :> IPackedVector<'V>
        and 'F: struct
        and 'F :> IPackedValues
        and 'I: struct
        and 'I :> IColumns>
        (p: PackedView)
        (x: nativeptr<float32>)
        (rows: RowRange)
        (y: nativeptr<float32>)
        =
        let lanes = int64 'L.Count
        let sum = NativePtr.stackalloc<float32> 1
        let columns, values = p.Columns, p.Values

        for r in rows.From .. rows.To - 1 do
            let mutable s = p.First r
            let last = s + int64 (Pointer.get p.Counts r)
            let mutable a = 'L.Zero
            let mutable b = 'L.Zero

            while s + 2L * lanes <= last do
                fetch (columns + nativeint (s * int64 'I.Bytes)) (2L * lanes * int64 'I.Bytes)
                fetch (values + nativeint (s * int64 'F.Bytes)) (2L * lanes * int64 'F.Bytes)
                a <- 'L.MultiplyAdd('C.Gather<'I>(x, columns, s), 'F.Load<'C, 'V>(values, s), a)
                let next = s + lanes
                b <- 'L.MultiplyAdd('C.Gather<'I>(x, columns, next), 'F.Load<'C, 'V>(values, next), b)
                s <- next + lanes

            if s + lanes <= last then
                a <- 'L.MultiplyAdd('C.Gather<'I>(x, columns, s), 'F.Load<'C, 'V>(values, s), a)
                s <- s + lanes

            if s < last then
                // A 0 in the lanes of no slot: an infinity that they happened to read would not be 0 times a weight of 0.
                let inputs = 'C.GatherSome<'I>(x, columns, s, int (last - s))
                b <- 'L.MultiplyAdd(inputs, 'F.Load<'C, 'V>(values, s), b)

            'C.Fold('L.Add(a, b), 1, sum)
            p.Put(r, 1, sum, y)
