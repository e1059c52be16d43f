namespace SparseFs.Torch

open System
open System.IO
open System.Security.Cryptography

/// <summary>A copy of libLibTorchSharp.so that older systems load, in the user's cache.</summary>
/// <remarks>The library asks for GLIBCXX_3.4.32 (GCC 13), which Debian 12, Ubuntu 22.04 and RHEL 9 lack, although nothing in
/// it is bound to that version. In a build the packages' MSBuild target makes the copy; a script has no build.</remarks>
module internal LibTorchSharpCopy =

    /// The one version that older systems lack.
    [<Literal>]
    let Version = "GLIBCXX_3.4.32"

    /// Written beside its place and renamed, so that no other process meets half a file.
    let private write (path: string) (bytes: byte[]) =
        let written = $"{path}.{Guid.NewGuid():N}"

        try
            File.WriteAllBytes(written, bytes)
            File.Move(written, path, overwrite = true)
        finally
            File.Delete written

    let private isThere (path: string) (bytes: byte[]) =
        File.Exists path
        && (File.ReadAllBytes path).AsSpan().SequenceEqual(ReadOnlySpan bytes)

    /// <summary>The path of the copy, which is made if it is not there.</summary>
    /// <param name="cache">The folder of caches; a private temporary one is taken where it cannot be written.</param>
    /// <param name="original">The library's path, which is only read.</param>
    /// <exception cref="T:System.IO.InvalidDataException">The original is not an ELF library.</exception>
    let pathIn (cache: string) (original: string) : string =
        let bytes = File.ReadAllBytes original
        let hash = Convert.ToHexStringLower(SHA256.HashData bytes)
        ElfVersions.weaken Version bytes

        let put (folder: string) =
            let path = Path.Combine(folder, "libLibTorchSharp.so")

            if not (isThere path bytes) then
                Directory.CreateDirectory folder |> ignore
                write path bytes

            path

        try
            put (Path.Combine(cache, "SparseFs", hash))
        with
        | :? IOException
        | :? UnauthorizedAccessException -> put (Directory.CreateTempSubdirectory("sparsefs-").FullName)

    /// The user's folder of caches: XDG_CACHE_HOME, or .cache in the home.
    let userCache () : string =
        match Environment.GetEnvironmentVariable "XDG_CACHE_HOME" with
        | null
        | "" -> Path.Combine(Environment.GetFolderPath Environment.SpecialFolder.UserProfile, ".cache")
        | folder -> folder
