namespace SparseFs.Kernels

#nowarn "9"

open System
open System.Runtime.InteropServices
open System.Threading
open Microsoft.FSharp.NativeInterop

/// Native memory on a cache line's boundary.
[<Sealed; AllowNullLiteral>]
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

    let private kept: AlignedBuffer[] = Array.zeroCreate 8

    /// Frees what is kept; blocks that are rented are their callers'.
    let empty () : unit =
        for i in 0 .. kept.Length - 1 do
            let block = Interlocked.Exchange(&kept[i], null)

            if not (isNull block) then
                block.Free()

    /// Bytes that are kept, where nothing runs beside.
    let bytes () : int64 =
        kept |> Array.sumBy (fun block -> if isNull block then 0L else block.Bytes)

    /// A block of at least this many floats, to be given back.
    let rent (floats: int64) : AlignedBuffer =
        let bytes = floats * 4L
        let mutable found: AlignedBuffer = null
        let mutable i = 0

        while isNull found && i < kept.Length do
            let block = Interlocked.Exchange(&kept[i], null)

            if not (isNull block) && block.Bytes >= bytes then
                found <- block
            elif
                not (isNull block)
                && not (isNull (Interlocked.CompareExchange(&kept[i], block, null)))
            then
                block.Free() // another thread has filled the place meanwhile

            i <- i + 1

        if isNull found then new AlignedBuffer(bytes) else found

    /// Keeps the block in the first free place, or in that of a smaller one.
    let giveBack (block: AlignedBuffer) =
        let mutable loser = block
        let mutable i = 0

        while not (isNull loser) && i < kept.Length do
            let other = Volatile.Read &kept[i]

            if isNull other || other.Bytes < loser.Bytes then
                loser <- Interlocked.Exchange(&kept[i], loser)

            i <- i + 1

        if not (isNull loser) then
            loser.Free()
