namespace SparseFs

open System
open System.IO
open System.Runtime.InteropServices
open Microsoft.Win32.SafeHandles

/// <summary>What a path leads to, links being followed.</summary>
[<RequireQualifiedAccess>]
type internal PathKind =
    /// Nothing, or a link to nothing.
    | Missing
    | File
    | Folder
    /// By what people call it: "a named pipe", "a device", "a socket".
    | Other of name: string

/// <summary>Who owns a file, as Unix numbers them.</summary>
[<Struct>]
type internal Ownership = { User: uint32; Group: uint32 }

/// <summary>The few calls of the C library that .NET has no name for: what a path is without opening it, who owns a file, and
/// flushing a folder. Layouts are those that Linux and macOS document for all processors.</summary>
module internal SystemFiles =

    [<DllImport("libc", SetLastError = true)>]
    extern int private statx(
        int folder,
        [<MarshalAs(UnmanagedType.LPUTF8Str)>] string path,
        int flags,
        uint32 mask,
        byte[] buffer
    )

    [<DllImport("libc", EntryPoint = "stat", SetLastError = true)>]
    extern int private statArm([<MarshalAs(UnmanagedType.LPUTF8Str)>] string path, byte[] buffer)

    [<DllImport("libc", EntryPoint = "stat$INODE64", SetLastError = true)>]
    extern int private statX64([<MarshalAs(UnmanagedType.LPUTF8Str)>] string path, byte[] buffer)

    [<DllImport("libc", SetLastError = true)>]
    extern int private fchown(SafeFileHandle file, uint32 user, uint32 group)

    [<DllImport("libc", EntryPoint = "open", SetLastError = true)>]
    extern int private openFolder([<MarshalAs(UnmanagedType.LPUTF8Str)>] string path, int flags)

    [<DllImport("libc")>]
    extern void private sync()

    let private isUnix = OperatingSystem.IsLinux() || OperatingSystem.IsMacOS()

    /// The type of a file among the bits of its mode.
    let private kindOfMode (mode: int) : PathKind =
        match mode &&& 0o170000 with
        | 0o100000 -> PathKind.File
        | 0o040000 -> PathKind.Folder
        | 0o010000 -> PathKind.Other "a named pipe"
        | 0o140000 -> PathKind.Other "a socket"
        | _ -> PathKind.Other "a device"

    let private read16 (buffer: byte[]) (at: int) = int (BitConverter.ToUInt16(buffer, at))

    /// Kind and owner, or nothing where the system does not say: no such file, a folder on the way that may not be entered,
    /// a kernel without the call.
    let private tryStat (path: string) : struct (PathKind * Ownership) voption =
        let buffer: byte[] = Array.zeroCreate 256

        let at (mode: int) (user: int) =
            ValueSome(
                struct (kindOfMode (read16 buffer mode),
                        { User = BitConverter.ToUInt32(buffer, user)
                          Group = BitConverter.ToUInt32(buffer, user + 4) })
            )

        try
            if OperatingSystem.IsLinux() then
                // AT_FDCWD; type, mode, user and group are asked for.
                if statx (-100, path, 0, 0x1Bu, buffer) = 0 then
                    at 28 20
                else
                    ValueNone
            elif RuntimeInformation.ProcessArchitecture = Architecture.X64 then
                if statX64 (path, buffer) = 0 then at 4 16 else ValueNone
            elif statArm (path, buffer) = 0 then
                at 4 16
            else
                ValueNone
        with
        | :? DllNotFoundException
        | :? EntryPointNotFoundException -> ValueNone

    let private kindByDotNet (path: string) : PathKind =
        if Directory.Exists path then
            PathKind.Folder
        // NUL, COM1 and pipes, under whatever name.
        elif
            OperatingSystem.IsWindows()
            && (Path.GetFullPath path).StartsWith(@"\\.\", StringComparison.Ordinal)
        then
            PathKind.Other "a device"
        elif File.Exists path then
            PathKind.File
        else
            PathKind.Missing

    /// <summary>What a path leads to; nothing is opened, so that nothing can block.</summary>
    let kind (path: string) : PathKind =
        match (if isUnix then tryStat path else ValueNone) with
        | ValueSome(kind, _) -> kind
        | ValueNone -> kindByDotNet path

    /// <summary>Whether a file was not opened because another program, or another part of this one, has it open and does not
    /// share it.</summary>
    let isInUse (e: IOException) : bool =
        if OperatingSystem.IsWindows() then
            e.HResult = 0x80070020 || e.HResult = 0x80070021 // a sharing violation, a lock
        else
            e.HResult = (if OperatingSystem.IsLinux() then 11 else 35) // EWOULDBLOCK of the lock that .NET takes

    /// <summary>Who owns a file; nothing where the system knows no such numbers.</summary>
    let tryOwner (path: string) : Ownership voption =
        match (if isUnix then tryStat path else ValueNone) with
        | ValueSome(_, owner) -> ValueSome owner
        | ValueNone -> ValueNone

    /// <summary>Gives an open file to somebody, or tells the reason why the system does not allow it.</summary>
    let tryGive (file: SafeFileHandle) (owner: Ownership) : string voption =
        if fchown (file, owner.User, owner.Group) = 0 then
            ValueNone
        else
            ValueSome(Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError()))

    /// <summary>Brings the names in a folder to the disk: without that a rename may be gone after a power cut.</summary>
    /// <exception cref="T:System.IO.IOException">The disk fails.</exception>
    let flushFolder (path: string) : unit =
        if isUnix then
            // O_RDONLY and O_CLOEXEC.
            let descriptor =
                openFolder (path, (if OperatingSystem.IsLinux() then 0x80000 else 0x1000000))

            if descriptor >= 0 then
                use handle = new SafeFileHandle(nativeint descriptor, ownsHandle = true)
                RandomAccess.FlushToDisk handle
            else
                sync () // a folder that may be written to and not be read: everything then
