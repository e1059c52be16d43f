namespace SparseFs

open System
open System.IO
open System.Reflection
open System.Runtime.InteropServices
open System.Runtime.Loader
open System.Threading
open SparseFs.Torch
open TorchSharp

/// <summary>Lets F# Interactive load libtorch from NuGet's folders.</summary>
/// <remarks>The package does this by itself on <c>#r "nuget: SparseFs"</c>; a script that refers to SparseFs.dll by its path
/// calls it before its first use of torch.</remarks>
[<AbstractClass; Sealed>]
type LibTorchForScripts private () =

    [<Literal>]
    static let Name = "LibTorchSharp"

    static let mutable prepared = 0
    static let file = "libLibTorchSharp.so"

    /// Beside TorchSharp.dll, in its output folder, or in its package.
    static let original () : string option =
        match Path.GetDirectoryName typeof<torch>.Assembly.Location with
        | null
        | "" -> None
        | folder ->
            [ [| folder |]
              [| folder; "runtimes"; "linux-x64"; "native" |]
              [| folder; ".."; ".."; "runtimes"; "linux-x64"; "native" |] ]
            |> List.map (fun parts -> Path.GetFullPath(Path.Combine(Array.append parts [| file |])))
            |> List.tryFind File.Exists

    static let tryLoad (path: string) : nativeint =
        let mutable handle = 0n
        if NativeLibrary.TryLoad(path, &handle) then handle else 0n

    /// Libraries of another package's folder are found by their names once they are loaded.
    static let loadNeeded () =
        for needed in [ "c10"; "torch_cpu"; "torch" ] do
            let mutable handle = 0n

            NativeLibrary.TryLoad(needed, typeof<torch>.Assembly, Nullable(), &handle)
            |> ignore

    static let load () : nativeint =
        match original () with
        | None -> 0n
        | Some path ->
            loadNeeded ()

            match tryLoad path with
            | 0n -> tryLoad (LibTorchSharpCopy.pathIn (LibTorchSharpCopy.userCache ()) path)
            | handle -> handle

    static let library = Lazy<nativeint>(load, LazyThreadSafetyMode.ExecutionAndPublication)

    static let resolve (_: Assembly) (name: string) : nativeint =
        if name = Name then library.Value else 0n

    /// <summary>Answers for LibTorchSharp from now on, on Linux; calling it again changes nothing.</summary>
    /// <remarks>Where the system is too old for the library (GLIBCXX_3.4.32), a copy that asks for less is made in the user's
    /// cache; no package is written to. Other systems need none of this, and nothing is done there.</remarks>
    /// <example><code>LibTorchForScripts.Prepare()</code></example>
    static member Prepare() : unit =
        if OperatingSystem.IsLinux() && Interlocked.Exchange(&prepared, 1) = 0 then
            AssemblyLoadContext.Default.add_ResolvingUnmanagedDll (
                Func<Assembly, string, nativeint>(fun assembly name -> resolve assembly name)
            )
