/// Runs all tests as programs for Windows (x64): under Wine, on a Debian system. dotnet fsi eng/test-windows.fsx [arguments of
/// Expecto], after dotnet fsi build.fsx test.

#load "platforms.fsx"
#load "counts.fsx"

open System
open System.IO
open System.Runtime.InteropServices
open Platforms

let rid = "win-x64"
let compiler = "/usr/bin/x86_64-w64-mingw32-gcc-win32"

if OperatingSystem.IsWindows() then
    fail "expected a system that is not Windows, where dotnet fsi build.fsx test is the same and more"

if
    not (OperatingSystem.IsLinux())
    || RuntimeInformation.ProcessArchitecture <> Architecture.X64
then
    fail $"expected Linux on x64, where Wine runs, got {RuntimeInformation.RuntimeIdentifier}"

install
    [ "wine", "/usr/bin/wine"
      "wine64", "/usr/lib/wine/wine64"
      "gcc-mingw-w64-x86-64-win32", compiler ]

download rid true
let core = publish rid "SparseFs.Core.Tests"
let layers = publish rid "SparseFs.Tests"

/// Wine's Windows, with a registry and a C: drive of its own.
let prefix = Path.Combine(folderOf rid, "wine")

/// Intel's OpenMP asks for masks of NUMA nodes, and .NET maps code twice and collects beside other threads: Wine has not the
/// one and is not safe with the others.
let environment =
    [ "WINEPREFIX", prefix
      "WINEDEBUG", "-all"
      "WINEDLLOVERRIDES", "vcruntime140_1=n,b"
      "KMP_AFFINITY", "disabled"
      "DOTNET_EnableWriteXorExecute", "0"
      "DOTNET_gcConcurrent", "0" ]

Directory.CreateDirectory prefix |> ignore
quietly "setting Wine up" "wine" [ "winecfg"; "-v"; "win10" ] environment

/// What torch's exceptions need under Wine; eng/wine/vcruntime140_1.c says why.
let mendExceptions (folder: string) : unit =
    quietly
        "compiling what Wine needs for torch's exceptions"
        compiler
        [ "-O2"
          "-shared"
          "-Wl,--export-all-symbols"
          "-o"
          Path.Combine(folder, "vcruntime140_1.dll")
          "eng/wine/vcruntime140_1.c" ]
        []

    File.Copy(
        Path.Combine(prefix, "drive_c", "windows", "system32", "vcruntime140_1.dll"),
        Path.Combine(folder, "vcruntime140_1_wine.dll"),
        overwrite = true
    )

mendExceptions layers

let arguments = List.tail (List.ofArray fsi.CommandLineArgs)

let run (folder: string) (program: string) () : int =
    printfn $"running {program} under Wine ..."
    exitCodeOf "wine" ($"{program}.exe" :: arguments) folder environment

let code =
    Counts.inOneLine [ run core "SparseFs.Core.Tests"; run layers "SparseFs.Tests" ]

// Wine's own services outlive its programs.
exitCodeOf "wineserver" [ "-k" ] prefix environment |> ignore
exit code
