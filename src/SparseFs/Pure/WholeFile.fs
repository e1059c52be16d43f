namespace SparseFs

open System
open System.IO

/// <summary>Files that are there whole or not at all.</summary>
module internal WholeFile =

    /// A link stays one: what it points to is replaced.
    let private targetOf (path: string) : string =
        let full = Path.GetFullPath path

        if isNull (FileInfo full).LinkTarget then
            full
        else
            FileInfo(full).ResolveLinkTarget(returnFinalTarget = true).FullName

    let private deleteIfThere (file: string) =
        try
            File.Delete file
        with
        | :? IOException
        | :? UnauthorizedAccessException -> () // what went wrong before is what the caller should hear of

    /// A new file that who may read the old one may read, and nobody else, from the start.
    let private createBeside (target: string) (temporary: string) : FileStream =
        let options =
            FileStreamOptions(
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                Share = FileShare.None,
                BufferSize = 65536
            )

        if OperatingSystem.IsWindows() || not (File.Exists target) then
            new FileStream(temporary, options)
        else
            let mode = File.GetUnixFileMode target
            options.UnixCreateMode <- mode
            let stream = new FileStream(temporary, options)

            try
                File.SetUnixFileMode(stream.SafeFileHandle, mode) // what the process would have masked out
            with _ ->
                stream.Dispose()
                reraise ()

            stream

    /// <summary>Writes a file beside the target, flushes it to the disk and renames it over the target; if the work fails,
    /// the target is as it was, and nothing else is left.</summary>
    /// <param name="wrap">What the writing goes through; id but in tests.</param>
    /// <param name="path">The target; its folder must exist.</param>
    /// <param name="work">Writes everything.</param>
    /// <remarks>A process that is killed meanwhile leaves the target as it was, and a file .NAME.*.tmp beside it.</remarks>
    let writeThrough (wrap: Stream -> Stream) (path: string) (work: Stream -> unit) : unit =
        ArgumentException.ThrowIfNullOrEmpty(path, nameof path)
        let target = targetOf path
        let folder, name = Path.GetDirectoryName target, Path.GetFileName target
        // The target's name may be as long as a name can be.
        let some = name.Substring(0, min 32 name.Length)
        let temporary = Path.Combine(folder, $".{some}.{Guid.NewGuid():N}.tmp")

        try
            (use disk = createBeside target temporary

             let stream = wrap disk
             work stream
             stream.Flush()
             disk.Flush(flushToDisk = true))

            File.Move(temporary, target, overwrite = true)
        with _ ->
            deleteIfThere temporary
            reraise ()

    /// <summary>As <c>writeThrough</c>, without anything between.</summary>
    let write (path: string) (work: Stream -> unit) : unit = writeThrough id path work

    /// <summary>Opens a file to be read from its start.</summary>
    let read (path: string) (work: Stream -> 'a) : 'a =
        ArgumentException.ThrowIfNullOrEmpty(path, nameof path)

        use file =
            new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 65536)

        work file
