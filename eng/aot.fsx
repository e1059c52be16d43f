/// Compiles examples/Spans and examples/Inference ahead of time, outside this repository and with the packages SparseFs.Core and SparseFs.Inference: without a
/// warning, and with the vectors and results of the same programs under the JIT. dotnet fsi eng/aot.fsx, as dotnet fsi build.fsx aot runs it.

open System
open System.Diagnostics
open System.IO
open System.Runtime.InteropServices
open System.Runtime.Intrinsics

let root = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, ".."))
let everything = Directory.CreateTempSubdirectory("sparsefs-aot-").FullName

/// Bytes of a native program that runs networks, without its symbols.
let most = 8_000_000L

/// Of the one package that was packed.
let version =
    let prefix, suffix = "SparseFs.Core.", ".nupkg"

    let name =
        Directory.GetFiles(Path.Combine(root, "artifacts", "packages"), $"{prefix}*{suffix}")
        |> Array.exactlyOne
        |> Path.GetFileName

    name[prefix.Length .. name.Length - suffix.Length - 1]

/// What a program prints, on both its outputs; it must end well.
let runIn (outside: string) (file: string) (arguments: string list) : string =
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

let isLinker (name: string) =
    Environment.GetEnvironmentVariable("PATH").Split Path.PathSeparator
    |> Array.exists (fun folder -> File.Exists(Path.Combine(folder, name)))

if OperatingSystem.IsLinux() && not (List.exists isLinker [ "clang"; "gcc" ]) then
    printfn "not compiled ahead of time: there is neither clang nor gcc, one of which the compiler links with"
    exit 0

/// The standard output of a program is what it says; times go to the error output, which differs.
let firstLine (output: string) = (output.Trim().Split '\n')[0]

/// What an example says compiled ahead of time and under the JIT, which must be the same, and its bytes.
let compile (name: string) (package: string) (arguments: string list) : int64 =
    let outside = Directory.CreateDirectory(Path.Combine(everything, name)).FullName
    let run = runIn outside

    let project =
        $"""<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <TargetFramework>net10.0</TargetFramework>
    <PublishAot>true</PublishAot>
    <IlcInstructionSet>{instructionSet}</IlcInstructionSet>
    <TrimmerSingleWarn>false</TrimmerSingleWarn>
    <InvariantGlobalization>true</InvariantGlobalization>
    <Nullable>enable</Nullable>
    <RestoreAdditionalProjectSources>{Path.Combine(root, "artifacts", "packages")};{Path.Combine(root, ".feed")}</RestoreAdditionalProjectSources>
    <RestorePackagesPath>packages</RestorePackagesPath>
    <WarningsNotAsErrors>NU1603</WarningsNotAsErrors>
  </PropertyGroup>
  <ItemGroup>
    <PackageReference Include="{package}" Version="{version}" />
  </ItemGroup>
</Project>
"""

    File.WriteAllText(Path.Combine(outside, $"{name}.csproj"), project)
    File.Copy(Path.Combine(root, "examples", name, "Program.cs"), Path.Combine(outside, "Program.cs"))

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

    let program = Path.Combine(outside, "aot", name)
    let ahead = firstLine (run program arguments)

    let jit =
        firstLine (run "dotnet" ([ "run"; "-c"; "Release"; "-p:PublishAot=false"; "--" ] @ arguments))

    let size = FileInfo(program).Length
    printfn $"compiled ahead of time: {ahead}; under the JIT: {jit}; {size} bytes"

    if ahead <> jit then
        eprintfn "expected the same"
        exit 1

    size

compile "Spans" "SparseFs.Core" [] |> ignore
let network = Path.Combine(everything, "network.safetensors")
runIn root "dotnet" [ "fsi"; "examples/deploy.fsx"; network ] |> ignore
let size = compile "Inference" "SparseFs.Inference" [ network ]

if size > most then
    eprintfn $"expected at most {most} bytes, got {size}"
    exit 1

Directory.Delete(everything, recursive = true)
