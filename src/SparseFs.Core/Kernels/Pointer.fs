namespace SparseFs.Kernels

#nowarn "9" // pointers: a kernel does not check bounds, its caller has

open System.Runtime.InteropServices
open System.Runtime.Intrinsics.X86
open Microsoft.FSharp.NativeInterop

/// Addresses and what lies there.
module internal Pointer =

    /// The address of an element; the index is 64 bits wide, so that no product of sizes wraps.
    let inline at (p: nativeptr<'a>) (index: int64) : nativeptr<'a> =
        NativePtr.ofNativeInt (NativePtr.toNativeInt p + nativeint index * nativeint sizeof<'a>)

    /// Floats from one address to a later one.
    let inline distance (from: nativeptr<float32>) (until: nativeptr<float32>) : int64 =
        (int64 (NativePtr.toNativeInt until) - int64 (NativePtr.toNativeInt from)) / 4L

    let inline get (p: nativeptr<'a>) (index: int) : 'a = NativePtr.get p index
    let inline set (p: nativeptr<'a>) (index: int) (value: 'a) = NativePtr.set p index value
    let inline isNull (p: nativeptr<'a>) = NativePtr.toNativeInt p = 0n
    let nothing<'a when 'a: unmanaged> : nativeptr<'a> = NativePtr.ofNativeInt 0n

    let clear (p: nativeptr<float32>) (count: int64) =
        NativeMemory.Clear(NativePtr.toVoidPtr p, unativeint (count * 4L))

    /// Whether the machine has an instruction that asks for a cache line before it is read or written to.
    let inline hasPrefetch () = Sse.IsSupported

    /// Asks for a cache line, where hasPrefetch.
    let inline prefetch (p: nativeptr<float32>) = Sse.Prefetch0(NativePtr.toVoidPtr p)
