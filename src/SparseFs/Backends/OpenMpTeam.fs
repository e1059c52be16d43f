namespace SparseFs.Torch

open System
open System.IO
open System.Runtime.InteropServices
open System.Threading
open SparseFs.Kernels
open TorchSharp

[<UnmanagedFunctionPointer(CallingConvention.Cdecl)>]
type private Region = delegate of nativeint -> unit

[<UnmanagedFunctionPointer(CallingConvention.Cdecl)>]
type private GompParallel = delegate of region: nativeint * data: nativeint * threads: uint32 * flags: uint32 -> unit

/// <summary>The thread that calls alone.</summary>
/// <remarks>GNU's OpenMP keeps threads of their own for each thread that has called it. A second caller of the kernels
/// shares the library's workers instead, until the first has not called for a second.</remarks>
module private FirstCaller =

    let private silence = 1000L
    let private gate = obj ()
    let mutable private first: Thread | null = null
    let mutable private called = 0L

    /// Whether this thread is the one, from now on.
    let isThis () : bool =
        let now, me = Environment.TickCount64, Thread.CurrentThread

        lock gate (fun () ->
            let isFree =
                match first with
                | null -> true
                | first -> obj.ReferenceEquals(first, me) || now - called > silence || not first.IsAlive

            if isFree then
                first <- me
                called <- now

            isFree)

/// <summary>GNU's OpenMP threads, those that libtorch's own operations run on.</summary>
[<Sealed>]
type private GompTeam(start: GompParallel) =
    inherit ParallelFor(true)

    // Kept for good, so that the address stays valid; it is a field because Share names it.
    static let region =
        Region(fun data ->
            match GCHandle.FromIntPtr(data).Target with
            | :? WorkItems as items -> items.Work() |> ignore
            | _ -> Environment.FailFast "expected the parts of a call that waits for them, got none")

    static let regionAddress = Marshal.GetFunctionPointerForDelegate region

    override _.Share(threads, parts, body) =
        if FirstCaller.isThis () then
            let items = WorkItems(parts, body)
            let handle = GCHandle.Alloc items

            try
                start.Invoke(regionAddress, GCHandle.ToIntPtr handle, uint32 threads, 0u)
            finally
                handle.Free()
                GC.KeepAlive region

            items.ThrowIfFailed()
        else
            ParallelFor.Workers.Share(threads, parts, body)

/// <summary>The threads of libtorch's operations.</summary>
/// <remarks>
/// libtorch's operations run on OpenMP threads that spin for milliseconds after each of them, so other threads find the
/// cores taken. Where that OpenMP is GNU's (Linux), the parts run on the same threads; elsewhere on the library's workers.
/// </remarks>
module internal OpenMpTeam =

    let private symbolOf (library: nativeint) : nativeint =
        let mutable symbol = 0n

        if library <> 0n && NativeLibrary.TryGetExport(library, "GOMP_parallel", &symbol) then
            symbol
        else
            0n

    /// The first libgomp that this process has loaded, or 0.
    let private gomp () : nativeint =
        let maps = "/proc/self/maps"

        let isGomp (path: string) =
            match Path.GetFileName path with
            | null -> false
            | file -> file.StartsWith("libgomp", StringComparison.Ordinal)

        if File.Exists maps then
            let path =
                File.ReadLines maps
                |> Seq.filter (fun line -> line.Contains '/')
                |> Seq.map (fun line -> line.Substring(line.IndexOf '/'))
                |> Seq.tryFind isGomp

            let mutable library = 0n

            match path with
            | Some path when NativeLibrary.TryLoad(path, &library) -> library
            | _ -> 0n
        else
            0n

    /// <summary>GOMP_parallel as libtorch itself calls it.</summary>
    /// <remarks>A process may hold several libgomps, of which libtorch brings one under a name of its own. A library's handle
    /// finds the symbols of what it was linked with; where that is not so, the first libgomp is taken.</remarks>
    let private find () : ParallelFor =
        let ofTorch = symbolOf LibTorch.cpu.Value
        let symbol = if ofTorch <> 0n then ofTorch else symbolOf (gomp ())

        if symbol <> 0n then
            GompTeam(Marshal.GetDelegateForFunctionPointer<GompParallel> symbol)
        else
            ParallelFor.Workers

    let private found = lazy (find ())

    /// Looked for once; to be called when libtorch is loaded.
    let get () : ParallelFor = found.Value

    /// What a product of so many slots and samples may use.
    let machineFor (nnz: int) (samples: int) : ExecutionPolicy =
        CpuSpmm.machineFor (get ()) (torch.get_num_threads ()) nnz samples

    /// What a selection in so many rows of so many units may use.
    let topKFor (rows: int) (units: int) : ExecutionPolicy =
        CpuTopK.machineFor (get ()) (torch.get_num_threads ()) rows units
