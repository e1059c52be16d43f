/// Symbolic links, which not every system makes.
module SparseFs.Tests.Links

open System
open System.IO
open Expecto

/// Whether this system makes them: Windows does for some users, Wine says that it did and makes none.
let areMade: Lazy<bool> =
    lazy
        (let folder = Directory.CreateTempSubdirectory "sparsefs-links-"

         try
             try
                 let link = Path.Combine(folder.FullName, "link")
                 File.CreateSymbolicLink(link, "it") |> ignore
                 FileInfo(link).LinkTarget = "it"
             with
             | :? IOException
             | :? UnauthorizedAccessException -> false
         finally
             folder.Delete(recursive = true))

/// Skips a test of links where there are none.
let needed () : unit =
    if not areMade.Value then
        skiptest "this system, or this user, makes no symbolic links"
