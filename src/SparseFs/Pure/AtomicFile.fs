namespace SparseFs

open System
open System.IO

/// <summary>Files that are there whole or not at all.</summary>
module internal AtomicFile =

    /// A link stays one: what it points to is replaced.
    let private targetOf (file: string) : string =
        let full = Path.GetFullPath file

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

    /// What may read the old file may read the new one, and nobody else.
    let private keepMode (target: string) (temporary: string) =
        if not (OperatingSystem.IsWindows()) && File.Exists target then
            File.SetUnixFileMode(temporary, File.GetUnixFileMode target)

    /// <summary>Writes a file beside the target, flushes it to the disk and renames it over the target.</summary>
    /// <param name="wrap">What the writing goes through; id but in tests.</param>
    /// <param name="file">The target; its folder must exist.</param>
    /// <param name="write">Writes everything.</param>
    /// <exception cref="T:SparseFs.CheckpointException">The file could not be written; the target is what it was, and
    /// nothing else is left.</exception>
    /// <remarks>A process that is killed meanwhile leaves the target as it was, and a file .NAME.*.tmp beside it.</remarks>
    let replaceThrough (wrap: Stream -> Stream) (file: string) (write: Stream -> unit) : unit =
        ArgumentException.ThrowIfNullOrEmpty(file, nameof file)

        Refuse.onFailure file (fun () ->
            let target = targetOf file

            if Directory.Exists target then
                Refuse.because CheckpointProblem.Access file "" "expected a file, got a folder"

            let folder, name = Path.GetDirectoryName target, Path.GetFileName target
            let temporary = Path.Combine(folder, $".{name}.{Guid.NewGuid():N}.tmp")

            try
                (use disk =
                    new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, 65536)

                 let stream = wrap disk
                 write stream
                 stream.Flush()
                 disk.Flush(flushToDisk = true))

                keepMode target temporary
                File.Move(temporary, target, overwrite = true)
            with _ ->
                deleteIfThere temporary
                reraise ())

    /// <summary>As <c>replaceThrough</c>, without anything between.</summary>
    let replace (file: string) (write: Stream -> unit) : unit = replaceThrough id file write
