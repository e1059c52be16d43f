namespace SparseFs.Torch

open System
open System.Diagnostics
open System.IO
open System.Runtime.CompilerServices
open System.Runtime.InteropServices
open SparseFs
open TorchSharp

/// What libtorch knows of a tensor and TorchSharp has no member for: its address, and how often it was written to.
module internal LibTorch =

    /// Resolved to the library that TorchSharp has loaded.
    [<Literal>]
    let Sharp = "SparseFs:LibTorchSharp"

    /// Resolved to the libtorch that TorchSharp has loaded.
    [<Literal>]
    let Cpu = "SparseFs:torch_cpu"

    /// at::TensorBase::_version() const, by the names that C++ compilers give it.
    [<Literal>]
    let VersionItanium = "_ZNK2at10TensorBase8_versionEv"

    [<Literal>]
    let VersionMsvc = "?_version@TensorBase@at@@QEBA_JXZ"

    /// torch::autograd::impl::bump_version(const at::Tensor&).
    [<Literal>]
    let BumpItanium = "_ZN5torch8autograd4impl12bump_versionERKN2at6TensorE"

    [<DllImport(Cpu, EntryPoint = BumpItanium)>]
    extern void bumpItanium(nativeint tensor)

    [<DllImport(Sharp, EntryPoint = "THSTensor_data"); SuppressGCTransition>]
    extern nativeint data(nativeint tensor)

    [<DllImport(Cpu, EntryPoint = VersionItanium); SuppressGCTransition>]
    extern int64 versionItanium(nativeint tensor)

    [<DllImport(Cpu, EntryPoint = VersionMsvc); SuppressGCTransition>]
    extern int64 versionMsvc(nativeint tensor)

    /// The library of that name that this process has loaded already, or 0.
    let private loaded (name: string) : nativeint =
        let isIt (path: string | null) =
            match Path.GetFileNameWithoutExtension path with
            | null -> false
            | file ->
                file = name
                || file = "lib" + name
                || file.EndsWith("." + name, StringComparison.Ordinal)

        let mutable library = 0n

        let path =
            try
                use self = Process.GetCurrentProcess()

                self.Modules
                |> Seq.cast<ProcessModule>
                |> Seq.tryFind (fun m -> isIt m.FileName)
                |> Option.map _.FileName
            with _ ->
                None // not every system lists a process's libraries

        if path.IsSome && NativeLibrary.TryLoad(path.Value, &library) then
            library
        elif NativeLibrary.TryLoad(name, typeof<torch>.Assembly, Nullable(), &library) then
            library
        else
            0n

    let private sharp = lazy (loaded "LibTorchSharp")
    /// The handle of libtorch_cpu, 0 where it is not found; to be asked once libtorch is loaded.
    let cpu = lazy (loaded "torch_cpu")

    let private has (library: Lazy<nativeint>) (symbol: string) =
        let mutable address = 0n

        library.Value <> 0n
        && NativeLibrary.TryGetExport(library.Value, symbol, &address)

    /// Whether TorchSharp's library has a function.
    let sharpHas (symbol: string) : bool = has sharp symbol

    /// Which functions are there; asked once, when libtorch is loaded.
    let exports =
        lazy
            (NativeLibrary.SetDllImportResolver(
                Reflection.Assembly.GetExecutingAssembly(),
                fun name _ _ ->
                    match name with
                    | Sharp -> sharp.Value
                    | Cpu -> cpu.Value
                    | _ -> 0n
             )

             {| Data = has sharp "THSTensor_data"
                Itanium = has cpu VersionItanium
                Bump = has cpu BumpItanium
                Msvc = has cpu VersionMsvc |})

/// <summary>Whether a tensor has been written to, and where its numbers are.</summary>
/// <remarks>A libtorch that exports neither is met by <c>canTell</c>: who asks compares contents then.</remarks>
module internal NativeTensor =

    let private exports = LibTorch.exports.Value
    let private hasData = exports.Data
    let private hasItanium = exports.Itanium
    let private hasMsvc = exports.Msvc

    /// Whether writes can be told by <c>version</c>.
    let canTell: bool = hasItanium || hasMsvc

    // Each in a function of its own: a runtime looks for all functions that a method calls before it runs.
    [<MethodImpl(MethodImplOptions.NoInlining)>]
    let private ofItanium (tensor: nativeint) = LibTorch.versionItanium tensor

    [<MethodImpl(MethodImplOptions.NoInlining)>]
    let private ofMsvc (tensor: nativeint) = LibTorch.versionMsvc tensor

    [<MethodImpl(MethodImplOptions.NoInlining)>]
    let private addressOf (tensor: nativeint) = LibTorch.data tensor

    /// <summary>How often operations have written to the tensor, through any handle of it; 0 where it cannot be told.</summary>
    /// <remarks>Not for tensors made in inference mode, which have no such number: libtorch would end the process.</remarks>
    let version (t: torch.Tensor) : int64 =
        let count =
            if hasItanium then ofItanium t.Handle
            elif hasMsvc then ofMsvc t.Handle
            else 0L

        GC.KeepAlive t
        count

    [<MethodImpl(MethodImplOptions.NoInlining)>]
    let private bump (tensor: nativeint) = LibTorch.bumpItanium tensor

    let private hasBump = exports.Bump

    /// <summary>Lets libtorch know that a tensor was written to: a graph that saved it is refused, as after torch's own
    /// operations.</summary>
    /// <param name="t">With a dimension at least.</param>
    let noteWrite (t: torch.Tensor) : unit =
        if hasBump then
            bump t.Handle
        else
            use none = t.narrow (0L, 0L, 0L)
            none.zero_().Dispose()

        GC.KeepAlive t

    /// The address of the first number of a tensor on the CPU; 0 where it has none or it cannot be told.
    let address (t: torch.Tensor) : nativeint =
        let address = if hasData then addressOf t.Handle else 0n
        GC.KeepAlive t
        address

    /// The same for all handles of one tensor: where it lies, and how many numbers it has. TorchSharp's handles are not, as where
    /// two modules share a weight.
    let identity (t: torch.Tensor) : struct (nativeint * int64) =
        match address t with
        | 0n -> struct (t.Handle, -1L)
        | address -> struct (address, t.numel ())
