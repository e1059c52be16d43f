/// Compiles examples/Spans ahead of time, outside this repository and with the package SparseFs.Core: without a warning, and
/// with the vectors that the same program chooses under the JIT. dotnet fsi eng/aot.fsx, as dotnet fsi build.fsx aot runs it.

open System
open System.Diagnostics
open System.IO
open System.Runtime.InteropServices
open System.Runtime.Intrinsics

let root = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, ".."))
let outside = Directory.CreateTempSubdirectory("sparsefs-aot-").FullName

/// Of the one package that was packed.
let version =
    let prefix, suffix = "SparseFs.Core.", ".nupkg"

    let name =
        Directory.GetFiles(Path.Combine(root, "artifacts", "packages"), $"{prefix}*{suffix}")
        |> Array.exactlyOne
        |> Path.GetFileName

    name[prefix.Length .. name.Length - suffix.Length - 1]

/// What a program prints, on both its outputs; it must end well.
let run (file: string) (arguments: string list) : string =
    let start =
        ProcessStartInfo(
            file,
            arguments,
            WorkingDirectory = outside,
            RedirectStandardOutput = true,
            RedirectStandardError = true
        )

    use running = Process.Start start
    let errors = running.StandardError.ReadToEndAsync()
    let output = running.StandardOutput.ReadToEnd() + errors.Result
    running.WaitForExit()

    if running.ExitCode <> 0 then
        eprintfn $"{file} failed in {outside}:\n{output}"
        exit 1

    output

// The compiler targets an old processor unless it is told otherwise, and its programs then use 128 bits. Told "native", the one of
// .NET 10 ends in an exception on processors with 512 bits of which the JIT prefers 256 (Cascade Lake); so it is told what the JIT uses.
let instructionSet =
    if RuntimeInformation.ProcessArchitecture <> Architecture.X64 then
        "native"
    elif Vector512.IsHardwareAccelerated then
        "x86-64-v4"
    elif Vector256.IsHardwareAccelerated then
        "x86-64-v3"
    else
        "native"

let project =
    $"""<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <TargetFramework>net10.0</TargetFramework>
    <PublishAot>true</PublishAot>
    <IlcInstructionSet>{instructionSet}</IlcInstructionSet>
    <TrimmerSingleWarn>false</TrimmerSingleWarn>
    <InvariantGlobalization>true</InvariantGlobalization>
    <RestoreAdditionalProjectSources>{Path.Combine(root, "artifacts", "packages")};{Path.Combine(root, ".feed")}</RestoreAdditionalProjectSources>
    <RestorePackagesPath>packages</RestorePackagesPath>
    <WarningsNotAsErrors>NU1603</WarningsNotAsErrors>
  </PropertyGroup>
  <ItemGroup>
    <PackageReference Include="SparseFs.Core" Version="{version}" />
  </ItemGroup>
</Project>
"""

let isLinker (name: string) =
    Environment.GetEnvironmentVariable("PATH").Split Path.PathSeparator
    |> Array.exists (fun folder -> File.Exists(Path.Combine(folder, name)))

if OperatingSystem.IsLinux() && not (List.exists isLinker [ "clang"; "gcc" ]) then
    printfn "not compiled ahead of time: there is neither clang nor gcc, one of which the compiler links with"
    exit 0

File.WriteAllText(Path.Combine(outside, "Spans.csproj"), project)
File.Copy(Path.Combine(root, "examples", "Spans", "Program.cs"), Path.Combine(outside, "Program.cs"))

let published =
    run
        "dotnet"
        [ "publish"
          "-c"
          "Release"
          "-r"
          RuntimeInformation.RuntimeIdentifier
          "-o"
          "aot"
          "-v"
          "minimal" ]

match published.Split '\n' |> Array.filter (fun line -> line.Contains "warning") with
| [||] -> ()
| warnings ->
    let lines = String.Join("\n", warnings)
    eprintfn $"expected no warning, got\n{lines}"
    exit 1

let ahead = (run (Path.Combine(outside, "aot", "Spans")) []).Trim()
let jit = (run "dotnet" [ "run"; "-c"; "Release"; "-p:PublishAot=false" ]).Trim()
let size = FileInfo(Path.Combine(outside, "aot", "Spans")).Length
printfn $"compiled ahead of time: {ahead}; under the JIT: {jit}; {size} bytes"

if ahead <> jit then
    eprintfn "expected the same"
    exit 1

Directory.Delete(outside, recursive = true)
