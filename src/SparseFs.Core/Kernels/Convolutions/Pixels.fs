namespace SparseFs.Kernels

#nowarn "9"

open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop
open SparseFs

/// Copies and zeros of a few pixels: shorter than a call that any length may have.
module internal Pixels =

    let inline copy<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (source: nativeptr<float32>)
        (count: int)
        (target: nativeptr<float32>)
        =
        let lanes = 'L.Count
        let mutable i = 0

        while i + lanes <= count do
            'L.Store(Pointer.at target (int64 i), 'L.Load(Pointer.at source (int64 i)))
            i <- i + lanes

        if 'L.Count > 4 then
            while i + 4 <= count do
                Vector128.Store(Vector128.Load(Pointer.at source (int64 i)), Pointer.at target (int64 i))
                i <- i + 4

        while i < count do
            Pointer.set target i (Pointer.get source i)
            i <- i + 1

    /// As copy; a row that is longer than a vector ends with one that begins before the last one's end.
    let inline copyRow<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (source: nativeptr<float32>)
        (count: int)
        (target: nativeptr<float32>)
        =
        let lanes = 'L.Count

        if count >= lanes then
            let mutable i = 0

            while i + lanes <= count do
                'L.Store(Pointer.at target (int64 i), 'L.Load(Pointer.at source (int64 i)))
                i <- i + lanes

            if i < count then
                let last = int64 (count - lanes)
                'L.Store(Pointer.at target last, 'L.Load(Pointer.at source last))
        else
            copy<'L, 'V> source count target

    /// As copyRow, before what is written later: a row that is shorter than a vector is copied with what follows it, if that is before the end.
    let inline copyOver<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (source: nativeptr<float32>)
        (behind: nativeptr<float32>)
        (count: int)
        (target: nativeptr<float32>)
        =
        if
            0 < count
            && count < 'L.Count
            && Pointer.distance source behind >= int64 'L.Count
        then
            'L.Store(target, 'L.Load source)
        else
            copyRow<'L, 'V> source count target

    /// Zeros in whole vectors: what is written too many is nobody's yet.
    let inline clearVectors<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (target: nativeptr<float32>)
        (count: int)
        =
        let mutable i = 0

        while i < count do
            'L.Store(Pointer.at target (int64 i), 'L.Zero)
            i <- i + 'L.Count

    let inline clear (target: nativeptr<float32>) (count: int) =
        let mutable i = 0

        while i < count do
            Pointer.set target i 0.0f
            i <- i + 1
