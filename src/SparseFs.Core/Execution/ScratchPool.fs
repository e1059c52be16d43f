namespace SparseFs.Kernels

#nowarn "9"

open System
open System.Runtime.InteropServices
open System.Threading
open Microsoft.FSharp.NativeInterop

/// Native memory on a cache line's boundary.
[<Sealed>]
type internal AlignedBuffer(bytes: int64) =
    let address = NativeMemory.AlignedAlloc(unativeint (max bytes 64L), 64un)
    member _.Bytes = bytes
    member _.Floats: nativeptr<float32> = NativePtr.ofVoidPtr address
    member _.Free() = NativeMemory.AlignedFree address

    interface IDisposable with
        member b.Dispose() = b.Free()

/// <summary>Buffers that the kernels need for the length of a call, kept for the next one.</summary>
/// <remarks>Eight blocks of the process at most, the larger ones preferred; no lock, and nothing is allocated once they have
/// grown. <c>empty</c> frees them.</remarks>
module internal ScratchPool =

    let private kept: (AlignedBuffer | null)[] = Array.zeroCreate 8

    /// Less than that of any block where there is none.
    let private bytesOf (block: AlignedBuffer | null) : int64 =
        match block with
        | null -> -1L
        | block -> block.Bytes

    /// Frees what is kept; blocks that are rented are their callers'.
    let empty () : unit =
        for i in 0 .. kept.Length - 1 do
            match Interlocked.Exchange(&kept[i], null) with
            | null -> ()
            | block -> block.Free()

    /// Bytes that are kept, where nothing runs beside.
    let bytes () : int64 =
        kept
        |> Array.sumBy (fun block ->
            match block with
            | null -> 0L
            | block -> block.Bytes)

    /// A block of at least this many floats, to be given back.
    let rent (floats: int64) : AlignedBuffer =
        let bytes = floats * 4L
        let mutable found: AlignedBuffer | null = null
        let mutable i = 0

        while isNull found && i < kept.Length do
            match Interlocked.Exchange(&kept[i], null) with
            | null -> ()
            | block when block.Bytes >= bytes -> found <- block
            | block ->
                if not (isNull (Interlocked.CompareExchange(&kept[i], block, null))) then
                    block.Free() // another thread has filled the place meanwhile

            i <- i + 1

        match found with
        | null -> new AlignedBuffer(bytes)
        | block -> block

    /// The floats of a block, or null where none was rented.
    let floats (block: AlignedBuffer | null) : nativeptr<float32> =
        match block with
        | null -> Pointer.nothing
        | block -> block.Floats

    /// Keeps the block, if there is one, in the first free place, or in that of a smaller one.
    let giveBack (block: AlignedBuffer | null) =
        let mutable loser = block
        let mutable i = 0

        while not (isNull loser) && i < kept.Length do
            if bytesOf (Volatile.Read &kept[i]) < bytesOf loser then
                loser <- Interlocked.Exchange(&kept[i], loser)

            i <- i + 1

        match loser with
        | null -> ()
        | block -> block.Free()
