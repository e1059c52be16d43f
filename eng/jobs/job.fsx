/// What the jobs share: a user's folder with sources and digits, and lines that say how far they are.
module Job

#load "../outside.fsx"

open System
open System.Diagnostics
open System.IO
open System.Text.RegularExpressions

let private sources = Path.Combine(__SOURCE_DIRECTORY__)

/// A folder with MNIST's four files: all of MNIST where it lies beside the repository, else the digits of the demo.
let digits: string =
    let whole = Path.Combine(Outside.root, "..", "shared", "data", "mnist")

    if Directory.Exists whole then
        whole
    else
        Path.Combine(Outside.root, "examples", "Digits", "data")

/// Whether it is all of MNIST: 60,000 digits to train with, and not 5,000.
let isWhole =
    FileInfo(Path.Combine(digits, "train-images-idx3-ubyte.gz")).Length > 5_000_000L

let copyInto (folder: string) (file: string) =
    File.Copy(file, Path.Combine(folder, Path.GetFileName file), overwrite = true)

/// An empty folder of a user, with nothing but the sources that lie in a folder here, and others named one by one.
let folderOf (name: string) (from: string) (others: string list) : string =
    let where = Outside.subfolder name

    for file in Directory.GetFiles(Path.Combine(sources, from)) do
        copyInto where file

    for other in others do
        copyInto where (Path.Combine(sources, other))

    where

let copyDigits (where: string) =
    let data = Directory.CreateDirectory(Path.Combine(where, "data")).FullName

    for file in Directory.GetFiles(digits, "*.gz") do
        copyInto data file

/// A script as it stands, but with the packed packages in the place of those that a registry has.
let runScript (where: string) (name: string) : string =
    let path = Path.Combine(where, name)

    let text =
        File.ReadAllLines path
        |> Array.filter (fun line ->
            not (
                line.StartsWith "#r \"nuget: SparseFs"
                || line.StartsWith "#r \"nuget: TorchSharp"
            ))
        |> String.concat "\n"

    Outside.script where name text

let indented (text: string) =
    text.Split('\n')
    |> Array.map (fun line -> "    " + line.TrimEnd())
    |> String.concat "\n"

/// The first group of a pattern in what a program printed.
let found (what: string) (pattern: string) (text: string) : string =
    let m = Regex.Match(text, pattern, RegexOptions.Multiline)

    if not m.Success then
        Outside.fail $"expected {what} ({pattern}), got\n{text}"

    m.Groups[1].Value

let expect (what: string) (isSo: bool) (got: string) =
    if not isSo then
        Outside.fail $"expected {what}, got\n{got}"

let timed (work: unit -> 'a) : 'a * float =
    let watch = Stopwatch.StartNew()
    let result = work ()
    result, watch.Elapsed.TotalSeconds
