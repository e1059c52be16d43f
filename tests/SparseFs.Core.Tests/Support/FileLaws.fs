/// What every save promises, whatever the file system: laws of a function that writes a file.
module SparseFs.Tests.FileLaws

open System
open System.IO
open Expecto
open SparseFs

let private inFolder (body: string -> unit) =
    let folder = Directory.CreateTempSubdirectory "sparsefs-laws-"

    try
        body folder.FullName
    finally
        folder.Delete(recursive = true)

/// The message of a refusal, or nothing where the save was done.
let private outcome (save: unit -> unit) : string voption =
    try
        save ()
        ValueNone
    with
    | :? CheckpointException as e when e.Problem = CheckpointProblem.Access -> ValueSome e.Message
    | :? UnauthorizedAccessException as e -> ValueSome e.Message
    // What .NET raises where a file is not shared; not a disk that is full.
    | :? IOException as e when SystemFiles.isInUse e -> ValueSome e.Message

let private old = "what was there before"

let private names (folder: string) =
    Directory.GetFileSystemEntries folder
    |> Array.map (fun path -> present "a name" (Path.GetFileName path))
    |> Array.sort

/// Whether names that differ by case alone are one file here.
let private ignoresCase (folder: string) =
    let probe = Path.Combine(folder, "probe")
    File.WriteAllText(probe, "")
    let ignores = File.Exists(Path.Combine(folder, "PROBE"))
    File.Delete probe
    ignores

/// <summary>The laws of one save.</summary>
/// <param name="name">As tests call it.</param>
/// <param name="save">Writes a file, the same bytes each time.</param>
let ofSave (name: string) (save: string -> unit) : Test =
    let bytes =
        lazy
            (let mutable written = [||]

             inFolder (fun folder ->
                 let file = Path.Combine(folder, "it")
                 save file
                 written <- File.ReadAllBytes file)

             written)

    let isSaved (file: string) =
        Expect.equal (File.ReadAllBytes file) bytes.Value "the new file, whole"

    /// A refusal names the file and says why; the old file is whole, and nothing lies beside it.
    let isRefused (file: string) (words: string list) (message: string) =
        Expect.stringContains message file "the error names the file"

        if
            not (
                words
                |> List.exists (fun word -> message.Contains(word, StringComparison.OrdinalIgnoreCase))
            )
        then
            failtest $"expected one of {words} in the error, got: {message}"

        Expect.equal (File.ReadAllText file) old "the old file, whole"

    let overReader (sharing: FileShare) =
        testCase $"over a file that is open to a reader who shares {sharing}" (fun () ->
            inFolder (fun folder ->
                let file = Path.Combine(folder, "it")
                File.WriteAllText(file, old)

                (use reader = new FileStream(file, FileMode.Open, FileAccess.Read, sharing)

                 match outcome (fun () -> save file) with
                 | ValueNone ->
                     if OperatingSystem.IsWindows() && not (sharing.HasFlag FileShare.Delete) then
                         failtest "Windows replaced a file that is open"

                     isSaved file
                     use text = new StreamReader(reader)
                     Expect.equal (text.ReadToEnd()) old "the reader reads on what it opened"
                 | ValueSome message ->
                     if not (OperatingSystem.IsWindows()) then
                         failtest $"expected a save, got {message}"

                     reader.Dispose()
                     isRefused file [ "is open"; "being used" ] message)

                Expect.equal (names folder) [| "it" |] "nothing beside it"
                save file
                isSaved file))

    testList
        $"Files of {name}"
        [ overReader FileShare.Read
          overReader FileShare.ReadWrite
          overReader (FileShare.ReadWrite ||| FileShare.Delete)

          testCase "over a file that nobody may write to" (fun () ->
              inFolder (fun folder ->
                  let file = Path.Combine(folder, "it")
                  File.WriteAllText(file, old)
                  File.SetAttributes(file, FileAttributes.ReadOnly)

                  try
                      match outcome (fun () -> save file) with
                      | ValueNone -> failtest "expected a refusal, got a save"
                      | ValueSome message -> isRefused file [ "read-only"; "its mode" ] message

                      Expect.equal (names folder) [| "it" |] "nothing beside it"
                  finally
                      File.SetAttributes(file, FileAttributes.Normal)))

          testCase "over a file that somebody has for himself" (fun () ->
              inFolder (fun folder ->
                  let file = Path.Combine(folder, "it")
                  File.WriteAllText(file, old)

                  let message =
                      (use _ = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.None)
                       outcome (fun () -> save file))

                  // Other systems keep such a wish between programs of .NET alone, and an opening for writing asks for it.
                  match message with
                  | ValueSome message -> isRefused file [ "being used"; "is open" ] message
                  | ValueNone when OperatingSystem.IsWindows() -> failtest "expected a refusal, got a save"
                  | ValueNone -> isSaved file

                  Expect.equal (names folder) [| "it" |] "nothing beside it"))

          testCase "at the end of a path longer than 260 characters" (fun () ->
              inFolder (fun folder ->
                  let deep = Path.Combine(folder, String('a', 90), String('b', 90), String('c', 90))

                  Directory.CreateDirectory deep |> ignore
                  let file = Path.Combine(deep, String('d', 90))
                  Expect.isGreaterThan file.Length 360 "not vacuous"
                  save file
                  save file
                  isSaved file
                  Expect.equal (names deep) [| String('d', 90) |] "nothing beside it"))

          testCase "under names of other alphabets, with spaces and dots" (fun () ->
              inFolder (fun folder ->
                  for it in [ "größe"; "模型"; "модель"; "a \U0001F642 b"; "a.b.c"; ".hidden"; "a'b & c%d" ] do
                      let file = Path.Combine(folder, it)
                      save file
                      save file
                      isSaved file
                      Expect.equal (names folder) [| it |] "the name, and nothing beside it"
                      File.Delete file))

          testCase "under names that differ by case alone" (fun () ->
              inFolder (fun folder ->
                  let one = ignoresCase folder
                  let small, large = Path.Combine(folder, "it"), Path.Combine(folder, "IT")
                  File.WriteAllText(small, old)
                  save large
                  isSaved large
                  Expect.equal (names folder).Length (if one then 1 else 2) "files"
                  Expect.equal (File.ReadAllText small = old) (not one) "the other name's"))

          testCase "by either separator, where a system has two" (fun () ->
              inFolder (fun folder ->
                  let file = Path.Combine(folder, "it")
                  save (file.Replace(Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar))
                  isSaved file
                  save (Path.Combine(folder, ".", "it"))
                  isSaved file
                  Expect.equal (names folder) [| "it" |] "one file"))

          // Elsewhere NUL is a name like others.
          if OperatingSystem.IsWindows() then
              testCase "to Windows's devices" (fun () ->
                  for device in [ "NUL"; "nul"; @"\\.\NUL" ] do
                      match outcome (fun () -> save device) with
                      | ValueSome message -> Expect.stringContains message "got a device" device
                      | ValueNone -> failtest $"expected a refusal of {device}, got a save") ]
