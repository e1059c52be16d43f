/// Arrays for kernels, between margins that show a write beside them.
module SparseFs.Tests.Guarded

#nowarn "9"

open System
open System.Runtime.InteropServices
open Microsoft.FSharp.NativeInterop
open Expecto

/// A pinned copy between two margins, which nobody may write to.
type Guarded(values: float32[]) =
    let margin = 80
    let sentinel = 123456.75f

    let room =
        Array.concat [ Array.create margin sentinel; values; Array.create margin sentinel ]

    let handle = GCHandle.Alloc(room, GCHandleType.Pinned)

    member _.Address: nativeptr<float32> =
        NativePtr.ofNativeInt (handle.AddrOfPinnedObject() + nativeint (4 * margin))

    member _.Values = Array.sub room margin values.Length

    member _.CheckMargins(what: string) =
        Expect.all (Array.truncate margin room) ((=) sentinel) $"{what}: margin before"
        Expect.all (Array.skip (margin + values.Length) room) ((=) sentinel) $"{what}: margin after"

    interface IDisposable with
        member _.Dispose() = handle.Free()

let nothing: nativeptr<float32> = NativePtr.ofNativeInt 0n

/// Garbage that must be overwritten, never added to.
let garbage (length: int) = Array.create length nanf
