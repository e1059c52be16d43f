namespace SparseFs

open System
open System.IO

/// <summary>What a save asks of the disk, in this order; a seam for tests.</summary>
type internal Disk =
    { FlushFile: FileStream -> unit
      Rename: string -> string -> unit
      FlushFolder: string -> unit }

/// <summary>Files that are there whole or not at all.</summary>
module internal AtomicFile =

    let private refuse (path: string) (reason: string) : 'a =
        raise (UnauthorizedAccessException(invariant $"Access to the path '{path}' is denied: {reason}."))

    /// Windows keeps the name of a file that somebody reads, even of one that may be deleted meanwhile, and .NET's error names
    /// no file.
    let private rename (source: string) (target: string) : unit =
        try
            File.Move(source, target, overwrite = true)
        with :? UnauthorizedAccessException when OperatingSystem.IsWindows() && File.Exists target ->
            refuse target "Windows replaces no file that is open; close it where it is read, or save under another name"

    let private disk: Disk =
        { FlushFile = fun stream -> stream.Flush(flushToDisk = true)
          Rename = rename
          FlushFolder = SystemFiles.flushFolder }

    /// <summary>What exists at a path and is no regular file, said without opening it: opening a pipe waits for its other
    /// end.</summary>
    let tryWrongKind (path: string) : string voption =
        match SystemFiles.kind path with
        | PathKind.Missing
        | PathKind.File -> ValueNone
        | PathKind.Folder -> ValueSome "expected a file, got a folder"
        | PathKind.Other name -> ValueSome(invariant $"expected a file, got {name}")

    let private checkKind (path: string) : unit =
        tryWrongKind path |> ValueOption.iter (refuse path)

    /// A link stays one: what it points to is replaced, or made where it is not there.
    let private targetOf (path: string) : string =
        let full = Path.GetFullPath path

        match (FileInfo full).LinkTarget with
        | null -> full
        | _ ->
            match FileInfo(full).ResolveLinkTarget(returnFinalTarget = true) with
            | null -> full // the link has gone meanwhile
            | target -> target.FullName

    /// The folder of a file and its name there.
    let private partsOf (target: string) : struct (string * string) =
        match Path.GetDirectoryName target, Path.GetFileName target with
        | null, _
        | _, null -> refuse target "expected a file in a folder, got a root"
        | folder, name -> struct (folder, name)

    let private deleteIfThere (file: string) =
        try
            File.Delete file
        with
        | :? IOException
        | :? UnauthorizedAccessException -> () // what went wrong before is what the caller should hear of

    let private anyWrite =
        UnixFileMode.UserWrite ||| UnixFileMode.GroupWrite ||| UnixFileMode.OtherWrite

    /// A rename asks for the folder's permission only, so the file is asked here for its own: by its mark, which root need not
    /// heed, and by opening it, without cutting it.
    let private checkWritable (target: string) : unit =
        if OperatingSystem.IsWindows() then
            if File.GetAttributes(target).HasFlag FileAttributes.ReadOnly then
                refuse target "it is marked read-only"
        elif File.GetUnixFileMode target &&& anyWrite = UnixFileMode.None then
            refuse target "its mode lets nobody write to it"

        use _ =
            new FileStream(target, FileMode.Open, FileAccess.Write, FileShare.ReadWrite ||| FileShare.Delete, 0)

        ()

    /// Owner, group and mode of the old file, which nobody but the owner may read before it has them.
    let private takeOver (target: string) (temporary: string) (stream: FileStream) : unit =
        match SystemFiles.tryOwner target, SystemFiles.tryOwner temporary with
        | ValueSome old, ValueSome own when old <> own ->
            match SystemFiles.tryGive stream.SafeFileHandle old with
            | ValueNone -> ()
            | ValueSome reason ->
                let owner = (invariant $"owner {old.User} and group {old.Group}")
                refuse target (invariant $"a new file in its place could not keep {owner} ({reason}); delete it first")
        | _ -> ()

        File.SetUnixFileMode(stream.SafeFileHandle, File.GetUnixFileMode target)

    /// A new file, or an error that names what the caller has named, and not a file of a name that is ours.
    let private openNew (target: string) (temporary: string) (options: FileStreamOptions) : FileStream =
        let struct (folder, name) = partsOf target

        try
            new FileStream(temporary, options)
        with
        | :? DirectoryNotFoundException as e when SystemFiles.kind folder = PathKind.Missing ->
            let message =
                (invariant $"the folder '{folder}' does not exist: create it before '{name}' is written, with ")
                + "Directory.CreateDirectory"

            raise (DirectoryNotFoundException(message, e))
        | :? DirectoryNotFoundException as e ->
            let message =
                (invariant $"'{folder}' is no folder, so that '{name}' cannot be written there: choose another path")

            raise (DirectoryNotFoundException(message, e))
        | :? UnauthorizedAccessException as e ->
            let message =
                (invariant $"Access to the path '{target}' is denied: the process may not make files in '{folder}'; ")
                + "choose another folder, or change its permissions"

            raise (UnauthorizedAccessException(message, e))

    /// A new file that who may read the old one may read, and nobody else, from the start.
    let private createBeside (target: string) (isThere: bool) (temporary: string) : FileStream =
        let options =
            FileStreamOptions(
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                Share = FileShare.None,
                BufferSize = 65536
            )

        if OperatingSystem.IsWindows() || not isThere then
            openNew target temporary options
        else
            options.UnixCreateMode <- UnixFileMode.UserRead ||| UnixFileMode.UserWrite
            let stream = openNew target temporary options

            try
                takeOver target temporary stream
            with _ ->
                stream.Dispose()
                reraise ()

            stream

    /// <summary>Writes a file beside the target, flushes it to the disk, renames it over the target and flushes the folder; if
    /// the work fails, the target is as it was, and nothing else is left.</summary>
    /// <param name="disk">What is asked of the disk.</param>
    /// <param name="wrap">What the writing goes through; id but in tests.</param>
    /// <param name="path">The target; its folder must exist.</param>
    /// <param name="work">Writes everything.</param>
    /// <exception cref="T:System.UnauthorizedAccessException">The target is no file, or may not be written to, or is
    /// somebody's for whom the process cannot make a file.</exception>
    /// <exception cref="T:System.IO.DirectoryNotFoundException">Its folder does not exist, or is none.</exception>
    /// <remarks>A process that is killed meanwhile leaves the target as it was, and a file .NAME.*.tmp beside it. Owner,
    /// group and mode are kept; access lists and other hard links to the old file are not.</remarks>
    let writeOn (disk: Disk) (wrap: Stream -> Stream) (path: string) (work: Stream -> unit) : unit =
        ArgumentException.ThrowIfNullOrEmpty(path, nameof path)
        checkKind path
        let target = targetOf path
        let isThere = File.Exists target

        if isThere then
            checkWritable target

        let struct (folder, name) = partsOf target
        // The target's name may be as long as a name can be.
        let some = name.Substring(0, min 32 name.Length)
        let temporary = Path.Combine(folder, (invariant $".{some}.{Guid.NewGuid():N}.tmp"))

        try
            (use file = createBeside target isThere temporary
             let stream = wrap file
             work stream
             stream.Flush()
             disk.FlushFile file)

            disk.Rename temporary target
        with _ ->
            deleteIfThere temporary
            reraise ()

        disk.FlushFolder folder

    /// <summary>As <c>writeOn</c> the disk that is there.</summary>
    let writeThrough (wrap: Stream -> Stream) (path: string) (work: Stream -> unit) : unit = writeOn disk wrap path work

    /// <summary>As <c>writeThrough</c>, without anything between.</summary>
    let write (path: string) (work: Stream -> unit) : unit = writeThrough id path work

    /// <summary>Opens a file to be read from its start; others may write beside and rename over it meanwhile.</summary>
    /// <param name="buffer">Its buffer in bytes; 0 or 1 for none.</param>
    /// <param name="path">A regular file, or a link to one.</param>
    /// <exception cref="T:System.UnauthorizedAccessException">It is no file, or may not be read.</exception>
    let openRead (buffer: int) (path: string) : FileStream =
        ArgumentException.ThrowIfNullOrEmpty(path, nameof path)
        checkKind path
        new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite ||| FileShare.Delete, buffer)

    /// <summary>Opens a file to be read from its start.</summary>
    let read (path: string) (work: Stream -> 'a) : 'a =
        use file = openRead 65536 path
        work file
