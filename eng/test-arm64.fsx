/// Runs the tests of the core, which has no torch, as a program for Arm64: under qemu, on a Debian system of another
/// processor. dotnet fsi eng/test-arm64.fsx [arguments of Expecto], after dotnet fsi build.fsx test.

#load "platforms.fsx"

open System
open System.IO
open System.Runtime.InteropServices
open Platforms

let rid = "linux-arm64"
let libraries = "/usr/aarch64-linux-gnu"

let isArm64 = RuntimeInformation.ProcessArchitecture = Architecture.Arm64

if not (OperatingSystem.IsLinux()) then
    fail $"expected Linux, whose programs qemu runs for another processor, got {RuntimeInformation.OSDescription}"

if not isArm64 then
    install
        [ "qemu-user-static", "/usr/bin/qemu-aarch64-static"
          "libc6-arm64-cross", $"{libraries}/lib/libc.so.6"
          "libgcc-s1-arm64-cross", $"{libraries}/lib/libgcc_s.so.1"
          "libstdc++6-arm64-cross", $"{libraries}/lib/libstdc++.so.6" ]

download rid false
let folder = publish rid "SparseFs.Core.Tests"
let program = Path.Combine(folder, "SparseFs.Core.Tests")

/// qemu translates code when it first sees it, and does not notice code that is written through a second mapping, as .NET
/// does unless told otherwise. It has no membarrier call either, by which the collector waits for threads on other cores.
let emulated =
    [ "DOTNET_EnableWriteXorExecute", "0"
      "DOTNET_gcConcurrent", "0"
      "DOTNET_TieredPGO", "0" ]

let arguments = List.tail (List.ofArray fsi.CommandLineArgs)

let code =
    if isArm64 then
        exitCodeOf program arguments folder []
    else
        printfn "running under qemu, on one core and test by test, in seven minutes on a machine that is free ..."

        exitCodeOf
            "taskset"
            ([ "-c"; "0"; "qemu-aarch64-static"; "-L"; libraries; program; "--sequenced" ]
             @ arguments)
            folder
            emulated

exit code
