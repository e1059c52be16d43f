namespace SparseFs.Torch

open System
open System.Reflection
open System.Runtime.CompilerServices
open System.Runtime.InteropServices
open TorchSharp

/// <summary>The first touch of torch: TorchSharp's modules call native code before torch has looked for it.</summary>
module internal TorchStart =

    let private isThere (library: string) : bool =
        let mutable handle = 0n
        NativeLibrary.TryLoad(library, typeof<torch>.Assembly, Nullable(), &handle)

    /// The loader's own words on why a library does not load.
    let private reason (library: string) : string =
        try
            NativeLibrary.Load(library, typeof<torch>.Assembly, Nullable()) |> ignore
            "it loads by itself"
        with e ->
            e.Message

    let private version: string =
        match typeof<torch>.Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>() with
        | null -> "*"
        | attribute -> attribute.InformationalVersion.Split('+')[0]

    let internal missing: string =
        "libtorch, the native part of TorchSharp, was not found beside this program. SparseFs does not bring it, because "
        + "it is large and comes in several kinds. Add one of its packages to the project that runs: "
        + $"dotnet add package TorchSharp-cpu --version {version} (for NVIDIA GPUs TorchSharp-cuda-windows or "
        + $"TorchSharp-cuda-linux); in a script: #r \"nuget: TorchSharp-cpu, {version}\""

    let internal unloadable (reason: string) : string =
        "LibTorchSharp, the native part of TorchSharp, is here and does not load on this system "
        + $"({reason}). Where it asks for {LibTorchSharpCopy.Version}, build or publish with "
        + "-p:SparseFsRelaxLibTorchSharp=true, which replaces it by a copy that older systems load; "
        + "in a script, write #r \"nuget: SparseFs\" before the first use of torch"

    let mutable private started = false

    /// Apart from ensure, so that the usual way stays short.
    [<MethodImpl(MethodImplOptions.NoInlining)>]
    let private start () : unit =
        // TorchSharp would copy half a gigabyte out of this machine's package cache, if another program has it there,
        // and the program would fail on the next machine.
        if not (isThere "torch_cpu") then
            raise (DllNotFoundException missing)

        try
            torch.InitializeDeviceType DeviceType.CPU
        with
        | :? NotSupportedException
        | :? DllNotFoundException
        | :? TypeInitializationException as e -> raise (DllNotFoundException(unloadable (reason "LibTorchSharp"), e))

        started <- true

    /// <summary>Loads libtorch, if that has not been done.</summary>
    /// <exception cref="T:System.DllNotFoundException">It is not there, or does not load; the message names the package or
    /// the cure.</exception>
    let ensure () : unit =
        if not started then
            start ()

    /// The name of a module, which is handed to native code next.
    let named (name: string) : string =
        ensure ()
        name
