/// What .NET may answer with null, and a benchmark counts on.
[<AutoOpen>]
module SparseFs.Benchmarks.Presence

open System.IO

/// The value; where there is none, the benchmark ends and says what it expected.
let present (what: string) (value: 'T | null) : 'T =
    match value with
    | null -> failwith $"expected {what}, got none"
    | value -> value

/// Makes the folder that a file is to lie in.
let makeFolderOf (file: string) : unit =
    let folder = present $"a file in a folder at {file}" (Path.GetDirectoryName file)
    Directory.CreateDirectory folder |> ignore

/// The page beside a file of rows.
let pageOf (file: string) : string =
    present "the path of a page" (Path.ChangeExtension(file, ".html"))
