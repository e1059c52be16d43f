namespace SparseFs

open System
open System.IO

/// <summary>Files that are written whole or not at all.</summary>
module internal WholeFile =

    /// <summary>Writes to a new file beside the target and renames it over the target, so that nobody ever sees half of it;
    /// if the work fails, the target is as it was.</summary>
    let write (path: string) (work: Stream -> unit) : unit =
        ArgumentException.ThrowIfNullOrEmpty(path, nameof path)
        let target = Path.GetFullPath path
        let name = $".{Path.GetFileName target}.{Guid.NewGuid():N}.tmp"
        let temporary = Path.Combine(Path.GetDirectoryName target, name)

        try
            do
                use file =
                    new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, 65536)

                work file
                file.Flush true

            File.Move(temporary, target, overwrite = true)
        with _ ->
            File.Delete temporary
            reraise ()

    /// <summary>Opens a file to be read from its start.</summary>
    let read (path: string) (work: Stream -> 'a) : 'a =
        ArgumentException.ThrowIfNullOrEmpty(path, nameof path)

        use file =
            new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 65536)

        work file
