namespace SparseFs.Kernels

open System
open System.IO
open System.Runtime.ExceptionServices
open System.Runtime.InteropServices
open System.Threading
open System.Threading.Tasks

/// The parts of one call: each is taken by one thread, once.
[<Sealed; AllowNullLiteral>]
type private Parts(count: int, body: int -> unit) =
    let mutable taken = 0
    let mutable failure: ExceptionDispatchInfo = null

    /// Runs parts until none is left. An exception waits for the end: it may not leave a thread that is not ours.
    member _.Work() =
        let mutable part = Interlocked.Increment &taken - 1

        while part < count do
            try
                body part
            with e ->
                failure <- ExceptionDispatchInfo.Capture e

            part <- Interlocked.Increment &taken - 1

    member _.ThrowIfFailed() =
        if not (isNull failure) then
            failure.Throw()

[<UnmanagedFunctionPointer(CallingConvention.Cdecl)>]
type private Region = delegate of nativeint -> unit

[<UnmanagedFunctionPointer(CallingConvention.Cdecl)>]
type private GompParallel = delegate of region: nativeint * data: nativeint * threads: uint32 * flags: uint32 -> unit

/// <summary>Threads for the parts of a call.</summary>
/// <remarks>
/// libtorch's operations run on OpenMP threads that spin for milliseconds after each of them, so other threads find the
/// cores taken. Where that OpenMP is GNU's (Linux), the parts run on the same threads; elsewhere on the thread pool.
/// </remarks>
module internal Team =

    /// GOMP_parallel of the libgomp that this process has loaded: libtorch brings one under a name of its own.
    let private findGomp () : GompParallel =
        let maps = "/proc/self/maps"

        let path =
            if File.Exists maps then
                File.ReadLines maps
                |> Seq.filter (fun line -> line.Contains '/')
                |> Seq.map (fun line -> line.Substring(line.IndexOf '/'))
                |> Seq.tryFind (fun path -> Path.GetFileName(path).StartsWith("libgomp", StringComparison.Ordinal))
            else
                None

        let mutable library = 0n
        let mutable symbol = 0n

        if
            path.IsSome
            && NativeLibrary.TryLoad(path.Value, &library)
            && NativeLibrary.TryGetExport(library, "GOMP_parallel", &symbol)
        then
            Marshal.GetDelegateForFunctionPointer<GompParallel> symbol
        else
            null

    let mutable private gomp: GompParallel = null
    let mutable private attached = 0

    /// Looks for libtorch's threads, once; to be called when libtorch is loaded.
    let attach () =
        if attached = 0 && Interlocked.Exchange(&attached, 1) = 0 then
            gomp <- findGomp ()

    // Kept for good, so that the address stays valid.
    let private region =
        Region(fun data -> (GCHandle.FromIntPtr(data).Target :?> Parts).Work())

    let private regionAddress = Marshal.GetFunctionPointerForDelegate region

    let private onGomp (start: GompParallel) (threads: int) (parts: Parts) =
        let handle = GCHandle.Alloc parts

        try
            start.Invoke(regionAddress, GCHandle.ToIntPtr handle, uint32 threads, 0u)
        finally
            handle.Free()

        parts.ThrowIfFailed()

    /// Calls body for each part from 0 to parts − 1, on so many threads at most; returns when all are done.
    let run (threads: int) (parts: int) (body: int -> unit) =
        if threads = 1 || parts = 1 then
            for part in 0 .. parts - 1 do
                body part
        elif isNull gomp then
            Parallel.For(0, parts, ParallelOptions(MaxDegreeOfParallelism = threads), body)
            |> ignore
        else
            onGomp gomp threads (Parts(parts, body))
