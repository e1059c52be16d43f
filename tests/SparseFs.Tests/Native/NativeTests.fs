/// libtorch's way into the process: copies that older systems load, and errors that name the missing package.
module SparseFs.Tests.NativeTests

open System
open System.IO
open Expecto
open SparseFs
open SparseFs.Torch
open TorchSharp

/// TorchSharp's native library, as it was built beside this program; only there on Linux.
let private original =
    lazy
        (Directory.GetFiles(AppContext.BaseDirectory, "libLibTorchSharp.so", SearchOption.AllDirectories)
         |> Array.tryHead)

let private onLinux (name: string) (body: string -> unit) =
    testCase name (fun () ->
        match original.Value with
        | Some path -> body path
        | None -> skiptest "libLibTorchSharp.so is there on Linux alone")

let private inFolder (body: string -> unit) =
    let folder = Directory.CreateTempSubdirectory("sparsefs-native-").FullName

    try
        body folder
    finally
        Directory.Delete(folder, recursive = true)

let private weakened (elf: byte[]) =
    let copy = Array.copy elf
    ElfVersions.weaken LibTorchSharpCopy.Version copy
    copy

/// A need of one version as readelf shows it: whether its flags say weak. The strings that name versions are unique.
let private differing (a: byte[]) (b: byte[]) =
    [ for i in 0 .. a.Length - 1 do
          if a[i] <> b[i] then
              i ]

[<Tests>]
let native =
    testList
        "Native"
        [ onLinux "weakening a version sets one flag and nothing else" (fun path ->
              let elf = File.ReadAllBytes path

              // The build may have weakened the first one in this file already; of the second it knows nothing.
              let changes (version: string) =
                  let copy = Array.copy elf
                  ElfVersions.weaken version copy
                  [ for at in differing elf copy -> copy[at] ^^^ elf[at] ]

              Expect.equal (changes "GLIBCXX_3.4.21") [ 2uy ] "the weak flag of one need"
              Expect.contains [ []; [ 2uy ] ] (changes LibTorchSharpCopy.Version) "it, or nothing where that was done")

          onLinux "weakening twice is weakening once" (fun path ->
              let once = weakened (File.ReadAllBytes path)
              Expect.isTrue ((weakened once).AsSpan().SequenceEqual(ReadOnlySpan once)) "no further change")

          onLinux "a version that the library does not need changes nothing" (fun path ->
              let elf = File.ReadAllBytes path
              let copy = Array.copy elf
              ElfVersions.weaken "GLIBCXX_9.9.99" copy
              Expect.isEmpty (differing elf copy) "the same bytes")

          onLinux "a library that was cut is refused or taken, and nothing else happens" (fun path ->
              let elf = File.ReadAllBytes path
              let random = Random 1

              let refused =
                  [ for _ in 1..200 do
                        let cut = Array.truncate (random.Next elf.Length) elf

                        try
                            weakened cut |> ignore
                            false
                        with :? InvalidDataException ->
                            true ]

              Expect.isTrue (List.contains true refused) "not vacuous")

          onLinux "a header of random bytes is refused or taken, and nothing else happens" (fun path ->
              let elf = Array.truncate 4096 (File.ReadAllBytes path)
              let random = Random 2

              for _ in 1..2000 do
                  let hostile = Array.copy elf
                  let at = random.Next(16, 64)
                  hostile[at] <- byte (random.Next 256)
                  hostile[random.Next(16, 64)] <- byte (random.Next 256)

                  try
                      weakened hostile |> ignore
                  with :? InvalidDataException ->
                      ())

          testCase "what is no library is refused" (fun () ->
              for bytes in [ [||]; "#!/bin/sh\n"B; Array.zeroCreate 100 ] do
                  Expect.throwsT<InvalidDataException> (fun () -> weakened bytes |> ignore) "no ELF header")

          onLinux "the copy is made once, and made anew where somebody changed it" (fun path ->
              inFolder (fun cache ->
                  let copy = LibTorchSharpCopy.pathIn cache path
                  let bytes = File.ReadAllBytes copy

                  Expect.isTrue
                      (bytes.AsSpan().SequenceEqual(ReadOnlySpan(weakened (File.ReadAllBytes path))))
                      "weakened"

                  let written = File.GetLastWriteTimeUtc copy
                  Expect.equal (LibTorchSharpCopy.pathIn cache path) copy "the same path"
                  Expect.equal (File.GetLastWriteTimeUtc copy) written "not written again"
                  File.WriteAllText(copy, "something else")
                  Expect.equal (LibTorchSharpCopy.pathIn cache path) copy "the same path"
                  Expect.isTrue (bytes.AsSpan().SequenceEqual(ReadOnlySpan(File.ReadAllBytes copy))) "mended"

                  Expect.hasLength
                      (Directory.GetFiles(Path.GetDirectoryName copy |> string))
                      1
                      "nothing left beside it"))

          onLinux "a cache that cannot be written is done without" (fun path ->
              inFolder (fun folder ->
                  let file = Path.Combine(folder, "a-file")
                  File.WriteAllText(file, "no folder can be made below a file")
                  let copy = LibTorchSharpCopy.pathIn file path
                  Expect.isTrue (File.Exists copy) "made elsewhere"
                  Directory.Delete(Path.GetDirectoryName copy |> string, recursive = true)))

          testCase "the errors name the package, the version and the cure" (fun () ->
              let version = "0.107.0"

              Expect.equal
                  TorchStart.missing
                  ("libtorch, the native part of TorchSharp, was not found beside this program. SparseFs does not bring it, "
                   + "because it is large and comes in several kinds. Add one of its packages to the project that runs: "
                   + $"dotnet add package TorchSharp-cpu --version {version} (for NVIDIA GPUs TorchSharp-cuda-windows or "
                   + $"TorchSharp-cuda-linux); in a script: #r \"nuget: TorchSharp-cpu, {version}\"")
                  "missing"

              Expect.stringContains
                  (TorchStart.unloadable "version `GLIBCXX_3.4.32' not found")
                  "(version `GLIBCXX_3.4.32' not found)"
                  "the loader's own words") ]
